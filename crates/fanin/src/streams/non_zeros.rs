//! Computes the non-zero values of a sparse matrix one by one on the native stream. This is faster than to compute all
//! values if few values are non-zero.

use super::zero_mask::{BLOCK, ZeroMask};
use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{Element, Values};
use crate::rng::{LANES, Philox};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// Computes the non-zero values of a band: some consecutive rows of a region of a sparse matrix.
#[derive(Clone, Copy)]
pub(super) struct NonZeros<'a> {
    /// The generator of the values.
    pub(super) engine: Philox,
    /// The zeros of the region to which the band belongs.
    pub(super) mask: &'a ZeroMask,
    /// The row of the mask at which the band begins.
    pub(super) row: usize,
    /// The row and the column of the matrix at which the band begins.
    pub(super) corner: (u64, u64),
    /// Number of columns of the matrix.
    pub(super) columns: u64,
    /// Number of columns of the band.
    pub(super) width: usize,
}

impl NonZeros<'_> {
    /// Fills `out`, the row-major memory of the band, with zeros and with the non-zero values.
    pub(super) fn fill(self, level: Level, std: f64, out: Values<'_>) {
        let transform = Normal32::new(0.0, std);
        match out {
            Values::F32(out) => dispatch(level, NonZeros32 { kept: self, transform, out }),
            Values::F16(out) => dispatch(level, NonZeros32 { kept: self, transform, out }),
            Values::BF16(out) => dispatch(level, NonZeros32 { kept: self, transform, out }),
            Values::F8E4M3(out) => dispatch(level, NonZeros32 { kept: self, transform, out }),
            Values::F8E5M2(out) => dispatch(level, NonZeros32 { kept: self, transform, out }),
            Values::F64(out) => {
                dispatch(level, NonZeros64 { kept: self, transform: Normal64::new(0.0, std), out })
            }
        }
    }

    /// Implements [`NonZeros::fill`] for one element type. `distribution` computes the non-zero values.
    #[inline(always)]
    fn write<I: SimdIsa, E: Element>(self, distribution: impl Single<E>, out: &mut [E]) {
        let Self { mask, corner, columns, width, .. } = self;
        out.fill(E::default());
        // The non-zero values whose positions were found, but which are not computed yet. `offsets` has their offsets
        // in the band, and `indices` has their row-major indices in the matrix.
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

    /// Computes the values at `indices`, and writes the k-th value to `out` at `offsets[k]`. If `indices` is longer
    /// than `offsets`, the values of the additional indices are dropped.
    #[inline(always)]
    fn compute<I: SimdIsa, E: Element>(
        &self,
        distribution: &impl Single<E>,
        offsets: &[usize],
        indices: &[u64],
        out: &mut [E],
    ) {
        let indices = indices.first_chunk().expect("`indices` has at least AT_ONCE entries");
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
    /// Computes the values at the row-major indices `indices`.
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]);
}

/// Finds the Philox blocks of the values at `indices`. Returns, for each index, the number of the block, and the
/// position of the value among the values of that block. The values are computed in groups of `N`.
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
    /// A value needs only two of the four words of its Philox block. Therefore 32 values are transformed as one group:
    /// the words of the first 16 values are passed as words 0 and 1 of the group, and the words of the last 16 values
    /// as words 2 and 3.
    #[inline(always)]
    fn values<I: SimdIsa>(&self, engine: Philox, indices: &[u64; AT_ONCE], values: &mut [E; AT_ONCE]) {
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

/// The kernel of [`NonZeros::fill`] for all types but f64.
struct NonZeros32<'a, E> {
    kept: NonZeros<'a>,
    transform: Normal32,
    out: &'a mut [E],
}

impl<E: Element> Kernel for NonZeros32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        self.kept.write::<I, E>(self.transform, self.out);
    }
}

/// The kernel of [`NonZeros::fill`] for f64.
struct NonZeros64<'a> {
    kept: NonZeros<'a>,
    transform: Normal64,
    out: &'a mut [f64],
}

impl Kernel for NonZeros64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        self.kept.write::<I, f64>(self.transform, self.out);
    }
}
