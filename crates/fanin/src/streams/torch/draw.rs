//! Distributions that are drawn value by value.

use super::generator::Torch;
use super::sequences::ByGroups;
use super::truncated::Bounded;
use crate::dtype::Element;
use crate::plan::{Distribution, Truncation};
use crate::region::RegionSlice;

impl Torch {
    /// Fills `out` with the values of `slice`, a part of a tensor of `count` values.
    ///
    /// Moves the generator past the words that it returns. These are the words of the whole tensor; by rejection, they
    /// are the words of as many passes as the values in `slice` need. Normals that are not drawn by groups return 0,
    /// and leave the generator after the words that they drew.
    ///
    /// # Panics
    /// If `distribution` is not uniform, normal, sparse or truncated normal. Of a sparse distribution only the normal
    /// values are drawn.
    pub(super) fn draw<E: Element>(
        &mut self,
        distribution: Distribution,
        slice: RegionSlice<'_>,
        count: usize,
        out: &mut [E],
        by_groups: ByGroups,
    ) -> u64 {
        match distribution {
            Distribution::Uniform { low, high } => self.uniforms((low, high), slice, count, out),
            Distribution::Normal { mean, std } => {
                self.normals((mean, std), slice, count, out, by_groups.tensor)
            }
            Distribution::Sparse { std, .. } => self.normals((0.0, std), slice, count, out, by_groups.tensor),
            Distribution::TruncatedNormal { mean, std, low, high, method } => {
                let distribution = Bounded { mean, std, low, high };
                if method == Some(Truncation::InverseCdf) {
                    self.truncated_by_inverse(distribution, slice, count, out)
                } else {
                    self.truncated_by_rejection(distribution, slice, count, out, by_groups)
                }
            }
            _ => unreachable!("{distribution:?} is not drawn value by value"),
        }
    }
}
