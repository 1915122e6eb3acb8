//! Whether a file has the very values that a seed makes, computed on the fly.

use std::collections::HashMap;

use fanin::{Distribution, Native, Plan, Stream as _, Torch};

use super::sample::Outcome;
use crate::error::{Error, Result};
use fanin::region::Chunks;
use fanin_checkpoint::Checkpoint;
use fanin_checkpoint::StreamKind;
use fanin_checkpoint::TorchSequence;
use fanin_checkpoint::ValueBuffer;
use fanin_checkpoint::decode;
use fanin_recipe::recipe::{Action, Planned};
use fanin_recipe::text as numbers;

/// Values made at a time.
const CHUNK: usize = 1 << 20;

/// How the values of a tensor differ from those expected.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Difference {
    /// How many do.
    pub values: u64,
    /// The first of them by row-major index: the index, what is expected, what is found.
    pub first: Option<(usize, f64, f64)>,
    /// The greatest distance; infinite if one of the two is not finite.
    pub largest: f64,
}

impl Difference {
    fn add(&mut self, at: usize, planned: &Planned, expected: &[u8], found: &[u8], slack: f64) {
        if expected == found {
            return;
        }
        let dtype = planned.entry.dtype;
        let pairs = decode(dtype, expected).into_iter().zip(decode(dtype, found));
        let size = dtype.size();
        for (k, (right, is)) in pairs.enumerate() {
            if expected[k * size..(k + 1) * size] == found[k * size..(k + 1) * size]
                // Without slack -0 is not 0.
                || (slack > 0.0 && (right - is).abs() <= slack)
            {
                continue;
            }
            self.count(at + k, right, is);
        }
    }

    /// Counts a value that differs.
    pub fn count(&mut self, at: usize, right: f64, is: f64) {
        let distance = (right - is).abs();
        self.values += 1;
        self.first.get_or_insert((at, right, is));
        self.largest = self.largest.max(if distance.is_nan() { f64::INFINITY } else { distance });
    }

    /// What is told of so many values that nothing random is in, if one differs.
    pub fn exact(&self, values: usize) -> Option<Outcome> {
        let (index, right, is) = self.first?;
        let many = numbers::counted(self.values, "value");
        let text =
            format!("{many} of {values} not as planned, the first at {index}: {is} instead of {right}");
        Some(Outcome { test: "exact", p: 0.0, text })
    }
}

/// What makes the expected values, one tensor after another.
#[derive(Debug)]
pub struct Source(Of);

#[derive(Debug)]
enum Of {
    /// The native stream of a seed.
    Native(Native),
    /// The torch stream, for tensors that come in its order.
    Torch(Box<TorchSequence>),
    /// The torch stream as it stands before each tensor.
    Places(HashMap<String, Torch>),
}

impl Source {
    /// The stream of that name and seed, for these tensors in their order.
    pub fn new(stream: StreamKind, seed: u64, planned: &[Planned]) -> Self {
        Source(match stream {
            StreamKind::Native => Of::Native(Native::new(seed)),
            StreamKind::Torch => Of::Torch(Box::new(TorchSequence::new(seed, planned))),
        })
    }

    /// The torch stream of that seed over a model's tensors in the model's order, for a file that has them in another.
    ///
    /// # Errors
    /// If the stream cannot carry out a plan.
    pub fn in_order_of(model: &[Planned], seed: u64) -> Result<Self> {
        let mut sequence = TorchSequence::new(seed, model);
        let mut places = HashMap::new();
        for planned in model {
            let Some(plan) = &planned.plan else { continue };
            places.insert(planned.entry.name.clone(), sequence.generator(planned).clone());
            let wrong = |source| Error::Tensor { tensor: planned.entry.name.clone(), source };
            sequence.skip(planned, plan).map_err(wrong)?;
        }
        Ok(Source(Of::Places(places)))
    }

    /// Compares the tensor of that number with what the stream makes of its plan.
    ///
    /// # Errors
    /// If the file cannot be read, or the stream cannot carry out the plan.
    pub fn compare(
        &mut self,
        checkpoint: &Checkpoint,
        number: usize,
        planned: &Planned,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Difference> {
        let mut difference = Difference::default();
        let (mut at, size) = (0usize, planned.entry.dtype.size());
        let mut found = Vec::new();
        let mut next = |expected: &[u8], slack: f64| -> Result {
            for expected in expected.chunks(1 << 22) {
                found.resize(expected.len(), 0);
                checkpoint.read(number, (at * size) as u64, &mut found)?;
                seen(&found);
                difference.add(at, planned, expected, &found, slack);
                at += expected.len() / size;
            }
            Ok(())
        };
        let Some(plan) = &planned.plan else {
            if planned.action == Action::Arange {
                let all = planned.entry.values();
                for first in (0..all).step_by(CHUNK) {
                    let steps = first..all.min(first + CHUNK);
                    let bytes = steps
                        .flat_map(|index| (planned.step(index) as u64).to_le_bytes().into_iter().take(size));
                    next(&bytes.collect::<Vec<u8>>(), 0.0)?;
                }
                return Ok(difference);
            }
            let value = &planned.integer.unwrap_or_default().to_le_bytes()[..size];
            let mut left = planned.entry.values();
            while left > 0 {
                let now = left.min(CHUNK);
                next(&value.repeat(now), 0.0)?;
                left -= now;
            }
            return Ok(difference);
        };
        let wrong = |source| Error::Tensor { tensor: planned.entry.name.clone(), source };
        let full = |_| Error::Request(format!("{}: no memory for its values", planned.entry.name));
        let drawn = |torch: &mut Torch| -> Result<ValueBuffer> {
            let mut values = ValueBuffer::new(plan.dtype(), plan.len()).map_err(full)?;
            values.tensor(plan.shape()).and_then(|tensor| torch.fill(plan, tensor)).map_err(wrong)?;
            Ok(values)
        };
        match &mut self.0 {
            Of::Native(native) => {
                let prepared = native.tensor(planned.source()).prepare(plan).map_err(wrong)?;
                for (start, size) in Chunks::new(plan.shape(), CHUNK) {
                    let mut values = ValueBuffer::new(plan.dtype(), size.iter().product()).map_err(full)?;
                    values
                        .tensor(&size)
                        .and_then(|tensor| prepared.fill_region(&start, tensor))
                        .map_err(wrong)?;
                    next(&values.bytes(), 0.0)?;
                }
            }
            Of::Torch(sequence) => next(&drawn(sequence.generator(planned))?.bytes(), slack(plan))?,
            Of::Places(places) => {
                let place = places.get_mut(&planned.entry.name);
                let torch = place.expect("what the model has not is compared with nothing");
                next(&drawn(torch)?.bytes(), slack(plan))?;
            }
        }
        Ok(difference)
    }
}

/// How far torch's own values may be from ours: `orthogonal` agrees to rounding only, as LAPACK builds do.
fn slack(plan: &Plan) -> f64 {
    match plan.distribution() {
        Distribution::Orthogonal { gain } => gain.abs() * super::orthogonal::tolerance(plan.dtype()) / 4.0,
        Distribution::Blocks { .. } => {
            plan.blocks().iter().map(|part| slack(part.plan())).fold(0.0, f64::max)
        }
        _ => 0.0,
    }
}
