//! Converts the state of torch's CPU generator to bytes and back.
//!
//! torch stores numbers in the byte order of the machine. This module reads and writes little-endian numbers:
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | seed (u64) |
//! | 8..12 | words left in the state, plus 1 (u32) |
//! | 12..16 | 1 if the generator is seeded (u32) |
//! | 16..24 | index of the next word in the state (u64) |
//! | 24..5016 | 624 state words (u64 each) |
//! | 5016..5024 | normal_x, unused (f64) |
//! | 5024..5032 | normal_y: the second normal value of a pair (f64) |
//! | 5032..5040 | normal_rho, unused (f64) |
//! | 5040..5048 | 1 if normal_y is valid (u32), padding |
//! | 5048..5056 | the second f32 normal value of a pair (f32), 1 if this value is valid (u8), padding |

use super::generator::Torch;
use crate::error::Error;
use crate::rng::Mt19937;

impl Torch {
    /// The number of bytes that [`Torch::state`] returns.
    pub const STATE_BYTES: usize = 5056;

    /// Returns the state of the generator: the same 5056 bytes that `torch.get_rng_state()` returns.
    #[doc(alias = "get_rng_state")]
    #[doc(alias = "get_state")]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = vec![0; Self::STATE_BYTES];
        self.write_state(&mut bytes);
        bytes
    }

    /// Writes the bytes that [`Torch::state`] returns to `bytes`. For example, `bytes` can be the memory of a tensor
    /// that `torch.get_rng_state()` returned.
    ///
    /// # Panics
    /// Panics if the length of `bytes` is not [`Torch::STATE_BYTES`].
    pub fn write_state(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), Self::STATE_BYTES, "`bytes` must have the length of a generator state");
        let (head, rest) = bytes.split_at_mut(24);
        let (words, tail) = rest.split_at_mut(8 * Mt19937::STATE_WORDS);
        head[..8].copy_from_slice(&self.seed.to_le_bytes());
        head[8..12].copy_from_slice(&self.engine.left.to_le_bytes());
        head[12..16].copy_from_slice(&1u32.to_le_bytes());
        head[16..].copy_from_slice(&u64::from(self.engine.next).to_le_bytes());
        for (bytes, &word) in words.as_chunks_mut::<8>().0.iter_mut().zip(self.engine.state.iter()) {
            *bytes = u64::from(word).to_le_bytes();
        }
        tail.fill(0);
        tail[8..16].copy_from_slice(&self.next_normal.unwrap_or(0.0).to_le_bytes());
        tail[24] = u8::from(self.next_normal.is_some());
        let (value, valid) = self.next_float_normal;
        tail[32..36].copy_from_slice(&value.to_le_bytes());
        tail[36] = u8::from(valid);
    }

    /// Creates a generator from a state that [`Torch::state`] or `torch.get_rng_state()` returned.
    ///
    /// # Errors
    /// `State` if the length of `bytes` is not [`Torch::STATE_BYTES`], or if the state in `bytes` is invalid: its
    /// generator is not seeded, or the position of the next word is invalid.
    #[doc(alias = "set_rng_state")]
    pub fn from_state(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != Self::STATE_BYTES {
            let reason = format!("expected {} bytes, got {}", Self::STATE_BYTES, bytes.len());
            return Err(Error::State { reason });
        }
        let u64_from = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let u32_from = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let (left, seeded, next) = (u32_from(8), u32_from(12), u64_from(16));
        let words = Mt19937::STATE_WORDS as u32;
        if seeded == 0 || !(1..=words).contains(&left) || next > words.into() {
            let reason = format!("Invalid mt19937 state (seeded = {seeded}, left = {left}, next = {next})");
            return Err(Error::State { reason });
        }
        // A generator that was just seeded has `next` = 0 and `left` = 1. In any other state, `next + left` is 625.
        // torch does not check this sum. If the sum is wrong, torch reads past the end of its state.
        let fresh = next == 0 && left == 1;
        if !fresh && next + u64::from(left) != u64::from(words) + 1 {
            let reason = format!("left + next must be 625, got left = {left} and next = {next}");
            return Err(Error::State { reason });
        }
        let state = bytes[24..].as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word) as u32);
        let engine = Mt19937::with_state(state, next as u32, left);
        let next_normal = (u32_from(5040) != 0).then_some(f64::from_bits(u64_from(5024)));
        let next_float_normal = (f32::from_bits(u32_from(5048)), bytes[5052] != 0);
        Ok(Self::from_parts(u64_from(0), engine, next_normal, next_float_normal))
    }

    /// Sets the state of the generator, as `torch.set_rng_state()` does.
    ///
    /// # Errors
    /// Returns the same errors as [`Torch::from_state`]. If an error is returned, the generator is unchanged.
    pub fn set_state(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.take_state(Self::from_state(bytes)?);
        Ok(())
    }
}
