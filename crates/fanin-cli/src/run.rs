//! The program: arguments in, exit code out.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::error::Error;
use crate::terminal::output;
use crate::{args, command, interrupt};

/// Runs the command line on the process's own arguments: exit code 0 for good, 1 if the answer is no, 2 for bad usage
/// or input; 128 and the number of the signal that ended it.
pub fn run() -> ExitCode {
    ExitCode::from(run_from(std::env::args_os().collect()))
}

/// Runs the command line on these arguments, of which the first is the program's name. Gives the exit code.
///
/// From here on an interrupt ends the process, and takes an unfinished file with it.
pub fn run_from(arguments: Vec<OsString>) -> u8 {
    interrupt::clean_up_when_interrupted();
    let args = match args::Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(answer) => return answer_of_clap(&answer, &arguments),
    };
    args.color.apply();
    match command::run(args) {
        Ok(()) => 0,
        // Whoever read our output has seen enough.
        Err(error) if error.is_broken_pipe() => 0,
        Err(Error::CheckFailed) => 1,
        Err(error) => {
            output::say(format_args!("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m {error}"));
            2
        }
    }
}

/// What clap answers (help, the version, a complaint), coloured as asked for although the arguments did not parse.
fn answer_of_clap(answer: &clap::Error, arguments: &[OsString]) -> u8 {
    args::Color::asked_for(arguments.iter().skip(1).cloned()).apply();
    let text = answer.render().ansi().to_string();
    if answer.use_stderr() {
        output::say(text.trim_end());
    } else if let Err(error) = output::line(text.trim_end()) {
        return if error.is_broken_pipe() { 0 } else { 2 };
    }
    u8::try_from(answer.exit_code()).unwrap_or(2)
}
