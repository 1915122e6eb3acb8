//! Compares the values of a checkpoint with the values that are generated from a seed. Values of the native stream are
//! generated chunk by chunk. Values of the torch stream are generated tensor by tensor.

use std::collections::HashMap;

use fanin::region::Chunks;
use fanin::{DType, Distribution, Native, Plan, Stream as _, Torch};
use fanin_checkpoint::TorchSequence;
use fanin_checkpoint::decode;
use fanin_checkpoint::{Checkpoint, Progress, StreamKind};
use fanin_recipe::{Action, Planned};

use super::generate::{CHUNK, generate, report_read};
use super::grid;
use super::mismatch::Mismatch;
use crate::error::{Error, Result};

/// A generator of the expected values of a checkpoint's tensors.
#[derive(Debug)]
pub(crate) enum ExpectedValues {
    /// The native stream with a seed. The tensors can be compared in any order.
    Native(Native),
    /// The torch stream, for tensors that are compared in the order in which they were generated.
    TorchInOrder(Box<TorchSequence>),
    /// The torch stream, for tensors that are compared in any order. Maps the name of each tensor to the state of the
    /// generator before it draws that tensor.
    TorchByName(HashMap<String, Torch>),
}

impl ExpectedValues {
    /// Returns a generator for a stream and a seed. With the torch stream, the tensors must be compared in the order of
    /// `planned`.
    pub(crate) fn new(stream: StreamKind, seed: u64, planned: &[Planned]) -> Self {
        match stream {
            StreamKind::Native => Self::Native(Native::new(seed)),
            StreamKind::Torch => Self::TorchInOrder(Box::new(TorchSequence::new(seed, planned))),
        }
    }

    /// Returns the expected values of a checkpoint that was drawn from the torch stream in the order of `model`. The
    /// tensors can be compared in any order.
    ///
    /// # Errors
    /// Returns an error if the torch stream does not implement the algorithm of a plan.
    pub(crate) fn torch_in_model_order(model: &[Planned], seed: u64) -> Result<Self> {
        let mut sequence = TorchSequence::new(seed, model);
        let mut generators = HashMap::new();
        for planned in model {
            let Some(plan) = &planned.plan else { continue };
            let name = &planned.entry.name;
            generators.insert(name.clone(), sequence.generator(planned).clone());
            let error = |source| Error::Tensor { tensor: name.clone(), source };
            sequence.skip(planned, plan).map_err(error)?;
        }
        Ok(Self::TorchByName(generators))
    }

    /// Compares a tensor with its expected values. `tensor` is the index of the tensor in the checkpoint's manifest.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if there is not enough memory, or if the stream cannot draw the
    /// values of the tensor's plan.
    pub(crate) fn compare(
        &mut self,
        checkpoint: &Checkpoint,
        tensor: usize,
        planned: &Planned,
        progress: &dyn Progress,
    ) -> Result<Mismatch> {
        let Some(plan) = &planned.plan else {
            return compare_integers(checkpoint, tensor, planned, progress);
        };
        let name = &planned.entry.name;
        let mut comparison = Comparison::new(checkpoint, tensor, planned, progress);
        let torch = match self {
            Self::Native(native) => {
                let error = |source| Error::Tensor { tensor: name.clone(), source };
                let prepared = native.tensor(planned.source()).prepare(plan).map_err(error)?;
                for (start, size) in Chunks::new(plan.shape(), CHUNK) {
                    let values =
                        generate(name, plan.dtype(), &size, |values| prepared.fill_region(&start, values))?;
                    comparison.add(&values.bytes())?;
                }
                return Ok(comparison.mismatch);
            }
            Self::TorchInOrder(sequence) => sequence.generator(planned),
            Self::TorchByName(generators) => {
                generators.get_mut(name).expect("a tensor that is not in the model has no plan")
            }
        };
        let values = generate(name, plan.dtype(), plan.shape(), |values| torch.fill(plan, values))?;
        comparison.tolerance = tolerance(plan);
        comparison.add(&values.bytes())?;
        Ok(comparison.mismatch)
    }
}

/// Compares a tensor of an integer type with its planned values: one value everywhere, or for `arange` the index of
/// each element along the last axis.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn compare_integers(
    checkpoint: &Checkpoint,
    tensor: usize,
    planned: &Planned,
    progress: &dyn Progress,
) -> Result<Mismatch> {
    let (values, size) = (planned.entry.values(), planned.entry.dtype.size());
    let mut comparison = Comparison::new(checkpoint, tensor, planned, progress);
    let constant = planned.integer.unwrap_or_default().to_le_bytes();
    for first in (0..values).step_by(CHUNK) {
        let chunk = first..values.min(first + CHUNK);
        let expected: Vec<u8> = if planned.action == Action::Arange {
            let bytes = |index| (planned.step(index) as u64).to_le_bytes().into_iter().take(size);
            chunk.flat_map(bytes).collect()
        } else {
            constant[..size].repeat(chunk.len())
        };
        comparison.add(&expected)?;
    }
    Ok(comparison.mismatch)
}

/// A comparison of a tensor with its expected values. The values are compared in row-major order.
struct Comparison<'a> {
    checkpoint: &'a Checkpoint,
    /// The tensor's index in the manifest.
    tensor: usize,
    planned: &'a Planned,
    progress: &'a dyn Progress,
    /// The largest allowed difference between an expected and a stored value, in addition to one step of the dtype.
    /// Exception: if `tolerance` is 0, no difference is allowed. The bytes of the two values must then be equal, so -0
    /// differs from 0.
    tolerance: f64,
    /// The row-major index of the next value to compare.
    index: usize,
    /// The bytes that were last read from the file.
    stored: Vec<u8>,
    mismatch: Mismatch,
}

impl<'a> Comparison<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        planned: &'a Planned,
        progress: &'a dyn Progress,
    ) -> Self {
        let mismatch = Mismatch::default();
        Self { checkpoint, tensor, planned, progress, tolerance: 0.0, index: 0, stored: Vec::new(), mismatch }
    }

    /// Compares the next stored values with `expected`: the bytes of the expected values in the file's dtype.
    fn add(&mut self, expected: &[u8]) -> Result {
        const BYTES: usize = 1 << 22;
        let entry = &self.planned.entry;
        let size = entry.dtype.size();
        for expected in expected.chunks(BYTES) {
            self.stored.resize(expected.len(), 0);
            self.checkpoint.read(self.tensor, (self.index * size) as u64, &mut self.stored)?;
            report_read(self.progress, entry, expected.len() / size);
            if expected != self.stored {
                self.count_differences(expected);
            }
            self.index += expected.len() / size;
        }
        Ok(())
    }

    /// Adds to `mismatch` each value in `stored` whose bytes differ from `expected`, unless the values are close (see
    /// `is_close`).
    fn count_differences(&mut self, expected: &[u8]) {
        let dtype = self.planned.entry.dtype;
        let bytes = expected.chunks(dtype.size()).zip(self.stored.chunks(dtype.size()));
        let values = decode(dtype, expected).into_iter().zip(decode(dtype, &self.stored));
        for (k, ((expected_bytes, found_bytes), (expected, found))) in bytes.zip(values).enumerate() {
            if expected_bytes != found_bytes && !self.is_close(expected, found) {
                self.mismatch.add(self.index + k, expected, found);
            }
        }
    }

    /// Returns whether two values differ by at most the tolerance plus one step of the dtype. Always returns `false` at
    /// a tolerance of 0.
    fn is_close(&self, expected: f64, found: f64) -> bool {
        let plan = self.planned.plan.as_ref().filter(|_| self.tolerance > 0.0 && expected.is_finite());
        plan.is_some_and(|plan| {
            let (below, above) = grid::neighbours(plan.dtype(), expected);
            (expected - found).abs() <= self.tolerance + (expected - below).max(above - expected)
        })
    }
}

/// Returns how far torch's values can differ between two builds of LAPACK, before rounding to the dtype. The tolerance
/// is 0 unless `plan` or one of its blocks is `orthogonal`: torch computes only these values with LAPACK.
fn tolerance(plan: &Plan) -> f64 {
    match plan.distribution() {
        // For all types narrower than f64, torch computes the matrices in f32.
        Distribution::Orthogonal { gain } => {
            gain.abs() * if plan.dtype() == DType::F64 { 2.5e-11 } else { 2.5e-5 }
        }
        Distribution::Blocks { .. } => {
            plan.blocks().iter().map(|block| tolerance(block.plan())).fold(0.0, f64::max)
        }
        _ => 0.0,
    }
}
