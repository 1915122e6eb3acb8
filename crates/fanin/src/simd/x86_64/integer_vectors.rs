//! Macros that implement the integer vectors of a SIMD level.

/// Defines the vector type `U32x16`, an array of registers with `$lanes` lanes each, and implements
/// [`SimdU32x16`](crate::simd::SimdU32x16) for this type.
///
/// `[$($at)*]` lists the indices of the registers in the array. `$specific` contains the methods whose implementations
/// differ between the levels.
macro_rules! u32x16 {
    ($register:ty, $lanes:literal, [$($at:literal)*], {
        $load:ident $store:ident $splat:ident $and:ident $xor:ident $shl:ident $shr:ident $add:ident $mul:ident
    }, { $($specific:tt)* }) => {
        #[derive(Clone, Copy)]
        pub(crate) struct U32x16([$register; [$($at),*].len()]);

        impl SimdU32x16 for U32x16 {
            #[inline(always)]
            fn load(from: &[u32; U32X16_LANES]) -> Self {
                // SAFETY: the level was detected; `from` has the length of all registers; unaligned loads are allowed.
                Self(unsafe { [$($load(from.as_ptr().add($at * $lanes).cast())),*] })
            }

            #[inline(always)]
            fn store(self, to: &mut [u32; U32X16_LANES]) {
                // SAFETY: the level was detected; `to` has the length of all registers; unaligned stores are allowed.
                unsafe { $($store(to.as_mut_ptr().add($at * $lanes).cast(), self.0[$at]);)* }
            }

            #[inline(always)]
            fn splat(word: u32) -> Self {
                // SAFETY: the level was detected.
                Self([unsafe { $splat(word.cast_signed()) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($and(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($xor(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn shl(self, bits: u32) -> Self {
                let bits = Self::splat(bits);
                // SAFETY: the level was detected.
                Self(unsafe { [$($shl(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn shr(self, bits: u32) -> Self {
                let bits = Self::splat(bits);
                // SAFETY: the level was detected.
                Self(unsafe { [$($shr(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($add(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($mul(self.0[$at], other.0[$at])),*] })
            }

            $($specific)*
        }
    };
}
pub(super) use u32x16;

/// Defines the vector type `$name`, one register with `$lanes` lanes, and implements [`SimdU64`](crate::simd::SimdU64)
/// for this type.
///
/// `$blend` returns the even 32-bit words of its first argument and the odd 32-bit words of its second argument.
/// `$six_rounds` implements `philox_six_rounds`. Without `$six_rounds`, the type has the default method of the trait.
macro_rules! u64_vector {
    ($name:ident, $register:ty, $lanes:literal, {
        $splat:ident $load:ident $store:ident $add:ident $xor:ident $mul:ident $shl:ident $shr:ident $blend:ident
    } $(, $six_rounds:ident)?) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        impl SimdU64 for $name {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: u64) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $splat(value.cast_signed()) })
            }

            #[inline(always)]
            fn iota_stride_2(first: u64) -> Self {
                const EVEN: [u64; 8] = [0, 2, 4, 6, 8, 10, 12, 14];
                const { assert!($lanes <= EVEN.len()) };
                // SAFETY: the level was detected; `EVEN` has an element for each lane; unaligned loads are allowed.
                Self(unsafe { $add($splat(first.cast_signed()), $load(EVEN.as_ptr().cast())) })
            }

            #[inline(always)]
            fn load_stride_2(from: &[u64]) -> Self {
                let mut chosen = [0u64; $lanes];
                for lane in 0..$lanes {
                    chosen[lane] = from[2 * lane];
                }
                // SAFETY: the level was detected; `chosen` has an element for each lane; unaligned loads are allowed.
                Self(unsafe { $load(chosen.as_ptr().cast()) })
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $xor(self.0, other.0) })
            }

            #[inline(always)]
            fn mul_low_halves(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            fn high_halves(self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $shr::<32>(self.0) })
            }

            #[inline(always)]
            fn interleave_low(self, odd: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $blend(self.0, $shl::<32>(odd.0)) })
            }

            #[inline(always)]
            fn interleave_high(self, odd: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $blend($shr::<32>(self.0), odd.0) })
            }

            #[inline(always)]
            fn store(self, to: &mut [u32]) {
                let to: &mut [u32; 2 * $lanes] =
                    to.first_chunk_mut().expect("the slice must have two words for each lane");
                // SAFETY: the level was detected; `to` has two words for each lane; unaligned stores are allowed.
                unsafe { $store(to.as_mut_ptr().cast(), self.0) }
            }

            $(
                #[inline(always)]
                fn philox_six_rounds(
                    vectors: [[Self; 4]; 3],
                    multipliers: [Self; 2],
                    keys: &[[u64; 2]; 6],
                ) -> [[Self; 4]; 3] {
                    let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]] = vectors;
                    let vectors = [[a0.0, a1.0, a2.0, a3.0], [b0.0, b1.0, b2.0, b3.0], [c0.0, c1.0, c2.0, c3.0]];
                    // SAFETY: the level was detected.
                    let [a, b, c] = unsafe { $six_rounds(vectors, [multipliers[0].0, multipliers[1].0], keys) };
                    let wrap = |[word0, word1, word2, word3]: [$register; 4]| {
                        [Self(word0), Self(word1), Self(word2), Self(word3)]
                    };
                    [wrap(a), wrap(b), wrap(c)]
                }
            )?
        }
    };
}
pub(super) use u64_vector;
