//! The HTML that a notebook shows for an object.

/// Returns an HTML table with one row for each pair of a name and a value.
pub fn table(rows: &[(&str, String)]) -> String {
    let rows = rows.iter().map(|(name, value)| {
        let (name, value) = (escaped(name), escaped(value));
        format!(
            "<tr><th style='text-align:left'>{name}</th><td style='text-align:left'><code>{value}</code></td></tr>"
        )
    });
    format!("<table><tbody>{}</tbody></table>", rows.collect::<String>())
}

/// Returns HTML that shows a text of several lines, such as a recipe, with its line breaks and spaces.
pub fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
