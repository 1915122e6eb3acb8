//! Implements the traits of rand_core for the generators of fanin.
//!
//! The stream [`crate::FromRng`] does the opposite: it fills tensors from any generator that implements these traits.

use std::convert::Infallible;

use rand_core::{SeedableRng, TryRng};

use crate::rng::{Mt19937, Philox};
use crate::streams::torch::Torch;

/// Implements `TryRng` for a type. The second argument is a function that returns the next word of the generator.
macro_rules! generator {
    ($type:ty, $word:expr) => {
        impl TryRng for $type {
            type Error = Infallible;

            fn try_next_u32(&mut self) -> Result<u32, Infallible> {
                let word: fn(&mut $type) -> u32 = $word;
                Ok(word(self))
            }

            /// Returns the next two words as one 64-bit number. The first word is the high half.
            fn try_next_u64(&mut self) -> Result<u64, Infallible> {
                let high = u64::from(self.try_next_u32()?);
                Ok(high << 32 | u64::from(self.try_next_u32()?))
            }

            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
                for chunk in bytes.chunks_mut(4) {
                    chunk.copy_from_slice(&self.try_next_u32()?.to_le_bytes()[..chunk.len()]);
                }
                Ok(())
            }
        }
    };
}

generator!(Mt19937, Mt19937::word);
generator!(Torch, Torch::word);
generator!(PhiloxRng, |rng: &mut PhiloxRng| {
    if rng.used == 4 {
        rng.words = rng.philox.block(rng.next_block);
        rng.next_block = rng.next_block.wrapping_add(1);
        rng.used = 0;
    }
    rng.used += 1;
    rng.words[rng.used - 1]
});

impl SeedableRng for Mt19937 {
    type Seed = [u8; 4];

    fn from_seed(seed: [u8; 4]) -> Self {
        Self::new(u32::from_le_bytes(seed))
    }
}

/// A generator that returns the words of [`Philox`] in sequence: the four words of block 0, the four words of block 1,
/// and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhiloxRng {
    philox: Philox,
    /// The index of the block that follows the block in `words`.
    next_block: u64,
    words: [u32; 4],
    /// The number of elements of `words` that have been returned.
    used: usize,
}

impl PhiloxRng {
    /// Returns a generator that starts at the first word of the block with the index `first`.
    pub const fn new(philox: Philox, first: u64) -> Self {
        Self { philox, next_block: first, words: [0; 4], used: 4 }
    }
}

impl SeedableRng for PhiloxRng {
    /// The first eight bytes are the key. The last eight bytes are words 2 and 3 of the counter. All words are
    /// little-endian.
    type Seed = [u8; 16];

    fn from_seed(seed: [u8; 16]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(seed.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self::new(Philox::new([words[0], words[1]], [words[2], words[3]]), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn rand_core_methods_return_the_words_of_each_generator() {
        let mut mt19937 = Mt19937::seed_from_u64(7);
        let mut same = mt19937.clone();
        assert_eq!(mt19937.next_u64(), same.word64());
        let philox = Philox::new([1, 2], [3, 4]);
        let mut rng = PhiloxRng::new(philox, u64::MAX);
        let words: Vec<u32> = (0..8).map(|_| rng.next_u32()).collect();
        assert_eq!(words, [philox.block(u64::MAX), philox.block(0)].concat());
        let mut bytes = [0u8; 6];
        let mut torch = Torch::new(3);
        torch.next_u32();
        torch.fill_bytes(&mut bytes);
        let mut again = Mt19937::new(3);
        again.word();
        assert_eq!(bytes[..4], again.word().to_le_bytes());
        assert_eq!(bytes[4..], again.word().to_le_bytes()[..2]);
    }
}
