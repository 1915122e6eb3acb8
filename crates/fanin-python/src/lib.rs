//! The module `fanin._fanin`: what the Python package does in Rust. Its face is in `python/fanin`.

mod attend;
mod autograd;
mod dlpack;
mod fault;
mod given;
mod initializer;
mod memory;
mod native;
mod recipe;
mod team;
mod torch;
mod waiting;

use pyo3::prelude::*;

/// The Rust side of fanin. Use the names in `fanin` and `fanin.torch`.
#[pymodule(gil_used = false)]
mod _fanin {
    #[pymodule_export]
    use super::initializer::{Initializer, Plan, schemes};
    #[pymodule_export]
    use super::native::{Prepared, canonical_name, fill_array};
    #[pymodule_export]
    use super::recipe::{Planned, Recipe, explain_json, manifest, models, write_checkpoint};
    #[pymodule_export]
    use super::team::use_openmp;
    #[pymodule_export]
    use super::torch::{torch_draw, torch_pass};
    #[pymodule_export]
    use super::waiting::{torch_settle, torch_words};
    use super::*;

    /// The package's version.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// The command `fanin`, on the process's own arguments. Returns the exit code.
    #[pyfunction]
    fn main(py: Python<'_>) -> PyResult<u8> {
        let arguments: Vec<std::ffi::OsString> = py.import("sys")?.getattr("argv")?.extract()?;
        Ok(py.detach(|| fanin_cli::run_from(arguments)))
    }
}
