use base64::Engine as _;
use sha2::Digest as _;

use super::{POLICY, SCRIPT, STYLE};

#[test]
fn the_policy_names_the_script_and_the_style() {
    for (kind, text) in [("style", STYLE), ("script", SCRIPT)] {
        let sum = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
        let part = format!("{kind}-src 'sha256-{sum}'");
        assert!(POLICY.contains(&part), "POLICY must have {part}, the sum of page/{kind}");
        // What would end the element early would be another text than the one that was summed.
        assert!(!text.contains("</"), "{kind}");
    }
}
