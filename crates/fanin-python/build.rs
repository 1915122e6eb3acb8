//! Build script that adds the linker arguments for a Python extension module. On macOS, these arguments let the symbols
//! of Python stay undefined until the interpreter loads the module.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
