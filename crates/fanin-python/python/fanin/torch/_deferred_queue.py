"""The queue of deferred fills of a thread, and the memory whose fills may be deferred."""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from .._fanin import FillRequest, torch_advance, torch_words
from . import _torch_stream
from ._queued_fill import QueuedFill, covers_storage, flush, has_cpu_memory, storage_of
from ._torch_stream import DTYPES, TENSOR_TYPES, has_ordinary_keys, is_cpu_generator, is_plain

_default_generator = torch.default_generator

#: One lock for all queues: a patched method flushes the fills of every queue, and two threads that each held the lock of
#: their own queue would deadlock.
_lock = threading.RLock()


class DeferredQueue:
    """Deferred fills by storage, and the storages of which all uses are known.

    A fill is deferred only if its storage was allocated while the mode was on and was not exposed since: no NumPy view or
    raw pointer to it exists.
    """

    def __init__(self):
        #: The deferred fills, by the address of their storage.
        self.fills: dict[int, QueuedFill] = {}
        #: Bytes queued since unused entries were last dropped, and bytes that were queued then.
        self.queued_bytes = self.kept_bytes = 0
        #: Storages whose fills may be deferred. A weak reference keeps the address from being used again.
        self.own: dict[int, StorageWeakRef] = {}
        #: Storages that were exposed before the mode was on.
        self.exposed: dict[int, StorageWeakRef] = {}
        #: Whether the mode is on.
        self.is_active = False

    def add_storage(self, tensor: Tensor) -> None:
        """Records that a tensor's storage was just allocated."""
        storage = storage_of(tensor)
        self.own[storage._cdata] = StorageWeakRef(storage)

    def add_result(self, args, result: Tensor) -> None:
        """Records the storage of an operator's result, unless it is that of an argument."""
        storage = storage_of(result)
        if storage._cdata in self.own:
            return
        # Operators such as detach return the memory of an argument.
        for arg in args:
            if isinstance(arg, Tensor) and (not has_cpu_memory(arg) or storage_of(arg)._cdata == storage._cdata):
                return
        self.own[storage._cdata] = StorageWeakRef(storage)

    def defer(self, request: FillRequest | None, tensor: Tensor, generator) -> bool:
        """Defers a fill and advances the default generator past it. Returns False if the fill must be done now."""
        if (
            request is None
            or (generator is not None and generator is not _default_generator)
            or type(tensor) not in TENSOR_TYPES
            or tensor.dtype not in DTYPES
            or not has_ordinary_keys(tensor)
        ):
            return False
        key = storage_of(tensor)._cdata
        count = tensor.numel()
        if count < 2 or key not in self.own or not covers_storage(tensor, count):
            return False
        words = torch_words(request, DTYPES[tensor.dtype], count)
        if not words:
            return False
        state = torch_advance(_default_generator, words)
        if state is None:
            return False
        with _lock:
            self.fills.pop(key, None)
            self.fills[key] = QueuedFill(request, tensor, count, state)
            self.queued_bytes += storage_of(tensor).nbytes()
            if self.queued_bytes > self.kept_bytes:
                self._drop_unused()
        return True

    def _drop_unused(self) -> None:
        """Drops fills of memory that nothing else refers to.

        Called when the number of queued bytes has doubled, so the cost for each fill is constant on average.
        """
        for key in [key for key, fill in self.fills.items() if fill.is_unused()]:
            del self.fills[key]
        self.queued_bytes = 0
        self.kept_bytes = sum(storage_of(fill.tensor).nbytes() for fill in self.fills.values())

    def drop(self, tensor: Tensor) -> None:
        """Drops the fill of a tensor's memory, which was overwritten."""
        with _lock:
            self.fills.pop(storage_of(tensor)._cdata, None)

    def covers_fill(self, tensor: Tensor) -> bool:
        """Returns whether the fill of a tensor's memory is deferred, and the tensor covers all of that memory."""
        return (
            type(tensor) in TENSOR_TYPES
            and has_cpu_memory(tensor)
            and storage_of(tensor)._cdata in self.fills
            and covers_storage(tensor, tensor.numel())
        )

    def flush(self, tensor: Tensor) -> None:
        """Does the fill of a tensor's memory, if it is deferred."""
        if not self.fills or not has_cpu_memory(tensor):
            return
        with _lock:
            fill = self.fills.pop(storage_of(tensor)._cdata, None)
            if fill is not None:
                flush([fill])

    def flush_arguments(self, args, kwargs) -> None:
        """Does the deferred fills of an operator's arguments."""
        if not self.fills:
            return
        for arg in (*args, *kwargs.values()):
            if isinstance(arg, Tensor):
                self.flush(arg)
            elif isinstance(arg, (list, tuple)):
                for item in arg:
                    if isinstance(item, Tensor):
                        self.flush(item)

    def flush_all(self) -> None:
        """Does all deferred fills, except those of memory that nothing else refers to."""
        if self.fills:
            with _lock:
                fills = [fill for fill in self.fills.values() if not fill.is_unused()]
                self.fills.clear()
                flush(fills)

    def expose(self, tensor: Tensor) -> None:
        """Does the fill of a tensor's memory, and never defers one of it again: code outside torch can read the memory."""
        if type(tensor) in TENSOR_TYPES and has_cpu_memory(tensor):
            self.flush(tensor)
            storage = storage_of(tensor)
            self.own.pop(storage._cdata, None)
            if not self.is_active:
                self.exposed[storage._cdata] = StorageWeakRef(storage)

    def expose_elements(self, result) -> None:
        """Exposes views of a single element: `torch.tensor([view, ...])` reads them without an operator."""
        for view in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(view, Tensor) and view.numel() == 1:
                self.expose(view)

    def fill(self, request: FillRequest, tensor: Tensor, generator) -> bool:
        """Fills a tensor now, with the mode off. Returns False if torch must do the fill."""
        if not (is_plain(tensor) and is_cpu_generator(generator)):
            return False
        with _lock:
            covered = self.covers_fill(tensor)
            if not covered:
                self.flush(tensor)
            if not _torch_stream.fill_plain(request, tensor, generator):
                return False
            if covered:
                del self.fills[storage_of(tensor)._cdata]
        return True
