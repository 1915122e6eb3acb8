//! The zeros of `sparse`: the first rows of a permutation for each column, columns at once.

use super::super::fill::Region;
use super::super::room_for_bytes;
use super::super::zero_mask::ZeroMask;
use super::Torch;
use super::draw::Groups;
use super::partition::Cost;
use crate::dtype::{Element, values};
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::rng::Mt19937;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::tensor::TensorMut;
use crate::{cancel::check, threads::Threads};

/// Values that are made, and their zeros written, while they are in the cache.
const NEAR: usize = 1 << 14;

/// Words that the zeros of a matrix take.
pub(super) fn words(plan: &Plan) -> u64 {
    let (rows, columns) = plan.matrix();
    columns as u64 * words_of_column(rows)
}

/// Words that the permutation of a column takes: the last row is where it must be.
fn words_of_column(rows: usize) -> u64 {
    rows.saturating_sub(1) as u64
}

/// Bytes that the zeros of so many columns take while they are looked for.
fn memory(threads: Threads, plan: &Plan, zeros: usize, width: usize) -> u128 {
    let (rows, zeros) = (plan.matrix().0 as u128, zeros as u128);
    let a_thread = SIDE_BY_SIDE as u128 * (rows + zeros * size_of::<u32>() as u128);
    let divisors = 2 * zeros * size_of::<f64>() as u128;
    ZeroMask::parts(threads, width) as u128 * a_thread + divisors
}

impl Torch {
    /// `Err` if there is no room to look for the zeros of so many columns of a plan, if it has any.
    pub(super) fn room_for_zeros(&self, plan: &Plan, width: usize) -> Result<(), Error> {
        match plan.distribution() {
            Distribution::Sparse { zeros: zeros @ 1.., .. } if width > 0 => {
                room_for_bytes(plan, memory(self.threads, plan, zeros, width))
            }
            _ => Ok(()),
        }
    }

    /// All of a matrix in row-major memory, of so many values that torch draws them by groups. The words of the zeros are not
    /// passed.
    pub(super) fn sparse<E: Element>(&mut self, plan: &Plan, (zeros, std): (usize, f64), out: &mut [E]) {
        let (rows, columns) = plan.matrix();
        let groups = Groups::<E>::new(out.len());
        let mut after = self.engine.clone();
        let level = self.level();
        after.advance_at(level, groups.all);
        let marks = self.marks(&after, plan, zeros, &[0, 0], [rows, columns]);
        let whole = Region::whole(&[out.len()]);
        self.spread(Cost::of_normals::<E>(), (whole.span(), groups.all), out, |cursor, first, out| {
            for (number, out) in out.chunks_mut(NEAR).enumerate() {
                let first = first + (number * NEAR) as u64;
                cursor.normals(&groups, (0.0, std), first, out);
                marks.clear_stretch(level, first as usize, columns, out);
            }
        });
    }

    /// The zeros of a box of a matrix, none of whose sizes is zero, from an engine that comes to them next.
    fn marks(
        &self,
        engine: &Mt19937,
        plan: &Plan,
        zeros: usize,
        start: &[usize],
        [height, width]: [usize; 2],
    ) -> ZeroMask {
        let (rows, level) = (plan.matrix().0, self.level());
        let steps = Remainders::new(rows, zeros);
        ZeroMask::new(self.threads, height, width, |columns, words| {
            let mut engine = engine.clone();
            engine.advance_at(level, (start[1] + columns.start) as u64 * words_of_column(rows));
            let columns = columns.len();
            let mark =
                Mark { engine: &mut engine, level, steps: &steps, top: start[0], height, columns, words };
            dispatch(level, mark);
        })
    }

    /// Writes zeros into the box of a matrix that begins at `start`: in each column at the first rows of
    /// `torch.randperm(rows)`. Their words are not passed.
    pub(super) fn punch(&self, plan: &Plan, zeros: usize, start: &[usize], tensor: &mut TensorMut<'_>) {
        let [height, width] = [tensor.shape()[0], tensor.shape()[1]];
        if height > 0 && width > 0 && zeros > 0 {
            let marks = self.marks(&self.engine, plan, zeros, start, [height, width]);
            self.clear(&marks, tensor);
        }
    }

    /// Writes zeros where a bit is set.
    fn clear(&self, marks: &ZeroMask, tensor: &mut TensorMut<'_>) {
        let (row_step, column_step) = tensor.matrix_steps();
        let contiguous = tensor.is_contiguous();
        let (memory, origin) = tensor.place(&[0, 0]);
        values!(memory, memory => {
            if contiguous {
                return marks.clear(self.threads, self.level(), memory);
            }
            marks.each(|row, column| {
                let step = row as isize * row_step + column as isize * column_step;
                memory[(origin as isize + step) as usize] = Default::default();
            });
        });
    }
}

/// The divisors of a forward Fisher-Yates shuffle's first steps, and their reciprocals.
struct Remainders {
    rows: usize,
    zeros: usize,
    divisors: Vec<f64>,
    reciprocals: Vec<f64>,
}

impl Remainders {
    fn new(rows: usize, zeros: usize) -> Self {
        // The last row is where it must be, and takes no word.
        let steps = zeros.min(rows - 1);
        let divisors: Vec<f64> = (0..steps).map(|step| (rows - step) as f64).collect();
        let reciprocals = divisors.iter().map(|divisor| 1.0 / divisor).collect();
        Self { rows, zeros, divisors, reciprocals }
    }

    /// Each word modulo its divisor. The quotient, rounded to nearest, is one too high where the rest is then negative; all
    /// steps are exact, since every number is an integer below 2^53.
    #[inline(always)]
    fn reduce(&self, words: &mut [u32]) {
        const SHIFT: f64 = (1u64 << 52) as f64;
        for ((word, divisor), reciprocal) in words.iter_mut().zip(&self.divisors).zip(&self.reciprocals) {
            let x = f64::from_bits(SHIFT.to_bits() | u64::from(*word)) - SHIFT;
            let quotient = (x * reciprocal + SHIFT) - SHIFT;
            let rest = x - quotient * divisor;
            let rest = if rest < 0.0 { rest + divisor } else { rest };
            *word = (rest + SHIFT).to_bits() as u32;
        }
    }

    /// Sets a 1 for each row that the shuffle leaves behind its first ones, in each of some columns. From the last step to the
    /// first: step k swaps the place k, at which none of them can be any more, with another, at which one may be. A step may
    /// want what the one before has just written, and waits for it: meanwhile there is another column's.
    #[inline(always)]
    fn keep<const N: usize>(&self, rests: &[Vec<u32>; SIDE_BY_SIDE], kept: &mut [Vec<u8>; SIDE_BY_SIDE]) {
        let steps = self.divisors.len();
        for (kept, rests) in kept.iter_mut().zip(rests).take(N) {
            assert!(kept.len() == self.rows && rests.len() == steps);
            kept[..self.zeros].fill(0);
            kept[self.zeros..].fill(1);
        }
        for step in (0..steps).rev() {
            for column in 0..N {
                let (kept, rest) = (&mut kept[column], rests[column][step] as usize);
                let is = std::mem::take(&mut kept[step + rest]);
                kept[step] = is;
            }
        }
    }
}

/// Columns that are shuffled by turns: their words and rows stay in the nearest cache.
const SIDE_BY_SIDE: usize = 2;

/// ZeroMask the zeros of consecutive columns.
struct Mark<'a> {
    engine: &'a mut Mt19937,
    level: Level,
    steps: &'a Remainders,
    /// The rows that are wanted.
    top: usize,
    height: usize,
    columns: usize,
    words: &'a mut [u64],
}

impl Kernel for Mark<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { engine, level, steps, top, height, columns, words: marks } = self;
        let mut words: [_; SIDE_BY_SIDE] = std::array::from_fn(|_| vec![0u32; steps.divisors.len()]);
        let mut kept: [_; SIDE_BY_SIDE] = std::array::from_fn(|_| vec![0u8; steps.rows]);
        for first in (0..columns).step_by(SIDE_BY_SIDE) {
            check();
            let count = SIDE_BY_SIDE.min(columns - first);
            for words in words.iter_mut().take(count) {
                engine.words::<I>(words);
                engine.advance_at(level, (steps.rows - 1 - words.len()) as u64);
                steps.reduce(words);
            }
            match count {
                SIDE_BY_SIDE => steps.keep::<SIDE_BY_SIDE>(&words, &mut kept),
                _ => steps.keep::<1>(&words, &mut kept),
            }
            for (column, kept) in (first..).zip(&kept).take(count) {
                let (marks, bit) = ZeroMask::of_column(marks, height, column);
                let shift = bit.trailing_zeros();
                for (mark, &kept) in marks.iter_mut().zip(&kept[top..]) {
                    *mark |= u64::from(kept) << shift;
                }
            }
        }
        marks.iter_mut().for_each(|mark| *mark = !*mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_exact() {
        for rows in [2usize, 3, 7, 2048, 65_537, 4_294_967_295] {
            let count = rows.min(3000);
            let mut steps = Remainders::new(rows, 1);
            steps.divisors = (0..count).map(|step| (rows - step.min(rows - 2)) as f64).collect();
            steps.reciprocals = steps.divisors.iter().map(|divisor| 1.0 / divisor).collect();
            for word in [0u32, 1, 2, rows as u32, 1 << 31, u32::MAX - 1, u32::MAX, 0x9E37_79B9] {
                let mut words: Vec<u32> = (0..count as u32).map(|k| word.wrapping_add(k / 2)).collect();
                let expected: Vec<u32> =
                    words.iter().zip(&steps.divisors).map(|(word, divisor)| word % *divisor as u32).collect();
                steps.reduce(&mut words);
                assert_eq!(words, expected, "{rows} {word}");
                // Multiples of a divisor, and their neighbours.
                for shift in [0, 1, u32::MAX] {
                    let near = |k: usize| {
                        let divisor = steps.divisors[k] as u32;
                        (word / divisor * divisor).wrapping_add(shift)
                    };
                    let mut words: Vec<u32> = (0..count).map(near).collect();
                    steps.reduce(&mut words);
                    let expected: Vec<u32> = (0..count).map(|k| near(k) % steps.divisors[k] as u32).collect();
                    assert_eq!(words, expected, "{rows} {word} {shift}");
                }
            }
        }
    }
}
