//! Runs commands, and records the duration of each step.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The result of a command. The error is a message.
pub type Result<T = ()> = std::result::Result<T, String>;

/// The finished steps, each with its name and duration.
pub struct Steps {
    start: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Returns an empty list of steps.
    pub fn new() -> Self {
        Self { start: Instant::now(), done: Vec::new() }
    }

    /// Adds steps that another thread has run at the same time.
    pub fn append(&mut self, other: Self) {
        self.done.extend(other.done);
    }

    /// Runs `work`, and records its duration under `name`.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = work();
        self.done.push((name.to_owned(), start.elapsed()));
        result
    }

    /// Prints the duration of each step and the total time. Prints nothing if there are no steps.
    pub fn report(&self) {
        if self.done.is_empty() {
            return;
        }
        eprintln!();
        for (name, time) in &self.done {
            eprintln!("{:7.1} s  {name}", time.as_secs_f64());
        }
        eprintln!("{:7.1} s  in all", self.start.elapsed().as_secs_f64());
    }
}

/// Returns the root folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a member of the workspace").to_owned()
}

/// Returns the folder of cargo's build output: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    std::path::absolute(&target).unwrap_or(target)
}

/// Returns a command for the cargo executable that started this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Sets the working directory, and a folder for the bytecode of Python modules. Without stored bytecode, importing
/// torch or transformers takes three times as long.
fn set_up(command: &mut Command) -> &mut Command {
    let bytecode = target().join("pycache");
    command.current_dir(root()).env_remove("PYTHONDONTWRITEBYTECODE").env("PYTHONPYCACHEPREFIX", bytecode)
}

/// Runs a command in the root folder of the workspace.
///
/// # Errors
/// Returns an error if the command cannot be started, or if its exit code is not 0.
pub fn run(command: &mut Command) -> Result {
    eprintln!("+ {command:?}");
    let status = set_up(command).status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// Runs commands in parallel. The output of each command is printed when the command ends.
///
/// # Errors
/// Waits until all commands have ended. Then returns the error of the first command in the list that has failed.
pub fn run_side_by_side(commands: Vec<Command>) -> Result {
    std::thread::scope(|scope| {
        let run = |mut command: Command| {
            let output = set_up(&mut command).output().map_err(|error| format!("{command:?}: {error}"))?;
            eprintln!("+ {command:?}");
            eprint!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", output.status)) }
        };
        let running: Vec<_> = commands.into_iter().map(|command| scope.spawn(move || run(command))).collect();
        let ended: Vec<Result> = running
            .into_iter()
            .map(|thread| thread.join().expect("running a command does not panic"))
            .collect();
        ended.into_iter().collect()
    })
}
