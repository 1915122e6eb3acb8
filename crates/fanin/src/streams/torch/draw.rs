//! Draws uniform, normal and truncated normal values, and the normal values of sparse tensors.

use super::generator::Torch;
use super::sequences::ByGroups;
use super::truncated::Bounded;
use crate::dtype::Element;
use crate::plan::{Distribution, Truncation};
use crate::region::RegionSlice;

impl Torch {
    /// Fills `out` with the values of `slice`, which is a part of a tensor of `count` values.
    ///
    /// Returns the number of words by which the generator has advanced. These are the words of the whole tensor, not only
    /// of `slice`. With rejection sampling, torch draws the whole tensor several times. The result then counts the draws
    /// that are needed until every value in `slice` is accepted. Words of values that torch draws one by one
    /// (see [`ByGroups`]) are not counted.
    ///
    /// For a sparse distribution, only the normal values are drawn, and no zeros are written.
    ///
    /// # Panics
    /// If `distribution` is not uniform, normal, sparse or truncated normal.
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
