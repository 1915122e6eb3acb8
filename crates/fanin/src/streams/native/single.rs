//! Fills tensors with values of the native stream, according to plans that do not consist of blocks.

use super::orthogonal::Orthogonal;
use super::tensor::NativeTensor;
use crate::cancel::check;
use crate::distributions::GROUP_32;
use crate::dtype::{DType, Element, Values, values};
use crate::error::Error;
use crate::plan::{Distribution, Functions, Plan};
use crate::region::{Chunks, Region};
use crate::rng::Philox;
use crate::simd::Level;
use crate::streams::by_index::{fill_by_index_on, fill_lower_normal};
use crate::streams::checks::{check_memory, check_region};
use crate::streams::fixed::fill_fixed;
use crate::streams::sparse::{Sparse, Zeros};
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// A plan without blocks, prepared to fill any region of one tensor.
#[derive(Debug, Clone)]
pub(in crate::streams) struct PreparedSingle {
    plan: Plan,
    level: Level,
    threads: Threads,
    drawn: Drawn,
}

/// How the values of a plan are computed: from words of a generator, or from the values of another plan.
#[derive(Debug, Clone)]
enum Drawn {
    /// Each value is computed from words of this generator. The index of the value determines which words are used.
    ByIndex(Philox),
    Sparse(Sparse),
    Orthogonal(Box<Orthogonal>),
    /// Functions of the values of another plan. The other plan has the same shape, and the element type f64.
    Mapped(Functions, Box<PreparedSingle>),
}

impl PreparedSingle {
    /// Prepares `plan` to fill regions of `tensor`. `plan` must not consist of blocks.
    ///
    /// # Errors
    /// `Memory` if the memory for the factorization of an orthogonal plan cannot be allocated.
    pub(super) fn new(tensor: &NativeTensor, plan: &Plan) -> Result<Self, Error> {
        let (level, threads) = (tensor.native.level(), tensor.native.threads);
        let double = plan.dtype() == DType::F64;
        let (rows, columns) = plan.matrix();
        let values = || tensor.philox(if double { "values64" } else { "values32" });
        let drawn = match plan.distribution() {
            Distribution::Orthogonal { gain } if !plan.is_empty() => {
                let short = rows.min(columns);
                // The reflection vectors take `rows * columns` values. Their inner products and the triangular factor
                // take `short * short` values each.
                check_memory(plan, rows as u128 * columns as u128 + 2 * short as u128 * short as u128)?;
                let philox = tensor.philox(if double { "reflections64" } else { "reflections32" });
                let draw = |out: Values<'_>| fill_lower_normal(threads, level, philox, short, out);
                Drawn::Orthogonal(Box::new(Orthogonal::new(plan, gain, level, threads, draw)))
            }
            Distribution::Sparse { zeros, std } => {
                let zeros = Zeros { threads, level, permutation: tensor.philox("permutation"), rows, zeros };
                Drawn::Sparse(Sparse { zeros, values: values(), columns, std })
            }
            Distribution::Mapped { functions } => {
                let argument = plan.argument().expect("a plan of functions has an argument");
                Drawn::Mapped(functions, Box::new(Self::new(tensor, argument)?))
            }
            _ => Drawn::ByIndex(values()),
        };
        Ok(Self { plan: plan.clone(), level, threads, drawn })
    }

    /// Fills `tensor` with the values of one region. The region begins at the index `start`, and has the shape of
    /// `tensor`.
    ///
    /// # Errors
    /// `Region` if the region exceeds the plan's shape. `ElementType` if `tensor` does not have the plan's element
    /// type.
    pub(in crate::streams) fn fill_region(
        &self,
        start: &[usize],
        mut tensor: TensorMut<'_>,
    ) -> Result<(), Error> {
        check_region(&self.plan, start, &tensor)?;
        if tensor.is_empty() || fill_fixed(self.threads, &self.plan, start, &mut tensor) {
            return Ok(());
        }
        if let Drawn::ByIndex(values) = self.drawn
            && !tensor.is_contiguous()
        {
            self.fill_strided(values, start, tensor);
            return Ok(());
        }
        if let Drawn::Mapped(functions, argument) = &self.drawn {
            return fill_mapped(*functions, argument, start, &mut tensor);
        }
        let region = Region::new(self.plan.shape(), start, tensor.shape());
        tensor.write_in(Order::Index, |memory| match &self.drawn {
            Drawn::ByIndex(values) => {
                let distribution = self.plan.distribution();
                fill_by_index_on(self.threads, self.level, distribution, *values, &region, memory);
            }
            Drawn::Sparse(sparse) => sparse.fill(&region, memory),
            Drawn::Orthogonal(orthogonal) => orthogonal.fill(&region, memory),
            Drawn::Mapped(..) => unreachable!("functions are filled above"),
        });
        Ok(())
    }

    /// Fills strided memory with uniform, normal or truncated normal values. Slabs of the memory are filled in
    /// parallel, in tiles of several rows. A tile is computed in contiguous memory that stays in the L1 or L2 cache,
    /// and is then copied.
    fn fill_strided(&self, values: Philox, start: &[usize], tensor: TensorMut<'_>) {
        /// The number of values in a tile.
        const TILE: usize = 1 << 13;
        let last = start.len() - 1;
        // Along the last axis, the length of a slab is a multiple of the group size. Two slabs then share no group, if
        // the rows begin at group boundaries.
        let length = |axis: usize, values_each: usize| {
            let length = TILE.div_ceil(values_each);
            if axis == last { length.next_multiple_of(GROUP_32) } else { length }
        };
        let Some((axis, slabs)) = tensor.slabs(length) else { return };
        // If several slabs are filled in parallel, each slab is filled by one thread.
        let inside = if slabs.len() > 1 { Threads::One } else { self.threads };
        self.threads.for_each(slabs, |(begin, mut slab): (usize, TensorMut<'_>)| {
            let mut start = start.to_vec();
            start[axis] += begin;
            let mut size = slab.shape().to_vec();
            let rows = size[0];
            let step = (TILE / (slab.len() / rows)).clamp(1, rows);
            let top = start[0];
            for first in (0..rows).step_by(step) {
                size[0] = step.min(rows - first);
                start[0] = top + first;
                let region = Region::new(self.plan.shape(), &start, &size);
                slab.write_rows(first..first + size[0], |copy| {
                    fill_by_index_on(inside, self.level, self.plan.distribution(), values, &region, copy);
                });
            }
        });
    }
}

/// Applies `functions` to the values of one region of the f64 plan `argument`, and writes the results to `tensor`. The
/// region begins at the index `start`, and has the shape of `tensor`.
fn fill_mapped(
    functions: Functions,
    argument: &PreparedSingle,
    start: &[usize],
    tensor: &mut TensorMut<'_>,
) -> Result<(), Error> {
    /// The number of values in a chunk.
    const CHUNK: usize = 1 << 14;
    let shape = tensor.shape().to_vec();
    let axes: Vec<usize> = (0..shape.len()).collect();
    let mut arguments = vec![0f64; CHUNK.min(tensor.len())];
    for (first, size) in Chunks::new(&shape, CHUNK) {
        check();
        let count = size.iter().product();
        let arguments = &mut arguments[..count];
        let begin: Vec<usize> = start.iter().zip(&first).map(|(start, first)| start + first).collect();
        argument.fill_region(&begin, TensorMut::contiguous(arguments, &size)?)?;
        tensor.view(&first, &axes, &size).write_in(Order::Index, |memory| {
            values!(memory, memory => {
                for (out, x) in memory.iter_mut().zip(&*arguments) {
                    *out = Element::from_f64(functions.apply(*x));
                }
            });
        });
    }
    Ok(())
}

/// Prepares an orthogonal plan with words from `source`. The words are drawn in sequence, on the calling thread.
#[cfg(feature = "rand_core")]
pub(in crate::streams) fn orthogonal_from(
    plan: &Plan,
    gain: f64,
    level: Level,
    source: impl crate::rng::GroupSource,
) -> PreparedSingle {
    let threads = Threads::One;
    let (rows, columns) = plan.matrix();
    let orthogonal = Orthogonal::new(plan, gain, level, threads, |out| {
        crate::streams::by_index::fill_lower_normal_in_sequence(level, source, rows.min(columns), out);
    });
    PreparedSingle { plan: plan.clone(), level, threads, drawn: Drawn::Orthogonal(Box::new(orthogonal)) }
}
