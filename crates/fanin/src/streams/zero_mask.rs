//! Which values of a matrix are zero, a bit each: how `sparse` knows its zeros on either stream.

use std::hint::black_box;
use std::ops::Range;

use crate::dtype::Element;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::threads::Threads;

/// Columns that share words: the bits of one.
pub(super) const BLOCK: usize = 64;

/// Rows that are cleared together.
const BAND: usize = 64;

/// A bit for each value of a matrix: for each block of columns a word a row. The last block's bits beyond the matrix are 0.
pub(super) struct ZeroMask {
    height: usize,
    words: Vec<u64>,
}

impl ZeroMask {
    /// Of a matrix with rows and columns, neither of them zero. `mark` is handed stretches of the columns with their words,
    /// [`Self::of_column`] says how they lie.
    pub(super) fn new(
        threads: Threads,
        height: usize,
        width: usize,
        mark: impl Fn(Range<usize>, &mut [u64]) + Sync,
    ) -> Self {
        let blocks = width.div_ceil(BLOCK);
        let mut words = vec![0u64; blocks * height];
        let part = blocks.div_ceil(Self::parts(threads, width));
        threads.chunks(&mut words, part * height, |first, words| {
            let left = first / height * BLOCK;
            mark(left..width.min(left + part * BLOCK), words);
        });
        // Who marks the others and turns all bits over has turned those of no column as well.
        let inside = u64::MAX >> (blocks * BLOCK - width);
        words[(blocks - 1) * height..].iter_mut().for_each(|word| *word &= inside);
        Self { height, words }
    }

    /// Threads that share so many columns.
    pub(super) fn parts(threads: Threads, width: usize) -> usize {
        threads.count().min(width.div_ceil(BLOCK))
    }

    /// Of the words of a stretch of columns: those of one of them, a word a row, and its bit.
    #[inline(always)]
    pub(super) fn of_column(words: &mut [u64], height: usize, column: usize) -> (&mut [u64], u64) {
        (&mut words[column / BLOCK * height..][..height], 1 << (column % BLOCK))
    }

    /// The words of a row, one for each block of columns.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = u64> + '_ {
        self.words[row..].iter().step_by(self.height).copied()
    }

    /// Writes zeros where a bit is set, into row-major memory.
    pub(super) fn clear<E: Element>(&self, threads: Threads, level: Level, memory: &mut [E]) {
        let width = memory.len() / self.height;
        threads.chunks(memory, BAND * width, |first, band| self.clear_stretch(level, first, width, band));
    }

    /// The same for a stretch of them, which begins at the row-major index `first`.
    pub(super) fn clear_stretch<E: Element>(
        &self,
        level: Level,
        first: usize,
        width: usize,
        stretch: &mut [E],
    ) {
        dispatch(level, Clear { marks: self, first, width, stretch });
    }

    /// Hands out the row and the column of each bit that is set.
    pub(super) fn each(&self, mut at: impl FnMut(usize, usize)) {
        for (block, words) in self.words.chunks_exact(self.height).enumerate() {
            for (row, mut word) in words.iter().copied().enumerate() {
                while word != 0 {
                    at(row, block * BLOCK + word.trailing_zeros() as usize);
                    word &= word - 1;
                }
            }
        }
    }
}

/// Values that are cleared at once.
const LANES: usize = 16;

/// Writes zeros where a bit is set. All values are written anew, and LLVM is not told that they are those that stand there: of
/// a choice between these and a zero it makes a store under a mask, which takes dozens of cycles on some CPUs.
#[inline(always)]
fn clear<E: Element>(values: &mut [E; LANES], marks: u32) {
    let old = black_box(*values);
    *values = std::array::from_fn(|lane| if marks >> lane & 1 == 1 { E::default() } else { old[lane] });
}

struct Clear<'a, E> {
    marks: &'a ZeroMask,
    first: usize,
    width: usize,
    stretch: &'a mut [E],
}

impl<E: Element> Kernel for Clear<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { marks: ZeroMask { height, words }, first, width, mut stretch } = self;
        let (mut row, mut column) = (first / width, first % width);
        while !stretch.is_empty() {
            // To the block's end or the row's.
            let (block, begin) = (column / BLOCK, column % BLOCK);
            let taken = (BLOCK - begin).min(width - column).min(stretch.len());
            let (values, rest) = std::mem::take(&mut stretch).split_at_mut(taken);
            let marks = words[block * height + row] >> begin;
            let (whole, rest_of_block) = values.as_chunks_mut::<LANES>();
            for (number, values) in whole.iter_mut().enumerate() {
                clear(values, (marks >> (number * LANES)) as u32);
            }
            if !rest_of_block.is_empty() {
                let mut last = [E::default(); LANES];
                last[..rest_of_block.len()].copy_from_slice(rest_of_block);
                clear(&mut last, (marks >> (whole.len() * LANES)) as u32);
                rest_of_block.copy_from_slice(&last[..rest_of_block.len()]);
            }
            (column, stretch) = (column + taken, rest);
            if column == width {
                (row, column) = (row + 1, 0);
            }
        }
    }
}
