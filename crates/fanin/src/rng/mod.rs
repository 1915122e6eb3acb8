//! Random number generators. A generator produces random 32-bit integers, which are called words. The module
//! `distributions` turns words into variates.
//!
//! - [`Philox`]: counter-based, for the native stream.
//! - [`Mt19937`]: the Mersenne Twister, for the torch stream. `StateReader` reads distant words of a sequence.
//! - `permutation`: random subsets, for sparse tensors of the native stream.
//! - `group`: groups of sixteen Philox blocks. The native stream produces words in these groups.

mod group;
mod mt19937;
mod permutation;
mod philox;
mod state_reader;

pub(crate) use group::{GroupSource, GroupWords, LANES};
pub use mt19937::Mt19937;
pub(crate) use permutation::{Permutation, SHUFFLE_MAX, choose_by_shuffle};
pub use philox::Philox;
pub(crate) use state_reader::StateReader;
