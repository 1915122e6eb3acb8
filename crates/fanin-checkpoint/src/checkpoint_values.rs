//! Produces the values of a checkpoint on one thread while another thread writes or compares them.

use std::path::Path;

use fanin::CancelToken;
use fanin_recipe::{Action, Planned, Replay};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::messages::{Message, MessageReceiver, Stopped, message_channel};
use crate::options::Draw;
use crate::plan::CheckpointPlan;
use crate::producer::Producer;
use crate::progress::Progress;
use crate::tensor_range::TensorRange;

/// The values of a checkpoint. The method [`for_each`](Self::for_each) produces them.
#[derive(Clone, Copy)]
pub(crate) struct CheckpointValues<'a> {
    /// The tensors of the whole checkpoint.
    pub(crate) planned: &'a [Planned],
    /// The path of the checkpoint from which the copied tensors take their values. `None` if no tensor can be copied.
    copies: Option<&'a Path>,
    /// The replay from which the tensors get their values. `None` if a recipe or a spec specifies the values.
    replay: Option<&'a Replay>,
    pub(crate) draw: Draw,
    progress: &'a dyn Progress,
    cancel: &'a CancelToken,
}

/// The argument of the callback of [`CheckpointValues::for_each`]. For each range, the callback receives one `Begin`,
/// any number of `Bytes`, and one `End`.
pub(crate) enum Step<'a> {
    /// The next range begins. The number is the index of this range in the list of ranges.
    Begin(usize),
    /// The next bytes of the range, in the byte order of the file.
    Bytes(&'a [u8]),
    /// The callback has received all bytes of the range.
    End,
}

impl<'a> CheckpointValues<'a> {
    /// Returns the values of a plan. [`for_each`](Self::for_each) reports each chunk to `progress` after its callback
    /// returns, and stops if `cancel` is cancelled.
    pub(crate) fn new(plan: &'a CheckpointPlan, progress: &'a dyn Progress, cancel: &'a CancelToken) -> Self {
        let CheckpointPlan { planned, copies, replay, draw, .. } = plan;
        Self { planned, copies: copies.as_deref(), replay: replay.as_ref(), draw: *draw, progress, cancel }
    }

    /// Produces the values of `ranges`, and calls `receive` with each [`Step`]. The ranges must be in ascending order.
    ///
    /// The calling thread runs `receive`. Another thread produces the next values at the same time.
    ///
    /// # Errors
    /// Returns the first error of `receive` or of the production of values. Returns [`Error::Interrupted`] if the
    /// operation was cancelled.
    pub(crate) fn for_each(
        self,
        ranges: &[TensorRange],
        mut receive: impl FnMut(Step<'_>) -> Result,
    ) -> Result {
        let pool = match self.draw.threads {
            None => None,
            Some(count) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(count.get()).build();
                Some(pool.map_err(|error| Error::Request(format!("cannot start {count} threads: {error}")))?)
            }
        };
        let copied = self.planned.iter().any(|planned| matches!(planned.action, Action::Copy(_)));
        let copies = self.copies.filter(|_| copied).map(Checkpoint::open).transpose()?;
        let (planned, draw, replay) = (self.planned, self.draw, self.replay);
        std::thread::scope(|scope| {
            let (sender, MessageReceiver { messages, returned }) = message_channel();
            let producer = scope.spawn(move || {
                let produce =
                    || Producer::new(planned, draw, copies, sender).with_replay(replay).produce(ranges);
                match &pool {
                    Some(pool) => pool.install(produce),
                    None => produce(),
                }
            });
            let mut received = Ok(());
            for message in messages {
                received = self.check_cancelled().and_then(|()| match message {
                    Message::Begin(index) => receive(Step::Begin(index)),
                    Message::End => receive(Step::End),
                    Message::Values(values) => {
                        let bytes = values.bytes();
                        receive(Step::Bytes(&bytes))?;
                        self.progress.add(values.count() as u64, bytes.len() as u64);
                        drop(bytes);
                        _ = returned.send(values);
                        Ok(())
                    }
                });
                if received.is_err() {
                    break;
                }
            }
            // The producer may be waiting for a returned buffer. Dropping `returned` ends this wait with an error.
            drop(returned);
            match producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(()) | Err(Stopped::Disconnected) => received,
                Err(Stopped::Failed(error)) => received.and(Err(error)),
            }
        })
    }

    fn check_cancelled(&self) -> Result {
        if self.cancel.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
