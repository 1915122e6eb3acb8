//! Rounding of f32 to the 16-bit types. The functions have no branches, so the compiler can vectorize loops that call
//! them. The module `float8` rounds to the 8-bit types.

/// Returns the bits of the bf16 nearest to `x`, ties to even. A NaN becomes a quiet NaN with the same sign and the same
/// leading bits.
#[inline(always)]
pub(super) fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
}

/// Returns the bits of the f16 value nearest to `x`, ties to even. A NaN becomes a quiet NaN with the same sign.
/// If |x| >= 65520, the f16 value is infinite.
#[inline(always)]
pub(super) fn f16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Used if |x| < 2^-14. The addition of 1/2 rounds |x| to a multiple of 2^-24, the spacing of subnormal f16 values.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let rounded =
        magnitude.wrapping_add(0xfff + ((magnitude >> 13) & 1)).wrapping_sub((127 - 15) << 23) >> 13;
    let normal = if magnitude >= 0x477f_f000 { 0x7c00 } else { rounded };
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    (sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { finite }) as u16
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn every_16_bit_value_and_its_neighbours_round_as_in_the_half_crate() {
        for bits in 0..=u16::MAX {
            for value in [f16::from_bits(bits).to_f32(), bf16::from_bits(bits).to_f32()] {
                // For a normal value, `offset` 0x1000 leads to the midpoint of two f16 values, and 0x8000 to that of
                // two bf16 values.
                for offset in [0i32, 1, -1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0x1fff] {
                    let x = f32::from_bits(value.to_bits().wrapping_add_signed(offset));
                    if x.is_nan() {
                        assert!(
                            f16::from_bits(f16_bits(x)).is_nan() && bf16::from_bits(bf16_bits(x)).is_nan()
                        );
                        continue;
                    }
                    assert_eq!(f16_bits(x), f16::from_f32_const(x).to_bits(), "f16({x:e})");
                    assert_eq!(bf16_bits(x), bf16::from_f32(x).to_bits(), "bf16({x:e})");
                }
            }
        }
    }
}
