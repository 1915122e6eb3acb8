//! Sparse matrices on the native stream, and the zeros of sparse matrices on the stream `FromRng`. The definition of
//! the native stream ([`crate::streams::native`]) specifies the zeros for both streams.

use std::ops::Range;

use super::by_index::{fill_by_index, fill_by_index_on};
use super::non_zeros::NonZeros;
use super::zero_mask::ZeroMask;
use crate::dtype::{Element, Values, values};
use crate::plan::Distribution;
use crate::region::Region;
use crate::rng::{Permutation, Philox, SHUFFLE_MAX, choose_by_shuffle};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::{cancel::check, threads::Threads};

/// The largest number of values that a thread computes at a time. A longer row is computed as a whole.
const CHUNK: usize = 1 << 16;

/// If fewer than one in `SPARSITY` values are non-zero, only these values are computed. Otherwise all values are
/// computed, and zeros then replace some of them.
const SPARSITY: usize = 4;

/// The set of the entries of a sparse matrix that are zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zeros {
    pub(super) threads: Threads,
    pub(super) level: Level,
    /// The generator of the words that select the zeros.
    pub(super) permutation: Philox,
    /// The number of rows of the matrix.
    pub(super) rows: usize,
    /// The number of zeros in each column.
    pub(super) zeros: usize,
}

impl Zeros {
    /// Writes the zeros of the matrix to `out`, the row-major memory of `region`. The other entries do not change.
    #[cfg(feature = "rand_core")]
    pub(super) fn clear(&self, region: &Region, out: Values<'_>) {
        let mask = self.mask(region);
        mask.clear(self.threads, self.level, out);
    }

    /// Returns the mask of the zeros of `region`.
    fn mask(&self, region: &Region) -> ZeroMask {
        let [down, across] = region.axes() else { unreachable!("sparse is a distribution of matrices") };
        ZeroMask::new(self.threads, down.size, across.size, |columns, words| {
            let rows = down.start..down.start + down.size;
            dispatch(self.level, FindZeros { zeros: self, rows, left: across.start, columns, words });
        })
    }
}

/// A sparse matrix. The entries in `zeros` are 0, and all other entries are normal values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sparse {
    pub(super) zeros: Zeros,
    /// The generator of the normal values.
    pub(super) values: Philox,
    /// The number of columns of the matrix.
    pub(super) columns: usize,
    /// The standard deviation of the normal values.
    pub(super) std: f64,
}

impl Sparse {
    /// Fills `out`, the row-major memory of `region`.
    pub(super) fn fill(&self, region: &Region, out: Values<'_>) {
        let Zeros { threads, level, rows, zeros, .. } = self.zeros;
        let distribution = Distribution::Normal { mean: 0.0, std: self.std };
        if zeros == 0 {
            return fill_by_index_on(threads, level, distribution, self.values, region, out);
        }
        let mask = self.zeros.mask(region);
        let few_kept = (rows - zeros).saturating_mul(SPARSITY) < rows;
        let [down, across] = region.axes() else { unreachable!("sparse is a distribution of matrices") };
        let (top, left, width) = (down.start, across.start, across.size);
        let band = (CHUNK / width).max(1) * width;
        values!(out, out => threads.chunks(out, band, |first, out| {
            let row = first / width;
            if few_kept {
                let corner = ((top + row) as u64, left as u64);
                let columns = self.columns as u64;
                let kept = NonZeros { engine: self.values, mask: &mask, row, corner, columns, width };
                kept.fill(level, self.std, Element::values(out));
            } else {
                let slice = region.all().slice(first, out.len());
                fill_by_index(level, distribution, &mut { self.values }, slice, Element::values(&mut *out));
                mask.clear_range(level, first, width, Element::values(out));
            }
        }));
    }
}

/// The kernel that sets the mask bits of the zeros in a range of columns.
struct FindZeros<'a> {
    zeros: &'a Zeros,
    /// The range of the matrix's rows that the mask covers.
    rows: Range<usize>,
    /// The index, in the matrix, of the first column that the mask covers.
    left: usize,
    /// The range of columns in which this kernel sets bits. Column 0 is the first column of the mask.
    columns: Range<usize>,
    /// The 64-bit words of the zero mask for the columns `columns`.
    words: &'a mut [u64],
}

impl Kernel for FindZeros<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { zeros, rows, left, columns, words } = self;
        let &Zeros { permutation: engine, rows: size, zeros, .. } = zeros;
        let height = rows.len();
        let permutation = Permutation::new(size as u64);
        // In a column of more than `SHUFFLE_MAX` rows, row r is zero if the permutation maps r to an image less than
        // `zeros`. The code computes the image of each row of the mask or, backwards, the row of each image in
        // `images`. The direction with fewer computations is used. `images` are the images of the zeros, or of the
        // non-zeros if these are fewer.
        let non_zeros = zeros > size / 2;
        let images = if non_zeros { zeros as u64..size as u64 } else { 0..zeros as u64 };
        let backwards = images.end - images.start < height as u64;
        for column in 0..columns.len() {
            check();
            let global = (left + columns.start + column) as u64;
            let (words, bit) = ZeroMask::column(words, height, column);
            if size <= SHUFFLE_MAX {
                let picked = choose_by_shuffle(&engine, global, size, zeros);
                for (word, &picked) in words.iter_mut().zip(&picked[rows.clone()]) {
                    *word |= if picked { bit } else { 0 };
                }
            } else if backwards {
                permutation.preimages::<I>(images.clone(), engine.block(global), |row| {
                    if let Some(word) = words.get_mut((row as usize).wrapping_sub(rows.start)) {
                        *word |= bit;
                    }
                });
            } else {
                permutation.images::<I>(
                    rows.start as u64..rows.end as u64,
                    engine.block(global),
                    |row, image| {
                        let zero = image < zeros as u64;
                        words[row as usize - rows.start] |= if zero { bit } else { 0 };
                    },
                );
            }
        }
        if backwards && non_zeros && size > SHUFFLE_MAX {
            words.iter_mut().for_each(|word| *word = !*word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::streams::Stream;
    use crate::streams::native::Native;
    use crate::tensor::TensorMut;

    /// Asserts that fills of whole matrices and of regions agree with the definition of the native stream.
    fn check<E: Element + PartialEq + std::fmt::Debug>(level: Level) {
        let std = 0.5;
        for (rows, columns) in [(40usize, 70usize), (256, 3), (257, 130), (700, 65)] {
            for zeros in [1, rows / 10, rows / 2 + 1, rows - rows / 10, rows - 1, rows] {
                let mut stream = Native::new(3).with_level(level).tensor("w");
                let shape = [rows, columns];
                let mut expected = vec![E::default(); rows * columns];
                Plan::new(&shape, E::DTYPE, Distribution::Normal { mean: 0.0, std })
                    .unwrap()
                    .fill(&mut expected, &mut stream)
                    .unwrap();
                let engine = stream.philox("permutation");
                for column in 0..columns {
                    let mut picked = vec![false; rows];
                    if rows <= SHUFFLE_MAX {
                        picked
                            .copy_from_slice(&choose_by_shuffle(&engine, column as u64, rows, zeros)[..rows]);
                    } else {
                        let key = engine.block(column as u64);
                        dispatch(Level::Scalar, Images { rows, key, zeros, picked: &mut picked });
                    }
                    assert_eq!(picked.iter().filter(|&&is| is).count(), zeros);
                    for (row, _) in picked.iter().enumerate().filter(|pair| *pair.1) {
                        expected[row * columns + column] = E::default();
                    }
                }
                let plan = Plan::new(&shape, E::DTYPE, Distribution::Sparse { zeros, std }).unwrap();
                for (start, size) in [
                    ([0, 0], shape),
                    ([rows / 2, columns / 3], [3, columns / 2]),
                    ([1, 0], [rows - 2, columns]),
                ] {
                    let mut found = vec![E::from_f64(7.0); size[0] * size[1]];
                    stream
                        .fill_region(&plan, &start, TensorMut::contiguous(&mut found, &size).unwrap())
                        .unwrap();
                    for (row, line) in found.chunks_exact(size[1]).enumerate() {
                        let whole = &expected[(start[0] + row) * columns + start[1]..][..size[1]];
                        assert_eq!(line, whole, "{rows} {columns} {zeros} {start:?} {row} {level:?}");
                    }
                }
            }
        }
    }

    /// The kernel that sets `picked[row]` to whether the permutation maps `row` to an index less than `zeros`.
    struct Images<'a> {
        rows: usize,
        key: [u32; 4],
        zeros: usize,
        picked: &'a mut [bool],
    }

    impl Kernel for Images<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: SimdIsa>(self) {
            let permutation = Permutation::new(self.rows as u64);
            permutation.images::<I>(0..self.rows as u64, self.key, |row, image| {
                self.picked[row as usize] = image < self.zeros as u64;
            });
        }
    }

    #[test]
    fn both_methods_to_find_the_zeros_agree_with_the_definition_of_the_native_stream() {
        for &level in Level::available() {
            check::<f32>(level);
            check::<f64>(level);
            check::<half::bf16>(level);
        }
    }
}
