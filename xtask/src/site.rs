//! `cargo xtask site`: builds the documentation as a site, and checks its links.

use std::process::Command;

use crate::python;
use crate::steps::{Result, Steps, root, run, target};

/// The Python packages that build and check the site. The package `ruff` formats the signatures of functions.
const PACKAGES: [&str; 4] =
    ["mkdocs-material==9.8.2", "mkdocstrings-python==2.0.11", "ruff==0.17.6", "markdown-it-py==4.3.0"];

/// Builds the site into `target/site/html`.
///
/// # Errors
/// Returns an error if the site cannot be built, if the target of a link does not exist, or if a page looks different
/// on the site and on GitHub.
pub fn build(steps: &mut Steps) -> Result {
    let home = target().join("site");
    let python = steps.step("packages of the site", || python::installed(&home.join("python"), &PACKAGES))?;
    let html = home.join("html");
    steps.step("build the site", || {
        run(Command::new(&python)
            .args(["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"])
            .arg(&html)
            .env("NO_MKDOCS_2_WARNING", "1"))
    })?;
    let check = root().join("scripts/site/check.py");
    steps.step("check links and pages", || run(Command::new(&python).arg(check).arg(&html)))?;
    eprintln!("the site is in {}", html.display());
    Ok(())
}
