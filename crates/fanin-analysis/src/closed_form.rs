//! Short forms of the numbers in a text, such as `sqrt(5)` for `2.23606797749979`.

use fanin_recipe::text::short;

/// The limit on the numerator and on the denominator of a fraction in a short form, such as `1/3`.
const MAX_TERM: f64 = 999.0;

/// The largest n in a short form with `sqrt(n)`, such as `sqrt(5)` or `0.02/sqrt(24)`.
const MAX_ROOT: f64 = 1e7;

/// The numerators of standard deviations such as `0.02/sqrt(n)` in common schemes, in the order in which they are
/// tried.
const NUMERATORS: [&str; 8] = ["0.02", "1", "0.01", "0.006", "0.2", "0.5", "2", "0.4"];

/// Returns `text`, such as a spec, with long decimal numbers in a short form. A number is long if it has more than six
/// characters. The short form is a short fraction, a square root, or a number divided by a square root, such as
/// `1/sqrt(768)`. It must equal the number up to rounding. If there is no such form, the number is rounded to at least
/// four significant digits.
pub fn short_numbers(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_');
    let (mut short, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        short.push_str(before);
        let mut end = word.find(|character| !is_part(character)).unwrap_or(word.len());
        // The sign of an exponent, as in `1e-5`.
        let is_exponent =
            word.starts_with(|first: char| first.is_ascii_digit()) && word[..end].ends_with(['e', 'E']);
        if is_exponent && word[end..].starts_with(['-', '+']) {
            end += 1;
            end += word[end..].find(|character| !is_part(character)).unwrap_or(word.len() - end);
        }
        let (word, after) = word.split_at(end);
        let number =
            word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.parse().ok()).flatten();
        match number {
            Some(x) if word.len() > 6 && word.contains(['.', 'e']) => short.push_str(&number_text(x)),
            _ => short.push_str(word),
        }
        rest = after;
    }
    short + rest
}

/// Returns the short form of a positive number, such as `sqrt(5)` for 2.23606797749979.
fn number_text(x: f64) -> String {
    let rounded = short(x);
    if rounded.parse() == Ok(x) {
        return rounded;
    }
    let is_near = |a: f64, b: f64| (a / b - 1.0).abs() <= 4.0 * f64::EPSILON;
    let fraction = (2..=MAX_TERM as u32).map(f64::from).find_map(|denominator| {
        let numerator = (x * denominator).round();
        let is_fraction = (1.0..=MAX_TERM).contains(&numerator) && is_near(numerator / denominator, x);
        is_fraction.then(|| format!("{numerator}/{denominator}"))
    });
    let root = || {
        let root = (x * x).round();
        let is_root = (1.0..=MAX_ROOT).contains(&root) && is_near(root.sqrt(), x);
        is_root.then(|| format!("sqrt({root})"))
    };
    let divided_by_root = || {
        NUMERATORS.iter().find_map(|numerator| {
            let value: f64 = numerator.parse().unwrap_or(1.0);
            let root = (value / x).powi(2).round();
            let is_root = (2.0..=MAX_ROOT).contains(&root) && is_near(value / root.sqrt(), x);
            is_root.then(|| format!("{numerator}/sqrt({root})"))
        })
    };
    let root_of_fraction = || {
        (2..=16u32).map(f64::from).find_map(|denominator| {
            let numerator = (x * x * denominator).round();
            let root = (numerator / denominator).sqrt();
            let is_root = (2.0..=MAX_TERM).contains(&numerator) && is_near(root, x);
            is_root.then(|| format!("sqrt({numerator}/{denominator})"))
        })
    };
    fraction.or_else(root).or_else(root_of_fraction).or_else(divided_by_root).unwrap_or(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_get_their_short_form() {
        let (inverse, residual) = (1.0 / 768f64.sqrt(), 0.02 / (2.0 * 12.0f64).sqrt());
        for (long, short) in [
            (format!("kaiming_uniform(a={})", 5f64.sqrt()), "kaiming_uniform(a=sqrt(5))"),
            (format!("normal(std={inverse})"), "normal(std=1/sqrt(768))"),
            (format!("normal(std={residual})"), "normal(std=0.02/sqrt(24))"),
            (format!("U[{}, {inverse})", -inverse), "U[-1/sqrt(768), 1/sqrt(768))"),
            (format!("N(0, {inverse}^2)"), "N(0, 1/sqrt(768)^2)"),
            (format!("scale={}", 1.0 / 3.0), "scale=1/3"),
            (format!("scale={}", (2f64 / 3.0).sqrt()), "scale=sqrt(2/3)"),
            ("trunc_normal(std=0.02, a=-2, b=2)".to_owned(), "trunc_normal(std=0.02, a=-2, b=2)"),
            ("normal(std=0.0312345678)".to_owned(), "normal(std=0.03123)"),
            ("normal(std=1.234567e-12)".to_owned(), "normal(std=1.235e-12)"),
            ("constant(1000000)".to_owned(), "constant(1000000)"),
            ("copy(from=\"w1.23456789\")".to_owned(), "copy(from=\"w1.23456789\")"),
            (String::new(), ""),
        ] {
            assert_eq!(short_numbers(&long), short);
        }
    }
}
