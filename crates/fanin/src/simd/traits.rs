//! The vector traits: what a kernel can do, whatever the CPU level.
//!
//! All methods are `#[inline(always)]`. A method works on each lane as it would on one scalar, and gives the same bits at
//! every level. The implementations are in `scalar` and `x86_64`.

/// A computation that is compiled once for each CPU level and run by [`super::dispatch`].
pub(crate) trait Kernel {
    /// The result of the computation.
    type Output;

    /// Runs the computation with the vector types of `I`. Must be `#[inline(always)]`, and so must every function it
    /// calls, because only inlined code is compiled with the target features of the level.
    fn run<I: SimdIsa>(self) -> Self::Output;
}

/// An instruction set: the vector types of a CPU level.
///
/// Only [`super::dispatch`] names an instruction set other than the scalar one, after it has detected that the CPU has the
/// level. The safety of the implementations rests on this.
pub(crate) trait SimdIsa {
    /// f32 lanes for the functions of `math`, in about half of the registers.
    type F32: SimdF32;
    /// f32 lanes for a function whose steps all depend on each other. More lanes than [`SimdIsa::F32`] has, so that there
    /// is independent work while a step waits for the one before.
    type F32Wide: SimdF32;
    /// f64 lanes for the functions of `math`.
    type F64: SimdF64;
    /// u64 lanes for Philox.
    type U64: SimdU64;
    /// Sixteen u32 lanes.
    type U32x16: SimdU32x16;
    /// One register of f32 lanes, for matrix products.
    type F32Register: SimdVector<f32>;
    /// One register of f64 lanes, for matrix products.
    type F64Register: SimdVector<f64>;

    /// Returns a mask whose bit `k` is set if `values[k] < low || values[k] > high`.
    fn outside_mask(values: &[f32; U32X16_LANES], low: f32, high: f32) -> u16;
}

/// A vector of floats, f32 or f64, in one or more registers.
pub(crate) trait SimdFloat: Copy {
    /// The type of a lane.
    type Scalar: Copy;

    /// The vector of as many integers, with lanes of the same size.
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

    /// Returns `if self < other { self } else { other }`. Unlike `f32::min`, this returns `other` if a lane is NaN.
    fn min(self, other: Self) -> Self;

    /// Returns `if self > other { self } else { other }`. Unlike `f32::max`, this returns `other` if a lane is NaN.
    fn max(self, other: Self) -> Self;

    /// Returns the bits of the floats, as `f32::to_bits`.
    fn to_bits(self) -> Self::Bits;

    /// Returns the same vector, after an optimization barrier: all its registers are computed before the next step of any
    /// of them. Without it, a compiler that is short of registers takes one register through all steps, then the next.
    #[inline(always)]
    fn barrier(self) -> Self {
        self
    }

    /// Returns both vectors, after an optimization barrier: all registers of both are computed before the next step of
    /// any of them.
    #[inline(always)]
    fn barrier_with(self, other: Self) -> (Self, Self) {
        (self, other)
    }
}

/// A vector of unsigned integers, u32 or u64: the bits of a vector of floats.
pub(crate) trait SimdBits: Copy {
    /// The type of a lane.
    type Scalar: Copy + From<u8>;

    /// The vector of as many floats, with lanes of the same size.
    type Floats: SimdFloat<Bits = Self>;

    /// Returns the vector with `word` in every lane.
    fn splat(word: Self::Scalar) -> Self;

    /// Returns the first words of a slice, each extended by zeros to the size of a lane. Panics if the slice is shorter
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

    /// Returns the floats that have these bits, as `f32::from_bits`.
    fn bitcast(self) -> Self::Floats;

    /// Returns the floats nearest to the lanes as signed integers. A 64-bit lane must be less than 2^51 in magnitude.
    fn convert_signed(self) -> Self::Floats;

    /// Returns the floats nearest to the lanes as unsigned integers. A 64-bit lane must be less than 2^51.
    fn convert_unsigned(self) -> Self::Floats;

    /// Returns `if_set` in each lane whose highest bit is set, and `if_clear` in the others.
    fn select_by_sign(self, if_set: Self::Floats, if_clear: Self::Floats) -> Self::Floats;
}

/// A vector of f32.
pub(crate) trait SimdF32: SimdFloat<Scalar = f32, Bits: SimdF32Bits> {
    /// Returns the lanes, which must be in [0, 2^31), rounded towards zero.
    fn truncate_to_int(self) -> Self::Bits;
}

/// The bits of a vector of f32.
pub(crate) trait SimdF32Bits: SimdBits<Scalar = u32> {
    /// Returns the lanes as signed integers, shifted right: the sign is kept.
    fn shr_signed(self, bits: u32) -> Self;
}

/// A vector of f64.
pub(crate) trait SimdF64: SimdFloat<Scalar = f64, Bits: SimdBits<Scalar = u64>> {}

impl<F: SimdFloat<Scalar = f64, Bits: SimdBits<Scalar = u64>>> SimdF64 for F {}

/// A vector of u64, with the operations of Philox. Each lane holds one 32-bit word of a Philox block in its low half.
///
/// Written by hand because the speed of loops over arrays varied with the surrounding code: `docs/dev/simd.md`.
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

    /// Returns the 64-bit products of the low halves.
    fn mul_low_halves(self, other: Self) -> Self;

    /// Returns `self >> 32`.
    fn high_halves(self) -> Self;

    /// Returns the low halves of `self`, with the low halves of `odd` as high halves.
    fn interleave_low(self, odd: Self) -> Self;

    /// Returns the high halves of `self`, with the high halves of `odd` as high halves.
    fn interleave_high(self, odd: Self) -> Self;

    /// Writes both halves of every lane, low halves first, to the first `2 * LANES` words of a slice. Panics if the slice
    /// is shorter.
    fn store(self, to: &mut [u32]);

    /// Returns the result of one Philox round on a vector of blocks, given as one vector for each of the four words.
    #[inline(always)]
    fn philox_round(
        [word0, word1, word2, word3]: [Self; 4],
        [multiplier0, multiplier1]: [Self; 2],
        [key0, key1]: [Self; 2],
    ) -> [Self; 4] {
        let (product0, product1) = (word0.mul_low_halves(multiplier0), word2.mul_low_halves(multiplier1));
        // These do not depend on the products, so they run while the products are computed.
        let (keyed0, keyed1) = (word1.xor(key0), word3.xor(key1));
        [product1.high_halves().xor(keyed0), product1, product0.high_halves().xor(keyed1), product0]
    }

    /// Returns the results of six Philox rounds on three vectors of blocks, whose instructions are interleaved.
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
/// The Mersenne Twister reads words at unaligned offsets from memory that it has just written. Ordinary loads would wait
/// for the stores, so the words are shifted between registers instead (`slide`).
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

    /// Returns `self * other`, wrapping around.
    fn mul(self, other: Self) -> Self;

    /// Returns `word` in each lane whose lowest bit is set, and 0 in the others.
    fn select_if_odd(self, word: u32) -> Self;

    /// Returns lanes 1..17 of `self` followed by `next`.
    fn slide_1(self, next: Self) -> Self;

    /// Returns [`SimdU32x16::slide_1`] where `memory` holds `self` and the first lane of `next`, and was not written
    /// recently: a level may read the result from there.
    #[inline(always)]
    fn slide_1_from(self, next: Self, _memory: &[u32; U32X16_LANES + 1]) -> Self {
        self.slide_1(next)
    }

    /// Returns lanes 13..29 of `self` followed by `next`. `memory` holds `self` and `next`: a level may read parts from
    /// there.
    fn slide_13(self, next: Self, memory: [&[u32; U32X16_LANES]; 2]) -> Self;
}

/// One register of floats, for the inner loop of a matrix product.
pub(crate) trait SimdVector<T>: Copy {
    /// The number of lanes.
    const LANES: usize;

    /// Returns the vector with `value` in every lane.
    fn splat(value: T) -> Self;

    /// Returns the first elements of a slice. Panics if the slice is shorter than the vector.
    fn load(from: &[T]) -> Self;

    /// Writes the lanes to the first elements of a slice. Panics if the slice is shorter than the vector.
    fn store(self, to: &mut [T]);

    /// Returns `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
}

/// A type of matrix elements: f32 or f64.
pub(crate) trait SimdElement: Copy + Default {
    /// One register of these elements.
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
