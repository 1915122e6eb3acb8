//! Compares copied tensors with the checkpoint from which they were copied.

use fanin::region::Region;
use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::Copy;
use fanin_recipe::text::{counted, shape};

use super::verified_tensor::VerifiedTensor;
use crate::check::ValueDifference;
use crate::error::Result;

/// The largest number of bytes that are compared at once.
const CHUNK: usize = 1 << 20;

/// A checkpoint with copied tensors, and the checkpoint with their originals.
pub(super) struct Copied<'a> {
    /// The checkpoint with the copied tensors.
    pub(super) checkpoint: &'a Checkpoint,
    /// The checkpoint with the originals, from which the tensors were copied.
    pub(super) source: &'a Checkpoint,
    pub(super) progress: &'a dyn Progress,
}

impl Copied<'_> {
    /// Compares a copied tensor with the original, bit for bit, and adds the result to `verified`. `tensor` is the
    /// index of the copy in the manifest of its checkpoint. The name of the original is `copy.from`. If `copy.from` is
    /// `None`, it is the first of `names` that exists.
    ///
    /// The types must be the same. If the shapes differ, the copy must be a stack of copies of the original, or a
    /// larger tensor. In a larger tensor, the original occupies the first indices of every axis, as in `large[:3, :4]`.
    /// The other values are new.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(super) fn compare(
        &self,
        tensor: usize,
        copy: &Copy,
        names: [&str; 2],
        verified: &mut VerifiedTensor,
    ) -> Result {
        let entry = &self.checkpoint.manifest.entries[tensor];
        let names = copy.from.as_deref().map_or(names, |from| [from, from]);
        let entries = &self.source.manifest.entries;
        let Some(index) = names.iter().find_map(|name| entries.iter().position(|entry| entry.name == *name))
        else {
            verified.fail("copy", format!("the checkpoint that it is copied from has no {}", names[0]));
            return Ok(());
        };
        let original = &entries[index];
        let (small, large) = (&original.shape, &entry.shape);
        let stacked = large.ends_with(small);
        let inside =
            small.len() == large.len() && small.iter().zip(large).all(|(small, large)| small <= large);
        if original.dtype != entry.dtype || !(stacked || inside) || (small != large && entry.dtype.bits() < 8)
        {
            let text = format!(
                "it cannot be a copy: the original is a tensor of {} {}",
                original.dtype,
                shape(small)
            );
            verified.fail("copy", text);
            return Ok(());
        }
        let differing = if small == large {
            let report = |bytes: u64| self.progress.add(bytes * 8 / entry.dtype.bits() as u64, bytes);
            let difference = ValueDifference::new([self.checkpoint, self.source], [tensor, index], report)?;
            difference.map_or(0, |difference| difference.values)
        } else if stacked {
            let copies = entry.values().checked_div(original.values()).unwrap_or(0);
            let size = original.values();
            let of_copy =
                |copy| self.differing(tensor, index, std::iter::once(copy * size..(copy + 1) * size));
            (0..copies).map(of_copy).sum::<Result<u64>>()?
        } else {
            verified.unchecked = Some("only its copied values are compared, not the new ones".to_owned());
            let region = Region::new(large, &vec![0; large.len()], small);
            self.differing(tensor, index, region.runs())?
        };
        if differing > 0 {
            let values = counted(entry.values() as u64, "value");
            verified.fail("copy", format!("{differing} of {values} differ from the copied tensor"));
        }
        Ok(())
    }

    /// Returns the number of values of a copy that differ from the original. `tensor` and `original` are the indices of
    /// the two tensors in their manifests. `ranges` are ranges of row-major indices in the copy. The values in these
    /// ranges, one range after another, are compared with the consecutive values of the original.
    fn differing(
        &self,
        tensor: usize,
        original: usize,
        ranges: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> Result<u64> {
        let size = self.checkpoint.manifest.entries[tensor].dtype.bits() / 8;
        let (mut known, mut differing) = (0u64, 0);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for range in ranges {
            for start in range.clone().step_by(CHUNK / size) {
                let bytes = (range.end - start).min(CHUNK / size) * size;
                found.resize(bytes, 0);
                expected.resize(bytes, 0);
                self.checkpoint.read(tensor, (start * size) as u64, &mut found)?;
                self.source.read(original, known, &mut expected)?;
                known += bytes as u64;
                self.progress.add((bytes / size) as u64, bytes as u64);
                let pairs = found.chunks(size).zip(expected.chunks(size));
                differing += pairs.filter(|(found, expected)| found != expected).count() as u64;
            }
        }
        Ok(differing)
    }
}
