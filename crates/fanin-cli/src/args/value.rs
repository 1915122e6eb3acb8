//! The parsers of argument values: shapes, seeds, paths, settings and others.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use fanin::AxisLayout;

/// The shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

/// Parses a shape: `64,3,7,7`, `64x3`, `[64, 3]`, `(5,)`, or `scalar`.
pub(super) fn parse_shape(text: &str) -> Result<Shape, String> {
    let text = text.trim();
    let inner = text.trim_start_matches(['[', '(']).trim_end_matches([']', ')']).trim();
    // An empty argument is an error: it is probably an unset variable of a script, and not a scalar.
    if inner == "scalar" || (inner.is_empty() && !text.is_empty()) {
        return Ok(Shape(Vec::new()));
    }
    inner
        .trim_end_matches(',')
        .split([',', 'x'])
        .map(|size| {
            size.trim()
                .parse()
                .map_err(|_| format!("{size:?} is not a size: expected a shape such as 64,3,7,7, or scalar"))
        })
        .collect::<Result<_, _>>()
        .map(Shape)
}

/// Parses a seed: a decimal number, which may be negative, or a hexadecimal number that begins with `0x`.
pub(super) fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse::<u64>().ok().or_else(|| text.parse::<i64>().ok().map(|seed| seed as u64)),
    };
    parsed.ok_or_else(|| "expected a whole number from -2^63 to 2^64 - 1".to_owned())
}

/// Returns a parser for the path of a file or folder to write. A path that begins with a hyphen is an error: `-`
/// usually means standard output, and `-o --force` lacks a path.
pub(super) fn output_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let shown = path.display();
        match path.as_os_str().as_encoded_bytes() {
            b"-" => Err("a checkpoint is written to a temporary file that is then renamed, so it cannot go to standard \
                         output: name a file (a file called - is ./-)"
                .to_owned()),
            [b'-', ..] => Err(format!("name a file or a folder after -o (for a file of this name, write ./{shown})")),
            _ => Ok(path),
        }
    })
}

/// Parses a setting of a recipe variable: `NAME=NUMBER`. `inf` is a valid number, but `nan` and `1e999` are errors.
pub(super) fn parse_setting(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=NUMBER, for example n_layer=24")?;
    let number: f64 = value.trim().parse().map_err(|_| format!("{value:?} is not a number"))?;
    // Rust parses a number that is too large for f64 as infinity.
    let overflow = number.is_infinite() && !value.to_ascii_lowercase().contains("inf");
    if number.is_nan() || overflow {
        return Err(format!("{value:?} is not a number that f64 can represent"));
    }
    Ok((name.trim().to_owned(), number))
}

/// Parses a number of threads. The number is limited, because all threads are started, even threads that have no work.
pub(super) fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    const MAX_THREADS: usize = 1024;
    let threads = text.parse().ok().filter(|threads: &NonZeroUsize| threads.get() <= MAX_THREADS);
    threads.ok_or_else(|| {
        format!("expected a number from 1 to {MAX_THREADS}; without this option all cores are used")
    })
}

/// Parses an axis layout: a name such as `out_in`, `keras` or `conv`, or one letter for each axis, such as `hwio`.
pub fn parse_layout(text: &str) -> Result<AxisLayout, String> {
    text.to_ascii_lowercase().parse().map_err(|_| {
        "expected out_in (torch, linear, conv), in_out (conv_transpose, transposed), kernel_in_out (keras, jax, flax), \
         or a letter for each axis, for example hwio or eoi"
            .to_owned()
    })
}

/// Parses the probability that a correct checkpoint fails a check.
pub(super) fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok().filter(|alpha| (1e-12..0.5).contains(alpha));
    alpha.ok_or_else(|| "expected a number from 1e-12 to 0.5 (exclusive), for example 0.001".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_seeds_are_parsed() {
        for (text, shape) in [
            ("64,3,7,7", &[64, 3, 7, 7][..]),
            ("[2, 3]", &[2, 3]),
            ("(5,)", &[5]),
            ("[]", &[]),
            ("scalar", &[]),
            ("2x3", &[2, 3]),
        ] {
            assert_eq!(parse_shape(text).unwrap().0, shape, "{text}");
        }
        for text in ["", " ", "-1", "2,,3", "a", "1.5", "99999999999999999999999"] {
            assert!(parse_shape(text).is_err(), "{text}");
        }
        assert_eq!(parse_seed("-1"), Ok(u64::MAX));
        assert_eq!(parse_seed("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_seed("0x10"), Ok(16));
        assert!(parse_seed("1.5").is_err() && parse_seed("18446744073709551616").is_err());
    }

    #[test]
    fn a_path_that_begins_with_a_hyphen_is_an_error_with_a_remedy() {
        let parse = |text: &str| {
            let command = clap::Command::new("fanin");
            let path = output_parser().parse_ref(&command, None, std::ffi::OsStr::new(text));
            path.map_err(|error| error.to_string())
        };
        for (text, needle) in [("-", "standard output"), ("-dash.st", "./-dash.st"), ("--force", "after -o")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains(needle), "{text}: {error}");
        }
        assert_eq!(parse("./-dash.st"), Ok(PathBuf::from("./-dash.st")));
        assert_eq!(parse("a-b"), Ok(PathBuf::from("a-b")));
    }
}
