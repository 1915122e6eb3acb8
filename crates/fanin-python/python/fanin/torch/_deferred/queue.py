"""The class `DeferredQueue`: the deferred fills of a thread, and the storages whose fills may be deferred."""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from ..._fanin import FillRequest, torch_advance, torch_words
from .. import _torch_stream
from .._torch_stream import DTYPES, TENSOR_TYPES, has_ordinary_keys, is_cpu_generator, is_plain
from .queued_fill import QueuedFill, covers_storage, flush, has_cpu_memory, storage_of

_default_generator = torch.default_generator

#: The lock for all queues. With one lock per queue, two threads could deadlock, because a patched method performs fills
#: in the queues of other threads too.
_lock = threading.RLock()


class DeferredQueue:
    """The deferred fills of a thread, and the storages whose fills may be deferred.

    A fill is deferred only if its storage was allocated while `DeferredMode` was on, and has not been *exposed* since. A storage is
    exposed when code outside torch gets access to it, for example by a NumPy view or a raw pointer.
    """

    def __init__(self):
        #: The deferred fills. The key of this dict, and of `own` and `exposed`, is the address of the storage object (`_cdata`).
        self.fills: dict[int, QueuedFill] = {}
        #: `kept_bytes` counts the bytes of the fills that the last call of `_drop_unused` did not drop. `queued_bytes`
        #: counts the bytes of the fills that were deferred after this call.
        self.queued_bytes = self.kept_bytes = 0
        #: The storages whose fills may be deferred. While a weak reference exists, its key is not reused.
        self.own: dict[int, StorageWeakRef] = {}
        #: The storages that code outside torch got access to while the `DeferredMode` of this thread was off.
        self.exposed: dict[int, StorageWeakRef] = {}
        #: Whether the `DeferredMode` of this thread is on.
        self.is_active = False

    def add_storage(self, tensor: Tensor) -> None:
        """Allows fills of a tensor's storage to be deferred. To be called only for a newly allocated storage."""
        storage = storage_of(tensor)
        self.own[storage._cdata] = StorageWeakRef(storage)

    def add_result(self, args, result: Tensor) -> None:
        """Allows fills of an operator's result to be deferred, unless the result may share its storage with an argument."""
        storage = storage_of(result)
        if storage._cdata in self.own:
            return
        # The result of an operator such as detach uses the memory of an argument.
        for arg in args:
            if isinstance(arg, Tensor) and (not has_cpu_memory(arg) or storage_of(arg)._cdata == storage._cdata):
                return
        self.own[storage._cdata] = StorageWeakRef(storage)

    def defer(self, request: FillRequest | None, tensor: Tensor, generator) -> bool:
        """Defers a fill, advances the default generator past the fill, and returns True.

        Returns False if the fill cannot be deferred. The generator and the queue are then unchanged.
        """
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
        """Drops the deferred fills of storages to which nothing outside this queue refers.

        `defer` calls this method when the deferred bytes have doubled, so the average cost per fill is constant.
        """
        for key in [key for key, fill in self.fills.items() if fill.is_unused()]:
            del self.fills[key]
        self.queued_bytes = 0
        self.kept_bytes = sum(storage_of(fill.tensor).nbytes() for fill in self.fills.values())

    def drop(self, tensor: Tensor) -> None:
        """Drops the deferred fill of a tensor's storage, if there is one. To be called after the whole storage was overwritten."""
        with _lock:
            self.fills.pop(storage_of(tensor)._cdata, None)

    def covers_fill(self, tensor: Tensor) -> bool:
        """Returns whether the tensor covers its whole storage and the storage has a deferred fill."""
        return (
            type(tensor) in TENSOR_TYPES
            and has_cpu_memory(tensor)
            and storage_of(tensor)._cdata in self.fills
            and covers_storage(tensor, tensor.numel())
        )

    def flush(self, tensor: Tensor) -> None:
        """Performs the deferred fill of a tensor's storage, if there is one."""
        if not self.fills or not has_cpu_memory(tensor):
            return
        with _lock:
            fill = self.fills.pop(storage_of(tensor)._cdata, None)
            if fill is not None:
                flush([fill])

    def flush_arguments(self, args, kwargs) -> None:
        """Performs the deferred fills of the storages that an operator's arguments use."""
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
        """Performs all deferred fills, but drops the fills of storages to which nothing outside this queue refers."""
        if self.fills:
            with _lock:
                fills = [fill for fill in self.fills.values() if not fill.is_unused()]
                self.fills.clear()
                flush(fills)

    def expose(self, tensor: Tensor) -> None:
        """Performs the deferred fill of a tensor's storage, and prevents later fills of the storage from being deferred.

        To be called when code outside torch gets access to the storage.
        """
        if type(tensor) in TENSOR_TYPES and has_cpu_memory(tensor):
            self.flush(tensor)
            storage = storage_of(tensor)
            self.own.pop(storage._cdata, None)
            if not self.is_active:
                self.exposed[storage._cdata] = StorageWeakRef(storage)

    def expose_elements(self, result) -> None:
        """Calls `expose` for each one-element tensor in the result of an operator.

        `torch.tensor([view, ...])` reads such tensors without an operator, so `DeferredMode` cannot detect the reads.
        """
        for view in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(view, Tensor) and view.numel() == 1:
                self.expose(view)

    def fill(self, request: FillRequest, tensor: Tensor, generator) -> bool:
        """Fills a tensor immediately, and returns True. Returns False if torch must perform the fill.

        To be called while `DeferredMode` is removed from torch's stack of dispatch modes.
        """
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
