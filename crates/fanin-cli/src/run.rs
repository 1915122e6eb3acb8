//! The entry points of the command line: from arguments to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::error::Error;
use crate::terminal::output;
use crate::{args, command, interrupt};

/// Runs the command line on the arguments of this process.
///
/// The exit code is 0 for success, 1 for a failed check, and 2 for invalid arguments or input. A process that a signal
/// stops exits with 128 plus the number of the signal.
pub fn run() -> ExitCode {
    ExitCode::from(run_from(std::env::args_os().collect()))
}

/// Runs the command line on these arguments, the first of which is the program's name. Returns the exit code.
///
/// After this call, an interrupt removes the temporary files and exits the process, even when the function has
/// returned.
pub fn run_from(arguments: Vec<OsString>) -> u8 {
    interrupt::clean_up_when_interrupted();
    let args = match args::Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(answer) => return print_answer(&answer, &arguments),
    };
    args.color.apply();
    match command::run(args) {
        Ok(()) => 0,
        // Standard output is a pipe, and its reader, such as `head`, has closed it. This is not an error.
        Err(error) if error.is_broken_pipe() => 0,
        Err(Error::CheckFailed) => 1,
        Err(error) => {
            output::message(format_args!("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m {error}"));
            2
        }
    }
}

/// Prints clap's answer: help, the version, or an error in the arguments. Returns the exit code. `--color` is
/// respected, although clap did not return parsed arguments.
fn print_answer(answer: &clap::Error, arguments: &[OsString]) -> u8 {
    args::Color::from_arguments(arguments.iter().skip(1).cloned()).apply();
    let text = answer.render().ansi().to_string();
    if answer.use_stderr() {
        output::message(text.trim_end());
    } else if let Err(error) = output::line(text.trim_end()) {
        return if error.is_broken_pipe() { 0 } else { 2 };
    }
    u8::try_from(answer.exit_code()).unwrap_or(2)
}
