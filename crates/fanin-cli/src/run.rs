//! The entry points of the command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::error::Error;
use crate::terminal::output;
use crate::{args, command, interrupt};

/// Runs the command line with the arguments of this process.
///
/// The exit code is 0 for success, 1 for a failed check, and 2 for any other error, such as an invalid argument or an
/// unreadable file. If a signal stops the process, the exit code is 128 plus the number of the signal.
pub fn run() -> ExitCode {
    ExitCode::from(run_from(std::env::args_os().collect()))
}

/// Runs the command line with the given arguments, and returns the exit code. The first argument is the name of the
/// program.
///
/// The first call installs signal handlers, which stay installed after the function has returned. A handler removes the
/// temporary files and ends the process.
pub fn run_from(arguments: Vec<OsString>) -> u8 {
    interrupt::clean_up_when_interrupted();
    let args = match args::Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(answer) => return print_answer(&answer, &arguments),
    };
    args.color.apply();
    match command::run(args) {
        Ok(()) => 0,
        // The reader of standard output, for example `head`, has closed the pipe. A closed pipe is not an error.
        Err(error) if error.is_broken_pipe() => 0,
        Err(Error::CheckFailed) => 1,
        Err(error) => {
            output::error(&error);
            2
        }
    }
}

/// Prints the help, the version or the usage error in `answer`, and returns the exit code. `--color` is read from
/// `arguments`, because clap returns no parsed arguments in these cases.
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
