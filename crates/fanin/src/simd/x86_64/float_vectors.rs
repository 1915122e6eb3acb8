//! Macros that implement the float vectors of a SIMD level.

/// Defines the vector types `$floats` and `$bits`, which are arrays of SIMD registers. Implements
/// [`SimdFloat`](crate::simd::SimdFloat) for `$floats` and [`SimdBits`](crate::simd::SimdBits) for `$bits`.
///
/// `$lanes` is the number of lanes of a register. `[$($at)*]` lists the indices of the registers in the array, for
/// example `[0 1 2 3]`. Each method applies the same operation to every register. These operations are independent, so
/// the CPU can execute them in parallel.
macro_rules! float_vector {
    ($floats:ident, $bits:ident, $scalar:ty, $word:ty, $float_register:ty, $int_register:ty, $lanes:literal, [$($at:literal)*], {
        $splat:ident $store:ident $add:ident $sub:ident $mul:ident $div:ident $mul_add:ident $sqrt:ident
        $select_less:ident $min:ident $max:ident $to_bits:ident $barrier:ident $barrier_with:ident
    }, {
        $splat_bits:ident $load_bits:ident $and:ident $xor:ident $add_bits:ident $sub_bits:ident $shl:ident $shr:ident
        $bitcast:ident $convert_signed:ident $convert_unsigned:ident $select_by_sign:ident
    }) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $floats([$float_register; [$($at),*].len()]);

        #[derive(Clone, Copy)]
        pub(crate) struct $bits([$int_register; [$($at),*].len()]);

        impl SimdFloat for $floats {
            type Scalar = $scalar;
            type Bits = $bits;

            const LANES: usize = $lanes * [$($at),*].len();

            #[inline(always)]
            fn splat(value: $scalar) -> Self {
                // SAFETY: the level was detected.
                Self([unsafe { $splat(value) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn store(self, to: &mut [$scalar]) {
                let to: &mut [$scalar; Self::LANES] =
                    to.first_chunk_mut().expect("the slice must be as long as the vector");
                // SAFETY: the level was detected; `to` has the length of all registers; unaligned stores are allowed.
                unsafe { $($store(to.as_mut_ptr().add($at * $lanes), self.0[$at]);)* }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($add(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($sub(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($mul(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($div(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($mul_add(self.0[$at], factor.0[$at], addend.0[$at])),*] })
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($sqrt(self.0[$at])),*] })
            }

            #[inline(always)]
            fn select_less(self, other: Self, if_less: Self, otherwise: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($select_less(self.0[$at], other.0[$at], if_less.0[$at], otherwise.0[$at])),*] })
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($min(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($max(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn to_bits(self) -> $bits {
                // SAFETY: the level was detected.
                $bits(unsafe { [$($to_bits(self.0[$at])),*] })
            }

            #[inline(always)]
            fn barrier(self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $barrier(self.0) })
            }

            #[inline(always)]
            fn barrier_with(self, other: Self) -> (Self, Self) {
                // SAFETY: the level was detected.
                let (own, other) = unsafe { $barrier_with(self.0, other.0) };
                (Self(own), Self(other))
            }
        }

        impl SimdBits for $bits {
            type Scalar = $word;
            type Floats = $floats;

            #[inline(always)]
            fn splat(word: $word) -> Self {
                // SAFETY: the level was detected.
                Self([unsafe { $splat_bits(word.cast_signed()) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn load(from: &[u32]) -> Self {
                let from: &[u32; $floats::LANES] =
                    from.first_chunk().expect("the slice must be as long as the vector");
                // SAFETY: the level was detected; `from` has a word for each lane; unaligned loads are allowed.
                Self(unsafe { [$($load_bits(from.as_ptr().add($at * $lanes))),*] })
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
            fn add(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($add_bits(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { [$($sub_bits(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn shl(self, bits: u32) -> Self {
                let bits = Self::splat(bits.into());
                // SAFETY: the level was detected.
                Self(unsafe { [$($shl(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn shr(self, bits: u32) -> Self {
                let bits = Self::splat(bits.into());
                // SAFETY: the level was detected.
                Self(unsafe { [$($shr(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn bitcast(self) -> $floats {
                // SAFETY: the level was detected.
                $floats(unsafe { [$($bitcast(self.0[$at])),*] })
            }

            #[inline(always)]
            fn convert_signed(self) -> $floats {
                // SAFETY: the level was detected.
                $floats(unsafe { [$($convert_signed(self.0[$at])),*] })
            }

            #[inline(always)]
            fn convert_unsigned(self) -> $floats {
                // SAFETY: the level was detected.
                $floats(unsafe { [$($convert_unsigned(self.0[$at])),*] })
            }

            #[inline(always)]
            fn select_by_sign(self, if_set: $floats, if_clear: $floats) -> $floats {
                // SAFETY: the level was detected.
                $floats(unsafe { [$($select_by_sign(self.0[$at], if_set.0[$at], if_clear.0[$at])),*] })
            }
        }
    };
}
pub(super) use float_vector;

/// Implements [`SimdF32`](crate::simd::SimdF32) and `SimdF32Bits` for vector types that `float_vector` has defined.
macro_rules! f32_conversions {
    ($floats:ident, $bits:ident, [$($at:literal)*], $truncate:ident, $shr_signed:ident) => {
        impl SimdF32 for $floats {
            #[inline(always)]
            fn truncate_to_int(self) -> $bits {
                // SAFETY: the level was detected.
                $bits(unsafe { [$($truncate(self.0[$at])),*] })
            }
        }

        impl SimdF32Bits for $bits {
            #[inline(always)]
            fn shr_signed(self, bits: u32) -> Self {
                let bits = Self::splat(bits);
                // SAFETY: the level was detected.
                Self(unsafe { [$($shr_signed(self.0[$at], bits.0[$at])),*] })
            }
        }
    };
}
pub(super) use f32_conversions;

/// Defines the functions that implement `barrier` and `barrier_with` of [`SimdFloat`](crate::simd::SimdFloat).
///
/// Each function is inline assembly without instructions. Every register of the argument vectors is an input and an
/// output of the assembly. The compiler must compute all inputs before the assembly, and can use the outputs only after
/// the assembly.
macro_rules! barriers {
    ($barrier:ident, $barrier_with:ident, $register:ty, $class:ident, $features:literal, [$($one:ident)*], [$($other:ident)*], $text:literal) => {
        #[target_feature(enable = $features)]
        #[inline]
        fn $barrier([$(mut $one),*]: [$register; [$(stringify!($one)),*].len()]) -> [$register; [$(stringify!($one)),*].len()] {
            // SAFETY: the text is a comment; no instruction is executed.
            unsafe { asm!($text, $(inout($class) $one),*, options(pure, nomem, nostack, preserves_flags)) };
            [$($one),*]
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn $barrier_with(
            [$(mut $one),*]: [$register; [$(stringify!($one)),*].len()],
            [$(mut $other),*]: [$register; [$(stringify!($one)),*].len()],
        ) -> ([$register; [$(stringify!($one)),*].len()], [$register; [$(stringify!($one)),*].len()]) {
            // SAFETY: the text is a comment; no instruction is executed.
            unsafe {
                asm!($text, $text, $(inout($class) $one),*, $(inout($class) $other),*, options(pure, nomem, nostack, preserves_flags));
            }
            ([$($one),*], [$($other),*])
        }
    };
}
pub(super) use barriers;

/// Defines the vector type `$name`, which consists of one register, and implements
/// [`SimdVector`](crate::simd::SimdVector) for this type.
macro_rules! register {
    ($name:ident, $scalar:ty, $register:ty, $lanes:literal, $splat:ident $load:ident $store:ident $mul_add:ident) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        impl SimdVector<$scalar> for $name {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: $scalar) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            fn load(from: &[$scalar]) -> Self {
                let from: &[$scalar; $lanes] =
                    from.first_chunk().expect("the slice must be as long as the vector");
                // SAFETY: the level was detected; `from` has an element for each lane; unaligned loads are allowed.
                Self(unsafe { $load(from.as_ptr()) })
            }

            #[inline(always)]
            fn store(self, to: &mut [$scalar]) {
                let to: &mut [$scalar; $lanes] =
                    to.first_chunk_mut().expect("the slice must be as long as the vector");
                // SAFETY: the level was detected; `to` has an element for each lane; unaligned stores are allowed.
                unsafe { $store(to.as_mut_ptr(), self.0) }
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: the level was detected.
                Self(unsafe { $mul_add(self.0, factor.0, addend.0) })
            }
        }
    };
}
pub(super) use register;
