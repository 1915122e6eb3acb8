//! Values that are copied from another checkpoint. A tensor can be copied unchanged, repeated for each tensor of a
//! stack, or copied into a part of a larger tensor.

use std::collections::HashMap;
use std::ops::Range;

use fanin::region::Chunks;
use fanin::{DType, Initializer as _, NativeTensor, Plan, TensorMut};
use fanin_recipe::{Copy, Entry, Planned, Rest};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::messages::{CHUNK, FillError, Message, MessageSender, Stopped, stopped};

/// The checkpoint from which copied tensors take their values.
pub(crate) struct CopySource {
    checkpoint: Checkpoint,
    /// The index in `checkpoint` of each tensor, by name.
    numbers: HashMap<String, usize>,
}

/// The relation between the shapes of a source tensor and of the tensor that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The written tensor has the shape of the source tensor, or is a stack of tensors of this shape.
    Repeated,
    /// The written tensor is larger than the source tensor along some axes.
    Grown,
}

/// Compares the shape `source` of a source tensor with the shape `target` of the written tensor. Returns `None` if the
/// source tensor cannot be copied to the written tensor.
pub(crate) fn fit(source: &[usize], target: &[usize]) -> Option<Fit> {
    if target.ends_with(source) {
        return Some(Fit::Repeated);
    }
    let inside =
        source.len() == target.len() && source.iter().zip(target).all(|(source, target)| source <= target);
    inside.then_some(Fit::Grown)
}

/// The number of new rows that are computed in one pass over the old rows.
const ROWS: usize = 16;

/// The covariance of the new rows divided by the covariance of the old rows. The method `resize_token_embeddings` of
/// transformers uses the same factor.
const COVARIANCE_FACTOR: f64 = 1e-9;

impl CopySource {
    /// Returns a source from which the tensors of `checkpoint` can be copied.
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        let entries = checkpoint.manifest.entries.iter().enumerate();
        let numbers = entries.map(|(number, entry)| (entry.name.clone(), number)).collect();
        Self { checkpoint, numbers }
    }

    /// Sends a range of values of the copied tensor `planned`. The argument `values` is the range of row-major indices.
    /// `native` is `None` on the torch stream.
    pub(crate) fn send(
        &self,
        planned: &Planned,
        copy: &Copy,
        native: Option<NativeTensor>,
        values: Range<usize>,
        sender: &mut MessageSender,
    ) -> Result<(), Stopped> {
        let entry = &planned.entry;
        let name = copy.from.as_deref().unwrap_or(&entry.name);
        let missing = || {
            Stopped::Failed(Error::Request(format!(
                "{name}: the checkpoint has no tensor of this name to copy"
            )))
        };
        let number = *self.numbers.get(name).ok_or_else(missing)?;
        let source = &self.checkpoint.manifest.entries[number];
        match (fit(&source.shape, &entry.shape), &copy.rest, entry.dtype.float(), native) {
            (Some(Fit::Repeated), ..) => self.send_bytes(number, entry, values, sender),
            (_, Some(Rest::Init(init)), Some(dtype), Some(native)) => {
                let error = |error| stopped(entry, FillError::Draw(error));
                let plan = init.resolve(&entry.shape, dtype).map_err(error)?;
                self.send_grown(number, entry, &plan, &native, values, sender)
            }
            (_, Some(Rest::MeanResizing), Some(dtype), Some(native)) => {
                let old = source.values();
                self.send_bytes(number, entry, values.start.min(old)..values.end.min(old), sender)?;
                let new = values.start.max(old)..values.end.max(old);
                self.send_new_rows(number, entry, dtype, &native, new, sender)
            }
            _ => Err(missing()),
        }
    }

    /// Sends the bytes of the source tensor. If the written tensor is a stack, these bytes are repeated.
    fn send_bytes(
        &self,
        number: usize,
        entry: &Entry,
        values: Range<usize>,
        sender: &mut MessageSender,
    ) -> Result<(), Stopped> {
        let length = self.checkpoint.manifest.entries[number].bytes();
        let (mut start, end) = (entry.bytes_of(values.start), entry.bytes_of(values.end));
        while start < end {
            let offset = start % length;
            let count = (end - start).min(length - offset).min(CHUNK as u64);
            let mut buffer = sender.buffer(count as usize)?;
            let bytes =
                buffer.resize_stored(count as usize).map_err(|_| stopped(entry, FillError::Memory))?;
            self.checkpoint.read(number, offset, bytes).map_err(Stopped::Failed)?;
            sender.send(Message::Values(buffer))?;
            start += count;
        }
        Ok(())
    }

    /// Sends values of a written tensor that is larger than the source tensor. The source tensor is copied to the first
    /// indices of every axis. For example, a source tensor of shape (3, 4) is copied to `written[:3, :4]`. All other
    /// values are drawn according to `plan`.
    fn send_grown(
        &self,
        number: usize,
        entry: &Entry,
        plan: &Plan,
        native: &NativeTensor,
        values: Range<usize>,
        sender: &mut MessageSender,
    ) -> Result<(), Stopped> {
        let stop = |error| stopped(entry, error);
        let prepared = native.prepare(plan).map_err(|error| stop(FillError::Draw(error)))?;
        let size_of_value = plan.dtype().size();
        for (start, size) in Chunks::range(plan.shape(), values, CHUNK / size_of_value) {
            let count: usize = size.iter().product();
            let mut buffer = sender.buffer(count * size_of_value)?;
            buffer.resize(plan.dtype(), count).map_err(|_| stop(FillError::Memory))?;
            let filled = buffer.tensor(&size).and_then(|tensor| prepared.fill_region(&start, tensor));
            filled.map_err(|error| stop(FillError::Draw(error)))?;
            let mut bytes = buffer.bytes().into_owned();
            self.overwrite(number, &start, &size, &mut bytes).map_err(Stopped::Failed)?;
            let stored = buffer.resize_stored(bytes.len()).map_err(|_| stop(FillError::Memory))?;
            stored.copy_from_slice(&bytes);
            sender.send(Message::Values(buffer))?;
        }
        Ok(())
    }

    /// Copies values of the source tensor into `bytes`, a region of the written tensor. The region begins at the index
    /// `start` and has the shape `size`. Values of `bytes` whose indices are outside the source tensor are not changed.
    fn overwrite(
        &self,
        number: usize,
        start: &[usize],
        size: &[usize],
        bytes: &mut [u8],
    ) -> crate::error::Result {
        let Entry { shape, dtype, .. } = &self.checkpoint.manifest.entries[number];
        let Some((&length, outer)) = size.split_last() else { return Ok(()) };
        let last = outer.len();
        let width = shape[last].min(start[last] + length).saturating_sub(start[last]) * dtype.size();
        for (row, bytes) in bytes.chunks_mut((length * dtype.size()).max(1)).enumerate() {
            let mut left = row;
            let mut index = vec![0; last];
            for axis in (0..last).rev() {
                index[axis] = start[axis] + left % size[axis];
                left /= size[axis];
            }
            if width > 0 && index.iter().zip(shape).all(|(index, size)| index < size) {
                let row = index.iter().zip(shape).fold(0, |offset, (index, size)| offset * size + index);
                let offset = (row * shape[last] + start[last]) * dtype.size();
                self.checkpoint.read(number, offset as u64, &mut bytes[..width])?;
            }
        }
        Ok(())
    }

    /// Sends values of the new rows, which come after the rows of the source tensor (the old rows).
    ///
    /// A new row is `m + sqrt(COVARIANCE_FACTOR / n) * sum(z_i * (x_i - m))`. Here, x_i are the n old rows, m is their
    /// mean, and z_i are standard normal values. The covariance of a new row is therefore [`COVARIANCE_FACTOR`] times
    /// the covariance of the old rows.
    ///
    /// The native stream draws the values z_i as an f64 tensor with n columns, under the name of the written tensor.
    /// Row r of this tensor belongs to new row r.
    fn send_new_rows(
        &self,
        number: usize,
        entry: &Entry,
        dtype: DType,
        native: &NativeTensor,
        values: Range<usize>,
        sender: &mut MessageSender,
    ) -> Result<(), Stopped> {
        if values.is_empty() {
            return Ok(());
        }
        let stop = |error| stopped(entry, error);
        let source = &self.checkpoint.manifest.entries[number];
        let (old, width) = (source.shape[0], entry.values() / entry.shape[0]);
        let normal = fanin::Distribution::Normal { mean: 0.0, std: 1.0 };
        let plan = Plan::new(&[entry.shape[0] - old, old], DType::F64, normal)
            .map_err(|error| stop(FillError::Draw(error)))?;
        let prepared = native.prepare(&plan).map_err(|error| stop(FillError::Draw(error)))?;
        let mean = self.mean_of_rows(number, width).map_err(Stopped::Failed)?;
        let rows = values.start / width - old..values.end.div_ceil(width) - old;
        for first in rows.clone().step_by(ROWS) {
            let last = rows.end.min(first + ROWS);
            let mut normals = vec![0f64; (last - first) * old];
            TensorMut::contiguous(&mut normals, &[last - first, old])
                .and_then(|tensor| prepared.fill_region(&[first, 0], tensor))
                .map_err(|error| stop(FillError::Draw(error)))?;
            let new = self.new_rows(number, &mean, &normals, last - first).map_err(Stopped::Failed)?;
            // The range `values` can begin and end inside a row.
            let begin = values.start.max((old + first) * width) - (old + first) * width;
            let end = values.end.min((old + last) * width) - (old + first) * width;
            for chunk in new[begin..end].chunks(CHUNK / dtype.size()) {
                let mut buffer = sender.buffer(chunk.len() * dtype.size())?;
                buffer.fill_rounded(dtype, chunk).map_err(|_| stop(FillError::Memory))?;
                sender.send(Message::Values(buffer))?;
            }
        }
        Ok(())
    }

    /// Returns the mean of the rows of a tensor. Each row has `width` values.
    fn mean_of_rows(&self, number: usize, width: usize) -> crate::error::Result<Vec<f64>> {
        let mut sums = vec![0.0; width];
        let mut column = 0;
        self.checkpoint.values(number, |values| {
            for x in values {
                sums[column] += x;
                column = (column + 1) % width;
            }
        })?;
        let rows = self.checkpoint.manifest.entries[number].shape[0] as f64;
        Ok(sums.into_iter().map(|sum| sum / rows).collect())
    }

    /// Returns `count` new rows. Row r of `normals` contains the values z_i of new row r (see
    /// [`send_new_rows`](Self::send_new_rows)).
    fn new_rows(
        &self,
        number: usize,
        mean: &[f64],
        normals: &[f64],
        count: usize,
    ) -> crate::error::Result<Vec<f64>> {
        let width = mean.len();
        let old = normals.len() / count;
        let mut rows = vec![0.0; count * width];
        let (mut row, mut column) = (0, 0);
        self.checkpoint.values(number, |values| {
            for x in values {
                let distance = x - mean[column];
                for new in 0..count {
                    rows[new * width + column] += normals[new * old + row] * distance;
                }
                column += 1;
                if column == width {
                    (row, column) = (row + 1, 0);
                }
            }
        })?;
        let scale = (COVARIANCE_FACTOR / old as f64).sqrt();
        rows.iter_mut().enumerate().for_each(|(k, x)| *x = mean[k % width] + scale * *x);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_can_be_copied_into_a_stack_and_into_a_larger_tensor() {
        for (source, target, expected) in [
            (&[3, 4][..], &[3, 4][..], Some(Fit::Repeated)),
            (&[3, 4], &[8, 3, 4], Some(Fit::Repeated)),
            (&[4], &[3, 4], Some(Fit::Repeated)),
            (&[3, 4], &[5, 4], Some(Fit::Grown)),
            (&[3, 4], &[5, 9], Some(Fit::Grown)),
            (&[3, 4], &[2, 4], None),
            (&[3, 4], &[8, 4, 3], None),
            (&[], &[2], Some(Fit::Repeated)),
        ] {
            assert_eq!(fit(source, target), expected, "{source:?} {target:?}");
        }
    }
}
