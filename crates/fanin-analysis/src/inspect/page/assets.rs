//! Contains the style sheet and the script of the page, and the content security policy that allows both.

/// The style sheet of the page.
pub(super) const STYLE: &str = include_str!("style.css");

/// The script of the page. It is a JavaScript module.
pub(super) const SCRIPT: &str = concat!(
    include_str!("numbers.js"),
    include_str!("tensors.js"),
    include_str!("charts.js"),
    include_str!("table.js")
);

/// The content security policy of the page. It allows only [`STYLE`] and [`SCRIPT`], by their SHA-256 digests, and
/// blocks all other resources.
pub(super) const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
                                 style-src 'sha256-OdxfUBAqoE171v5gtxlvWhqQSpV4l3V7Y4F5+zCiHTU='; \
                                 script-src 'sha256-K93mNm3wjvnOL6hZ/AuLdjuMyxchO12jEB/Re/C3SwM='";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use sha2::Digest as _;

    use super::{POLICY, SCRIPT, STYLE};

    #[test]
    fn the_policy_has_the_digests_of_the_script_and_the_style_sheet() {
        for (kind, text) in [("style", STYLE), ("script", SCRIPT)] {
            let sum = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
            let source = format!("{kind}-src 'sha256-{sum}'");
            assert!(POLICY.contains(&source), "POLICY must contain {source}, the sum of page/{kind}");
            // A closing tag would end the `style` or `script` element early. The digest of the element would then
            // differ from the digest in `POLICY`.
            assert!(!text.contains("</"), "{kind}");
        }
    }
}
