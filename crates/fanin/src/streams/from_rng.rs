//! `FromRng`, a stream that draws its words from any generator of the `rand` crates.

use rand_core::Rng;

use super::by_index::fill_by_index_in_sequence;
use super::checks::{check_method, check_no_random_functions, check_region, check_whole};
use super::fixed::fill_fixed;
use super::native::orthogonal_from;
use super::sequential_blocks::fill_blocks;
use super::sparse::Zeros;
use super::stream::Stream;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::region::Region;
use crate::rng::{GroupSource, GroupWords, LANES, Philox};
use crate::simd::{Level, SimdIsa};
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// A stream that draws its words from a generator that implements `rand_core::Rng`.
///
/// The stream takes 32-bit words from the generator in sequence, 64 at a time. It transforms the words to values as the
/// native stream does. For example, the i-th value of a uniform f32 tensor comes from the i-th word. Only whole tensors
/// can be filled, because the generator cannot skip to the words of a region.
///
/// ```
/// use fanin::{FromRng, init};
/// use rand::SeedableRng;
/// let mut rng = rand::rngs::StdRng::seed_from_u64(1);
/// let mut w = vec![0f32; 64];
/// init::orthogonal().fill(&mut w, &[8, 8], &mut FromRng::new(&mut rng))?;
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug)]
pub struct FromRng<'a, R: ?Sized> {
    rng: &'a mut R,
    level: Option<Level>,
}

impl<'a, R: Rng + ?Sized> FromRng<'a, R> {
    /// Creates a stream that draws its words from `rng`.
    pub fn new(rng: &'a mut R) -> Self {
        Self { rng, level: None }
    }

    /// Sets the SIMD level at which values are computed. If the CPU does not support `level`, the best supported level
    /// is used. The values do not depend on the level.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }
}

impl<R: Rng + ?Sized> GroupSource for FromRng<'_, R> {
    fn words<I: SimdIsa>(&mut self, _: u64) -> GroupWords {
        let mut words = [[0; LANES]; 4];
        words.as_flattened_mut().iter_mut().for_each(|word| *word = self.rng.next_u32());
        words
    }
}

impl<R: Rng + ?Sized> Stream for FromRng<'_, R> {
    fn fill(&mut self, plan: &Plan, mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        check_method(plan, "generator's")?;
        check_no_random_functions(plan, "generator's")?;
        let start = vec![0; plan.shape().len()];
        if tensor.is_empty() || fill_fixed(Threads::One, plan, &start, &mut tensor) {
            return Ok(());
        }
        if let Distribution::Blocks { .. } = plan.distribution() {
            return fill_blocks(self, plan, &mut tensor);
        }
        let level = self.level.unwrap_or_else(Level::best);
        if let Distribution::Orthogonal { gain } = plan.distribution() {
            return orthogonal_from(plan, gain, level, &mut *self).fill_region(&start, tensor);
        }
        let region = Region::whole(plan.shape());
        tensor.write_in(Order::Index, |mut memory| {
            let distribution = match plan.distribution() {
                Distribution::Sparse { std, .. } => Distribution::Normal { mean: 0.0, std },
                distribution => distribution,
            };
            fill_by_index_in_sequence(level, distribution, &mut *self, &region, memory.reborrow());
            if let Distribution::Sparse { zeros, .. } = plan.distribution() {
                let mut word = || self.rng.next_u32();
                let permutation = Philox::new([word(), word()], [word(), word()]);
                let (threads, rows) = (Threads::One, plan.matrix().0);
                Zeros { threads, level, permutation, rows, zeros }.clear(&region, memory);
            }
        });
        Ok(())
    }

    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        if tensor.shape() != plan.shape() {
            return Err(Error::NoRandomAccess { stream: "generator's" });
        }
        self.fill(plan, tensor)
    }
}
