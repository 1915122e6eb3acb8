//! Values as they are typed: shapes, seeds, settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use fanin::AxisLayout;

/// A shape as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

pub(super) fn parse_shape(text: &str) -> Result<Shape, String> {
    let text = text.trim();
    let inner = text.trim_start_matches(['[', '(']).trim_end_matches([']', ')']).trim();
    // Nothing at all is rather a variable of a script that was never set.
    if inner == "scalar" || (inner.is_empty() && !text.is_empty()) {
        return Ok(Shape(Vec::new()));
    }
    inner
        .trim_end_matches(',')
        .split([',', 'x'])
        .map(|size| {
            size.trim()
                .parse()
                .map_err(|_| format!("{size:?} is not a size: write sizes as 64,3,7,7, or scalar"))
        })
        .collect::<Result<_, _>>()
        .map(Shape)
}

pub(super) fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse::<u64>().ok().or_else(|| text.parse::<i64>().ok().map(|seed| seed as u64)),
    };
    parsed.ok_or_else(|| "a seed is a whole number from -2^63 to 2^64 - 1".to_owned())
}

/// The path of a file to write. `-o --force` lacks its file, and `-` is what others call standard output.
pub(super) fn output_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let shown = path.display();
        match path.as_os_str().as_encoded_bytes() {
            b"-" => Err("a checkpoint takes its name when all of it is on the disk, so it cannot go to standard output: \
                         name a file; one called - is ./-"
                .to_owned()),
            [b'-', ..] => Err(format!("name a file or a folder after -o; one of this name is ./{shown}")),
            _ => Ok(path),
        }
    })
}

pub(super) fn parse_setting(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=NUMBER, as in n_layer=24")?;
    let number: f64 = value.trim().parse().map_err(|_| format!("{value:?} is not a number"))?;
    let named = value.to_ascii_lowercase().contains("inf");
    if number.is_nan() || (number.is_infinite() && !named) {
        return Err(format!("{value:?} is no number that an f64 holds"));
    }
    let value = number;
    Ok((name.trim().to_owned(), value))
}

/// A number of threads.
///
/// # Errors
/// None, or more than any machine would be glad of: each is a thread of the system, whether it has work or not.
pub(super) fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1024;
    let threads = text.parse().ok().filter(|threads: &NonZeroUsize| threads.get() <= MOST);
    threads.ok_or_else(|| format!("use a number from 1 to {MOST}, or leave it out for all cores"))
}

/// A layout by its own name, letter by letter, or by whose it is.
///
/// # Errors
/// Any other word.
pub fn parse_layout(text: &str) -> Result<AxisLayout, String> {
    text.to_ascii_lowercase().parse().map_err(|_| {
        "use out_in (torch, linear, conv), in_out (conv_transpose, transposed), kernel_in_out (keras, jax, flax), or a \
         letter an axis, as hwio or eoi"
            .to_owned()
    })
}

pub(super) fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok().filter(|alpha| (1e-12..0.5).contains(alpha));
    alpha.ok_or_else(|| "a rate is a number from 1e-12 to 0.5, as 0.001".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_seeds() {
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
    fn files_that_begin_with_a_hyphen_say_so() {
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
