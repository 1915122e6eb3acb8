//! Creates the Python environment, the wheel and the type stubs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{Result, Steps, cargo, root, run, target};

/// The release of torch whose values the torch stream reproduces.
const TORCH: &str = "torch==2.15.0";

/// The packages that the tests of the Python package and the comparisons need, besides torch.
const PACKAGES: [&str; 16] = [
    "numpy",
    "safetensors",
    "transformers==5.23.0",
    "timm==1.0.31",
    "torchvision",
    "mpmath",
    "maturin>=1.9,<2",
    "pytest",
    "pytest-xdist",
    "mypy",
    "jsonschema",
    "jax",
    "keras",
    "ray",
    "mpi4py",
    "mpich",
];

/// The packages that only the benchmarks need.
pub const BENCH_PACKAGES: [&str; 1] = ["matplotlib"];

/// Creates the virtual environment for tests if necessary, and returns the path of its Python interpreter. The
/// environment is in `target/python`. If the list of packages has changed, the environment is created again.
///
/// # Errors
/// Returns an error if Python 3.10 or newer is not found, or if a package cannot be installed.
pub fn environment() -> Result<PathBuf> {
    installed(&target().join("python"), &[&[TORCH], PACKAGES.as_slice()].concat())
}

/// Creates a virtual environment with `packages` in the folder `home` if necessary, and returns the path of its Python
/// interpreter. An environment with a different list of packages is created again.
///
/// # Errors
/// Returns an error if Python 3.10 or newer is not found, or if a package cannot be installed.
pub fn installed(home: &Path, packages: &[&str]) -> Result<PathBuf> {
    let python = if cfg!(windows) { home.join("Scripts/python.exe") } else { home.join("bin/python") };
    let wanted = packages.join("\n");
    let stamp = home.join("packages.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let found = ["python3", "python", "py"].into_iter().find(|name| {
        let version = "import sys; sys.exit(sys.version_info < (3, 10))";
        Command::new(name).args(["-c", version]).status().is_ok_and(|status| status.success())
    });
    let found = found.ok_or("no Python 3.10 or newer was found: install one")?;
    std::fs::create_dir_all(target()).map_err(|error| error.to_string())?;
    run(Command::new(found).args(["-m", "venv", "--clear"]).arg(home))?;
    // Most files of these packages are never imported, so they are not compiled to bytecode in advance.
    let pip = |packages: &[&str]| {
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-compile"]).args(packages))
    };
    // The CPU-only build of torch is a tenth of the size of the default build. Some package indexes do not have the
    // CPU-only build.
    if packages.contains(&TORCH) && pip(&[&format!("{TORCH}+cpu")]).is_err() {
        eprintln!("this package index has no CPU-only build of {TORCH}: the default build is installed");
    }
    pip(packages)?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// The arguments of cargo that select the features of debug builds (see [`crate::test::cargo_test`]). With the feature
/// `stubs`, the compiled Python module also contains the descriptions of its types.
pub const FEATURES: [&str; 2] = ["--features", "fanin/rand_core,fanin/ndarray,fanin-python/stubs"];

/// Builds the wheel with the cargo profile `profile`, and installs it into the Python environment.
///
/// # Errors
/// Returns an error if the build or the installation fails.
pub fn install_wheel(python: &Path, profile: &str) -> Result {
    let wheels = target().join("wheels");
    // Older wheels are removed, so that the folder contains only the new wheel.
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    }
    run(Command::new(python)
        .args(["-m", "maturin", "build", "--profile", profile])
        .args(if profile == "dev" { FEATURES.as_slice() } else { &[] })
        .arg("--interpreter")
        .arg(python)
        .arg("--out")
        .arg(&wheels))?;
    let found = std::fs::read_dir(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let wheel = found.filter_map(|file| Some(file.ok()?.path())).next().ok_or("maturin built no wheel")?;
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"])
        .arg(wheel))
}

/// Generates the type stubs of the Python module from the compiled module, and writes them to `_fanin.pyi`. If `check`
/// is true, compares the stubs with this file instead of writing it.
///
/// # Errors
/// Returns an error if the build fails, or if `check` is true and the stubs are not up to date.
pub fn stubs(steps: &mut Steps, check: bool) -> Result {
    steps.step("build the Python module for its stubs", || {
        run(cargo().args(["build", "--package", "fanin-python"]).args(FEATURES))
    })?;
    let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = target().join("debug").join(format!("{before}_fanin{after}"));
    let module =
        pyo3_introspection::introspect_cdylib(&library, "_fanin").map_err(|error| format!("{error:#}"))?;
    let files = pyo3_introspection::module_stub_files(&module);
    let text = files.into_values().next().ok_or("the compiled module contains no type stubs")?;
    let text = format!("# Generated by `cargo xtask stubs` from the module itself.\n{text}");
    let path = root().join("crates/fanin-python/python/fanin/_fanin.pyi");
    let wrong = |error| format!("{}: {error}", path.display());
    if !check {
        return std::fs::write(&path, text).map_err(wrong);
    }
    let found = std::fs::read_to_string(&path).map_err(wrong)?;
    if found.replace("\r\n", "\n") == text {
        return Ok(());
    }
    Err(format!("{} is not up to date: run cargo xtask stubs", path.display()))
}
