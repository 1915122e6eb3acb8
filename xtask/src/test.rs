//! `cargo xtask test`, which runs the tests of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python;
use crate::steps::{Result, Steps, cargo, root, run, run_side_by_side, target};

/// Which tests are run. Each tier includes the tests of the previous tier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The tests for the edit loop, which take a few minutes in total.
    Quick,
    /// All tests except slow tests that rarely fail.
    Default,
    /// All tests.
    Slow,
}

/// A part of the project that can be tested separately.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The Rust crates.
    Rust,
    /// The Python package.
    Python,
    /// The comparisons of the command line with torch, transformers and timm.
    Torch,
    /// The adapters to candle and burn.
    Adapters,
}

/// Runs the tests of a tier. `part` selects one part of the tests, and `None` selects all parts.
///
/// The tests, the command and the wheel are built with the same profile and, as far as possible, the same features. So
/// cargo builds each crate only once. Some tests of the slow tier need further builds.
///
/// # Errors
/// Returns the error of the first step that fails.
pub fn all(steps: &mut Steps, tier: Tier, part: Option<Part>) -> Result {
    if tier == Tier::Quick {
        return quick(steps);
    }
    let wanted = |this: Part| part.is_none_or(|part| part == this);
    std::thread::scope(|scope| {
        // Another thread installs the Python packages while the crates are built.
        let packages =
            (wanted(Part::Python) || wanted(Part::Torch)).then(|| scope.spawn(python::environment));
        if wanted(Part::Rust) {
            rust(steps, tier)?;
        }
        // The adapters are built while the Python tests run. Many Python tests only wait for processes that they start.
        let adapters = wanted(Part::Adapters).then(|| scope.spawn(adapters));
        let tested = packages.map_or(Ok(()), |packages| {
            let python = steps.step("wait for the Python packages", || {
                packages.join().expect("installing packages does not panic")
            })?;
            if wanted(Part::Python) {
                python_package(steps, &python)?;
            }
            if wanted(Part::Torch) { comparisons(steps, &python, tier) } else { Ok(()) }
        });
        let Some(adapters) = adapters else { return tested };
        let (others, result) = adapters.join().expect("testing the adapters does not panic");
        steps.append(others);
        tested.and(result)
    })
}

/// Returns `cargo test` for the workspace, with [`python::FEATURES`].
///
/// The other debug builds use the same features, because cargo builds a crate again if the features of a dependency
/// differ. The optional features `rand_core`, `ndarray` and `stubs` are included, so that their tests need no separate
/// build.
pub fn cargo_test() -> Command {
    let mut test = cargo();
    test.args(["test", "--workspace"]).args(python::FEATURES);
    test
}

/// Runs the unit tests, the tests of golden values, and the main tests of the command line.
fn quick(steps: &mut Steps) -> Result {
    let tests =
        ["value_stability", "torch_goldens", "formulas", "spec_grammar", "architecture", "cli", "recipes"];
    let tests = tests.into_iter().flat_map(|test| ["--test", test]);
    steps.step("unit tests, golden values, the command line", || {
        run(cargo_test().args(["--lib", "--bins"]).args(tests))
    })
}

/// The examples of the library `fanin`. An example fails if one of its assertions fails.
const EXAMPLES: [&str; 6] = ["any_split", "fused", "own_scheme", "readme", "scaling_factors", "torch_parity"];

fn rust(steps: &mut Steps, tier: Tier) -> Result {
    let test = || {
        let mut test = cargo_test();
        if tier == Tier::Slow {
            test.env("FANIN_KILLS", "50");
        }
        test
    };
    // This step also builds the examples.
    steps.step("build the workspace and its tests", || run(test().arg("--no-run")))?;
    steps.step("tests of the workspace", || run(test().args(["--lib", "--bins", "--tests"])))?;
    steps.step("documentation tests", || run(test().arg("--doc")))?;
    steps.step("examples", || {
        let folder = target().join("debug/examples");
        EXAMPLES.into_iter().try_for_each(|example| {
            run(&mut Command::new(folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX))))
        })
    })?;
    if tier == Tier::Slow {
        // Without features, fills use only one thread. Only these tests are repeated. Most other tests need a feature,
        // fill no tensors, or check the distribution of values that the golden files contain.
        steps.step("the library without features", || {
            let tests = ["regions", "cancel", "blocks", "bad_input", "torch_goldens", "value_stability"];
            let tests = tests.into_iter().flat_map(|test| ["--test", test]);
            run(cargo().args(["test", "--package", "fanin", "--no-default-features", "--lib"]).args(tests))
        })?;
    }
    Ok(())
}

/// The folders of the adapters. Each adapter is a separate workspace, because candle and burn are large and change
/// often.
const ADAPTERS: [&str; 2] = ["adapters/fanin-candle", "adapters/fanin-burn"];

/// Runs the tests of the adapters. Returns the finished steps, with their durations, and the result.
///
/// Some tests of the adapters compare a saved model with a checkpoint that the command line writes.
fn adapters() -> (Steps, Result) {
    let mut steps = Steps::new();
    let result = test_adapters(&mut steps);
    (steps, result)
}

fn test_adapters(steps: &mut Steps) -> Result {
    let binary = binary(steps)?;
    for adapter in ADAPTERS {
        steps.step(adapter, || run(cargo_in(adapter, "test").env("FANIN", &binary)))?;
    }
    steps.step("a model that candle saves is verified", || {
        let saved = binary.with_file_name("gpt.safetensors");
        run(cargo_in(ADAPTERS[0], "run").args(["--quiet", "--example", "transformer", "--"]).arg(&saved))?;
        run(Command::new(&binary).arg("verify").arg(&saved).args(["--recipe", "gpt2", "--like"]).arg(&saved))
    })
}

fn cargo_in(adapter: &str, command: &str) -> Command {
    let mut cargo = cargo();
    cargo
        .args([command, "--locked", "--manifest-path"])
        .arg(root().join(adapter).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target().join("adapters"));
    cargo
}

/// Builds the `fanin` binary with the profile of the tests, and returns the path of the binary.
fn binary(steps: &mut Steps) -> Result<PathBuf> {
    steps.step("build the command", || {
        run(cargo().args(["build", "--workspace", "--bins"]).args(python::FEATURES))
    })?;
    Ok(target().join("debug").join(format!("fanin{}", std::env::consts::EXE_SUFFIX)))
}

fn python_package(steps: &mut Steps, python: &Path) -> Result {
    python::stubs(steps, true)?;
    steps.step("build and install the wheel", || python::install_wheel(python, "dev"))?;
    let mut pytest = Command::new(python);
    // One process per CPU. All tests of a file run in the same process, because they share the fixtures of the file.
    let processes = ["--numprocesses", "auto", "--dist", "loadfile", "--durations", "15"];
    pytest.args(["-m", "pytest"]).args(processes).env("HF_HUB_OFFLINE", "1");
    let mut jax = Command::new(python);
    jax.arg(root().join("tests/torch/compare_jax.py"));
    steps.step("tests of the Python package, comparison with JAX", || run_side_by_side(vec![pytest, jax]))
}

/// Compares the results of the command line with the results of torch, transformers and timm. Then checks that the
/// golden files are up to date.
fn comparisons(steps: &mut Steps, python: &Path, tier: Tier) -> Result {
    let debug = binary(steps)?;
    let compare = |binary: &Path, script: &str| {
        let mut command = Command::new(python);
        command.arg(root().join("tests/torch").join(script)).arg("--fanin").arg(binary);
        command.env("HF_HUB_OFFLINE", "1");
        command
    };
    steps.step("comparison of fills with torch", || run(&mut compare(&debug, "compare_fill.py")))?;
    steps.step("comparison of models with torch", || {
        run_side_by_side(vec![compare(&debug, "compare_init_order.py"), compare(&debug, "compare_models.py")])
    })?;
    if tier == Tier::Slow {
        // The values must also agree with torch if fanin is built with the compiler options of a release.
        steps.step("build the command for release", || {
            run(cargo().args(["build", "--release", "--package", "fanin-cli"]))
        })?;
        let release = target().join("release").join(format!("fanin{}", std::env::consts::EXE_SUFFIX));
        steps
            .step("comparison of the released command", || run(&mut compare(&release, "compare_fill.py")))?;
    }
    golden_scripts(steps, python, true)
}

/// Regenerates the golden files and the manifests. If `check` is true, compares the results with the files in the
/// repository instead of writing them.
///
/// # Errors
/// Returns an error if a script fails.
pub fn golden_scripts(steps: &mut Steps, python: &Path, check: bool) -> Result {
    let scripts = ["scripts/goldens.py", "scripts/manifests.py"].map(|script| {
        let mut command = Command::new(python);
        command.arg(root().join(script)).env("HF_HUB_OFFLINE", "1");
        if check {
            command.arg("--check");
        }
        command
    });
    steps.step("golden files and manifests", || run_side_by_side(scripts.into()))
}
