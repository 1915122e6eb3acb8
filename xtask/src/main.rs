//! The development commands of this project: `cargo xtask test`, `cargo xtask bench`, `cargo xtask golden` and others.

mod package;
mod python;
mod site;
mod steps;
mod test;

use std::process::{Command, ExitCode};

use steps::{Result, Steps, root, run, target};
use test::{Part, Tier};

const HELP: &str = "\
cargo xtask test        run all tests except the slow tests; installs Python packages into target/
    --quick             run unit tests, golden tests and command-line tests only (a few minutes)
    --slow              also run the slow tests: 50 killed writers, the library without features, the release build
    --rust              test the Rust crates only
    --python            test the Python package only
    --torch             run the comparisons with torch only
    --adapters          test the adapters for candle and burn only
cargo xtask bench       compare speed with torch, NumPy, JAX and a plain memory fill (--help lists its options)
cargo xtask golden      regenerate golden files and manifests from torch and the model libraries, and the stubs
    --check             fail if a file is not up to date, and write nothing
cargo xtask package     build and check the crates, the source distribution and the wheel (--help lists its options)
cargo xtask site        build the documentation as a site in target/site/html, and check its links
cargo xtask stubs       regenerate the type stubs of the Python module
cargo xtask python      create the Python environment in target/ and print its interpreter
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut steps = Steps::new();
    let done = match arguments.as_slice() {
        ["test", options @ ..] => match options_of_test(options) {
            Some((tier, part)) => test::all(&mut steps, tier, part),
            None => return usage(),
        },
        ["bench", options @ ..] => bench(options),
        ["package", options @ ..] => package::build(options),
        ["site"] => site::build(&mut steps),
        ["stubs"] => python::stubs(&mut steps, false),
        ["golden"] => golden(&mut steps, false),
        ["golden", "--check"] => golden(&mut steps, true),
        ["python"] => python::environment().map(|python| println!("{}", python.display())),
        _ => return usage(),
    };
    steps.report();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}

/// Parses the options of `cargo xtask test`. Returns `None` if an option is unknown.
fn options_of_test(options: &[&str]) -> Option<(Tier, Option<Part>)> {
    let (mut tier, mut part) = (Tier::Default, None);
    for option in options {
        match *option {
            "--quick" => tier = Tier::Quick,
            "--slow" => tier = Tier::Slow,
            "--rust" => part = Some(Part::Rust),
            "--python" => part = Some(Part::Python),
            "--torch" => part = Some(Part::Torch),
            "--adapters" => part = Some(Part::Adapters),
            _ => return None,
        }
    }
    Some((tier, part))
}

/// Builds the wheel in release mode, installs the wheel, and runs the benchmark of fanin and other libraries.
fn bench(options: &[&str]) -> Result {
    let script = root().join("benches/bench.py");
    let python = python::environment()?;
    if options.iter().any(|option| matches!(*option, "-h" | "--help")) {
        return run(Command::new(&python).arg(script).args(options));
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(python::BENCH_PACKAGES))?;
    python::install_wheel(&python, "release")?;
    // The fills of other Rust libraries, as a dynamic library that the script loads.
    let peers = target().join("peers");
    let manifest = root().join("benches/peers/Cargo.toml");
    run(steps::cargo()
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", &peers))?;
    let library = format!("{}fanin_peers{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    run(Command::new(&python)
        .arg(script)
        .args(options)
        .env("FANIN_PEERS", peers.join("release").join(library)))
}

/// Regenerates the stubs, the golden files and the manifests. If `check` is true, writes nothing, and fails if a file
/// is not up to date. `check` does not cover the golden files of the test `value_stability`.
fn golden(steps: &mut Steps, check: bool) -> Result {
    python::stubs(steps, check)?;
    test::golden_scripts(steps, &python::environment()?, check)?;
    if check {
        return Ok(());
    }
    run(test::cargo_test().args(["--test", "value_stability"]).env("FANIN_GOLDEN", "write"))
}
