//! Sixteen 32-bit words by hand: for the Mersenne twister, which reads words at odd distances, and by plain loads would
//! wait for what it has just written; for keyed permutations, whose rounds would each wait for the one before in memory.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Words of a block.
pub(crate) const BLOCK: usize = 16;

/// Sixteen words. All methods are `#[inline(always)]`.
pub(crate) trait Block: Copy {
    /// Those in memory.
    fn load(from: &[u32; BLOCK]) -> Self;

    /// Writes them.
    fn store(self, to: &mut [u32; BLOCK]);

    /// The same word in every lane.
    fn splat(word: u32) -> Self;

    /// Bits in which the two differ.
    fn xor(self, other: Self) -> Self;

    /// Bits that both have.
    fn and(self, other: Self) -> Self;

    /// Each word shifted down.
    fn right(self, bits: u32) -> Self;

    /// Each word shifted up.
    fn left(self, bits: u32) -> Self;

    /// The sums modulo 2^32.
    fn add(self, other: Self) -> Self;

    /// The products modulo 2^32.
    fn times(self, other: Self) -> Self;

    /// This word where the lowest bit is set, none elsewhere.
    fn where_lowest(self, word: u32) -> Self;

    /// The words from the second on, and the first of those that follow.
    fn join_1(self, next: Self) -> Self;

    /// The same where all of them lie in memory one after another, and were written long ago.
    #[inline(always)]
    fn join_1_in(self, next: Self, _memory: &[u32; BLOCK + 1]) -> Self {
        self.join_1(next)
    }

    /// The words from the fourteenth on, and the first thirteen of those that follow. Both are as `memory` has them.
    fn join_13(self, next: Self, memory: [&[u32; BLOCK]; 2]) -> Self;
}

/// For every CPU.
impl Block for [u32; BLOCK] {
    #[inline(always)]
    fn load(from: &[u32; BLOCK]) -> Self {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut [u32; BLOCK]) {
        *to = self;
    }

    #[inline(always)]
    fn splat(word: u32) -> Self {
        [word; BLOCK]
    }

    #[inline(always)]
    fn xor(mut self, other: Self) -> Self {
        for lane in 0..BLOCK {
            self[lane] ^= other[lane];
        }
        self
    }

    #[inline(always)]
    fn and(mut self, other: Self) -> Self {
        for lane in 0..BLOCK {
            self[lane] &= other[lane];
        }
        self
    }

    #[inline(always)]
    fn right(self, bits: u32) -> Self {
        self.map(|word| word >> bits)
    }

    #[inline(always)]
    fn left(self, bits: u32) -> Self {
        self.map(|word| word << bits)
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..BLOCK {
            self[lane] = self[lane].wrapping_add(other[lane]);
        }
        self
    }

    #[inline(always)]
    fn times(mut self, other: Self) -> Self {
        for lane in 0..BLOCK {
            self[lane] = self[lane].wrapping_mul(other[lane]);
        }
        self
    }

    #[inline(always)]
    fn where_lowest(self, word: u32) -> Self {
        self.map(|own| (own & 1).wrapping_neg() & word)
    }

    #[inline(always)]
    fn join_1(mut self, next: Self) -> Self {
        self.copy_within(1.., 0);
        self[15] = next[0];
        self
    }

    #[inline(always)]
    fn join_13(mut self, next: Self, _: [&[u32; BLOCK]; 2]) -> Self {
        self.copy_within(13.., 0);
        self[3..].copy_from_slice(&next[..13]);
        self
    }
}

/// Two registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Two(__m256i, __m256i);

#[cfg(target_arch = "x86_64")]
impl Two {
    /// The words from the second of eight on, and the first of the following eight.
    #[inline(always)]
    fn one_on(eight: __m256i, next: __m256i) -> __m256i {
        // SAFETY: only `dispatch` names this type, where the CPU has its instructions.
        unsafe { _mm256_alignr_epi8::<4>(_mm256_permute2x128_si256::<0x21>(eight, next), eight) }
    }

    /// A register of two times four words.
    #[inline(always)]
    fn quarters(low: &[u32; 4], high: &[u32; 4]) -> __m256i {
        // SAFETY: as above; four words are there each, and may lie anywhere.
        unsafe {
            let (low, high) = (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast()));
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Block for Two {
    #[inline(always)]
    fn load(from: &[u32; BLOCK]) -> Self {
        let (low, high) = from.split_at(BLOCK / 2);
        // SAFETY: only `dispatch` names this type, where the CPU has its instructions; eight words are there, and may lie
        // anywhere.
        unsafe { Self(_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, to: &mut [u32; BLOCK]) {
        let (low, high) = to.split_at_mut(BLOCK / 2);
        // SAFETY: as in `load`.
        unsafe {
            _mm256_storeu_si256(low.as_mut_ptr().cast(), self.0);
            _mm256_storeu_si256(high.as_mut_ptr().cast(), self.1);
        }
    }

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: as in `load`.
        let eight = unsafe { _mm256_set1_epi32(word as i32) };
        Self(eight, eight)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_xor_si256(self.0, other.0), _mm256_xor_si256(self.1, other.1)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_and_si256(self.0, other.0), _mm256_and_si256(self.1, other.1)) }
    }

    #[inline(always)]
    fn right(self, bits: u32) -> Self {
        let bits = Self::splat(bits).0;
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_srlv_epi32(self.0, bits), _mm256_srlv_epi32(self.1, bits)) }
    }

    #[inline(always)]
    fn left(self, bits: u32) -> Self {
        let bits = Self::splat(bits).0;
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_sllv_epi32(self.0, bits), _mm256_sllv_epi32(self.1, bits)) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_add_epi32(self.0, other.0), _mm256_add_epi32(self.1, other.1)) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_mullo_epi32(self.0, other.0), _mm256_mullo_epi32(self.1, other.1)) }
    }

    // By the sign of what is 1 or 0: whatever else says it is turned into two shifts, and shifts have one pipe of four.
    #[inline(always)]
    fn where_lowest(self, word: u32) -> Self {
        let (lowest, word) = (self.and(Self::splat(1)), Self::splat(word).0);
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_sign_epi32(word, lowest.0), _mm256_sign_epi32(word, lowest.1)) }
    }

    #[inline(always)]
    fn join_1(self, next: Self) -> Self {
        Self(Self::one_on(self.0, self.1), Self::one_on(self.1, next.0))
    }

    // Halves of registers change places in as many as eight steps, on older CPUs; memory is read at any place in one.
    #[inline(always)]
    fn join_1_in(self, _: Self, memory: &[u32; BLOCK + 1]) -> Self {
        Self::load(memory.last_chunk().expect("a block and one"))
    }

    // Quarters of blocks, for the same reason: each lies within something that was stored as one, so nothing waits.
    #[inline(always)]
    fn join_13(self, next: Self, [memory, beyond]: [&[u32; BLOCK]; 2]) -> Self {
        let first = Self::quarters(&memory.as_chunks().0[3], &beyond.as_chunks().0[0]);
        let second = Self::quarters(&beyond.as_chunks().0[1], &beyond.as_chunks().0[2]);
        // SAFETY: as in `load`.
        unsafe { Self(_mm256_alignr_epi8::<4>(next.0, first), _mm256_alignr_epi8::<4>(next.1, second)) }
    }
}

/// One register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct One(__m512i);

#[cfg(target_arch = "x86_64")]
impl Block for One {
    #[inline(always)]
    fn load(from: &[u32; BLOCK]) -> Self {
        // SAFETY: only `dispatch` names this type, where the CPU has its instructions; sixteen words are there, and may lie
        // anywhere.
        Self(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [u32; BLOCK]) {
        // SAFETY: as in `load`.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_set1_epi32(word as i32) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn right(self, bits: u32) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_srlv_epi32(self.0, Self::splat(bits).0) })
    }

    #[inline(always)]
    fn left(self, bits: u32) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_sllv_epi32(self.0, Self::splat(bits).0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_mullo_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn where_lowest(self, word: u32) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe {
            _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(self.0, Self::splat(1).0), Self::splat(word).0)
        })
    }

    #[inline(always)]
    fn join_1(self, next: Self) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_alignr_epi32::<1>(next.0, self.0) })
    }

    #[inline(always)]
    fn join_13(self, next: Self, _: [&[u32; BLOCK]; 2]) -> Self {
        // SAFETY: as in `load`.
        Self(unsafe { _mm512_alignr_epi32::<13>(next.0, self.0) })
    }
}
