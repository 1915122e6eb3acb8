//! The channel between the thread that produces values and the thread that receives them.

use std::sync::mpsc::{Receiver, Sender, channel};

use fanin::{DType, TensorMut};

use crate::error::Error;
use crate::value_buffer::ValueBuffer;

/// The number of bytes that are produced at a time, so that memory does not grow with the checkpoint.
pub(crate) const CHUNK: usize = 16 << 20;

/// The number of buffers: one being filled, one being received, and one waiting, so that neither thread waits for the
/// other.
const BUFFERS: usize = 3;

/// A message to the receiving thread.
pub(crate) enum Message {
    /// The range with this index begins.
    Begin(usize),
    /// The next values of the range.
    Values(ValueBuffer),
    /// The range is complete.
    End,
}

/// Why a producer stopped early.
pub(crate) enum Stopped {
    /// The receiver is gone. It has its own error to report.
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

/// The producer's end of the channel. The receiver sends buffers back when it has used them.
pub(crate) struct MessageSender {
    messages: Sender<Message>,
    returned: Receiver<ValueBuffer>,
    free: Vec<ValueBuffer>,
}

/// The receiver's end of the channel.
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
    /// Sends a message.
    pub(crate) fn send(&self, message: Message) -> Result<(), Stopped> {
        self.messages.send(message).map_err(|_| Stopped::Disconnected)
    }

    /// Returns a buffer to be filled with `bytes` bytes, and waits until there is one. For more bytes than a chunk it
    /// waits until only one other buffer is in use, to limit memory.
    pub(crate) fn buffer(&mut self, bytes: usize) -> Result<ValueBuffer, Stopped> {
        let needed = if bytes > CHUNK { BUFFERS - 1 } else { 1 };
        while self.free.len() < needed {
            let mut values = self.returned.recv().map_err(|_| Stopped::Disconnected)?;
            values.free_above(CHUNK);
            self.free.push(values);
        }
        Ok(self.free.pop().expect("at least one buffer is free"))
    }

    /// Sends a tensor of values that `fill` draws. `stopped` turns an error into the reason to stop.
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
