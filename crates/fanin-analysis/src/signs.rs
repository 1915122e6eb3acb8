//! A hash of numbers, and pseudo-random signs. The signs are the elements of fixed vectors, such as the first vector of
//! the Lanczos process.

/// An odd number near 2^64 divided by the golden ratio. Its multiples modulo 2^64 are spread evenly.
pub(crate) const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns +1 or -1, a fixed pseudo-random function of `n`.
pub(crate) fn sign(n: u64) -> f64 {
    let bits = mix(n.wrapping_add(1).wrapping_mul(GOLDEN_RATIO));
    if (bits >> 40) & 1 == 0 { 1.0 } else { -1.0 }
}

/// Returns a hash of a 64-bit number (the finalizer of SplitMix64).
#[inline(always)]
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
