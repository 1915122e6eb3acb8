//! Generates expected values, and reports the progress of reading stored values.

use fanin::{DType, TensorMut};
use fanin_checkpoint::Progress;
use fanin_checkpoint::ValueBuffer;
use fanin_recipe::Entry;

use crate::error::{Error, Result};

/// The largest number of values that are generated at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// Allocates a tensor, calls `fill` to generate its values, and returns them. `name` is the tensor's name in error
/// messages.
///
/// # Errors
/// Returns an error if there is not enough memory, or if `fill` fails.
pub(crate) fn generate(
    name: &str,
    dtype: DType,
    shape: &[usize],
    fill: impl FnOnce(TensorMut<'_>) -> std::result::Result<(), fanin::Error>,
) -> Result<ValueBuffer> {
    let count = shape.iter().product();
    let mut values = ValueBuffer::new(dtype, count).map_err(|_| {
        Error::Request(format!("{name}: out of memory: cannot allocate {count} values of {dtype}"))
    })?;
    values
        .tensor(shape)
        .and_then(fill)
        .map_err(|source| Error::Tensor { tensor: name.to_owned(), source })?;
    Ok(values)
}

/// Reports to `progress` that `values` values of a tensor were read.
pub(crate) fn report_read(progress: &dyn Progress, entry: &Entry, values: usize) {
    progress.add(values as u64, (values * entry.dtype.size()) as u64);
}
