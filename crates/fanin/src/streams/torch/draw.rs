//! `Torch::draw`, which draws uniform, normal and truncated normal values. It also draws the normal values of `sparse`.

use super::generator::Torch;
use super::sequences::{ByGroups, Part};
use super::truncated::Bounded;
use super::wide::Wide;
use crate::dtype::{DType, Values};
use crate::plan::{Distribution, Truncation};

impl Torch {
    /// Fills `out` with the values of a part of a tensor. The type of `out` must be f64 if and only if `part.dtype` is
    /// f64. The values are rounded to the type of `out`. The zeros of a sparse distribution are not written.
    ///
    /// Advances the generator past the random words for the values of the whole tensor, with two exceptions:
    ///
    /// * Sparse: the generator does not advance past the words of the permutations.
    /// * Rejection sampling: torch makes several passes over the whole tensor. The generator advances only past the
    ///   passes that the values of the part need.
    ///
    /// Returns the number of words by which the generator has advanced. This number does not include the words of
    /// values that torch draws one by one (see [`ByGroups`]), because no caller needs the number of these words.
    ///
    /// # Panics
    /// Panics if `distribution` is not uniform, normal, sparse or truncated normal.
    pub(super) fn draw(
        &mut self,
        distribution: Distribution,
        part: Part<'_>,
        out: Values<'_>,
        by_groups: ByGroups,
    ) -> u64 {
        match part.dtype {
            DType::F64 => self.draw_wide::<f64>(distribution, part, out, by_groups),
            _ => self.draw_wide::<f32>(distribution, part, out, by_groups),
        }
    }

    /// Implements [`Torch::draw`]. `W` is the type in which torch computes the values.
    fn draw_wide<W: Wide>(
        &mut self,
        distribution: Distribution,
        part: Part<'_>,
        out: Values<'_>,
        by_groups: ByGroups,
    ) -> u64 {
        match distribution {
            Distribution::Uniform { low, high } => self.uniforms::<W>((low, high), part, out),
            Distribution::Normal { mean, std } => self.normals::<W>((mean, std), part, out, by_groups.tensor),
            Distribution::Sparse { std, .. } => self.normals::<W>((0.0, std), part, out, by_groups.tensor),
            Distribution::TruncatedNormal { mean, std, low, high, method } => {
                let distribution = Bounded { mean, std, low, high };
                if method == Some(Truncation::InverseCdf) {
                    self.truncated_by_inverse::<W>(distribution, part, out)
                } else {
                    self.truncated_by_rejection::<W>(distribution, part, out, by_groups)
                }
            }
            _ => unreachable!("{distribution:?} is not drawn value by value"),
        }
    }
}
