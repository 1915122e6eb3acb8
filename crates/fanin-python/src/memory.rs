//! Memory that Python owns, seen as a tensor. With [`crate::dlpack`] and [`crate::team`] the home of what is unsafe here.

use std::ops::Range;

use fanin::half::{bf16, f16};
use fanin::{DType, Element, F8E4M3, F8E5M2, TensorMut, Values};

/// Bytes from which large pages pay: two of them.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// A stretch of memory that holds values of one type, and how a tensor lies in it.
///
/// Whoever makes one vouches for it, see [`Memory::new`]; everything else here is safe.
#[derive(Debug)]
pub struct Memory {
    address: usize,
    dtype: DType,
    shape: Vec<usize>,
    /// In elements; `None` for row-major memory, and for no other.
    strides: Option<Vec<isize>>,
}

impl Memory {
    /// The tensor of this shape whose element of index 0 lies at `address`.
    ///
    /// # Safety
    /// While this lives, every element that shape and strides reach is allocated, aligned for `dtype`, and kept from
    /// being freed. Nobody else reads or writes there during a fill: that much is between the caller and their threads,
    /// as it is with any library that fills an array.
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

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie one after another in row-major order. Axes of size 1 do not count.
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Asks for large pages where that pays. New memory costs a page fault for every 4 KiB that is written for the first
    /// time: measured, twice as long as a fill of the same values.
    pub fn expect_writes(&self) {
        #[cfg(target_os = "linux")]
        if self.is_contiguous() {
            const PAGE: usize = 4096;
            let start = self.address.next_multiple_of(PAGE);
            let end = (self.address + self.len() * self.dtype.size()) / PAGE * PAGE;
            if end.saturating_sub(start) >= LARGE {
                // SAFETY: the pages lie in memory that `new` vouches for, and the advice does not change what they hold.
                // If the system does not take it, nothing is lost.
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

    /// All of it as a tensor.
    ///
    /// # Errors
    /// Strides that put two elements in one place.
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

    /// A stretch of row-major memory.
    pub fn stretch(&mut self, range: Range<usize>) -> Values<'_> {
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
            // SAFETY: the memory is row-major, and `new` says that the shape is allocated.
            let buffer = unsafe { slice_at::<E>(self.address, self.len()) };
            return TensorMut::contiguous(buffer, shape);
        };
        // The lowest and the highest element, counted from that of index 0.
        let reach = |backwards: bool| -> isize {
            let steps = shape.iter().zip(strides);
            steps.filter(|(_, s)| (**s < 0) == backwards).map(|(&n, &s)| (n as isize - 1) * s).sum()
        };
        let (low, high) = (reach(true), reach(false));
        let length = (high - low) as usize + 1;
        let first = self.address.wrapping_add_signed(low * size_of::<E>() as isize);
        // SAFETY: the elements at both ends are allocated (`new`), so what lies between them in the same allocation is.
        let buffer = unsafe { slice_at(first, length) };
        TensorMut::strided::<E>(buffer, shape, strides, low.unsigned_abs())
    }

    /// `count` elements from the element `start` on.
    fn slice<E: Element>(&mut self, start: usize, count: usize) -> &mut [E] {
        // SAFETY: only called for row-major memory and a range inside the shape, which `new` says is allocated.
        unsafe { slice_at(self.address + start * size_of::<E>(), count) }
    }
}

/// Whether elements lie one after another in row-major order. Axes of size 1 do not count.
fn is_row_major(shape: &[usize], strides: &[i64]) -> bool {
    let mut step = 1;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let expected = step;
            step *= size as i64;
            size == 1 || stride == expected
        })
}

/// # Safety
/// As `std::slice::from_raw_parts_mut`, except that an empty slice may have any address.
unsafe fn slice_at<'a, E>(address: usize, count: usize) -> &'a mut [E] {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), count) }
}

/// The 5056 bytes of a torch generator's state.
///
/// # Safety
/// So many bytes at `address` are allocated and nobody else uses them meanwhile.
pub unsafe fn state_at<'a>(address: usize) -> &'a mut [u8] {
    // SAFETY: the caller's.
    unsafe { slice_at(address, fanin::Torch::STATE_BYTES) }
}
