//! Produces the values of a checkpoint's tensors. Values are drawn from a stream, copied from another checkpoint, or
//! computed from a replay (a recording of torch's writes to the tensors). An integer tensor can also be `arange` or
//! constant.

use std::ops::Range;

use fanin::region::Chunks;
use fanin::{Native, Plan, Stream as _, Torch};
use fanin_recipe::recipe::replay::StepKind;
use fanin_recipe::{Action, Copy, Planned, Replay};

use crate::checkpoint::Checkpoint;
use crate::copies::CopySource;
use crate::error::Error;
use crate::messages::{CHUNK, FillError, Message, MessageSender, Stopped, stopped};
use crate::options::{Draw, StreamKind};
use crate::replay;
use crate::tensor_range::TensorRange;
use crate::torch_sequence::{TorchSequence, chunk_plans};

/// Produces the values of a checkpoint's tensors, and sends the values to the receiving thread.
pub(crate) struct Producer<'a> {
    /// All tensors of the checkpoint.
    planned: &'a [Planned],
    generator: Generator,
    copies: Option<CopySource>,
    /// The replay from which the tensors get their values. `None` if a recipe or a spec specifies the values.
    replay: Option<&'a Replay>,
    sender: MessageSender,
}

/// The random generator of the stream from which values are drawn.
enum Generator {
    Native(Native),
    Torch(Box<TorchSequence>),
}

impl<'a> Producer<'a> {
    /// Returns a producer for the tensors `planned`. Copied tensors take their values from the checkpoint `copies`.
    pub(crate) fn new(
        planned: &'a [Planned],
        draw: Draw,
        copies: Option<Checkpoint>,
        sender: MessageSender,
    ) -> Self {
        let generator = match draw.stream {
            StreamKind::Native => Generator::Native(Native::new(draw.seed)),
            StreamKind::Torch => Generator::Torch(Box::new(TorchSequence::new(draw.seed, planned))),
        };
        let copies = copies.map(CopySource::new);
        Self { planned, generator, copies, replay: None, sender }
    }

    /// Sets the replay from which the tensors get their values.
    pub(crate) fn with_replay(self, replay: Option<&'a Replay>) -> Self {
        Self { replay, ..self }
    }

    /// Produces the values of `ranges` and sends them. The ranges must be in ascending order.
    pub(crate) fn produce(mut self, ranges: &[TensorRange]) -> Result<(), Stopped> {
        let all = self.planned;
        let mut next = 0;
        for (index, range) in ranges.iter().enumerate() {
            self.skip(all.get(next..range.start()).unwrap_or_default())?;
            self.sender.send(Message::Begin(index))?;
            for number in range.start()..range.end() {
                let planned = &all[number];
                let values = range.values_of(number, planned.entry.values());
                match (&planned.plan, &planned.action) {
                    _ if self.replay.is_some() => self.replay(number, values)?,
                    (Some(plan), _) => self.draw(planned, plan, values)?,
                    (None, Action::Copy(copy)) => self.copy(planned, copy, values)?,
                    (None, Action::Arange) => self.arange(planned, values)?,
                    (None, Action::Init(_) | Action::Skip | Action::Replay) => {
                        self.repeat(planned, values.len())?
                    }
                }
            }
            self.sender.send(Message::End)?;
            next = range.end();
        }
        Ok(())
    }

    /// Advances the torch stream past tensors that are not drawn here, such as the tensors of another process.
    fn skip(&mut self, planned: &[Planned]) -> Result<(), Stopped> {
        let Generator::Torch(sequence) = &mut self.generator else { return Ok(()) };
        if self.replay.is_some() {
            return Ok(()); // a replay knows where in the stream each tensor begins
        }
        for planned in planned {
            if let Some(plan) = &planned.plan {
                let skipped = sequence.skip(planned, plan);
                skipped.map_err(|error| stopped(&planned.entry, FillError::Draw(error)))?;
            }
        }
        Ok(())
    }

    /// Draws values of a tensor, and sends them. `values` is the range of their row-major indices. On the torch stream,
    /// `values` must be the whole tensor.
    fn draw(&mut self, planned: &Planned, plan: &Plan, values: Range<usize>) -> Result<(), Stopped> {
        let Self { generator, sender, .. } = self;
        let max_values = CHUNK / plan.dtype().size();
        let stopped = |error| stopped(&planned.entry, error);
        match generator {
            Generator::Native(_) if values.is_empty() => {}
            // `feasibility::check` has checked that no two tensors have the same canonical name.
            Generator::Native(native) => {
                let prepared = native.tensor(planned.source()).prepare(plan);
                let prepared = prepared.map_err(|error| stopped(FillError::Draw(error)))?;
                for (start, size) in Chunks::range(plan.shape(), values, max_values) {
                    let fill = |tensor: fanin::TensorMut<'_>| prepared.fill_region(&start, tensor);
                    sender.send_drawn(plan.dtype(), &size, fill, stopped)?;
                }
            }
            Generator::Torch(sequence) => {
                send_chunks(sender, sequence.generator(planned), plan, stopped)?;
            }
        }
        Ok(())
    }

    /// Computes the tensor with the index `number` in the replay, and sends the values whose row-major indices are in
    /// `values`.
    fn replay(&mut self, number: usize, values: Range<usize>) -> Result<(), Stopped> {
        let Some((replay, tensor)) =
            self.replay.and_then(|replay| Some((replay, replay.tensors.get(number)?)))
        else {
            return Ok(());
        };
        let stopped = |error| stopped(&tensor.entry, error);
        if let Some(StepKind::Fill { plan, start: Some(start), .. }) = tensor.only_step()
            && values.len() == plan.len()
        {
            let mut torch = replay::generator(*start);
            return send_chunks(&mut self.sender, &mut torch, plan, stopped);
        }
        let drawn = replay::values(replay, tensor).map_err(stopped)?;
        let size = drawn.size();
        let bytes = &drawn.bytes()[values.start * size..values.end * size];
        for chunk in bytes.chunks(CHUNK) {
            let mut buffer = self.sender.buffer(chunk.len())?;
            let memory = buffer.resize_stored(chunk.len()).map_err(|_| stopped(FillError::Memory))?;
            memory.copy_from_slice(chunk);
            self.sender.send(Message::Values(buffer))?;
        }
        Ok(())
    }

    /// Sends the values of an integer tensor in which each row along the last axis is 0, 1, 2 and so on.
    fn arange(&mut self, planned: &Planned, values: Range<usize>) -> Result<(), Stopped> {
        let size = planned.entry.dtype.size();
        let mut start = values.start;
        while start < values.end {
            let count = (values.end - start).min(CHUNK / size);
            let mut buffer = self.sender.buffer(count * size)?;
            let integers = (start..start + count).map(|index| planned.step(index) as u64);
            let filled = buffer.fill_integers(size, count, integers);
            filled.map_err(|_| stopped(&planned.entry, FillError::Memory))?;
            self.sender.send(Message::Values(buffer))?;
            start += count;
        }
        Ok(())
    }

    /// Sends values that are copied from another tensor.
    fn copy(&mut self, planned: &Planned, copy: &Copy, values: Range<usize>) -> Result<(), Stopped> {
        let native = match &self.generator {
            Generator::Native(native) => Some(native.tensor(planned.source())),
            Generator::Torch(_) => None,
        };
        match &self.copies {
            Some(copies) => copies.send(planned, copy, native, values, &mut self.sender),
            None => Err(Stopped::Failed(Error::Request(format!(
                "{}: there is no checkpoint from which its values can be copied",
                planned.entry.name
            )))),
        }
    }

    /// Sends `count` values of an integer tensor in which all values are equal.
    fn repeat(&mut self, planned: &Planned, count: usize) -> Result<(), Stopped> {
        let (value, size) = (planned.integer.unwrap_or_default().to_le_bytes(), planned.entry.dtype.size());
        let mut left = count;
        while left > 0 {
            let count = left.min(CHUNK / size);
            let mut buffer = self.sender.buffer(count * size)?;
            let filled = buffer.fill_repeated(&value[..size], count);
            filled.map_err(|_| stopped(&planned.entry, FillError::Memory))?;
            self.sender.send(Message::Values(buffer))?;
            left -= count;
        }
        Ok(())
    }
}

/// Draws the values of a tensor in chunks, with the generator `torch`, and sends each chunk.
fn send_chunks(
    sender: &mut MessageSender,
    torch: &mut Torch,
    plan: &Plan,
    stopped: impl Fn(FillError) -> Stopped,
) -> Result<(), Stopped> {
    for chunk in chunk_plans(plan, CHUNK / plan.dtype().size()) {
        let fill = |tensor: fanin::TensorMut<'_>| torch.fill(&chunk, tensor);
        sender.send_drawn(chunk.dtype(), chunk.shape(), fill, &stopped)?;
    }
    Ok(())
}
