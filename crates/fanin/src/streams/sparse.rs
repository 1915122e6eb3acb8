//! `sparse` on the native stream and on `FromRng`. [`crate::streams::native`] defines which entries are zero. This module
//! locates either the zeros or the non-zeros, whichever are fewer.

use std::ops::Range;

use super::by_index::{fill_by_index, fill_by_index_on};
use super::zero_mask::{BLOCK, ZeroMask};
use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{Element, Values, values};
use crate::plan::Distribution;
use crate::region::Region;
use crate::rng::{FEW, LANES, Permutation, Philox, few};
use crate::simd::{Isa, Kernel, Level, dispatch};
use crate::{cancel::check, threads::Threads};

/// Number of values that one thread computes at a time, rounded down to whole rows.
const CHUNK: usize = 1 << 16;

/// If fewer than one in this many values is not zero, only the non-zero values are computed.
const SPARSITY: usize = 4;

/// Where the zeros of a sparse matrix are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zeros {
    pub(super) threads: Threads,
    pub(super) level: Level,
    pub(super) permutation: Philox,
    /// Number of rows of the matrix.
    pub(super) rows: usize,
    /// Number of zeros in each column.
    pub(super) zeros: usize,
}

impl Zeros {
    /// Writes the zeros of `region` to `out`, its row-major memory.
    #[cfg(feature = "rand_core")]
    pub(super) fn clear(&self, region: &Region, out: Values<'_>) {
        let mask = self.mask(region);
        values!(out, out => mask.clear(self.threads, self.level, out));
    }

    /// The mask of the zeros of `region`.
    fn mask(&self, region: &Region) -> ZeroMask {
        let [down, across] = region.axes() else { unreachable!("sparse is a distribution of matrices") };
        ZeroMask::new(self.threads, down.size, across.size, |columns, words| {
            let rows = down.start..down.start + down.size;
            dispatch(self.level, FindZeros { zeros: self, rows, left: across.start, columns, words });
        })
    }
}

/// A sparse matrix: its normal values and its zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sparse {
    pub(super) zeros: Zeros,
    pub(super) values: Philox,
    /// Number of columns of the matrix.
    pub(super) columns: usize,
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
                let kept = Kept { engine: self.values, mask: &mask, row, corner, columns, width };
                kept.fill(level, self.std, Element::values(out));
            } else {
                let slice = region.all().slice(first, out.len());
                fill_by_index(level, distribution, self.values, slice, Element::values(&mut *out));
                mask.clear_range(level, first, width, out);
            }
        }));
    }
}

/// The kernel that sets the mask bits of the zeros of some consecutive columns.
struct FindZeros<'a> {
    zeros: &'a Zeros,
    /// The rows of the matrix that the mask covers.
    rows: Range<usize>,
    /// The column of the matrix at which the mask begins.
    left: usize,
    /// The columns to work on, counted from `left`.
    columns: Range<usize>,
    words: &'a mut [u64],
}

impl Kernel for FindZeros<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { zeros, rows, left, columns, words } = self;
        let &Zeros { permutation: engine, rows: size, zeros, .. } = zeros;
        let height = rows.len();
        let permutation = Permutation::new(size as u64);
        // Either forwards, from each row to its image; or backwards, from the images of the zeros, or of the non-zeros if
        // these are fewer.
        let non_zeros = zeros > size / 2;
        let images = if non_zeros { zeros as u64..size as u64 } else { 0..zeros as u64 };
        let backwards = images.end - images.start < height as u64;
        for column in 0..columns.len() {
            check();
            let global = (left + columns.start + column) as u64;
            let (words, bit) = ZeroMask::column(words, height, column);
            if size <= FEW {
                let picked = few(&engine, global, size, zeros);
                for (word, &picked) in words.iter_mut().zip(&picked[rows.clone()]) {
                    *word |= if picked { bit } else { 0 };
                }
            } else if backwards {
                permutation.places::<I>(images.clone(), engine.block(global), |row| {
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
        if backwards && non_zeros && size > FEW {
            words.iter_mut().for_each(|word| *word = !*word);
        }
    }
}

/// The non-zero values of a band of rows, computed one by one.
#[derive(Clone, Copy)]
struct Kept<'a> {
    engine: Philox,
    mask: &'a ZeroMask,
    /// The band's first row in the mask.
    row: usize,
    /// Row and column of the matrix at which the band begins.
    corner: (u64, u64),
    /// Number of columns of the matrix.
    columns: u64,
    /// Number of columns of the band.
    width: usize,
}

impl Kept<'_> {
    /// Fills `out`, the memory of the band.
    fn fill(self, level: Level, std: f64, out: Values<'_>) {
        let transform = Normal32::new(0.0, std);
        match out {
            Values::F32(out) => dispatch(level, Kept32 { kept: self, transform, out }),
            Values::F16(out) => dispatch(level, Kept32 { kept: self, transform, out }),
            Values::BF16(out) => dispatch(level, Kept32 { kept: self, transform, out }),
            Values::F8E4M3(out) => dispatch(level, Kept32 { kept: self, transform, out }),
            Values::F8E5M2(out) => dispatch(level, Kept32 { kept: self, transform, out }),
            Values::F64(out) => {
                dispatch(level, Kept64 { kept: self, transform: Normal64::new(0.0, std), out })
            }
        }
    }

    #[inline(always)]
    fn write<I: Isa, E: Element>(self, distribution: impl Single<E>, out: &mut [E]) {
        let Self { mask, corner, columns, width, .. } = self;
        out.fill(E::default());
        // Offsets in the band, and row-major indices in the matrix, of values that are not computed yet.
        let mut offsets = [0usize; BLOCK + AT_ONCE];
        let mut indices = [0u64; BLOCK + AT_ONCE];
        let mut pending = 0;
        for row in 0..out.len() / width {
            let first = (corner.0 + row as u64) * columns + corner.1;
            for (block, zeros) in mask.row(self.row + row).enumerate() {
                let left = block * BLOCK;
                let inside = u64::MAX >> (BLOCK - BLOCK.min(width - left));
                let mut kept = !zeros & inside;
                while kept != 0 {
                    let column = left + kept.trailing_zeros() as usize;
                    kept &= kept - 1;
                    offsets[pending] = row * width + column;
                    indices[pending] = first + column as u64;
                    pending += 1;
                }
                let mut done = 0;
                while pending - done >= AT_ONCE {
                    self.compute::<I, E>(&distribution, &offsets[done..][..AT_ONCE], &indices[done..], out);
                    done += AT_ONCE;
                }
                if done > 0 {
                    offsets.copy_within(done..pending, 0);
                    indices.copy_within(done..pending, 0);
                    pending -= done;
                }
            }
        }
        self.compute::<I, E>(&distribution, &offsets[..pending], &indices, out);
    }

    /// Computes the values at `indices` and writes them to `out` at `offsets`. `indices` may be longer than `offsets`.
    #[inline(always)]
    fn compute<I: Isa, E: Element>(
        &self,
        distribution: &impl Single<E>,
        offsets: &[usize],
        indices: &[u64],
        out: &mut [E],
    ) {
        let indices = indices.first_chunk().expect("the array has room for AT_ONCE more");
        let mut values = [E::default(); AT_ONCE];
        distribution.values::<I>(self.engine, indices, &mut values);
        for (&offset, &value) in offsets.iter().zip(&values) {
            out[offset] = value;
        }
    }
}

/// Number of values that are computed together.
const AT_ONCE: usize = 2 * LANES;

/// A distribution that can compute values at arbitrary indices. Implementations are `#[inline(always)]`.
trait Single<E> {
    /// Computes the values at these row-major indices.
    fn values<I: Isa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]);
}

/// For values in groups of `N`: the Philox block of each index, and which of the block's values belongs to the index.
#[inline(always)]
fn philox_blocks<const N: u64>(indices: &[u64; LANES]) -> ([u64; LANES], [u64; LANES]) {
    const EACH: u64 = LANES as u64;
    let (mut blocks, mut which) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        blocks[lane] = indices[lane] / N * EACH + indices[lane] % EACH;
        which[lane] = indices[lane] % N / EACH;
    }
    (blocks, which)
}

impl<E: Element> Single<E> for Normal32 {
    /// A value needs two of the four words of its block. So 32 values are transformed as one group: the words of the first
    /// 16 values are the group's words 0 and 1, those of the last 16 values its words 2 and 3.
    #[inline(always)]
    fn values<I: Isa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]) {
        let mut halves = [[0; LANES]; 4];
        let mut sine = [[false; LANES]; 2];
        for (half, indices) in indices.as_chunks::<LANES>().0.iter().enumerate() {
            let (blocks, which) = philox_blocks::<{ GROUP_32 as u64 }>(indices);
            let words = engine.scattered::<I>(&blocks);
            for lane in 0..LANES {
                let later = which[lane] >= 2;
                halves[2 * half][lane] = if later { words[2][lane] } else { words[0][lane] };
                halves[2 * half + 1][lane] = if later { words[3][lane] } else { words[1][lane] };
                sine[half][lane] = which[lane] % 2 == 1;
            }
        }
        let (mut both, mut exact) = ([0f32; GROUP_32], [0f32; AT_ONCE]);
        self.apply::<I>(&halves, &mut both);
        for half in 0..2 {
            for lane in 0..LANES {
                let cosine = 2 * half * LANES + lane;
                exact[half * LANES + lane] =
                    if sine[half][lane] { both[cosine + LANES] } else { both[cosine] };
            }
        }
        E::store(&exact, values);
    }
}

impl Single<f64> for Normal64 {
    #[inline(always)]
    fn values<I: Isa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [f64; AT_ONCE]) {
        for (indices, values) in indices.as_chunks::<LANES>().0.iter().zip(values.as_chunks_mut::<LANES>().0)
        {
            let (blocks, which) = philox_blocks::<{ GROUP_64 as u64 }>(indices);
            let mut both = [0f64; GROUP_64];
            self.apply::<I>(&engine.scattered::<I>(&blocks), &mut both);
            for lane in 0..LANES {
                values[lane] = if which[lane] == 1 { both[LANES + lane] } else { both[lane] };
            }
        }
    }
}

struct Kept32<'a, E> {
    kept: Kept<'a>,
    transform: Normal32,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Kept32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.kept.write::<I, E>(self.transform, self.out);
    }
}

struct Kept64<'a> {
    kept: Kept<'a>,
    transform: Normal64,
    out: &'a mut [f64],
}

impl Kernel for Kept64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.kept.write::<I, f64>(self.transform, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::streams::Stream;
    use crate::streams::native::Native;
    use crate::tensor::TensorMut;

    /// Compares fills with the definition of the native stream, value by value.
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
                    if rows <= FEW {
                        picked.copy_from_slice(&few(&engine, column as u64, rows, zeros)[..rows]);
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

    struct Images<'a> {
        rows: usize,
        key: [u32; 4],
        zeros: usize,
        picked: &'a mut [bool],
    }

    impl Kernel for Images<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            let permutation = Permutation::new(self.rows as u64);
            permutation.images::<I>(0..self.rows as u64, self.key, |row, image| {
                self.picked[row as usize] = image < self.zeros as u64;
            });
        }
    }

    #[test]
    fn zeros_are_those_of_the_definition_whichever_way_they_are_found() {
        for &level in Level::available() {
            check::<f32>(level);
            check::<f64>(level);
            check::<half::bf16>(level);
        }
    }
}
