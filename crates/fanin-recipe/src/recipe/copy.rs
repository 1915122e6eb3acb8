//! Rules that copy values from another checkpoint: `copy`, `copy(from="name")` and `copy(rest=spec)`.

use std::fmt;

use fanin::init::Init;

/// A rule that copies values from another checkpoint to a tensor of the model. The tensor of the other checkpoint is
/// called the *source tensor*.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Copy {
    /// The name of the source tensor. `None` if both tensors have the same name.
    pub from: Option<String>,
    /// The values for the indices of the model's tensor that the source tensor does not have. For example, these are
    /// the last 2 rows if the source tensor has the shape `[10, 8]` and the model's tensor `[12, 8]`.
    ///
    /// The values are not used if the shape of the model's tensor ends with the shape of the source tensor. For
    /// example, `[3, 4, 8]` ends with `[4, 8]`. The source tensor is then copied 3 times. In all other cases, the
    /// values are required, and both tensors must have the same number of axes.
    pub rest: Option<Rest>,
}

/// The values outside the shape of the source tensor, for example the embedding rows of new tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Rest {
    /// Values of an initializer. The initializer computes a value for each element of the model's tensor. At indices
    /// inside the shape of the source tensor, these values are discarded, and the copied values are used.
    Init(Init),
    /// New rows from a multivariate normal distribution. The distribution has the mean of the copied rows, and 1e-9
    /// times their covariance. Source: `resize_token_embeddings(mean_resizing=True)` in transformers.
    MeanResizing,
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.as_ref().map(|name| format!("from=\"{name}\""));
        let rest = self.rest.as_ref().map(|rest| match rest {
            Rest::Init(init) => format!("rest={init}"),
            Rest::MeanResizing => "rest=mean_resizing".to_owned(),
        });
        let arguments: Vec<String> = [from, rest].into_iter().flatten().collect();
        if arguments.is_empty() { f.write_str("copy") } else { write!(f, "copy({})", arguments.join(", ")) }
    }
}

/// The arguments of `copy` as they are written in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CopyRule {
    /// A template for the name of the source tensor. `$1` stands for the match of the pattern's first wildcard, and
    /// `{layer-16}` for the value of the expression.
    pub(super) from: Option<String>,
    pub(super) rest: Option<String>,
}

impl CopyRule {
    /// Parses `copy` or `copy(...)`. Returns `None` if the text is anything else. The error is a message.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let arguments = text.trim().strip_prefix("copy")?.trim_start();
        if arguments.is_empty() {
            return Some(Ok(Self::default()));
        }
        let inside = arguments.strip_prefix('(')?;
        Some(match inside.strip_suffix(')') {
            Some(inside) => Self::parse_arguments(inside),
            None => Err("copy(...) is not closed".to_owned()),
        })
    }

    fn parse_arguments(text: &str) -> Result<Self, String> {
        let mut rule = Self::default();
        for argument in split_arguments(text) {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let value = value.trim();
            let slot = match key.trim() {
                "from" => &mut rule.from,
                "rest" => &mut rule.rest,
                other => {
                    return Err(format!("copy has no argument {other:?}: its arguments are from and rest"));
                }
            };
            let quoted =
                ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            let value = quoted.unwrap_or(value);
            if value.is_empty() {
                return Err(format!(
                    "{key} needs a value, such as copy(from='{{name}}', rest=normal(std=0.02))"
                ));
            }
            if slot.replace(value.to_owned()).is_some() {
                return Err(format!("{key} is given twice"));
            }
        }
        Ok(rule)
    }
}

/// Splits the arguments of `copy` at the commas outside parentheses and quotes.
fn split_arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (at, character) in text.char_indices() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(character),
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}
