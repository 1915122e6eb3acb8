//! Regions of a tensor as contiguous ranges of its row-major indices.
//!
//! A *region* is a hyper-rectangle: a start index and a size along each axis. [`Region::runs`] goes from a region to
//! the ranges of row-major indices that it consists of. [`Chunks`] goes the other way: it cuts a range of row-major
//! indices into regions, each of which is one contiguous range.

mod chunks;
mod runs;

pub use chunks::Chunks;
pub(crate) use runs::RegionSlice;
pub use runs::{Region, Runs};
