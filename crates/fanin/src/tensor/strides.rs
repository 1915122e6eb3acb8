//! The strides of tensors, counted in elements.

/// Returns the strides of contiguous row-major memory with the shape `shape`.
pub(super) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}

/// Returns true if `strides` are the strides of contiguous row-major memory with the shape `shape`. The strides of axes
/// of size 1 are ignored.
pub(super) fn is_row_major(shape: &[usize], strides: &[isize]) -> bool {
    let expected = row_major(shape);
    shape
        .iter()
        .zip(strides)
        .zip(expected)
        .all(|((&size, &stride), expected)| size == 1 || stride == expected)
}

/// Returns an iterator over the axes with more than one element, in ascending order of the magnitude of their strides.
pub(super) fn axes_by_stride(shape: &[usize], strides: &[isize]) -> impl Iterator<Item = usize> + use<> {
    let mut axes: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
    axes.sort_by_key(|&axis| strides[axis].unsigned_abs());
    axes.into_iter()
}
