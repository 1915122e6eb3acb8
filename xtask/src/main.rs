//! The project's chores: `cargo xtask test`, `cargo xtask bench`, `cargo xtask golden`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask test      every test: Rust, doctests, the command line, the adapters, the Python package, the live comparison
                      with torch
            --rust    the Rust part only
            --python  the Python package only
            --adapters  the adapters only
cargo xtask bench     fanin beside torch, NumPy, JAX and the plain memory fill; --help tells the options
cargo xtask golden    make the golden files and manifests again, from torch and the model libraries, and the stubs of the
                      Python module from the module
            --check   ... and fail if one differs
cargo xtask stubs     the stubs alone
cargo xtask python    make the Python environment in target/ and print its interpreter
";

/// What the comparisons and the Python package's tests run on. torch is the release that the torch stream is measured
/// against.
const PYTHON_PACKAGES: [&str; 16] = [
    "torch==2.15.0",
    "numpy",
    "safetensors",
    "transformers==5.23.0",
    "timm==1.0.31",
    "torchvision",
    "mpmath",
    "maturin>=1.9,<2",
    "pytest",
    "mypy",
    "jsonschema",
    "jax",
    "keras",
    "ray",
    "mpi4py",
    "mpich",
];

/// What else the benchmarks run on.
const BENCH_PACKAGES: [&str; 1] = ["matplotlib"];

type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test"] => {
            let rust = test_rust().and_then(|()| test_adapters());
            rust.and_then(|()| test_python()).and_then(|()| test_against_torch())
        }
        ["test", "--adapters"] => test_adapters(),
        ["test", "--python"] => test_python(),
        ["test", "--rust"] => test_rust(),
        ["bench", options @ ..] => bench(options),
        ["stubs"] => stubs(false),
        ["golden"] => golden(false),
        ["golden", "--check"] => golden(true),
        ["python"] => python().map(|python| println!("{}", python.display())),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn run(command: &mut Command) -> Result {
    eprintln!("+ {command:?}");
    let status = command.current_dir(root()).status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The library's examples, each of which checks what it shows.
const EXAMPLES: [&str; 5] = ["any_split", "fused", "own_scheme", "recipe_rules", "torch_parity"];

fn test_rust() -> Result {
    run(cargo().args(["test", "--workspace", "--all-features"]))?;
    for example in EXAMPLES {
        run(cargo().args(["run", "--quiet", "--package", "fanin", "--all-features", "--example", example]))?;
    }
    // The library alone and without its features: what most users build.
    run(cargo().args(["test", "--package", "fanin", "--no-default-features", "--lib", "--tests"]))
}

/// The adapters: workspaces of their own, since what they stand on is heavy and moves fast. They share one target folder.
const ADAPTERS: [&str; 2] = ["adapters/fanin-candle", "adapters/fanin-burn"];

/// Runs the adapters' tests, some of which hold a saved model to the command line, and an example that saves one.
fn test_adapters() -> Result {
    // With the features of the tests: it is built already.
    run(cargo().args(["build", "--workspace", "--all-features", "--bin", "fanin"]))?;
    let binary = target().join("debug").join(format!("fanin{}", std::env::consts::EXE_SUFFIX));
    // An adapter's own folder is where its tests run.
    let binary = std::path::absolute(binary).map_err(|error| error.to_string())?;
    for adapter in ADAPTERS {
        run(cargo_in(adapter, "test").env("FANIN", &binary))?;
    }
    let saved = binary.with_file_name("gpt.safetensors");
    run(cargo_in(ADAPTERS[0], "run").args(["--quiet", "--example", "transformer", "--"]).arg(&saved))?;
    run(Command::new(&binary).arg("verify").arg(&saved).args(["--recipe", "gpt2", "--like"]).arg(&saved))
}

fn cargo_in(adapter: &str, command: &str) -> Command {
    let mut cargo = cargo();
    cargo
        .args([command, "--locked", "--manifest-path"])
        .arg(root().join(adapter).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target().join("adapters"));
    cargo
}

/// Builds the wheel and installs it into the Python environment.
fn install() -> Result<PathBuf> {
    let python = python()?;
    let wheels = target().join("wheels");
    // Only the wheel of this build is to be found there.
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    }
    run(Command::new(&python)
        .args(["-m", "maturin", "build", "--release", "--interpreter"])
        .arg(&python)
        .arg("--out")
        .arg(&wheels))?;
    let found = std::fs::read_dir(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let wheel = found.filter_map(|file| Some(file.ok()?.path())).next().ok_or("maturin built no wheel")?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"])
        .arg(wheel))?;
    Ok(python)
}

/// The types of the Python module, as the module itself says them: written to the file of stubs, or held against it.
fn stubs(check: bool) -> Result {
    run(cargo().args(["build", "--package", "fanin-python", "--features", "stubs"]))?;
    let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = target().join("debug").join(format!("{before}_fanin{after}"));
    let module =
        pyo3_introspection::introspect_cdylib(&library, "_fanin").map_err(|error| format!("{error:#}"))?;
    let files = pyo3_introspection::module_stub_files(&module);
    let text = files.into_values().next().ok_or("the module says nothing of its types")?;
    let text = format!("# Made by `cargo xtask stubs` from what the module says of itself.\n{text}");
    let path = root().join("crates/fanin-python/python/fanin/_fanin.pyi");
    let wrong = |error| format!("{}: {error}", path.display());
    if !check {
        return std::fs::write(&path, text).map_err(wrong);
    }
    let found = std::fs::read_to_string(&path).map_err(wrong)?;
    if found.replace("\r\n", "\n") == text {
        return Ok(());
    }
    Err(format!("{}: not what the module says of its types; cargo xtask stubs", path.display()))
}

/// Runs the Python package's tests on what is installed.
fn test_python() -> Result {
    stubs(true)?;
    let python = install()?;
    run(Command::new(&python).args(["-m", "pytest"]).env("HF_HUB_OFFLINE", "1"))?;
    run(Command::new(&python).arg(root().join("tests/torch/compare_jax.py")))
}

/// Measures the package beside the others.
fn bench(options: &[&str]) -> Result {
    let script = root().join("benches/bench.py");
    let python = python()?;
    if options.iter().any(|option| matches!(*option, "-h" | "--help")) {
        return run(Command::new(&python).arg(script).args(options));
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(BENCH_PACKAGES))?;
    let python = install()?;
    run(Command::new(&python).arg(script).args(options))
}

fn test_against_torch() -> Result {
    run(cargo().args(["build", "--release", "--package", "fanin-cli"]))?;
    let python = python()?;
    let binary = target().join("release").join(format!("fanin{}", std::env::consts::EXE_SUFFIX));
    for script in ["compare_fill.py", "compare_init_order.py", "compare_models.py"] {
        run(Command::new(&python)
            .arg(root().join("tests/torch").join(script))
            .arg("--fanin")
            .arg(&binary)
            .env("HF_HUB_OFFLINE", "1"))?;
    }
    golden_scripts(&python, true)
}

fn golden(check: bool) -> Result {
    stubs(check)?;
    golden_scripts(&python()?, check)?;
    if check {
        return Ok(());
    }
    run(cargo()
        .args(["test", "--package", "fanin", "--all-features", "--test", "value_stability"])
        .env("FANIN_GOLDEN", "write"))
}

fn golden_scripts(python: &Path, check: bool) -> Result {
    for script in ["scripts/goldens.py", "scripts/manifests.py"] {
        let mut command = Command::new(python);
        command.arg(root().join(script)).env("HF_HUB_OFFLINE", "1");
        if check {
            command.arg("--check");
        }
        run(&mut command)?;
    }
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The interpreter of a virtual environment in `target/`, made at the first call and whenever the packages change.
fn python() -> Result<PathBuf> {
    let home = target().join("python");
    let python = if cfg!(windows) { home.join("Scripts/python.exe") } else { home.join("bin/python") };
    let wanted = PYTHON_PACKAGES.join("\n");
    let stamp = home.join("packages.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let found = ["python3", "python", "py"].into_iter().find(|name| {
        let version = "import sys; sys.exit(sys.version_info < (3, 10))";
        Command::new(name).args(["-c", version]).status().is_ok_and(|status| status.success())
    });
    let found =
        found.ok_or("Python 3.10 or newer is needed for the comparison with torch, and was not found")?;
    std::fs::create_dir_all(target()).map_err(|error| error.to_string())?;
    run(Command::new(found).args(["-m", "venv", "--clear"]).arg(&home))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}
