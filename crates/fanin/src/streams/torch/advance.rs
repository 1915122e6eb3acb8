//! Methods that advance the generator as if a tensor had been filled.

use super::check_plan::check_plan;
use super::generator::Torch;
use super::sequences::{ByGroups, Part};
use super::words::{BULK, drawn_dtype, words_of, words_of_permutations};
use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::region::Region;

impl Torch {
    /// Returns the number of 32-bit words that a fill according to `plan` takes from the generator. The tensor of the
    /// fill must be contiguous.
    ///
    /// [`Torch::advance`] by this number has the same effect as [`Torch::advance_past`] with the plan. The result is
    /// `None` in three cases:
    ///
    /// * Truncated normal values by rejection. Rejected values are drawn again, so the number of words is known only
    ///   after drawing.
    /// * Fewer than [`Torch::GROUP`] normal values. These values are computed in pairs, and the number of words depends
    ///   on whether the generator still stores the second value of an earlier pair.
    /// * Plans that the stream cannot fill. [`Stream::fill`](crate::Stream::fill) returns an error for these plans.
    ///
    /// ```
    /// use fanin::{DType, Initializer as _, Torch, init};
    /// let plan = |shape: &[usize], dtype| init::normal(0.0, 1.0).resolve(shape, dtype);
    /// assert_eq!(Torch::words(&plan(&[4, 8], DType::F32)?), Some(32));
    /// assert_eq!(Torch::words(&plan(&[4, 8], DType::F64)?), Some(64));
    /// assert_eq!(Torch::words(&plan(&[3], DType::F32)?), None);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn words(plan: &Plan) -> Option<u64> {
        check_plan(plan).ok()?;
        words_of(plan)
    }

    /// Advances the generator to its state after a [`Stream::fill`](crate::Stream::fill) with this plan, without
    /// filling a tensor.
    ///
    /// If [`Torch::words`] returns a number, the generator jumps over this number of words. Otherwise the values are
    /// drawn and discarded. This is the case for fewer than [`Torch::GROUP`] normal values, and for truncated normal
    /// values by rejection. Large tensors are drawn in chunks, to limit the temporary memory.
    ///
    /// ```
    /// use fanin::{DType, Initializer as _, Stream as _, TensorMut, Torch, init};
    /// let plan = init::normal(0.0, 0.02).resolve(&[512, 512], DType::F32)?;
    /// let (mut filled, mut advanced) = (Torch::new(0), Torch::new(0));
    /// plan.fill(&mut vec![0f32; 512 * 512], &mut filled)?;
    /// advanced.advance_past(&plan)?;
    /// assert_eq!(filled, advanced);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`Stream::fill`](crate::Stream::fill).
    pub fn advance_past(&mut self, plan: &Plan) -> Result<(), Error> {
        check_plan(plan)?;
        if let Some(words) = words_of(plan) {
            self.advance(words);
            return Ok(());
        }
        match plan.distribution() {
            Distribution::Blocks { .. } => {
                plan.blocks().iter().try_for_each(|block| self.advance_past(block.plan()))
            }
            Distribution::Orthogonal { .. } => {
                let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
                self.advance_past(&Plan::new(plan.shape(), plan.dtype(), normal)?)
            }
            _ => {
                if plan.dtype() == DType::F64 {
                    self.draw_and_drop::<f64>(plan);
                } else {
                    self.draw_and_drop::<f32>(plan);
                }
                Ok(())
            }
        }
    }

    /// Draws all values of a plan and discards them. `E` is the type in which torch computes the values.
    /// [`Torch::draw`] must support the plan.
    fn draw_and_drop<E: Element>(&mut self, plan: &Plan) {
        /// The number of values that are drawn at a time.
        const CHUNK: usize = 1 << 22;
        let count = plan.len();
        let whole = Region::whole(&[count]);
        let mut values = vec![E::default(); count.min(CHUNK)];
        let draw = |torch: &mut Self, first: usize, values: &mut [E]| {
            let slice = whole.all().slice(first, values.len());
            let part = Part { dtype: drawn_dtype(plan.dtype()), count, slice };
            torch.draw(plan.distribution_on_torch(), part, E::values(values), ByGroups::contiguous(count))
        };
        if count < BULK {
            draw(self, 0, &mut values);
            if let Distribution::Sparse { .. } = plan.distribution() {
                self.advance(words_of_permutations(plan.matrix()));
            }
            return;
        }
        // Each rejection pass of torch draws proposals for the whole tensor. `draw` returns the number of words of all
        // passes that a chunk needs. The whole fill takes the largest of these numbers.
        let mut words = 0;
        for first in (0..count).step_by(CHUNK) {
            let values = &mut values[..CHUNK.min(count - first)];
            words = words.max(draw(&mut self.clone(), first, values));
        }
        self.advance(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{F8E4M3, F8E5M2};
    use crate::plan::Truncation;

    /// Asserts that advancing by the number of words that [`Torch::words`] returns has the same effect on the generator
    /// as a fill. If `Torch::words` returns `None`, tests [`Torch::advance_past`] instead.
    fn check<E: Element>() {
        let truncated = |low, high, method| {
            let method = Some(method);
            Distribution::TruncatedNormal { mean: 0.0, std: 1.0, low, high, method }
        };
        for distribution in [
            Distribution::Constant { value: 1.0 },
            Distribution::Uniform { low: -1.0, high: 1.0 },
            Distribution::Normal { mean: 0.0, std: 1.0 },
            truncated(-1.0, 1.0, Truncation::InverseCdf),
            truncated(-1.0, 1.0, Truncation::Rejection),
            truncated(2.0, 3.0, Truncation::Rejection),
            Distribution::Sparse { zeros: 1, std: 1.0 },
            Distribution::Orthogonal { gain: 1.0 },
        ] {
            for shape in [[1, 1], [3, 5], [4, 4], [17, 1], [1, 31], [8, 8], [33, 5], [5, 0]] {
                let Ok(plan) = Plan::new(&shape, E::DTYPE, distribution) else { continue };
                let (mut filled, mut advanced) = (Torch::new(3), Torch::new(3));
                plan.fill(&mut vec![E::default(); plan.len()], &mut filled).unwrap();
                match Torch::words(&plan) {
                    Some(words) => advanced.advance(words),
                    None => {
                        let normals = !matches!(distribution, Distribution::TruncatedNormal { .. });
                        assert!(!normals || plan.len() < Torch::GROUP, "{distribution:?} {shape:?}");
                        advanced.advance_past(&plan).unwrap();
                    }
                }
                assert_eq!(filled, advanced, "{distribution:?} {shape:?} {}", E::DTYPE);
            }
        }
    }

    #[test]
    fn words_returns_the_number_of_words_that_a_fill_takes() {
        check::<f32>();
        check::<f64>();
        check::<half::f16>();
        check::<half::bf16>();
        check::<F8E4M3>();
        check::<F8E5M2>();
    }
}
