//! Lines, JSON and warnings, on the output where they belong.

use std::io::Write as _;

use serde::Serialize;

use crate::error::Result;
use fanin_recipe::text;

/// Writes a line to standard output; an output that is closed is an error that ends the program quietly.
///
/// # Errors
/// If it cannot be written.
pub fn line(text: impl std::fmt::Display) -> Result {
    writeln!(anstream::stdout().lock(), "{text}")?;
    Ok(())
}

/// Says something on standard error. If nobody listens, so be it.
pub fn say(text: impl std::fmt::Display) {
    _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes JSON to standard output, as it is made: not all of it is in memory at once.
///
/// # Errors
/// If it cannot be written.
pub fn json(value: &impl Serialize) -> Result {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Says on standard error what is worth saying, each text once with the tensors that it is about.
pub fn warnings<'a>(all: impl Iterator<Item = (&'a str, String)>, quiet: bool) {
    for (message, tensors) in text::grouped(all).into_iter().filter(|_| !quiet) {
        let more = tensors.len().saturating_sub(3);
        let named = tensors[..tensors.len() - more]
            .iter()
            .map(|name| text::escaped(name))
            .collect::<Vec<_>>()
            .join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(format_args!("\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m {message} ({named}{more})"));
    }
}
