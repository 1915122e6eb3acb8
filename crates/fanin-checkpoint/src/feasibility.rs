//! The check of all plans of a checkpoint before values are drawn or files are written.

use std::collections::HashSet;

use fanin::{Distribution, Native, Plan};
use fanin_recipe::Planned;
use fanin_recipe::manifest::MAX_FILE_BYTES;

use crate::error::{Error, Result};
use crate::options::StreamKind;

/// Checks that the stream can draw all tensors, and that their bytes fit in a file.
///
/// # Errors
/// Returns an error if all tensors together have more than `MAX_FILE_BYTES` bytes. Two more errors exist only on the
/// native stream:
/// * Two tensors that are not tied to each other have the same canonical name. For example, `fc.weight` and
///   `module.fc.weight` have the same canonical name.
/// * A plan requires rejection sampling.
pub(crate) fn check(planned: &[Planned], stream: StreamKind) -> Result {
    let total = planned.iter().try_fold(0u64, |total, planned| total.checked_add(planned.entry.bytes()));
    if total.is_none_or(|total| total > MAX_FILE_BYTES) {
        return Err(Error::Request(format!(
            "the tensors have more bytes than a file can have ({MAX_FILE_BYTES})"
        )));
    }
    match stream {
        StreamKind::Native => check_native(planned),
        StreamKind::Torch => Ok(()),
    }
}

fn check_native(planned: &[Planned]) -> Result {
    let mut model = Native::new(0).model();
    let mut sources = HashSet::new();
    for planned in planned {
        let error = |source| Error::Tensor { tensor: planned.description(), source };
        // `model` rejects a name that was used before. Tied tensors share one name, so `model` gets this name only
        // once.
        let name = planned.source();
        let tensor = if sources.insert(name) {
            model.tensor(name).map_err(error)?
        } else {
            Native::new(0).tensor(name)
        };
        // Orthogonal plans are not checked, because their preparation factors a matrix.
        let is_checked = |plan: &&Plan| !matches!(plan.distribution(), Distribution::Orthogonal { .. });
        if let Some(plan) = planned.plan.as_ref().filter(is_checked) {
            tensor.prepare(plan).map_err(error)?;
        }
    }
    Ok(())
}
