//! Tensors in memory that Python owns. The unsafe code of this crate is in this module, in [`crate::dlpack`], in
//! [`crate::openmp`], and at the calls of [`Memory::new`], [`copy_from`], [`state_at`] and [`bytes_at`].

use std::ops::Range;

use fanin::half::{bf16, f16};
use fanin::{DType, Element, F8E4M3, F8E5M2, TensorMut, Values};

/// Huge pages are requested for memory of at least this number of bytes: two huge pages of 2 MiB.
#[cfg(target_os = "linux")]
const HUGE_PAGES_FROM: usize = 4 << 20;

/// The memory of a tensor: address, element type, shape and strides.
///
/// The methods are safe, because the caller of [`Memory::new`] guarantees that the memory is valid.
#[derive(Debug)]
pub struct Memory {
    address: usize,
    dtype: DType,
    shape: Vec<usize>,
    /// The stride of each axis, in elements. `None` if and only if the tensor is contiguous in row-major order.
    strides: Option<Vec<isize>>,
}

impl Memory {
    /// Describes a tensor in memory. The element with index 0 along every axis is at `address`. `strides` are in
    /// elements. None means row-major order.
    ///
    /// # Safety
    /// While the returned value lives, all elements of the tensor are in one allocation and aligned for `dtype`. No
    /// other code reads or writes the memory during a fill. fanin cannot check other Python threads. As with any
    /// library that fills an array, the Python program must not access the array during a fill.
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

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether the elements are contiguous in row-major order. Strides of axes of size 1 are ignored.
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Requests huge pages for the memory (on Linux only). Call this method before the first write to a large tensor.
    /// With pages of 4 KiB, the page faults of the first writes take twice as long as the fill itself.
    pub fn advise_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        if self.is_contiguous() {
            const PAGE: usize = 4096;
            let start = self.address.next_multiple_of(PAGE);
            let end = (self.address + self.len() * self.dtype.size()) / PAGE * PAGE;
            if end.saturating_sub(start) >= HUGE_PAGES_FROM {
                // SAFETY: the pages are in allocated memory (see `new`), and the advice does not change their contents.
                // An error is ignored, because its only effect is that the memory keeps its small pages.
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
    /// If the strides give two elements the same address.
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
    /// If the memory is not contiguous, or if the range ends after the last element.
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
        // The offsets, in elements, from the element with index 0 to the elements with the lowest and the highest
        // address.
        let reach = |backwards: bool| -> isize {
            let steps = shape.iter().zip(strides);
            steps.filter(|(_, s)| (**s < 0) == backwards).map(|(&n, &s)| (n as isize - 1) * s).sum()
        };
        let (low, high) = (reach(true), reach(false));
        let length = (high - low) as usize + 1;
        let first = self.address.wrapping_add_signed(low * size_of::<E>() as isize);
        // SAFETY: both ends of the buffer are in one allocation (see `new`), so all memory between them is allocated.
        let buffer = unsafe { slice_at(first, length) };
        TensorMut::strided::<E>(buffer, shape, strides, low.unsigned_abs())
    }

    /// Returns the elements `start..start + count` of contiguous memory.
    fn slice<E: Element>(&mut self, start: usize, count: usize) -> &mut [E] {
        // SAFETY: `range` checks that the memory is row-major and contains the range. All elements are allocated (see
        // `new`).
        unsafe { slice_at(self.address + start * size_of::<E>(), count) }
    }
}

/// Returns whether elements are contiguous in row-major order. Strides of axes of size 1 are ignored.
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
/// The requirements are those of `std::slice::from_raw_parts_mut`. If `count` is 0, any address is allowed.
unsafe fn slice_at<'a, E>(address: usize, count: usize) -> &'a mut [E] {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: the caller meets the requirements of this function.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), count) }
}

/// Copies the memory at `address` to `bytes`.
///
/// # Safety
/// `bytes.len()` bytes at `address` are allocated, and no other code writes to them during the call.
pub unsafe fn copy_from(address: usize, bytes: &mut [u8]) {
    // SAFETY: the caller meets the requirements of `bytes_at`.
    bytes.copy_from_slice(unsafe { bytes_at(address, bytes.len()) });
}

/// Returns the bytes of a torch generator's state. The state begins at `address`.
///
/// # Safety
/// [`fanin::Torch::STATE_BYTES`] bytes at `address` are allocated, and no other code accesses them during `'a`.
pub unsafe fn state_at<'a>(address: usize) -> &'a mut [u8] {
    // SAFETY: the caller guarantees that `STATE_BYTES` bytes at `address` are allocated and not accessed by other code.
    unsafe { slice_at(address, fanin::Torch::STATE_BYTES) }
}

/// Returns the `count` bytes at `address`.
///
/// # Safety
/// The bytes are allocated, and no other code writes to them during `'a`. If `count` is 0, any address is allowed.
pub unsafe fn bytes_at<'a>(address: usize, count: usize) -> &'a [u8] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees that the bytes are allocated and not written to.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), count) }
}
