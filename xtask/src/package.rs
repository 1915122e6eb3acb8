//! `cargo xtask package`: builds and checks all packages.

use std::process::Command;

use crate::python;
use crate::steps::{Result, root, run, target};

/// The Python packages that build and check the wheel. The package `ziglang` links the wheel against an old glibc.
const PACKAGES: [&str; 5] =
    ["maturin>=1.9,<2", "ziglang==0.17.1", "auditwheel==6.8.2", "twine==7.0.0", "pyelftools"];

/// Runs `scripts/package.py` with these options.
///
/// # Errors
/// Returns an error if a package cannot be built, or fails a check.
pub fn build(options: &[&str]) -> Result {
    let out = target().join("package");
    let python = python::installed(&target().join("package-python"), &PACKAGES)?;
    run(Command::new(python).arg(root().join("scripts/package.py")).arg("--out").arg(out).args(options))
}
