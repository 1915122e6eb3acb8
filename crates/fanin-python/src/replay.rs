//! Functions for `fanin.torch.trace_init`. A *replay* is a TOML text with the seed of a traced model and the writes to
//! each tensor.

use fanin_recipe::Replay;
use fanin_recipe::recipe::draft::cover;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors;
use crate::interrupt::interruptible;
use crate::memory::bytes_at;

/// Returns the names of the tensors whose values differ from a replay. `text` is the content of the replay file. Each
/// of `tensors` is (name, address, number of bytes). The values at the address are in row-major order.
///
/// Raises ValueError if the replay is invalid, or if a name is not in the replay.
#[pyfunction]
pub fn replay_differences(
    py: Python<'_>,
    text: &str,
    tensors: Vec<(String, usize, usize)>,
) -> PyResult<Vec<String>> {
    let replay = Replay::parse(text, "replay.toml".as_ref()).map_err(errors::from_recipe)?;
    // SAFETY: `_trace/replay.py` keeps the tensors alive, and nothing writes to them during the call.
    let bytes = |address, count| unsafe { bytes_at(address, count) };
    let expected: Vec<_> =
        tensors.into_iter().map(|(name, address, count)| (name, bytes(address, count))).collect();
    let found = interruptible(py, |_| fanin_checkpoint::replay_differences(&replay, &expected))?;
    found.map_err(errors::from_checkpoint)
}

/// Returns name patterns for the rules of a recipe, in order. All tensors of a rule have the same initializer.
///
/// `names[i]` is the name of a tensor, and `kinds[i]` is a number for its initializer: equal numbers mean equal
/// initializers. Each pattern is returned with the indices of the names to which its rule applies.
///
/// Raises ValueError if `names` and `kinds` differ in length.
#[pyfunction]
pub fn cover_names(names: Vec<String>, kinds: Vec<usize>) -> PyResult<Vec<(String, Vec<usize>)>> {
    if names.len() != kinds.len() {
        let message =
            format!("{} names and {} kinds: there must be one kind for each name", names.len(), kinds.len());
        return Err(PyValueError::new_err(message));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|&index| (kinds[index], index));
    Ok(cover(&names, &kinds, &order))
}
