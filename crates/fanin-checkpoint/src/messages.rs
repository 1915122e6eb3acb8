//! The channel from the thread that produces values to the thread that receives them.

use std::sync::mpsc::{Receiver, Sender, channel};

use fanin::{DType, TensorMut};
use fanin_recipe::{Entry, text};

use crate::error::Error;
use crate::value_buffer::ValueBuffer;

/// The number of bytes in a chunk of values: 16 MiB. Values are produced in chunks, so that the memory use does not
/// depend on the size of the checkpoint.
pub(crate) const CHUNK: usize = 16 << 20;

/// The number of buffers. One buffer is filled while the receiver uses another one. With a third buffer, small
/// differences in speed do not make a thread wait.
const BUFFERS: usize = 3;

/// A message to the thread that receives the values of tensor ranges.
pub(crate) enum Message {
    /// The start of a tensor range. The field is the index of this range in the list of ranges.
    Begin(usize),
    /// The next values of the tensor range.
    Values(ValueBuffer),
    /// All values of the range have been sent.
    End,
}

/// The reason why a producer stopped early.
pub(crate) enum Stopped {
    /// The receiver has dropped its end of the channel because of an error. The receiver itself reports this error.
    Disconnected,
    /// A value could not be produced.
    Failed(Error),
}

/// The reason why a buffer could not be filled.
pub(crate) enum FillError {
    /// The memory could not be allocated.
    Memory,
    /// The stream could not draw the values.
    Draw(fanin::Error),
}

impl FillError {
    /// Returns the error for a tensor whose values could not be produced.
    pub(crate) fn about(self, entry: &Entry) -> Error {
        match self {
            FillError::Draw(source) => Error::Tensor { tensor: entry.name.clone(), source },
            FillError::Memory => {
                let (name, bytes) = (&entry.name, text::bytes(entry.bytes()));
                let remedy = "the torch stream draws such a tensor as a whole: use the native stream, which draws it in chunks";
                Error::Request(format!("{name}: cannot allocate memory for its {bytes}: {remedy}"))
            }
        }
    }
}

/// The producer's end of the channel. The receiver returns each buffer after use, so that the producer can fill the
/// buffer again.
pub(crate) struct MessageSender {
    messages: Sender<Message>,
    returned: Receiver<ValueBuffer>,
    free: Vec<ValueBuffer>,
}

/// The receiver's end of the channel. Messages arrive through `messages`, and used buffers are returned through
/// `returned`.
pub(crate) struct MessageReceiver {
    pub(crate) messages: Receiver<Message>,
    pub(crate) returned: Sender<ValueBuffer>,
}

/// Creates a channel, and returns its two ends.
pub(crate) fn message_channel() -> (MessageSender, MessageReceiver) {
    let ((messages, received), (returned, reused)) = (channel(), channel());
    let free = (0..BUFFERS).map(|_| ValueBuffer::default()).collect();
    (MessageSender { messages, returned: reused, free }, MessageReceiver { messages: received, returned })
}

impl MessageSender {
    /// Sends a message to the receiver. Returns [`Stopped::Disconnected`] if the receiver has been dropped.
    pub(crate) fn send(&self, message: Message) -> Result<(), Stopped> {
        self.messages.send(message).map_err(|_| Stopped::Disconnected)
    }

    /// Waits for a free buffer for `bytes` bytes, and returns it. If `bytes` is larger than [`CHUNK`], also waits until
    /// at most one other buffer is in use, to limit the memory use.
    pub(crate) fn buffer(&mut self, bytes: usize) -> Result<ValueBuffer, Stopped> {
        let needed = if bytes > CHUNK { BUFFERS - 1 } else { 1 };
        while self.free.len() < needed {
            let mut values = self.returned.recv().map_err(|_| Stopped::Disconnected)?;
            values.free_above(CHUNK);
            self.free.push(values);
        }
        Ok(self.free.pop().expect("at least one buffer is free"))
    }

    /// Draws values by calling `fill`, and sends the values. `stopped` converts an error of `fill` into a [`Stopped`].
    pub(crate) fn send_drawn(
        &mut self,
        dtype: DType,
        shape: &[usize],
        fill: impl FnOnce(TensorMut<'_>) -> Result<(), fanin::Error>,
        stopped: impl Fn(FillError) -> Stopped,
    ) -> Result<(), Stopped> {
        let count = shape.iter().product();
        let mut values = self.buffer(count * dtype.size())?;
        values.resize(dtype, count).map_err(|_| stopped(FillError::Memory))?;
        values.tensor(shape).and_then(fill).map_err(|error| stopped(FillError::Draw(error)))?;
        self.send(Message::Values(values))
    }
}

/// Returns the [`Stopped`] for an error that occurred while the values of a tensor were produced.
pub(crate) fn stopped(entry: &Entry, error: FillError) -> Stopped {
    Stopped::Failed(error.about(entry))
}
