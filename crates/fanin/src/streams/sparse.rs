//! `sparse` on the native stream: [`crate::streams::native`] says which values are zero; here only they are looked for, or
//! only the others, whichever are fewer.

use std::ops::Range;

use super::fill::{self, Region};
use super::zero_mask::{BLOCK, ZeroMask};
use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{Element, Values, values};
use crate::plan::Distribution;
use crate::rng::{LANES, Permutation, Philox, SHUFFLE_MAX, choose_by_shuffle};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::{cancel::check, threads::Threads};

/// Values of a band that one thread makes at a time.
const CHUNK: usize = 1 << 16;

/// Where fewer than one in so many values is not zero, they are made one by one.
const SCATTERED: usize = 4;

/// The places of the zeros in the columns of a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zeros {
    pub(super) threads: Threads,
    pub(super) level: Level,
    pub(super) permutation: Philox,
    pub(super) rows: usize,
    /// Zeros in each column.
    pub(super) zeros: usize,
}

impl Zeros {
    /// Writes them into a box, which lies row-major in `out`.
    #[cfg(feature = "rand_core")]
    pub(super) fn clear(&self, region: &Region, out: Values<'_>) {
        let marks = self.marks(region);
        values!(out, out => marks.clear(self.threads, self.level, out));
    }

    fn marks(&self, region: &Region) -> ZeroMask {
        let [down, across] = region.axes[..] else { unreachable!("sparse is a distribution of matrices") };
        ZeroMask::new(self.threads, down.size, across.size, |columns, words| {
            let rows = down.start..down.start + down.size;
            dispatch(self.level, Mark { zeros: self, rows, left: across.start, columns, words });
        })
    }
}

/// The normal values and the zeros of a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sparse {
    pub(super) zeros: Zeros,
    pub(super) values: Philox,
    pub(super) columns: usize,
    pub(super) std: f64,
}

impl Sparse {
    /// Writes a box, which lies row-major in `out`.
    pub(super) fn fill(&self, region: &Region, out: Values<'_>) {
        let Zeros { threads, level, rows, zeros, .. } = self.zeros;
        let distribution = Distribution::Normal { mean: 0.0, std: self.std };
        if zeros == 0 {
            return fill::by_index_on(threads, level, distribution, self.values, region, out);
        }
        let marks = self.zeros.marks(region);
        let scattered = (rows - zeros).saturating_mul(SCATTERED) < rows;
        let [down, across] = region.axes[..] else { unreachable!("sparse is a distribution of matrices") };
        let (top, left, width) = (down.start, across.start, across.size);
        let band = (CHUNK / width).max(1) * width;
        values!(out, out => threads.chunks(out, band, |first, out| {
            let row = first / width;
            if scattered {
                let corner = ((top + row) as u64, left as u64);
                let columns = self.columns as u64;
                let kept = Kept { engine: self.values, marks: &marks, row, corner, columns, width };
                kept.fill(level, self.std, Element::values(out));
            } else {
                let span = region.span().part(first, out.len());
                fill::by_index(level, distribution, self.values, span, Element::values(&mut *out));
                marks.clear_stretch(level, first, width, out);
            }
        }));
    }
}

/// ZeroMask the zeros of a stretch of columns.
struct Mark<'a> {
    zeros: &'a Zeros,
    /// The rows that are wanted.
    rows: Range<usize>,
    /// The column of the whole at which the box begins.
    left: usize,
    columns: Range<usize>,
    words: &'a mut [u64],
}

impl Kernel for Mark<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { zeros, rows, left, columns, words } = self;
        let &Zeros { permutation: engine, rows: size, zeros, .. } = zeros;
        let height = rows.len();
        let permutation = Permutation::new(size as u64);
        // Forwards, from each row to its image; or backwards, from the images of the zeros or of the others.
        let others = zeros > size / 2;
        let images = if others { zeros as u64..size as u64 } else { 0..zeros as u64 };
        let backwards = images.end - images.start < height as u64;
        for column in 0..columns.len() {
            check();
            let global = (left + columns.start + column) as u64;
            let (words, bit) = ZeroMask::of_column(words, height, column);
            if size <= SHUFFLE_MAX {
                let picked = choose_by_shuffle(&engine, global, size, zeros);
                for (word, &picked) in words.iter_mut().zip(&picked[rows.clone()]) {
                    *word |= if picked { bit } else { 0 };
                }
            } else if backwards {
                permutation.preimages::<I>(images.clone(), engine.block(global), |place| {
                    if let Some(word) = words.get_mut((place as usize).wrapping_sub(rows.start)) {
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
        if backwards && others && size > SHUFFLE_MAX {
            words.iter_mut().for_each(|word| *word = !*word);
        }
    }
}

/// Makes the values of a band that are not zero.
#[derive(Clone, Copy)]
struct Kept<'a> {
    engine: Philox,
    marks: &'a ZeroMask,
    /// The band's first row in the marks.
    row: usize,
    /// Row and column of the whole at which the band begins.
    corner: (u64, u64),
    /// Columns of the whole.
    columns: u64,
    width: usize,
}

impl Kept<'_> {
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
    fn write<I: SimdIsa, E: Element>(self, distribution: impl Single<E>, out: &mut [E]) {
        let Self { marks, corner, columns, width, .. } = self;
        out.fill(E::default());
        // The places in the band whose values are still to be made, and their indices.
        let mut places = [0usize; BLOCK + AT_ONCE];
        let mut indices = [0u64; BLOCK + AT_ONCE];
        let mut waiting = 0;
        for row in 0..out.len() / width {
            let first = (corner.0 + row as u64) * columns + corner.1;
            for (block, zeros) in marks.row(self.row + row).enumerate() {
                let left = block * BLOCK;
                let inside = u64::MAX >> (BLOCK - BLOCK.min(width - left));
                let mut kept = !zeros & inside;
                while kept != 0 {
                    let column = left + kept.trailing_zeros() as usize;
                    kept &= kept - 1;
                    places[waiting] = row * width + column;
                    indices[waiting] = first + column as u64;
                    waiting += 1;
                }
                let mut done = 0;
                while waiting - done >= AT_ONCE {
                    self.make::<I, E>(&distribution, &places[done..][..AT_ONCE], &indices[done..], out);
                    done += AT_ONCE;
                }
                if done > 0 {
                    places.copy_within(done..waiting, 0);
                    indices.copy_within(done..waiting, 0);
                    waiting -= done;
                }
            }
        }
        self.make::<I, E>(&distribution, &places[..waiting], &indices, out);
    }

    /// Writes as many values as there are places.
    #[inline(always)]
    fn make<I: SimdIsa, E: Element>(
        &self,
        distribution: &impl Single<E>,
        places: &[usize],
        indices: &[u64],
        out: &mut [E],
    ) {
        let indices = indices.first_chunk().expect("as many as are made at once");
        let mut values = [E::default(); AT_ONCE];
        distribution.values::<I>(self.engine, indices, &mut values);
        for (&place, &value) in places.iter().zip(&values) {
            out[place] = value;
        }
    }
}

/// Values that are made at once.
const AT_ONCE: usize = 2 * LANES;

/// A distribution whose values are made one by one. `#[inline(always)]`.
trait Single<E> {
    /// The values at these global indices.
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]);
}

/// Of values in groups of `N`: the block of each, and which of the block's values it is.
#[inline(always)]
fn blocks<const N: u64>(indices: &[u64; LANES]) -> ([u64; LANES], [u64; LANES]) {
    const EACH: u64 = LANES as u64;
    let (mut blocks, mut which) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        blocks[lane] = indices[lane] / N * EACH + indices[lane] % EACH;
        which[lane] = indices[lane] % N / EACH;
    }
    (blocks, which)
}

impl<E: Element> Single<E> for Normal32 {
    /// A value needs half of its block: two sixteens share a group, whose first words are those of one of them.
    #[inline(always)]
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]) {
        let mut halves = [[0; LANES]; 4];
        let mut sine = [[false; LANES]; 2];
        for (half, indices) in indices.as_chunks::<LANES>().0.iter().enumerate() {
            let (blocks, which) = blocks::<{ GROUP_32 as u64 }>(indices);
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
                let at = 2 * half * LANES + lane;
                exact[half * LANES + lane] = if sine[half][lane] { both[at + LANES] } else { both[at] };
            }
        }
        E::store(&exact, values);
    }
}

impl Single<f64> for Normal64 {
    #[inline(always)]
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [f64; AT_ONCE]) {
        for (indices, values) in indices.as_chunks::<LANES>().0.iter().zip(values.as_chunks_mut::<LANES>().0)
        {
            let (blocks, which) = blocks::<{ GROUP_64 as u64 }>(indices);
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
    fn run<I: SimdIsa>(self) {
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
    fn run<I: SimdIsa>(self) {
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

    /// Against the page of the native stream, value by value: few rows and many, few zeros and many, boxes low and high,
    /// every type.
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
                let engine = stream.engine("permutation");
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
    fn however_the_zeros_are_found_they_are_those_of_the_definition() {
        for &level in Level::available() {
            check::<f32>(level);
            check::<f64>(level);
            check::<half::bf16>(level);
        }
    }
}
