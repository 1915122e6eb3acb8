//! Regions of a tensor, and their contiguous ranges of row-major indices.
//!
//! A *region* is a hyper-rectangle: a start index and a size along each axis. [`Region::runs`] splits a region into
//! contiguous ranges of row-major indices. [`Chunks`] splits a range of row-major indices into regions. Each of these
//! regions is one contiguous range.

mod chunks;
mod runs;

pub use chunks::Chunks;
pub(crate) use runs::RegionSlice;
pub use runs::{Region, Runs};
