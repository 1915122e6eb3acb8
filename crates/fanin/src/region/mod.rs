//! Regions of a tensor, and the contiguous ranges of row-major indices that they consist of.
//!
//! A *region* is a hyper-rectangle: a start index and a size along each axis. [`Region::runs`] converts a region to
//! ranges of row-major indices. [`Chunks`] does the reverse: it splits a range of row-major indices into regions, each
//! of which is one contiguous range.

mod chunks;
mod runs;

pub use chunks::Chunks;
pub(crate) use runs::RegionSlice;
pub use runs::{Region, Runs};
