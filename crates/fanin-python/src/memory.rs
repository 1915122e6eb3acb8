//! Memory that Python owns, as a tensor. This module, [`crate::dlpack`], [`crate::openmp`] and the callers of
//! [`Memory::new`] and [`state_at`] hold the unsafe code of the crate.

use std::ops::Range;

use fanin::half::{bf16, f16};
use fanin::{DType, Element, F8E4M3, F8E5M2, TensorMut, Values};

/// The number of bytes from which huge pages are requested: two huge pages.
#[cfg(target_os = "linux")]
const HUGE_PAGES_FROM: usize = 4 << 20;

/// The memory of a tensor: address, element type, shape and strides.
///
/// The caller of [`Memory::new`] guarantees that it is valid; the methods are safe.
#[derive(Debug)]
pub struct Memory {
    address: usize,
    dtype: DType,
    shape: Vec<usize>,
    /// In elements. `None` if and only if the tensor is contiguous in row-major order.
    strides: Option<Vec<isize>>,
}

impl Memory {
    /// Describes a tensor whose element of index 0 is at `address`. `strides` are in elements; None: row-major.
    ///
    /// # Safety
    /// While the value lives, every element that shape and strides reach is allocated and aligned for `dtype`. No other
    /// code reads or writes the memory during a fill: as with any library that fills an array, the Python caller's
    /// threads are responsible for that.
    pub unsafe fn new(address: usize, dtype: DType, shape: Vec<usize>, strides: Option<&[i64]>) -> Self {
        let strides = strides
            .filter(|strides| !is_row_major(&shape, strides))
            .map(|strides| strides.iter().map(|&stride| stride as isize).collect());
        Self { address, dtype, shape, strides }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether the elements follow one another in row-major order. Strides of axes of size 1 are ignored.
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Asks the system for huge pages before a large tensor is written (Linux). The first write to new memory costs a
    /// page fault for every page; with pages of 4 KiB the faults take twice as long as the fill itself.
    pub fn advise_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        if self.is_contiguous() {
            const PAGE: usize = 4096;
            let start = self.address.next_multiple_of(PAGE);
            let end = (self.address + self.len() * self.dtype.size()) / PAGE * PAGE;
            if end.saturating_sub(start) >= HUGE_PAGES_FROM {
                // SAFETY: the pages are in memory that is allocated (see `new`), and the advice does not change their
                // contents. An error is ignored: the pages are then small ones.
                unsafe {
                    libc::madvise(
                        std::ptr::with_exposed_provenance_mut(start),
                        end - start,
                        libc::MADV_HUGEPAGE,
                    )
                };
            }
        }
    }

    /// Returns the memory as a tensor.
    ///
    /// # Errors
    /// Strides by which two elements have the same address.
    pub fn tensor(&mut self) -> Result<TensorMut<'_>, fanin::Error> {
        match self.dtype {
            DType::F64 => self.typed::<f64>(),
            DType::F16 => self.typed::<f16>(),
            DType::BF16 => self.typed::<bf16>(),
            DType::F8E4M3 => self.typed::<F8E4M3>(),
            DType::F8E5M2 => self.typed::<F8E5M2>(),
            _ => self.typed::<f32>(),
        }
    }

    /// Returns the elements of a range of contiguous memory.
    ///
    /// # Panics
    /// If the memory is not contiguous, or the range reaches past its end.
    pub fn range(&mut self, range: Range<usize>) -> Values<'_> {
        assert!(self.is_contiguous() && range.end <= self.len());
        match self.dtype {
            DType::F64 => f64::values(self.slice(range.start, range.len())),
            DType::F16 => f16::values(self.slice(range.start, range.len())),
            DType::BF16 => bf16::values(self.slice(range.start, range.len())),
            DType::F8E4M3 => F8E4M3::values(self.slice(range.start, range.len())),
            DType::F8E5M2 => F8E5M2::values(self.slice(range.start, range.len())),
            _ => f32::values(self.slice(range.start, range.len())),
        }
    }

    fn typed<E: Element>(&mut self) -> Result<TensorMut<'_>, fanin::Error> {
        let shape = &self.shape;
        let Some(strides) = self.strides.as_ref().filter(|_| !shape.contains(&0)) else {
            // SAFETY: the memory is row-major, and all elements of the shape are allocated (see `new`).
            let buffer = unsafe { slice_at::<E>(self.address, self.len()) };
            return TensorMut::contiguous(buffer, shape);
        };
        // The offsets of the lowest and the highest element from the element of index 0.
        let reach = |backwards: bool| -> isize {
            let steps = shape.iter().zip(strides);
            steps.filter(|(_, s)| (**s < 0) == backwards).map(|(&n, &s)| (n as isize - 1) * s).sum()
        };
        let (low, high) = (reach(true), reach(false));
        let length = (high - low) as usize + 1;
        let first = self.address.wrapping_add_signed(low * size_of::<E>() as isize);
        // SAFETY: the elements at both ends are allocated (see `new`), so all between them in the same allocation are.
        let buffer = unsafe { slice_at(first, length) };
        TensorMut::strided::<E>(buffer, shape, strides, low.unsigned_abs())
    }

    /// Returns the elements `start..start + count` of contiguous memory.
    fn slice<E: Element>(&mut self, start: usize, count: usize) -> &mut [E] {
        // SAFETY: `range` checks that the memory is row-major and the range inside the shape, which is allocated (`new`).
        unsafe { slice_at(self.address + start * size_of::<E>(), count) }
    }
}

/// Returns whether elements follow one another in row-major order. Strides of axes of size 1 are ignored.
fn is_row_major(shape: &[usize], strides: &[i64]) -> bool {
    let mut step = 1;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let expected = step;
            step *= size as i64;
            size == 1 || stride == expected
        })
}

/// Returns the slice of `count` elements at `address`.
///
/// # Safety
/// As for `std::slice::from_raw_parts_mut`, except that the address of an empty slice may be invalid.
unsafe fn slice_at<'a, E>(address: usize, count: usize) -> &'a mut [E] {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: required of the caller.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), count) }
}

/// Returns the bytes of the torch generator's state at `address`.
///
/// # Safety
/// [`fanin::Torch::STATE_BYTES`] bytes at `address` are allocated, and no other code accesses them during `'a`.
pub unsafe fn state_at<'a>(address: usize) -> &'a mut [u8] {
    // SAFETY: required of the caller.
    unsafe { slice_at(address, fanin::Torch::STATE_BYTES) }
}
