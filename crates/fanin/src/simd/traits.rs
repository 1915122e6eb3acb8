//! The vector traits: the operations that a kernel can use. Every SIMD level implements all of these traits.
//!
//! All methods are `#[inline(always)]`. Arithmetic works on each lane independently. The result of a method is
//! bit-identical at every level. The implementations are in the modules `scalar` and `x86_64`.

/// A computation that is compiled once for each SIMD level and run by [`super::dispatch`].
pub(crate) trait Kernel {
    /// The result of the computation.
    type Output;

    /// Runs the computation with the vector types of `I`. This function and all functions that it calls must be
    /// `#[inline(always)]`, because only inlined code is compiled with the target features of `I`.
    fn run<I: SimdIsa>(self) -> Self::Output;
}

/// The instruction set of a SIMD level, with its vector types.
///
/// Only [`super::dispatch`] may pass an instruction set to a kernel, and only if this CPU was found to support the
/// level. The safety of the implementations depends on this rule. (The scalar instruction set is always safe.)
pub(crate) trait SimdIsa {
    /// A vector of f32 for the functions of `math`. It has few registers, because the CPU also needs registers for the
    /// temporary values of a function.
    type F32: SimdF32;
    /// A vector of f32 for functions in which each step depends on the previous step. The vector can have more
    /// registers than [`SimdIsa::F32`]. The steps of different registers are independent, so the CPU can overlap them.
    type F32Wide: SimdF32;
    /// A vector of f64 for the functions of `math`.
    type F64: SimdF64;
    /// A vector of u64 for Philox.
    type U64: SimdU64;
    /// A vector of sixteen u32, for the Mersenne Twister and for keyed permutations.
    type U32x16: SimdU32x16;
    /// A single register of f32, for matrix products.
    type F32Register: SimdVector<f32>;
    /// A single register of f64, for matrix products.
    type F64Register: SimdVector<f64>;

    /// The number of vector registers. At the scalar level, the CPU may have more registers than this constant.
    const REGISTERS: usize;

    /// Returns a mask whose bit `k` is set if `values[k] < low || values[k] > high`.
    fn outside_mask(values: &[f32; U32X16_LANES], low: f32, high: f32) -> u16;
}

/// A vector of floats, f32 or f64, in one or more registers.
pub(crate) trait SimdFloat: Copy {
    /// The type of a lane.
    type Scalar: Copy;

    /// The vector of unsigned integers with the lane count and the lane size of `Self`.
    type Bits: SimdBits<Floats = Self>;

    /// The number of lanes.
    const LANES: usize;

    /// Returns the vector with `value` in every lane.
    fn splat(value: Self::Scalar) -> Self;

    /// Writes the lanes to the first elements of a slice. Panics if the slice is shorter than the vector.
    fn store(self, to: &mut [Self::Scalar]);

    /// Returns `self + other`.
    fn add(self, other: Self) -> Self;

    /// Returns `self - other`.
    fn sub(self, other: Self) -> Self;

    /// Returns `self * other`.
    fn mul(self, other: Self) -> Self;

    /// Returns `self / other`.
    fn div(self, other: Self) -> Self;

    /// Returns `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// Returns the square root.
    fn sqrt(self) -> Self;

    /// Returns `if self < other { if_less } else { otherwise }`.
    fn select_less(self, other: Self, if_less: Self, otherwise: Self) -> Self;

    /// Returns `if self < other { self } else { other }`, which is `other` if an operand is NaN (unlike `f32::min`).
    fn min(self, other: Self) -> Self;

    /// Returns `if self > other { self } else { other }`, which is `other` if an operand is NaN (unlike `f32::max`).
    fn max(self, other: Self) -> Self;

    /// Returns the bits of the floats, as `f32::to_bits` does.
    fn to_bits(self) -> Self::Bits;

    /// Returns `self`, and is an optimization barrier: all registers of `self` are computed before the result is used.
    /// Without the barrier, a compiler that is short of registers computes all steps for one register, and then all
    /// steps for the next register. Each step would then wait for the previous step.
    #[inline(always)]
    fn barrier(self) -> Self {
        self
    }

    /// Returns both vectors, and is an optimization barrier: both vectors are computed completely before the code after
    /// the barrier runs.
    #[inline(always)]
    fn barrier_with(self, other: Self) -> (Self, Self) {
        (self, other)
    }
}

/// A vector of unsigned integers, u32 or u64: the bits of a vector of floats.
pub(crate) trait SimdBits: Copy {
    /// The type of a lane.
    type Scalar: Copy + From<u8>;

    /// The vector of floats with the lane count and the lane size of `Self`.
    type Floats: SimdFloat<Bits = Self>;

    /// Returns the vector with `word` in every lane.
    fn splat(word: Self::Scalar) -> Self;

    /// Returns the first words of a slice, each zero-extended to the size of a lane. Panics if the slice is shorter
    /// than the vector.
    fn load(from: &[u32]) -> Self;

    /// Returns `self & other`.
    fn and(self, other: Self) -> Self;

    /// Returns `self ^ other`.
    fn xor(self, other: Self) -> Self;

    /// Returns `self + other`, wrapping around.
    fn add(self, other: Self) -> Self;

    /// Returns `self - other`, wrapping around.
    fn sub(self, other: Self) -> Self;

    /// Returns `self << bits`.
    fn shl(self, bits: u32) -> Self;

    /// Returns `self >> bits`.
    fn shr(self, bits: u32) -> Self;

    /// Returns the floats that have these bits, as `f32::from_bits` does.
    fn bitcast(self) -> Self::Floats;

    /// Converts the lanes, read as signed integers, to the nearest floats. The magnitude of a 64-bit lane must be less
    /// than 2^51.
    fn convert_signed(self) -> Self::Floats;

    /// Converts the lanes, read as unsigned integers, to the nearest floats. A 64-bit lane must be less than 2^51.
    fn convert_unsigned(self) -> Self::Floats;

    /// Returns `if_set` in each lane whose highest bit is set, and `if_clear` in all other lanes.
    fn select_by_sign(self, if_set: Self::Floats, if_clear: Self::Floats) -> Self::Floats;
}

/// A vector of f32.
pub(crate) trait SimdF32: SimdFloat<Scalar = f32, Bits: SimdF32Bits> {
    /// Converts the lanes to integers, rounding towards zero. The lanes must be in [0, 2^31).
    fn truncate_to_int(self) -> Self::Bits;
}

/// The bits of a vector of f32.
pub(crate) trait SimdF32Bits: SimdBits<Scalar = u32> {
    /// Returns `self >> bits` as an arithmetic shift, which shifts in copies of the sign bit.
    fn shr_signed(self, bits: u32) -> Self;
}

/// A vector of f64.
pub(crate) trait SimdF64: SimdFloat<Scalar = f64, Bits: SimdBits<Scalar = u64>> {}

impl<F: SimdFloat<Scalar = f64, Bits: SimdBits<Scalar = u64>>> SimdF64 for F {}

/// A vector of u64 with the operations of Philox. The low half of each lane is one 32-bit word of a Philox block.
///
/// The x86-64 implementations use intrinsics. The speed of compiled loops over arrays would depend on the surrounding
/// code (see `docs/dev/simd.md`).
pub(crate) trait SimdU64: Copy {
    /// The number of lanes.
    const LANES: usize;

    /// Returns the vector with `value` in every lane.
    fn splat(value: u64) -> Self;

    /// Returns `first`, `first + 2`, `first + 4` and so on.
    fn iota_stride_2(first: u64) -> Self;

    /// Returns `from[0]`, `from[2]`, `from[4]` and so on.
    fn load_stride_2(from: &[u64]) -> Self;

    /// Returns `self ^ other`.
    fn xor(self, other: Self) -> Self;

    /// Returns the 64-bit products of the low halves of the lanes of `self` and `other`.
    fn mul_low_halves(self, other: Self) -> Self;

    /// Returns `self >> 32`.
    fn high_halves(self) -> Self;

    /// Returns `self & 0xffff_ffff | odd << 32`, which interleaves the low halves of `self` and `odd`.
    fn interleave_low(self, odd: Self) -> Self;

    /// Returns `self >> 32 | odd & !0xffff_ffff`, which interleaves the high halves of `self` and `odd`.
    fn interleave_high(self, odd: Self) -> Self;

    /// Writes the lanes to the first `2 * LANES` words of a slice. The low half of each lane is written before the high
    /// half. Panics if the slice is shorter.
    fn store(self, to: &mut [u32]);

    /// Returns the result of one Philox round on a vector of blocks. `word0` to `word3` are the four words of each
    /// block.
    #[inline(always)]
    fn philox_round(
        [word0, word1, word2, word3]: [Self; 4],
        [multiplier0, multiplier1]: [Self; 2],
        [key0, key1]: [Self; 2],
    ) -> [Self; 4] {
        let (product0, product1) = (word0.mul_low_halves(multiplier0), word2.mul_low_halves(multiplier1));
        // These exclusive ors do not depend on the products, so the CPU can compute them during the multiplications.
        let (keyed0, keyed1) = (word1.xor(key0), word3.xor(key1));
        [product1.high_halves().xor(keyed0), product1, product0.high_halves().xor(keyed1), product0]
    }

    /// Returns the results of six Philox rounds on three vectors of blocks. The instructions for the three vectors are
    /// interleaved. `keys` contains the two key words of each round.
    #[inline(always)]
    fn philox_six_rounds(
        mut vectors: [[Self; 4]; 3],
        multipliers: [Self; 2],
        keys: &[[u64; 2]; 6],
    ) -> [[Self; 4]; 3] {
        for key in keys {
            for vector in &mut vectors {
                let key = [Self::splat(key[0]), Self::splat(key[1])];
                *vector = Self::philox_round(*vector, multipliers, key);
            }
        }
        vectors
    }
}

/// The number of lanes of a [`SimdU32x16`].
pub(crate) const U32X16_LANES: usize = 16;

/// A vector of sixteen u32, for the Mersenne Twister and for keyed permutations.
///
/// The Mersenne Twister reads words that it has just written, from unaligned offsets. An unaligned load would wait for
/// the stores. The `slide` methods instead combine words of two registers.
pub(crate) trait SimdU32x16: Copy {
    /// Reads sixteen words.
    fn load(from: &[u32; U32X16_LANES]) -> Self;

    /// Writes sixteen words.
    fn store(self, to: &mut [u32; U32X16_LANES]);

    /// Returns the vector with `word` in every lane.
    fn splat(word: u32) -> Self;

    /// Returns `self & other`.
    fn and(self, other: Self) -> Self;

    /// Returns `self ^ other`.
    fn xor(self, other: Self) -> Self;

    /// Returns `self << bits`.
    fn shl(self, bits: u32) -> Self;

    /// Returns `self >> bits`.
    fn shr(self, bits: u32) -> Self;

    /// Returns `self + other`, wrapping around.
    fn add(self, other: Self) -> Self;

    /// Returns `self * other` modulo 2^32.
    fn mul(self, other: Self) -> Self;

    /// Returns `word` in each lane whose lowest bit is set, and 0 in all other lanes.
    fn select_if_odd(self, word: u32) -> Self;

    /// Returns the lanes 1..17 of the concatenation of `self` and `next`.
    fn slide_1(self, next: Self) -> Self;

    /// Returns the result of [`SimdU32x16::slide_1`], and may load it from `memory`. `memory` must contain the lanes of
    /// `self` and the first lane of `next`. The load is fast if `memory` was not written recently.
    #[inline(always)]
    fn slide_1_from(self, next: Self, _memory: &[u32; U32X16_LANES + 1]) -> Self {
        self.slide_1(next)
    }

    /// Returns the lanes 13..29 of the concatenation of `self` and `next`, and may load them from `memory`. `memory`
    /// must contain the lanes of `self` and of `next`.
    fn slide_13(self, next: Self, memory: [&[u32; U32X16_LANES]; 2]) -> Self;
}

/// One register of floats, for the inner loop of a matrix product.
pub(crate) trait SimdVector<T>: Copy {
    /// The number of lanes.
    const LANES: usize;

    /// Returns the vector with `value` in every lane.
    fn splat(value: T) -> Self;

    /// Returns the vector of the first elements of a slice. Panics if the slice is shorter than the vector.
    fn load(from: &[T]) -> Self;

    /// Writes the lanes to the first elements of a slice. Panics if the slice is shorter than the vector.
    fn store(self, to: &mut [T]);

    /// Returns `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
}

/// A type of matrix elements: f32 or f64.
pub(crate) trait SimdElement: Copy + Default {
    /// A SIMD register of elements of this type.
    type Vector<I: SimdIsa>: SimdVector<Self>;

    /// Returns `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
}

impl SimdElement for f32 {
    type Vector<I: SimdIsa> = I::F32Register;

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }
}

impl SimdElement for f64 {
    type Vector<I: SimdIsa> = I::F64Register;

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }
}
