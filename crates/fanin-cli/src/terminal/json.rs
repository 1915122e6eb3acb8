//! A JSON formatter that escapes control characters, and characters that change the direction of text.

use std::io::{Result, Write};

use fanin_recipe::text::is_control;
use serde_json::ser::{Formatter, PrettyFormatter};

/// A JSON formatter that indents its output. It escapes control characters, and characters that change the direction of
/// text, such as U+202E. So a name from a file cannot change how a terminal shows the output. A JSON parser reads the
/// same strings as without the escapes.
#[derive(Default)]
pub struct EscapingFormatter(PrettyFormatter<'static>);

/// Implements methods that call the same methods of [`PrettyFormatter`].
macro_rules! delegate {
    ($($method:ident($($argument:ident: $kind:ty)?);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $kind)?) -> Result<()> {
            self.0.$method(writer $(, $argument)?)
        })*
    };
}

impl Formatter for EscapingFormatter {
    delegate! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> Result<()> {
        let mut written = 0;
        for (start, character) in fragment.char_indices().filter(|(_, character)| is_control(*character)) {
            writer.write_all(&fragment.as_bytes()[written..start])?;
            // These characters are below U+10000, so one `\u` escape represents each character.
            write!(writer, "\\u{:04x}", u32::from(character))?;
            written = start + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;

    use super::*;

    #[test]
    fn strings_are_escaped_and_keep_their_values() {
        let value = serde_json::json!({ "h.0\u{202e}": ["\u{9b}31m\u{2066}w\u{200f}", "\u{1b}[31m\n\u{e9}\u{4e2d}", 1.5, {}, []] });
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, EscapingFormatter::default());
        value.serialize(&mut serializer).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(|character| is_control(character) && character != '\n'), "{text:?}");
        assert!(text.contains("\u{e9}\u{4e2d}") && text.contains("\\u202e"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
