//! Checkpoints whose values are read from files or from the memory of Python objects.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fanin::CancelToken;
use fanin_checkpoint::{Checkpoint, Error, ReadTensor, Result};
use pyo3::prelude::*;

use crate::errors;
use crate::memory::copy_from;
use crate::recipe::{Row, manifest_of};

/// The argument `source` of the analysis functions: the path of a checkpoint, or tensors in memory.
#[derive(FromPyObject)]
pub enum TensorSource {
    /// The (name, dtype, shape) of each tensor, and a Python function that takes the index of a tensor. The function
    /// returns (address, number of bytes, owner). The owner is an object that keeps the memory alive.
    Memory(Vec<Row>, Py<PyAny>),
    /// The path of a checkpoint.
    Path(PathBuf),
}

impl TensorSource {
    /// Returns the source as a checkpoint. After `cancel` is cancelled, reads of tensors fail with
    /// [`Error::Interrupted`].
    ///
    /// # Errors
    /// Returns a Python exception if the checkpoint cannot be opened, or if `manifest_of` rejects a tensor, such as one
    /// with an unknown dtype.
    pub fn open(self, cancel: &CancelToken) -> PyResult<Checkpoint> {
        let cancel = cancel.clone();
        Ok(match self {
            Self::Path(path) => {
                let checkpoint = Checkpoint::open(&path).map_err(errors::from_checkpoint)?;
                let manifest = checkpoint.manifest.clone();
                Checkpoint::from_source(manifest, Box::new(CancellableFile { checkpoint, cancel }))
            }
            Self::Memory(rows, memory) => {
                let source = PythonTensors { memory, current: Mutex::new(None), cancel };
                Checkpoint::from_source(manifest_of(rows)?, Box::new(source))
            }
        })
    }
}

/// A checkpoint in files. Reading a tensor fails after the token `cancel` is cancelled.
#[derive(Debug)]
struct CancellableFile {
    checkpoint: Checkpoint,
    cancel: CancelToken,
}

impl ReadTensor for CancellableFile {
    fn read(&self, number: usize, offset: u64, bytes: &mut [u8]) -> Result {
        check(&self.cancel)?;
        self.checkpoint.read(number, offset, bytes)
    }
}

fn check(cancel: &CancelToken) -> Result {
    if cancel.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Tensors in the memory of Python objects.
#[derive(Debug)]
struct PythonTensors {
    /// The Python function that returns the memory of the tensor with a given index.
    memory: Py<PyAny>,
    /// The tensor that was read last. Earlier tensors are released to save memory: they may be copies of GPU tensors.
    current: Mutex<Option<TensorMemory>>,
    cancel: CancelToken,
}

/// The memory of one tensor.
#[derive(Debug)]
struct TensorMemory {
    number: usize,
    address: usize,
    length: usize,
    /// The object that keeps the memory alive.
    _owner: Py<PyAny>,
}

impl ReadTensor for PythonTensors {
    fn read(&self, number: usize, offset: u64, bytes: &mut [u8]) -> Result {
        check(&self.cancel)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let found = current.take().filter(|memory| memory.number == number);
        let memory = current.insert(found.map_or_else(|| self.get(number), Ok)?);
        let start = usize::try_from(offset)
            .ok()
            .filter(|start| start.checked_add(bytes.len()).is_some_and(|end| end <= memory.length));
        let Some(start) = start else {
            let message =
                format!("tensor {number} has {} bytes in memory, fewer than its shape needs", memory.length);
            return Err(Error::Request(message));
        };
        // SAFETY: the Python function `self.memory` guarantees that `length` bytes at `address` are allocated while
        // `_owner` lives. The check above ensures that the range ends within `length`. The Python program must not
        // change the tensor during the call.
        unsafe { copy_from(memory.address + start, bytes) };
        Ok(())
    }

    // Only one tensor at a time is kept in memory. The ranks of a distributed job gather each DTensor together, so all
    // ranks must read the tensors in the same order.
    fn is_sequential(&self) -> bool {
        true
    }
}

impl PythonTensors {
    /// Returns the memory of the tensor with index `number`. Calls the Python function.
    fn get(&self, number: usize) -> Result<TensorMemory> {
        Python::attach(|py| {
            let (address, length, owner): (usize, usize, Py<PyAny>) =
                self.memory.call1(py, (number,))?.extract(py)?;
            Ok(TensorMemory { number, address, length, _owner: owner })
        })
        .map_err(|error: PyErr| Error::Request(error.to_string()))
    }
}
