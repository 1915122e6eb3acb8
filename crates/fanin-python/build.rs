//! Build script that adds the linker arguments for a Python extension module. On macOS, these arguments allow undefined
//! symbols. The Python interpreter defines these symbols when it loads the module.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
