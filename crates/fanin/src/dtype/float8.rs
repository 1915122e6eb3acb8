//! `F8E4M3` and `F8E5M2`, the 8-bit float types of safetensors checkpoints.
//!
//! Values are rounded to nearest, ties to even. The results are those of `.to(torch.float8_e4m3fn)` and
//! `.to(torch.float8_e5m2)` in torch 2.15. In e4m3fn, infinities and values that are too large become 448 or -448. In
//! e5m2, values that are too large become infinite. A NaN stays a NaN.

use half::f16;

macro_rules! float8 {
    ($name:ident, $from_f32:ident, $to_f32:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// A value takes one byte. The type implements `bytemuck::Pod`: slices of bytes and of this type can be cast to
        /// each other.
        #[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(transparent)]
        pub struct $name(u8);

        impl $name {
            /// Returns the value that has these bits.
            pub const fn from_bits(bits: u8) -> Self {
                Self(bits)
            }

            /// Returns the bits of the value.
            pub const fn to_bits(self) -> u8 {
                self.0
            }

            /// Returns the value nearest to `x`, ties to even. If `x` is too large, returns 448 or -448 in e4m3fn, and
            /// an infinity in e5m2. The result has the sign of `x`. A NaN stays a NaN.
            #[inline(always)]
            pub fn from_f32(x: f32) -> Self {
                Self($from_f32(x))
            }

            /// Converts the value to f32, exactly.
            #[inline]
            pub fn to_f32(self) -> f32 {
                $to_f32(self.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.to_f32() == other.to_f32()
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                self.to_f32().partial_cmp(&other.to_f32())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_f32().fmt(f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_f32().fmt(f)
            }
        }
    };
}

float8!(
    F8E4M3,
    e4m3_bits,
    e4m3_to_f32,
    "The type `float8_e4m3fn`: four exponent bits and three mantissa bits. The largest value is 448. There is no infinity."
);
float8!(
    F8E5M2,
    e5m2_bits,
    e5m2_to_f32,
    "The type `float8_e5m2`: five exponent bits and two mantissa bits, the upper half of an f16. The largest finite value is 57344."
);

/// Returns the bits of the e4m3fn value nearest to `x`, ties to even.
///
/// If |x| < 2^-6, the result is subnormal, a multiple of 2^-9. Adding 2^14 rounds |x| to such a multiple, because f32
/// numbers above 2^14 are 2^-9 apart. If |x| >= 464, the midpoint of 448 and 480, the result is 448 or -448. The type
/// has no 480: the bits that follow those of 448 are a NaN.
#[inline(always)]
fn e4m3_bits(x: f32) -> u8 {
    let bits = x.to_bits();
    let sign = (bits >> 24) & 0x80;
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + 16384.0).to_bits().wrapping_sub(16384f32.to_bits());
    let rounded =
        magnitude.wrapping_add(0x7_ffff + ((magnitude >> 20) & 1)).wrapping_sub((127 - 7) << 23) >> 20;
    let normal = if magnitude >= 0x43e8_0000 { 0x7e } else { rounded };
    let finite = if magnitude < 0x3c80_0000 { subnormal } else { normal };
    (sign | if magnitude > 0x7f80_0000 { 0x7f } else { finite }) as u8
}

/// Returns the bits of the e5m2 value nearest to `x`, ties to even.
///
/// The algorithm is that of [`e4m3_bits`]. If |x| < 2^-14, the addition of 128 rounds |x| to a multiple of 2^-16. If
/// |x| >= 61440, the result is infinite.
#[inline(always)]
fn e5m2_bits(x: f32) -> u8 {
    let bits = x.to_bits();
    let sign = (bits >> 24) & 0x80;
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + 128.0).to_bits().wrapping_sub(128f32.to_bits());
    let rounded =
        magnitude.wrapping_add(0xf_ffff + ((magnitude >> 21) & 1)).wrapping_sub((127 - 15) << 23) >> 21;
    let normal = if magnitude >= 0x4770_0000 { 0x7c } else { rounded };
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    (sign | if magnitude > 0x7f80_0000 { 0x7f } else { finite }) as u8
}

/// Returns the value of an e4m3fn number, given the bits of the number.
fn e4m3_to_f32(bits: u8) -> f32 {
    let sign = if bits & 0x80 != 0 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (u32::from(bits >> 3) & 15, u32::from(bits) & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        _ => f32::from_bits((exponent + 127 - 7) << 23 | mantissa << 20),
    };
    sign * magnitude
}

/// Returns the value of an e5m2 number, given the bits of the number.
fn e5m2_to_f32(bits: u8) -> f32 {
    f16::from_bits(u16::from(bits) << 8).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bits of the value nearest to `x`, found by a search through all values.
    fn nearest(x: f32, wide: fn(u8) -> f32, largest: u8) -> u8 {
        let magnitude = x.abs();
        let distance = |bits: u8| (f64::from(wide(bits)) - f64::from(magnitude)).abs();
        let best = (0..=largest)
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1))))
            .unwrap();
        best | if x.is_sign_negative() { 0x80 } else { 0 }
    }

    #[test]
    fn every_value_and_its_neighbours_round_to_nearest_with_ties_to_even() {
        for bits in 0..=u8::MAX {
            for (value, narrow, wide, largest, end) in [
                (e4m3_to_f32(bits), e4m3_bits as fn(f32) -> u8, e4m3_to_f32 as fn(u8) -> f32, 0x7e, 464.0),
                (e5m2_to_f32(bits), e5m2_bits, e5m2_to_f32, 0x7b, 61440.0),
            ] {
                if value.is_nan() {
                    assert!(wide(narrow(value)).is_nan());
                    continue;
                }
                assert_eq!(narrow(value), bits, "{value}");
                // For a normal value, `step` 0x8_0000 leads to the midpoint of two e4m3fn values, and 0x10_0000 to that
                // of two e5m2 values.
                for step in [0i32, 1, -1, 0x7_ffff, 0x8_0000, 0x8_0001, 0xf_ffff, 0x10_0000, 0x10_0001] {
                    let x = f32::from_bits(value.to_bits().wrapping_add_signed(step));
                    let midpoint = f32::midpoint(value, wide(bits.wrapping_add(1)));
                    for x in [x, midpoint, midpoint.next_up(), midpoint.next_down(), value / 3.0] {
                        if x.is_finite() && x.abs() < end {
                            assert_eq!(narrow(x), nearest(x, wide, largest), "{x:e}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn values_that_are_too_large_become_448_in_e4m3_and_infinite_in_e5m2() {
        let e4m3 = |x: f32| F8E4M3::from_f32(x).to_bits();
        assert_eq!([e4m3(448.0), e4m3(464.0), e4m3(465.0), e4m3(-1e9)], [0x7e, 0x7e, 0x7e, 0xfe]);
        assert_eq!([e4m3(f32::INFINITY), e4m3(f32::NAN)], [0x7e, 0x7f]);
        let e5m2 = |x: f32| F8E5M2::from_f32(x).to_bits();
        assert_eq!([e5m2(57344.0), e5m2(61439.9), e5m2(61440.0), e5m2(-1e9)], [0x7b, 0x7b, 0x7c, 0xfc]);
        assert_eq!([e5m2(f32::INFINITY), e5m2(f32::NAN)], [0x7c, 0x7f]);
    }
}
