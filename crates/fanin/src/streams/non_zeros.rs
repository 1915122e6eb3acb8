//! Computes only the non-zero values of a sparse matrix on the native stream. If few values are non-zero, this is
//! faster than computing all values.

use super::zero_mask::{BLOCK, ZeroMask};
use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{Element, Values, values};
use crate::rng::{LANES, Philox};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The non-zero values in a band of a sparse matrix. A band is a range of rows of a region.
#[derive(Clone, Copy)]
pub(super) struct NonZeros<'a> {
    /// The generator of the values.
    pub(super) engine: Philox,
    /// The mask of the zeros in the region that contains the band (see [`NonZeros`]).
    pub(super) mask: &'a ZeroMask,
    /// The index of the band's first row, counted from the first row of the region (see [`NonZeros`]). The mask has the
    /// same row indices as the region.
    pub(super) row: usize,
    /// The row and the column of the matrix at which the band begins.
    pub(super) corner: (u64, u64),
    /// The number of columns of the matrix.
    pub(super) columns: u64,
    /// The number of columns of the band.
    pub(super) width: usize,
}

/// The number of non-zero values whose positions are collected before the values are computed.
const BATCH: usize = 16 * AT_ONCE;

impl NonZeros<'_> {
    /// Fills `out`, the row-major memory of the band, with zeros and with the non-zero values.
    pub(super) fn fill(self, level: Level, std: f64, out: Values<'_>) {
        let engine = self.engine;
        values!(out, out => {
            out.fill(Element::from_f64(0.0));
            let count = out.len();
            if let Values::F64(out) = Element::values(out) {
                let transform = Normal64::new(0.0, std);
                self.for_each_batch(count, &mut |offsets, indices| {
                    let mut values = [0f64; BATCH];
                    dispatch(level, Values64 { engine, transform, indices, values: &mut values });
                    offsets.iter().zip(values).for_each(|(&offset, value)| out[offset] = value);
                });
            } else {
                let transform = Normal32::new(0.0, std);
                self.for_each_batch(count, &mut |offsets, indices| {
                    let (mut exact, mut values) = ([0f32; BATCH], [Element::from_f64(0.0); BATCH]);
                    dispatch(level, Values32 { engine, transform, indices, values: &mut exact });
                    Element::store(&exact[..offsets.len()], &mut values[..offsets.len()]);
                    offsets.iter().zip(values).for_each(|(&offset, value)| out[offset] = value);
                });
            }
        });
    }

    /// Calls `visit(offsets, indices)` for batches of at most [`BATCH`] non-zero values. `offsets` are their offsets in
    /// the band, and `indices` are their row-major indices in the matrix. The band has `count` values.
    fn for_each_batch(self, count: usize, visit: &mut dyn FnMut(&[usize], &[u64])) {
        let Self { mask, corner, columns, width, .. } = self;
        let mut offsets = [0usize; BATCH + BLOCK];
        let mut indices = [0u64; BATCH + BLOCK];
        let mut pending = 0;
        for row in 0..count / width {
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
                if pending >= BATCH {
                    visit(&offsets[..BATCH], &indices[..BATCH]);
                    offsets.copy_within(BATCH..pending, 0);
                    indices.copy_within(BATCH..pending, 0);
                    pending -= BATCH;
                }
            }
        }
        visit(&offsets[..pending], &indices[..pending]);
    }
}

/// The number of values that are computed together.
const AT_ONCE: usize = 2 * LANES;

/// A distribution that can compute values at arbitrary indices. Implementations are `#[inline(always)]`.
trait Single<W> {
    /// Computes the values at the row-major indices `indices`.
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [W; AT_ONCE]);
}

/// Returns the number of the Philox block of each value, and the position of the value in this block. `indices` are the
/// indices of the values. A group of [`LANES`] blocks has `N` values.
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

impl Single<f32> for Normal32 {
    /// Each value needs two of the four words of its Philox block. The 32 pairs of words, one for each value, are
    /// packed into 16 blocks of four words, and are transformed together. Each pair gives a cosine value and a sine
    /// value, of which only one is used.
    #[inline(always)]
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [f32; AT_ONCE]) {
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
        let mut both = [0f32; GROUP_32];
        self.apply::<I>(&halves, &mut both);
        for half in 0..2 {
            for lane in 0..LANES {
                let cosine = 2 * half * LANES + lane;
                values[half * LANES + lane] =
                    if sine[half][lane] { both[cosine + LANES] } else { both[cosine] };
            }
        }
    }
}

impl Single<f64> for Normal64 {
    #[inline(always)]
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [f64; AT_ONCE]) {
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

/// The kernel that computes the f32 values at `indices`.
struct Values32<'a> {
    engine: Philox,
    transform: Normal32,
    indices: &'a [u64],
    values: &'a mut [f32],
}

impl Kernel for Values32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        compute::<I, f32>(self.engine, self.transform, self.indices, self.values);
    }
}

/// The kernel that computes the f64 values at `indices`.
struct Values64<'a> {
    engine: Philox,
    transform: Normal64,
    indices: &'a [u64],
    values: &'a mut [f64],
}

impl Kernel for Values64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        compute::<I, f64>(self.engine, self.transform, self.indices, self.values);
    }
}

/// Computes the values at `indices`, and writes them to the start of `values`. The other elements of `values` are
/// unspecified. The length of `values` must be a multiple of [`AT_ONCE`].
#[inline(always)]
fn compute<I: SimdIsa, W: Element>(
    engine: Philox,
    distribution: impl Single<W>,
    indices: &[u64],
    values: &mut [W],
) {
    for (indices, values) in indices.chunks(AT_ONCE).zip(values.as_chunks_mut().0) {
        let mut all = [0; AT_ONCE];
        all[..indices.len()].copy_from_slice(indices);
        distribution.values::<I>(engine, &all, values);
    }
}
