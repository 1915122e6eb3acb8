//! Computes the tensors of a replay, and plans a checkpoint of these tensors. A replay is a list of steps that
//! reproduce the initialization of a PyTorch model.

use fanin::{DType, Stream as _, Torch};
use fanin_recipe::recipe::replay::{ReplayTensor, Start, Step, StepKind, Values, View};
use fanin_recipe::{Planned, Replay};

use crate::error::{Error, Result};
use crate::feasibility;
use crate::messages::FillError;
use crate::options::{Draw, Partitioning, StreamKind};
use crate::plan::{CheckpointPlan, metadata};
use crate::value_buffer::ValueBuffer;

/// The result type of functions that compute values.
type Filled<T = ()> = std::result::Result<T, FillError>;

impl CheckpointPlan {
    /// Returns the plan of a checkpoint with the tensors of `replay`. The seed is `replay.seed`, and `draw.seed` is not
    /// used.
    ///
    /// # Errors
    /// Returns an error if `draw.stream` is not the torch stream. Also returns an error if the tensors have more than
    /// 2^63 - 1 bytes in total, which is the maximum size of a file.
    pub fn of_replay(replay: Replay, draw: Draw, partitioning: Partitioning) -> Result<Self> {
        if draw.stream != StreamKind::Torch {
            let message = "a replay has values of the torch stream: choose the stream torch".to_owned();
            return Err(Error::Request(message));
        }
        let draw = Draw { seed: replay.seed, ..draw };
        let planned: Vec<Planned> = replay.planned();
        feasibility::check(&planned, draw.stream)?;
        let mut metadata = metadata(draw);
        metadata.push(("fanin.replay".to_owned(), replay.text.clone()));
        Ok(Self {
            all: planned.clone(),
            planned,
            copies: None,
            replay: Some(replay),
            metadata,
            draw,
            partitioning,
        })
    }
}

/// Returns torch's generator in the state that it has at the position `start` of the stream.
pub(crate) fn generator(start: Start) -> Torch {
    let mut torch = Torch::new(start.seed);
    let mut drawn = 0;
    if let Some(pair) = start.pair {
        torch.advance(pair);
        // The generator draws normal values in pairs. After a fill of one value, the generator therefore stores the
        // second value of the pair.
        let plan = fanin::init::normal(0.0, 1.0);
        plan.fill(&mut [0f64], &[1], &mut torch).expect("one normal value can be drawn");
        drawn = pair + PAIR;
    }
    torch.advance(start.at - drawn);
    torch
}

/// The number of 32-bit words that the generator uses for a pair of f64 normal values. A pair takes two 64-bit uniform
/// values.
const PAIR: u64 = 4;

/// Computes tensors of `replay`, and returns the names of those that differ from `expected`. Each element of `expected`
/// is the name of a tensor and the expected values. The values are little-endian bytes in row-major order.
///
/// # Errors
/// Returns an error if `replay` does not have an expected tensor, or if values cannot be computed.
pub fn replay_differences(replay: &Replay, expected: &[(String, &[u8])]) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    for (name, bytes) in expected {
        let missing = || Error::Request(format!("the replay has no tensor {name:?}"));
        let tensor = replay.tensor(name).ok_or_else(missing)?;
        let found = values(replay, tensor).map_err(|error| error.about(&tensor.entry))?;
        if found.bytes() != *bytes {
            differing.push(name.clone());
        }
    }
    Ok(differing)
}

/// Computes the values of a tensor, in row-major order.
pub(crate) fn values(replay: &Replay, tensor: &ReplayTensor) -> Filled<ValueBuffer> {
    let whole = tensor.view();
    let count = whole.end().expect("`Replay::parse` has checked the shape");
    let mut memory = buffer(tensor, count)?;
    for step in &tensor.steps {
        run(replay, tensor, step, &mut memory)?;
    }
    if tensor.strides.is_none() {
        return Ok(memory);
    }
    let mut ordered = buffer(tensor, tensor.entry.values())?;
    copy_elements(&mut ordered, &row_major(&tensor.entry.shape), &memory, &whole);
    Ok(ordered)
}

fn row_major(shape: &[usize]) -> View {
    View { offset: 0, shape: shape.to_vec(), strides: View::row_major(shape) }
}

fn buffer(tensor: &ReplayTensor, count: usize) -> Filled<ValueBuffer> {
    let made = match tensor.entry.dtype.float() {
        Some(dtype) => ValueBuffer::new(dtype, count),
        None => ValueBuffer::of_stored(tensor.entry.dtype.size(), count),
    };
    made.map_err(|_| FillError::Memory)
}

/// Runs a step of a replay. The step writes to `memory`.
fn run(replay: &Replay, tensor: &ReplayTensor, step: &Step, memory: &mut ValueBuffer) -> Filled {
    let view = step.view.clone().unwrap_or_else(|| tensor.view());
    let dtype = tensor.entry.dtype.float();
    match &step.kind {
        StepKind::Fill { plan, start, .. } => {
            let strides: Vec<isize> = view.strides.iter().map(|&stride| stride as isize).collect();
            let target = memory.strided(&view.shape, &strides, view.offset).map_err(FillError::Draw)?;
            let mut torch = generator(start.unwrap_or(Start { seed: 0, at: 0, pair: None }));
            torch.fill(plan, target).map_err(FillError::Draw)?;
        }
        StepKind::Integer(number) => view.for_each(|at| memory.set_integer(at, *number)),
        StepKind::Arange => {
            let length = view.shape.last().copied().unwrap_or(1).max(1);
            let mut index = 0;
            view.for_each(|at| {
                memory.set_integer(at, (index % length) as i128);
                index += 1;
            });
        }
        StepKind::Values(Values::Floats(numbers)) => {
            let mut numbers = numbers.iter();
            view.for_each(|at| memory.set_float(at, *numbers.next().expect("one number for each element")));
        }
        StepKind::Values(Values::Integers(numbers)) => {
            let mut numbers = numbers.iter();
            view.for_each(|at| memory.set_integer(at, *numbers.next().expect("one number for each element")));
        }
        StepKind::Copy { name, view: from } => {
            let source = replay.tensor(name).expect("`Replay::parse` has checked the name");
            let from = from.clone().unwrap_or_else(|| row_major(&source.entry.shape));
            let found = values(replay, source)?;
            if source.entry.dtype == tensor.entry.dtype {
                copy_elements(memory, &view, &found, &from);
            } else {
                convert_elements(memory, &view, &found, &from);
            }
        }
        StepKind::Multiply(number) => {
            change(memory, &view, dtype, *number, |value, number| value * number);
        }
        StepKind::Divide(number) => change(memory, &view, dtype, *number, |value, number| value / number),
        StepKind::Add(number) => change(memory, &view, dtype, *number, |value, number| value + number),
    }
    Ok(())
}

/// Applies an operation to each value of a view, with the same result as torch on the CPU. Torch computes in f64 for
/// f64 values, and in f32 for all other dtypes.
///
/// This function computes in f64, and rounds to f32 where torch computes in f32. The result is the same, because f64
/// has more than twice the precision of f32.
fn change(
    memory: &mut ValueBuffer,
    view: &View,
    dtype: Option<DType>,
    number: f64,
    operation: impl Fn(f64, f64) -> f64,
) {
    let wide = if dtype == Some(DType::F64) { DType::F64 } else { DType::F32 };
    let number = wide.round(number);
    view.for_each(|at| {
        let value = wide.round(operation(memory.float(at), number));
        memory.set_float(at, value);
    });
}

/// Copies elements bit for bit. Both buffers must have the same dtype.
fn copy_elements(to: &mut ValueBuffer, to_view: &View, from: &ValueBuffer, from_view: &View) {
    let size = from.size();
    let mut positions = Vec::with_capacity(from_view.count().unwrap_or_default());
    from_view.for_each(|at| positions.push(at));
    let mut positions = positions.into_iter();
    to_view.for_each(|at| {
        let position = positions.next().expect("both views have the same number of elements");
        to.raw_mut()[at * size..(at + 1) * size]
            .copy_from_slice(&from.raw()[position * size..(position + 1) * size]);
    });
}

/// Copies floating-point elements, rounded to the dtype of the buffer `to`.
fn convert_elements(to: &mut ValueBuffer, to_view: &View, from: &ValueBuffer, from_view: &View) {
    let mut numbers = Vec::with_capacity(from_view.count().unwrap_or_default());
    from_view.for_each(|at| numbers.push(from.float(at)));
    let mut numbers = numbers.into_iter();
    to_view.for_each(|at| {
        to.set_float(at, numbers.next().expect("both views have the same number of elements"))
    });
}
