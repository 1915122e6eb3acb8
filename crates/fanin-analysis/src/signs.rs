//! Pseudo-random signs. The test of orthogonality and the Lanczos process multiply matrices by vectors of these signs.

/// Returns +1 or -1. The sign is a fixed pseudo-random function of `n`.
pub(crate) fn sign(n: u64) -> f64 {
    let mut bits = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (bits >> 40) & 1 == 0 { 1.0 } else { -1.0 }
}
