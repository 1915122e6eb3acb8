//! Linker arguments for an extension module: on macOS, symbols of Python are resolved when the interpreter loads the module.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
