//! The extension module `fanin._fanin`: the functions and classes of the Python package that are written in Rust. The
//! public Python interface is in `python/fanin`.

mod analysis;
mod arguments;
mod autograd;
mod checkpoint;
mod deferred;
mod dlpack;
mod errors;
mod explain;
mod initializer;
mod interrupt;
mod memory;
mod native;
mod notebook;
mod openmp;
mod recipe;
mod replay;
mod tensor_source;
mod torch;

use pyo3::prelude::*;

/// The part of fanin that is written in Rust. Programs should import `fanin` and `fanin.torch`, not this module.
#[pymodule(gil_used = false)]
mod _fanin {
    #[pymodule_export]
    use super::analysis::{audit_tensors, diff_tensors, inspect_tensors, verify_tensors};
    #[pymodule_export]
    use super::checkpoint::{manifest, models, write_checkpoint};
    #[pymodule_export]
    use super::deferred::{DeferredFill, torch_flush, torch_words};
    #[pymodule_export]
    use super::explain::explain;
    #[pymodule_export]
    use super::initializer::{Initializer, Plan, schemes};
    #[pymodule_export]
    use super::native::{Prepared, canonical_name, fill_array};
    #[pymodule_export]
    use super::openmp::use_openmp;
    #[pymodule_export]
    use super::recipe::{Planned, Recipe};
    #[pymodule_export]
    use super::replay::{cover_names, replay_differences};
    #[pymodule_export]
    use super::torch::{FillRequest, torch_advance, torch_fill};
    use super::*;

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python packages use this name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Runs the command line `fanin` on `sys.argv` and returns its exit code.
    #[pyfunction]
    fn main(py: Python<'_>) -> PyResult<u8> {
        let arguments: Vec<std::ffi::OsString> = py.import("sys")?.getattr("argv")?.extract()?;
        Ok(py.detach(|| fanin_cli::run_from(arguments)))
    }
}
