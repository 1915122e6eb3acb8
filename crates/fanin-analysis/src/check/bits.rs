//! Comparison of a checkpoint with the values that a seed gives. The expected values are generated a chunk at a time.

use std::collections::HashMap;

use fanin::region::Chunks;
use fanin::{Distribution, Native, Plan, Stream as _, Torch};
use fanin_checkpoint::TorchSequence;
use fanin_checkpoint::decode;
use fanin_checkpoint::{Checkpoint, Progress, StreamKind};
use fanin_recipe::{Action, Planned};

use super::generate::{CHUNK, generate, report_read};
use super::mismatch::Mismatch;
use super::orthogonal;
use crate::error::{Error, Result};

/// Generates the expected values of a checkpoint's tensors, one tensor after another.
#[derive(Debug)]
pub(crate) enum ExpectedValues {
    /// From the native stream of a seed.
    Native(Native),
    /// From the torch stream, for tensors that are compared in the order in which they were generated.
    TorchInOrder(Box<TorchSequence>),
    /// From the torch stream, for tensors in any order: the generator before each tensor, by the tensor's name.
    TorchByName(HashMap<String, Torch>),
}

impl ExpectedValues {
    /// Returns the values of a stream and seed, for these tensors in this order.
    pub(crate) fn new(stream: StreamKind, seed: u64, planned: &[Planned]) -> Self {
        match stream {
            StreamKind::Native => Self::Native(Native::new(seed)),
            StreamKind::Torch => Self::TorchInOrder(Box::new(TorchSequence::new(seed, planned))),
        }
    }

    /// Returns the values of the torch stream for a model's tensors in the model's order. The tensors can then be
    /// compared in any order.
    ///
    /// # Errors
    /// If the stream cannot carry out a plan.
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

    /// Compares the tensor at this index of the manifest with its expected values.
    ///
    /// # Errors
    /// If the file cannot be read, or the stream cannot carry out the plan.
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

/// Compares a tensor of an integer type with its planned values: one value everywhere, or consecutive integers.
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

/// A tensor that is being compared with its expected values, from its first value to its last.
struct Comparison<'a> {
    checkpoint: &'a Checkpoint,
    /// The tensor's index in the manifest.
    tensor: usize,
    planned: &'a Planned,
    progress: &'a dyn Progress,
    /// The distance up to which two values count as equal. At 0 the bytes must be equal, so -0 differs from 0.
    tolerance: f64,
    /// The index of the next value.
    index: usize,
    /// Bytes read from the file.
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

    /// Compares the next values with the expected ones, which are given as bytes of the file's type.
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

    /// Counts the values of the last read that differ.
    fn count_differences(&mut self, expected: &[u8]) {
        let dtype = self.planned.entry.dtype;
        let bytes = expected.chunks(dtype.size()).zip(self.stored.chunks(dtype.size()));
        let values = decode(dtype, expected).into_iter().zip(decode(dtype, &self.stored));
        for (k, ((expected_bytes, found_bytes), (expected, found))) in bytes.zip(values).enumerate() {
            let close = self.tolerance > 0.0 && (expected - found).abs() <= self.tolerance;
            if expected_bytes != found_bytes && !close {
                self.mismatch.add(self.index + k, expected, found);
            }
        }
    }
}

/// Returns the distance up to which a value of a torch plan counts as equal. It is 0 except for `orthogonal`, which
/// agrees with torch only to rounding, as different LAPACK builds do.
fn tolerance(plan: &Plan) -> f64 {
    match plan.distribution() {
        Distribution::Orthogonal { gain } => gain.abs() * orthogonal::tolerance(plan.dtype()) / 4.0,
        Distribution::Blocks { .. } => {
            plan.blocks().iter().map(|block| tolerance(block.plan())).fold(0.0, f64::max)
        }
        _ => 0.0,
    }
}
