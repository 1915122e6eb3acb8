//! The implementation of the vector traits for every CPU. The vectors are single floats or short arrays. The compiler
//! vectorizes the loops over these arrays.

use super::traits::{
    SimdBits, SimdElement, SimdF32, SimdF32Bits, SimdFloat, SimdIsa, SimdU32x16, SimdU64, SimdVector,
    U32X16_LANES,
};

/// The instruction set of the scalar level. A vector of floats is a single float.
pub(crate) struct Scalar;

impl SimdIsa for Scalar {
    type F32 = f32;
    type F32Wide = f32;
    type F64 = f64;
    type U64 = [u64; 2];
    type U32x16 = [u32; U32X16_LANES];
    type F32Register = Array<f32>;
    type F64Register = Array<f64>;

    const REGISTERS: usize = 8;

    #[inline(always)]
    fn outside_mask(values: &[f32; U32X16_LANES], low: f32, high: f32) -> u16 {
        let bits = (0..).zip(values).map(|(lane, &value)| u16::from(value < low || value > high) << lane);
        bits.fold(0, |all, bit| all | bit)
    }
}

/// Implements `SimdFloat` for a float type, and `SimdBits` for the unsigned integer of the same size.
macro_rules! scalar {
    ($float:ident, $word:ident, $convert_signed:expr, $convert_unsigned:expr) => {
        impl SimdFloat for $float {
            type Scalar = $float;
            type Bits = $word;

            const LANES: usize = 1;

            #[inline(always)]
            fn splat(value: $float) -> Self {
                value
            }

            #[inline(always)]
            fn store(self, to: &mut [$float]) {
                to[0] = self;
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                $float::mul_add(self, factor, addend)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }

            #[inline(always)]
            fn select_less(self, other: Self, if_less: Self, otherwise: Self) -> Self {
                if self < other { if_less } else { otherwise }
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other { self } else { other }
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }

            #[inline(always)]
            fn to_bits(self) -> $word {
                $float::to_bits(self)
            }
        }

        impl SimdBits for $word {
            type Scalar = $word;
            type Floats = $float;

            #[inline(always)]
            fn splat(word: $word) -> Self {
                word
            }

            #[inline(always)]
            fn load(from: &[u32]) -> Self {
                from[0].into()
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            #[inline(always)]
            fn shl(self, bits: u32) -> Self {
                self << bits
            }

            #[inline(always)]
            fn shr(self, bits: u32) -> Self {
                self >> bits
            }

            #[inline(always)]
            fn bitcast(self) -> $float {
                $float::from_bits(self)
            }

            #[inline(always)]
            fn convert_signed(self) -> $float {
                $convert_signed(self)
            }

            #[inline(always)]
            fn convert_unsigned(self) -> $float {
                $convert_unsigned(self)
            }

            #[inline(always)]
            fn select_by_sign(self, if_set: $float, if_clear: $float) -> $float {
                if self >> ($word::BITS - 1) != 0 { if_set } else { if_clear }
            }
        }
    };
}

scalar! { f32, u32, |word| word as i32 as f32, |word| word as f32 }
scalar! { f64, u64, convert_52_bits, convert_52_bits }

impl SimdF32 for f32 {
    #[inline(always)]
    fn truncate_to_int(self) -> u32 {
        self as i32 as u32
    }
}

impl SimdF32Bits for u32 {
    #[inline(always)]
    fn shr_signed(self, bits: u32) -> Self {
        (self.cast_signed() >> bits).cast_unsigned()
    }
}

/// The number 3 * 2^51, midway between 2^52 and 2^53. In this range, adjacent f64 values differ by exactly 1.
pub(super) const UNIT_SPACING: f64 = 6_755_399_441_055_744.0;

/// Converts a signed integer of magnitude less than 2^51 to f64, exactly. Integer addition of `word` to the bit pattern
/// of [`UNIT_SPACING`] gives the bit pattern of the f64 number `UNIT_SPACING + word`, because adjacent f64 numbers in
/// this range differ by 1. AVX2 has no vector instruction for this conversion, so all levels except AVX-512 use this
/// method.
#[inline(always)]
fn convert_52_bits(word: u64) -> f64 {
    f64::from_bits(word.wrapping_add(UNIT_SPACING.to_bits())) - UNIT_SPACING
}

impl SimdU64 for [u64; 2] {
    const LANES: usize = 2;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        [value; 2]
    }

    #[inline(always)]
    fn iota_stride_2(first: u64) -> Self {
        [first, first + 2]
    }

    #[inline(always)]
    fn load_stride_2(from: &[u64]) -> Self {
        [from[0], from[2]]
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        [self[0] ^ other[0], self[1] ^ other[1]]
    }

    #[inline(always)]
    fn mul_low_halves(self, other: Self) -> Self {
        let product = |a: u64, b: u64| u64::from(a as u32) * u64::from(b as u32);
        [product(self[0], other[0]), product(self[1], other[1])]
    }

    #[inline(always)]
    fn high_halves(self) -> Self {
        [self[0] >> 32, self[1] >> 32]
    }

    #[inline(always)]
    fn interleave_low(self, odd: Self) -> Self {
        [0, 1].map(|lane| self[lane] & 0xffff_ffff | odd[lane] << 32)
    }

    #[inline(always)]
    fn interleave_high(self, odd: Self) -> Self {
        [0, 1].map(|lane| self[lane] >> 32 | odd[lane] & !0xffff_ffff)
    }

    #[inline(always)]
    fn store(self, to: &mut [u32]) {
        let to: &mut [u32; 4] = to.first_chunk_mut().expect("the slice must have at least four words");
        *to = [self[0] as u32, (self[0] >> 32) as u32, self[1] as u32, (self[1] >> 32) as u32];
    }
}

impl SimdU32x16 for [u32; U32X16_LANES] {
    #[inline(always)]
    fn load(from: &[u32; U32X16_LANES]) -> Self {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut [u32; U32X16_LANES]) {
        *to = self;
    }

    #[inline(always)]
    fn splat(word: u32) -> Self {
        [word; U32X16_LANES]
    }

    #[inline(always)]
    fn and(mut self, other: Self) -> Self {
        for lane in 0..U32X16_LANES {
            self[lane] &= other[lane];
        }
        self
    }

    #[inline(always)]
    fn xor(mut self, other: Self) -> Self {
        for lane in 0..U32X16_LANES {
            self[lane] ^= other[lane];
        }
        self
    }

    #[inline(always)]
    fn shl(self, bits: u32) -> Self {
        self.map(|word| word << bits)
    }

    #[inline(always)]
    fn shr(self, bits: u32) -> Self {
        self.map(|word| word >> bits)
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..U32X16_LANES {
            self[lane] = self[lane].wrapping_add(other[lane]);
        }
        self
    }

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for lane in 0..U32X16_LANES {
            self[lane] = self[lane].wrapping_mul(other[lane]);
        }
        self
    }

    #[inline(always)]
    fn select_if_odd(self, word: u32) -> Self {
        self.map(|own| (own & 1).wrapping_neg() & word)
    }

    #[inline(always)]
    fn slide_1(mut self, next: Self) -> Self {
        self.copy_within(1.., 0);
        self[15] = next[0];
        self
    }

    #[inline(always)]
    fn slide_13(mut self, next: Self, _: [&[u32; U32X16_LANES]; 2]) -> Self {
        self.copy_within(13.., 0);
        self[3..].copy_from_slice(&next[..13]);
        self
    }
}

/// A vector of four matrix elements.
#[derive(Clone, Copy)]
pub(crate) struct Array<T>([T; 4]);

impl<T: SimdElement> SimdVector<T> for Array<T> {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: T) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    fn load(from: &[T]) -> Self {
        Self(*from.first_chunk().expect("the slice must have at least four elements"))
    }

    #[inline(always)]
    fn store(self, to: &mut [T]) {
        *to.first_chunk_mut().expect("the slice must have at least four elements") = self.0;
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        let mut result = addend.0;
        for lane in 0..4 {
            result[lane] = self.0[lane].mul_add(factor.0[lane], addend.0[lane]);
        }
        Self(result)
    }
}
