//! The two floats of eight bits that checkpoints hold.
//!
//! Rounding is torch 2.15's `.to(torch.float8_e4m3fn)` and `.to(torch.float8_e5m2)`: to nearest, ties to even. e4m3fn, which
//! has no infinity, saturates: what is too large, infinite too, becomes +-448. e5m2 does not: it becomes infinite. NaN stays.

use half::f16;

use super::{DType, Element, Values, sealed};

macro_rules! float8 {
    ($name:ident, $bits:ident, $wide:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// One byte, whose bits are public: memory of bytes can be seen as these and back (`bytemuck`).
        #[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(transparent)]
        pub struct $name(u8);

        impl $name {
            /// The value with these bits.
            pub const fn from_bits(bits: u8) -> Self {
                Self(bits)
            }

            /// Its bits.
            pub const fn to_bits(self) -> u8 {
                self.0
            }

            /// The value nearest to `x`, ties to even; what is too large becomes 448 in e4m3fn, infinite in e5m2.
            #[inline]
            pub fn from_f32(x: f32) -> Self {
                Self($bits(x))
            }

            /// The value, exactly.
            #[inline]
            pub fn to_f32(self) -> f32 {
                $wide(self.0)
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

        impl sealed::Sealed for $name {}
        impl Element for $name {
            const DTYPE: DType = DType::$name;

            fn values(slice: &mut [Self]) -> Values<'_> {
                Values::$name(slice)
            }

            fn to_f64(self) -> f64 {
                self.to_f32().into()
            }

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                Self($bits(x as f32))
            }

            #[inline(always)]
            fn store(from: &[f32], to: &mut [Self]) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = Self($bits(*from));
                }
            }
        }
    };
}

float8!(
    F8E4M3,
    e4m3_bits,
    e4m3_wide,
    "`float8_e4m3fn`: four bits of exponent, three of mantissa; largest value 448, no infinity."
);
float8!(
    F8E5M2,
    e5m2_bits,
    e5m2_wide,
    "`float8_e5m2`: five bits of exponent, two of mantissa; largest value 57344. The upper half of an f16."
);

/// Bits of the e4m3fn nearest to `x`.
///
/// Below 2^-6 it is subnormal: adding 2^14 to |x| lets the f32 adder round at 2^-9, the subnormal step. Above, rounding is
/// an integer addition at bit 20; from 464 on, half-way to the 480 that is not there, it is 448.
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

/// Bits of the e5m2 nearest to `x`: as [`e4m3_bits`], with subnormals below 2^-14 in steps of 2^-16, rounding at bit 21,
/// and an infinity from 61440 on.
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

fn e4m3_wide(bits: u8) -> f32 {
    let sign = if bits & 0x80 != 0 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (u32::from(bits >> 3) & 15, u32::from(bits) & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        _ => f32::from_bits((exponent + 127 - 7) << 23 | mantissa << 20),
    };
    sign * magnitude
}

fn e5m2_wide(bits: u8) -> f32 {
    f16::from_bits(u16::from(bits) << 8).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nearest of all values, the even one of two: slow, and by another way.
    fn nearest(x: f32, wide: fn(u8) -> f32, largest: u8) -> u8 {
        let magnitude = x.abs();
        let distance = |bits: u8| (f64::from(wide(bits)) - f64::from(magnitude)).abs();
        let best = (0..=largest)
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1))))
            .unwrap();
        best | if x.is_sign_negative() { 0x80 } else { 0 }
    }

    #[test]
    fn every_value_and_its_neighbourhood_round_to_nearest_even() {
        for bits in 0..=u8::MAX {
            for (value, narrow, wide, largest, end) in [
                (e4m3_wide(bits), e4m3_bits as fn(f32) -> u8, e4m3_wide as fn(u8) -> f32, 0x7e, 464.0),
                (e5m2_wide(bits), e5m2_bits, e5m2_wide, 0x7b, 61440.0),
            ] {
                if value.is_nan() {
                    assert!(wide(narrow(value)).is_nan());
                    continue;
                }
                assert_eq!(narrow(value), bits, "{value}");
                // To the midpoint between two values, and one f32 step to either side of it.
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
    fn what_is_too_large_saturates_or_is_infinite() {
        let e4m3 = |x: f32| F8E4M3::from_f32(x).to_bits();
        assert_eq!([e4m3(448.0), e4m3(464.0), e4m3(465.0), e4m3(-1e9)], [0x7e, 0x7e, 0x7e, 0xfe]);
        assert_eq!([e4m3(f32::INFINITY), e4m3(f32::NAN)], [0x7e, 0x7f]);
        let e5m2 = |x: f32| F8E5M2::from_f32(x).to_bits();
        assert_eq!([e5m2(57344.0), e5m2(61439.9), e5m2(61440.0), e5m2(-1e9)], [0x7b, 0x7b, 0x7c, 0xfc]);
        assert_eq!([e5m2(f32::INFINITY), e5m2(f32::NAN)], [0x7c, 0x7f]);
    }
}
