//! Fills sparse matrices with values of the torch stream. For each column, torch draws a random permutation of the
//! rows. The column is zero in the first `zeros` rows of its permutation.

use super::cursor::Cursor;
use super::generator::Torch;
use super::partition::Cost;
use super::wide::Wide;
use super::words::{Groups, words_of_permutation};
use crate::dtype::{DType, Values, values};
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::region::Region;
use crate::rng::Mt19937;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::streams::checks::check_memory_bytes;
use crate::streams::zero_mask::ZeroMask;
use crate::tensor::TensorMut;
use crate::{cancel::check, threads::Threads};

/// The number of normal values that are drawn before 0 is written to the zero entries among them. The values are then
/// still in the cache.
const IN_CACHE: usize = 1 << 14;

/// Returns the number of bytes of temporary memory that are needed to find the zeros of `width` columns.
fn memory(threads: Threads, plan: &Plan, zeros: usize, width: usize) -> u128 {
    let (rows, zeros) = (plan.matrix().0 as u128, zeros as u128);
    let each_thread = INTERLEAVED as u128 * (rows + zeros * size_of::<u32>() as u128);
    let divisors = 2 * zeros * size_of::<f64>() as u128;
    ZeroMask::threads(threads, width) as u128 * each_thread + divisors
}

impl Torch {
    /// Returns the error `Memory` if the temporary memory for the zeros of `width` columns cannot be allocated.
    pub(super) fn check_memory_of_zeros(&self, plan: &Plan, width: usize) -> Result<(), Error> {
        match plan.distribution() {
            Distribution::Sparse { zeros: zeros @ 1.., .. } if width > 0 => {
                check_memory_bytes(plan, memory(self.threads, plan, zeros, width))
            }
            _ => Ok(()),
        }
    }

    /// Fills `out` with a whole sparse matrix in row-major order. The normal values are drawn in groups (see
    /// [`Groups`]).
    ///
    /// Advances the generator past the words of the normal values, but not past the words of the permutations.
    pub(super) fn sparse(&mut self, plan: &Plan, (zeros, std): (usize, f64), out: Values<'_>) {
        let (rows, columns) = plan.matrix();
        let groups = Groups::new(plan.dtype(), out.len());
        let mut after = self.engine.clone();
        after.advance_at(self.level(), groups.total);
        let mask = self.zero_mask(&after, plan, zeros, &[0, 0], [rows, columns]);
        if plan.dtype() == DType::F64 {
            self.draw_masked::<f64>(&groups, std, (&mask, columns), out);
        } else {
            self.draw_masked::<f32>(&groups, std, (&mask, columns), out);
        }
    }

    /// Fills `out` with normal values, and with zeros where `mask` is set. `columns` is the number of columns of the
    /// matrix.
    fn draw_masked<W: Wide>(
        &mut self,
        groups: &Groups,
        std: f64,
        (mask, columns): (&ZeroMask, usize),
        out: Values<'_>,
    ) {
        let level = self.level();
        let whole = Region::whole(&[out.len()]);
        let draw = |cursor: &mut Cursor<'_, W>, first: u64, out: &mut [W]| {
            for (number, out) in out.chunks_mut(IN_CACHE).enumerate() {
                let first = first + (number * IN_CACHE) as u64;
                cursor.normals(groups, (0.0, std), first, out);
                mask.clear_range(level, first as usize, columns, W::values(out));
            }
        };
        self.draw_runs::<W>(Cost::of_normals::<W>(), (whole.all(), groups.total), out, &draw);
    }

    /// Returns the zero mask of a region of the matrix. The region begins at the index `start`, and must not be empty.
    /// The next word of `engine` must be the first random word of the permutations (see the module documentation).
    fn zero_mask(
        &self,
        engine: &Mt19937,
        plan: &Plan,
        zeros: usize,
        start: &[usize],
        [height, width]: [usize; 2],
    ) -> ZeroMask {
        let (rows, level) = (plan.matrix().0, self.level());
        let steps = ShuffleSteps::new(rows, zeros);
        ZeroMask::new(self.threads, height, width, |columns, mask| {
            let mut engine = engine.clone();
            engine.advance_at(level, (start[1] + columns.start) as u64 * words_of_permutation(rows));
            let columns = columns.len();
            let top = start[0];
            let find = FindZeros { engine: &mut engine, level, steps: &steps, top, height, columns, mask };
            dispatch(level, find);
        })
    }

    /// Writes the zeros of a sparse matrix to `tensor`. `tensor` is the region of the matrix that begins at the index
    /// `start`. The next word of the generator must be the first random word of the permutations (see the module
    /// documentation).
    pub(super) fn write_zeros(&self, plan: &Plan, zeros: usize, start: &[usize], tensor: &mut TensorMut<'_>) {
        let [height, width] = [tensor.shape()[0], tensor.shape()[1]];
        if height > 0 && width > 0 && zeros > 0 {
            let mask = self.zero_mask(&self.engine, plan, zeros, start, [height, width]);
            self.clear(&mask, tensor);
        }
    }

    /// Writes 0 to each element of `tensor` whose bit is set in `mask`.
    fn clear(&self, mask: &ZeroMask, tensor: &mut TensorMut<'_>) {
        let (row_stride, column_stride) = tensor.matrix_strides();
        let contiguous = tensor.is_contiguous();
        let (memory, origin) = tensor.element(&[0, 0]);
        if contiguous {
            return mask.clear(self.threads, self.level(), memory);
        }
        values!(memory, memory => {
            mask.for_each_zero(|row, column| {
                let offset = row as isize * row_stride + column as isize * column_stride;
                memory[(origin as isize + offset) as usize] = Default::default();
            });
        });
    }
}

/// The first steps of a forward Fisher-Yates shuffle of the rows. Each step selects one row to be zero.
struct ShuffleSteps {
    rows: usize,
    zeros: usize,
    /// For each step of the shuffle, the number of rows from which the step selects one row.
    divisors: Vec<f64>,
    /// The reciprocals of the divisors.
    reciprocals: Vec<f64>,
}

impl ShuffleSteps {
    /// Creates the steps for columns with `rows` rows and `zeros` zeros.
    fn new(rows: usize, zeros: usize) -> Self {
        // The last step of a full shuffle draws no word, because only one row remains.
        let steps = zeros.min(rows - 1);
        let divisors: Vec<f64> = (0..steps).map(|step| (rows - step) as f64).collect();
        let reciprocals = divisors.iter().map(|divisor| 1.0 / divisor).collect();
        Self { rows, zeros, divisors, reciprocals }
    }

    /// Replaces word k by the remainder `word % divisors[k]`.
    ///
    /// The quotient is rounded to the nearest integer. If the quotient is too high by one, the remainder is negative,
    /// and `divisor` is added. The result is exact, because all integers are of magnitude less than 2^53.
    #[inline(always)]
    fn remainders(&self, words: &mut [u32]) {
        const SHIFT: f64 = (1u64 << 52) as f64;
        for ((word, divisor), reciprocal) in words.iter_mut().zip(&self.divisors).zip(&self.reciprocals) {
            let x = f64::from_bits(SHIFT.to_bits() | u64::from(*word)) - SHIFT;
            let quotient = (x * reciprocal + SHIFT) - SHIFT;
            let remainder = x - quotient * divisor;
            let remainder = if remainder < 0.0 { remainder + divisor } else { remainder };
            *word = (remainder + SHIFT).to_bits() as u32;
        }
    }

    /// Sets the flags in `kept` for `N` columns. The flag of a row is 0 if the column is zero in this row, and 1
    /// otherwise.
    ///
    /// The zeros of a column are selected by a shuffle of the list of rows. After the shuffle, the first `zeros` rows
    /// of the list have the flag 0, and all others have the flag 1. The function sets the flags to these values. It
    /// then undoes the swaps of the shuffle, the last swap first. This moves each flag to the index of its row.
    ///
    /// Swap k exchanges flag k with flag `j = k + remainders[column][k]`, which is flag k itself or a later flag. Swaps
    /// from number `zeros` on exchange only flags that are 1, so they need not be undone.
    ///
    /// Before swap k is undone, only the swaps after swap k have been undone. These swaps exchange only flags after
    /// flag k, so flag k is still 0. To undo swap k, it is therefore sufficient to copy flag j to flag k, and to set
    /// flag j to 0.
    ///
    /// A swap may have to wait for a flag that the previous swap wrote. The columns are interleaved, so that the CPU
    /// executes a swap of another column during this time.
    #[inline(always)]
    fn find_kept<const N: usize>(
        &self,
        remainders: &[Vec<u32>; INTERLEAVED],
        kept: &mut [Vec<u8>; INTERLEAVED],
    ) {
        let steps = self.divisors.len();
        for (kept, remainders) in kept.iter_mut().zip(remainders).take(N) {
            assert!(kept.len() == self.rows && remainders.len() == steps);
            kept[..self.zeros].fill(0);
            kept[self.zeros..].fill(1);
        }
        for step in (0..steps).rev() {
            for column in 0..N {
                let (kept, remainder) = (&mut kept[column], remainders[column][step] as usize);
                let flag = std::mem::take(&mut kept[step + remainder]);
                kept[step] = flag;
            }
        }
    }
}

/// The number of columns whose shuffles are interleaved. The number is small, so that the words and the flags of these
/// columns stay in the L1 cache.
const INTERLEAVED: usize = 2;

/// The kernel that sets the mask bits of the zeros in a range of columns.
struct FindZeros<'a> {
    /// The generator. Its next words give the permutation of the first column in the range.
    engine: &'a mut Mt19937,
    level: Level,
    steps: &'a ShuffleSteps,
    /// The index, in the matrix, of the first row that the mask covers. The mask covers `height` rows.
    top: usize,
    height: usize,
    /// The number of columns in the range.
    columns: usize,
    /// The 64-bit words of the [`ZeroMask`] that contain the bits of the range's columns.
    mask: &'a mut [u64],
}

impl Kernel for FindZeros<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { engine, level, steps, top, height, columns, mask } = self;
        let mut words: [_; INTERLEAVED] = std::array::from_fn(|_| vec![0u32; steps.divisors.len()]);
        let mut kept: [_; INTERLEAVED] = std::array::from_fn(|_| vec![0u8; steps.rows]);
        for first in (0..columns).step_by(INTERLEAVED) {
            check();
            let count = INTERLEAVED.min(columns - first);
            for words in words.iter_mut().take(count) {
                engine.words::<I>(words);
                engine.advance_at(level, (steps.rows - 1 - words.len()) as u64);
                steps.remainders(words);
            }
            match count {
                INTERLEAVED => steps.find_kept::<INTERLEAVED>(&words, &mut kept),
                _ => steps.find_kept::<1>(&words, &mut kept),
            }
            for (column, kept) in (first..).zip(&kept).take(count) {
                let (words, bit) = ZeroMask::column(mask, height, column);
                let shift = bit.trailing_zeros();
                for (word, &kept) in words.iter_mut().zip(&kept[top..]) {
                    *word |= u64::from(kept) << shift;
                }
            }
        }
        // At this point, the bits of the non-zeros are set. Inverting all words sets the bits of the zeros instead.
        mask.iter_mut().for_each(|word| *word = !*word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_computed_in_f64_equal_integer_remainders() {
        for rows in [2usize, 3, 7, 2048, 65_537, 4_294_967_295] {
            let count = rows.min(3000);
            let mut steps = ShuffleSteps::new(rows, 1);
            steps.divisors = (0..count).map(|step| (rows - step.min(rows - 2)) as f64).collect();
            steps.reciprocals = steps.divisors.iter().map(|divisor| 1.0 / divisor).collect();
            for word in [0u32, 1, 2, rows as u32, 1 << 31, u32::MAX - 1, u32::MAX, 0x9E37_79B9] {
                let mut words: Vec<u32> = (0..count as u32).map(|k| word.wrapping_add(k / 2)).collect();
                let expected: Vec<u32> =
                    words.iter().zip(&steps.divisors).map(|(word, divisor)| word % *divisor as u32).collect();
                steps.remainders(&mut words);
                assert_eq!(words, expected, "{rows} {word}");
                // The tested words are multiples of a divisor, and the integers next to these multiples.
                for shift in [0, 1, u32::MAX] {
                    let near = |k: usize| {
                        let divisor = steps.divisors[k] as u32;
                        (word / divisor * divisor).wrapping_add(shift)
                    };
                    let mut words: Vec<u32> = (0..count).map(near).collect();
                    steps.remainders(&mut words);
                    let expected: Vec<u32> = (0..count).map(|k| near(k) % steps.divisors[k] as u32).collect();
                    assert_eq!(words, expected, "{rows} {word} {shift}");
                }
            }
        }
    }
}
