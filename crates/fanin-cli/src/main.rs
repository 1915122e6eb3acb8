//! The `fanin` command.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    fanin_cli::run()
}
