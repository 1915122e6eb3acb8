//! `DType`, the enum of the element types.

use half::{bf16, f16};

use super::float8::{F8E4M3, F8E5M2};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper 16 bits of a binary32.
    BF16,
    /// `float8_e4m3fn`, see [`F8E4M3`].
    F8E4M3,
    /// `float8_e5m2`, see [`F8E5M2`].
    F8E5M2,
}

impl DType {
    /// All element types.
    pub const ALL: [DType; 6] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2];

    /// Returns the name of this type: `f32`, `f64`, `f16`, `bf16`, `f8_e4m3` or `f8_e5m2`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F8E4M3 => "f8_e4m3",
            DType::F8E5M2 => "f8_e5m2",
        }
    }

    /// Returns the size of an element in bytes.
    pub const fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::F8E4M3 | DType::F8E5M2 => 1,
        }
    }

    /// Returns the largest finite value of this type.
    pub const fn largest(self) -> f64 {
        match self {
            DType::F32 => f32::MAX as f64,
            DType::F64 => f64::MAX,
            DType::F16 => 65504.0,
            DType::BF16 => f32::from_bits(0x7f7f_0000) as f64,
            DType::F8E4M3 => 448.0,
            DType::F8E5M2 => 57344.0,
        }
    }

    /// Returns `x` rounded to this type. Each rounding chooses the nearest value, ties to even.
    ///
    /// If the type is narrower than f32, `x` is rounded twice: first to f32, and then to the type. The result is
    /// therefore not always the nearest value of the type. torch also rounds twice when it converts a Python float to
    /// such a type.
    #[inline]
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => x as f32 as f64,
            DType::F64 => x,
            DType::F16 => f16::from_f32(x as f32).to_f64(),
            DType::BF16 => bf16::from_f32(x as f32).to_f64(),
            DType::F8E4M3 => F8E4M3::from_f32(x as f32).to_f32() as f64,
            DType::F8E5M2 => F8E5M2::from_f32(x as f32).to_f32() as f64,
        }
    }

    /// Returns the least and the greatest f32 that round to `x` in this type. The type must be f32, f16 or bf16, and
    /// `x` must be a value of the type.
    pub(crate) fn rounding_to(self, x: f64) -> (f32, f32) {
        if self == DType::F32 {
            return (x as f32, x as f32);
        }
        // The f32 values from -infinity to infinity are numbered in ascending order: -0 has the number -1, and 0 the
        // number 0.
        let infinity = i64::from(f32::INFINITY.to_bits());
        let value = |number: i64| match number {
            0.. => f32::from_bits(number as u32),
            _ => -f32::from_bits((-1 - number) as u32),
        };
        // Returns the number of the least f32 `v` for which `holds(self.round(v))` is true. `holds` must then also be
        // true for all greater values.
        let first = |holds: &dyn Fn(f64) -> bool| {
            let (mut first, mut end) = (-1 - infinity, infinity + 1);
            while first < end {
                let middle = (first + end).div_euclid(2);
                if holds(self.round(value(middle).into())) { end = middle } else { first = middle + 1 }
            }
            first
        };
        (value(first(&|rounded| rounded >= x)), value(first(&|rounded| rounded > x) - 1))
    }

    /// Returns the least value of this type that is greater than `x`. `x` must be a finite value of this type.
    pub(crate) fn next_up(self, x: f64) -> f64 {
        match self {
            DType::F32 => (x as f32).next_up() as f64,
            DType::F64 => x.next_up(),
            DType::F16 => f16::from_bits(next_up_bits16(f16::from_f64(x).to_bits())).to_f64(),
            DType::BF16 => bf16::from_bits(next_up_bits16(bf16::from_f64(x).to_bits())).to_f64(),
            DType::F8E4M3 => {
                F8E4M3::from_bits(next_up_bits8(F8E4M3::from_f32(x as f32).to_bits())).to_f32() as f64
            }
            DType::F8E5M2 => {
                F8E5M2::from_bits(next_up_bits8(F8E5M2::from_f32(x as f32).to_bits())).to_f32() as f64
            }
        }
    }

    /// Returns the greatest value of this type that is less than `x`. `x` must be a finite value of this type.
    pub(crate) fn next_down(self, x: f64) -> f64 {
        -self.next_up(-x)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Returns the bits of the least 16-bit float that is greater than the float with the given bits.
fn next_up_bits16(bits: u16) -> u16 {
    match bits {
        0x8000 | 0 => 1,
        negative if negative & 0x8000 != 0 => negative - 1,
        positive => positive + 1,
    }
}

/// Returns the bits of the least 8-bit float that is greater than the float with the given bits.
fn next_up_bits8(bits: u8) -> u8 {
    match bits {
        0x80 | 0 => 1,
        negative if negative & 0x80 != 0 => negative - 1,
        positive => positive + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_up_and_next_down_are_inverse_and_adjacent() {
        for dtype in DType::ALL {
            for x in [0.0, 1.0, -1.0, 0.5, -2.0, 3.0] {
                let up = dtype.next_up(x);
                assert!(up > x && dtype.round(up) == up && dtype.next_down(up) == x, "{dtype} {x} {up}");
                let middle = x + (up - x) / 2.0;
                assert!(
                    middle == x || middle == up || {
                        let r = dtype.round(middle);
                        r == x || r == up
                    }
                );
            }
        }
    }

    #[test]
    fn the_f32_values_that_round_to_a_value_are_all_between_the_least_and_the_greatest() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for x in [
                0.0,
                1.0,
                -1.0,
                0.5,
                -0.375,
                3.0,
                dtype.next_up(0.0),
                dtype.next_down(0.0),
                dtype.next_up(1.0),
            ] {
                let (least, greatest) = dtype.rounding_to(x);
                let round = |value: f32| dtype.round(value.into());
                assert!(round(least) == x && round(greatest) == x, "{dtype} {x}: {least} {greatest}");
                assert!(round(least.next_down()) < x && round(greatest.next_up()) > x, "{dtype} {x}");
            }
        }
        assert_eq!(DType::F16.rounding_to(f64::INFINITY), (65520.0, f32::INFINITY));
        assert_eq!(DType::BF16.rounding_to(f64::NEG_INFINITY).0, f32::NEG_INFINITY);
    }

    #[test]
    fn the_names_of_types_in_fanin_torch_and_safetensors_parse() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert_eq!("torch.bfloat16".parse(), Ok(DType::BF16));
        assert_eq!("torch.float8_e4m3fn".parse(), Ok(DType::F8E4M3));
        assert_eq!("F8_E5M2".parse(), Ok(DType::F8E5M2));
        assert!("int8".parse::<DType>().is_err());
    }
}
