//! The channel between the thread that produces values and the thread that receives them.

use std::sync::mpsc::{Receiver, Sender, channel};

use fanin::{DType, TensorMut};

use crate::error::Error;
use crate::value_buffer::ValueBuffer;

/// The number of bytes in a chunk of values. Values are produced a chunk at a time, so that the needed memory does not
/// depend on the size of the checkpoint.
pub(crate) const CHUNK: usize = 16 << 20;

/// The number of buffers: one that is being filled, one that is being written to a file, and one between the two
/// threads. Because of the third, neither thread waits as long as both are about equally fast.
const BUFFERS: usize = 3;

/// A message to the receiving thread.
pub(crate) enum Message {
    /// The range with this index in the list of ranges begins.
    Begin(usize),
    /// The next values of the range.
    Values(ValueBuffer),
    /// All values of the range have been sent.
    End,
}

/// Why a producer stopped early.
pub(crate) enum Stopped {
    /// The receiver has dropped its end of the channel, because of an error that it reports itself.
    Disconnected,
    /// A value could not be produced.
    Failed(Error),
}

/// Why a buffer could not be filled.
pub(crate) enum FillError {
    /// The memory could not be allocated.
    Memory,
    /// The stream could not draw the values.
    Draw(fanin::Error),
}

/// The producer's end of the channel. The receiver sends each buffer back after use, and the producer fills it again.
pub(crate) struct MessageSender {
    messages: Sender<Message>,
    returned: Receiver<ValueBuffer>,
    free: Vec<ValueBuffer>,
}

/// The receiver's end of the channel: `messages` arrive, and used buffers are sent back through `returned`.
pub(crate) struct MessageReceiver {
    pub(crate) messages: Receiver<Message>,
    pub(crate) returned: Sender<ValueBuffer>,
}

/// Returns the two ends of a channel.
pub(crate) fn message_channel() -> (MessageSender, MessageReceiver) {
    let ((messages, received), (returned, reused)) = (channel(), channel());
    let free = (0..BUFFERS).map(|_| ValueBuffer::default()).collect();
    (MessageSender { messages, returned: reused, free }, MessageReceiver { messages: received, returned })
}

impl MessageSender {
    /// Sends a message. Returns [`Stopped::Disconnected`] if the receiver has dropped its end.
    pub(crate) fn send(&self, message: Message) -> Result<(), Stopped> {
        self.messages.send(message).map_err(|_| Stopped::Disconnected)
    }

    /// Waits for a free buffer and returns it. The caller fills it with `bytes` bytes. If `bytes` is more than a chunk,
    /// this waits until at most one other buffer is in use, because large buffers take much memory.
    pub(crate) fn buffer(&mut self, bytes: usize) -> Result<ValueBuffer, Stopped> {
        let needed = if bytes > CHUNK { BUFFERS - 1 } else { 1 };
        while self.free.len() < needed {
            let mut values = self.returned.recv().map_err(|_| Stopped::Disconnected)?;
            values.free_above(CHUNK);
            self.free.push(values);
        }
        Ok(self.free.pop().expect("at least one buffer is free"))
    }

    /// Draws a tensor of values by calling `fill`, and sends it. `stopped` converts an error into the returned
    /// [`Stopped`].
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
