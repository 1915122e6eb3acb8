//! `ZeroMask`, a bit mask of the zeros of a sparse matrix, for the native stream and the torch stream.

use std::hint::black_box;
use std::ops::Range;

use crate::dtype::{Element, Values, values};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::threads::Threads;

/// The number of columns in a block. Each word of the mask contains the bits of one row of a block.
pub(super) const BLOCK: usize = 64;

/// The number of rows in a band. A thread writes the zeros of one band at a time.
const BAND: usize = 64;

/// A mask with one bit for each entry of a matrix. The bit is set if the entry is zero.
///
/// A block of 64 columns has one 64-bit word for each row. Bits beyond the last column are not set.
pub(super) struct ZeroMask {
    height: usize,
    words: Vec<u64>,
}

impl ZeroMask {
    /// Creates the mask of a matrix with `height` rows and `width` columns. Both must be at least 1.
    ///
    /// `find(columns, words)` is called on several threads. `words` are the mask words of `columns`, all 0. `find` must
    /// set the bit of each entry that is zero in the matrix (see [`Self::column`]).
    pub(super) fn new(
        threads: Threads,
        height: usize,
        width: usize,
        find: impl Fn(Range<usize>, &mut [u64]) + Sync,
    ) -> Self {
        let blocks = width.div_ceil(BLOCK);
        let mut words = vec![0u64; blocks * height];
        let chunk = blocks.div_ceil(Self::threads(threads, width));
        threads.chunks(&mut words, chunk * height, |first, words| {
            let left = first / height * BLOCK;
            find(left..width.min(left + chunk * BLOCK), words);
        });
        // `find` may invert whole words, which sets the bits beyond the last column. These bits are cleared here.
        let inside = u64::MAX >> (blocks * BLOCK - width);
        words[(blocks - 1) * height..].iter_mut().for_each(|word| *word &= inside);
        Self { height, words }
    }

    /// Returns the number of threads that compute a mask of `width` columns.
    pub(super) fn threads(threads: Threads, width: usize) -> usize {
        threads.count().min(width.div_ceil(BLOCK))
    }

    /// Returns the mask words that contain the bits of one column, and a `u64` in which only the bit of this column is
    /// set. `words` are the mask words of a range of columns, and `column` is counted from the first column of this
    /// range. The returned mask words are those of the block of 64 columns that contains the column: one word for each
    /// of the `height` rows.
    #[inline(always)]
    pub(super) fn column(words: &mut [u64], height: usize, column: usize) -> (&mut [u64], u64) {
        (&mut words[column / BLOCK * height..][..height], 1 << (column % BLOCK))
    }

    /// Returns an iterator over the mask words of a row, one word for each block of 64 columns.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = u64> + '_ {
        self.words[row..].iter().step_by(self.height).copied()
    }

    /// Writes 0 to each entry of `memory` whose bit is set in the mask. `memory` is the whole matrix in row-major
    /// order.
    pub(super) fn clear(&self, threads: Threads, level: Level, memory: Values<'_>) {
        let width = memory.len() / self.height;
        values!(memory, memory => threads.chunks(memory, BAND * width, |first, band| {
            self.clear_range(level, first, width, Element::values(band));
        }));
    }

    /// Writes 0 to each entry of `range` whose bit is set in the mask. `range` contains consecutive row-major entries
    /// of a matrix with `width` columns, from the entry `first` on.
    pub(super) fn clear_range(&self, level: Level, first: usize, width: usize, mut range: Values<'_>) {
        // In every element type, the value 0 has only zero bits. Types of the same size therefore share a kernel.
        match range.dtype().size() {
            1 => dispatch(level, Clear::<u8> { mask: self, first, width, range: range.bits() }),
            2 => dispatch(level, Clear::<u16> { mask: self, first, width, range: range.bits() }),
            4 => dispatch(level, Clear::<u32> { mask: self, first, width, range: range.bits() }),
            _ => dispatch(level, Clear::<u64> { mask: self, first, width, range: range.bits() }),
        }
    }

    /// Calls `visit(row, column)` for each bit that is set.
    pub(super) fn for_each_zero(&self, mut visit: impl FnMut(usize, usize)) {
        for (block, words) in self.words.chunks_exact(self.height).enumerate() {
            for (row, mut word) in words.iter().copied().enumerate() {
                while word != 0 {
                    visit(row, block * BLOCK + word.trailing_zeros() as usize);
                    word &= word - 1;
                }
            }
        }
    }
}

/// The number of values that [`clear`] processes together.
const LANES: usize = 16;

/// Writes 0 to each value whose bit is set in `bits`.
///
/// `black_box` forces LLVM to store all values. Otherwise LLVM generates a masked store, which takes dozens of cycles
/// on some CPUs.
#[inline(always)]
fn clear<B: Copy + Default>(values: &mut [B; LANES], bits: u32) {
    let old = black_box(*values);
    *values = std::array::from_fn(|lane| if bits >> lane & 1 == 1 { B::default() } else { old[lane] });
}

/// The kernel of [`ZeroMask::clear_range`]. `B` is an unsigned integer with the size of the element type.
struct Clear<'a, B> {
    mask: &'a ZeroMask,
    first: usize,
    width: usize,
    range: &'a mut [B],
}

impl<B: Copy + Default> Kernel for Clear<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { mask: ZeroMask { height, words }, first, width, mut range } = self;
        let (mut row, mut column) = (first / width, first % width);
        while !range.is_empty() {
            // Each iteration ends where the block of columns, the row or the range ends, whichever comes first.
            let (block, begin) = (column / BLOCK, column % BLOCK);
            let taken = (BLOCK - begin).min(width - column).min(range.len());
            let (values, rest) = std::mem::take(&mut range).split_at_mut(taken);
            let bits = words[block * height + row] >> begin;
            let (whole, remainder) = values.as_chunks_mut::<LANES>();
            for (number, values) in whole.iter_mut().enumerate() {
                clear(values, (bits >> (number * LANES)) as u32);
            }
            if !remainder.is_empty() {
                let mut last = [B::default(); LANES];
                last[..remainder.len()].copy_from_slice(remainder);
                clear(&mut last, (bits >> (whole.len() * LANES)) as u32);
                remainder.copy_from_slice(&last[..remainder.len()]);
            }
            (column, range) = (column + taken, rest);
            if column == width {
                (row, column) = (row + 1, 0);
            }
        }
    }
}
