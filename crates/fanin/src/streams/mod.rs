//! Streams: the sources of random values that fill a tensor according to a plan.
//!
//! * [`native`]: counter-based (Philox); a value depends only on seed, tensor name and index.
//! * [`torch`]: PyTorch's CPU generator (MT19937), bit for bit.
//! * `from_rng` (feature `rand_core`): any generator of the `rand` crates.

mod by_index;
mod checks;
mod fixed;
#[cfg(feature = "rand_core")]
pub mod from_rng;
pub mod native;
mod non_zeros;
mod sequential_blocks;
mod sparse;
mod store;
mod stream;
pub mod torch;
mod zero_mask;

pub use stream::Stream;
