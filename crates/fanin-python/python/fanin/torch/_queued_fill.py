"""A deferred fill, and the flush of several."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from .._fanin import DeferredFill, FillRequest, torch_flush
from ._torch_stream import DTYPES, data_ptr

storage_of = torch._C.TensorBase.untyped_storage


def has_cpu_memory(tensor: Tensor) -> bool:
    """Returns whether a tensor is strided CPU memory, not sparse or of another library's layout."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu"


def covers_storage(tensor: Tensor, count: int) -> bool:
    """Returns whether a tensor of `count` elements is contiguous and fills its storage completely."""
    return tensor.is_contiguous() and storage_of(tensor).nbytes() == count * tensor.element_size()


class QueuedFill:
    """A fill of a whole storage that is not done yet."""

    __slots__ = ("count", "filled", "request", "state", "tensor", "version")

    def __init__(self, request: FillRequest, tensor: Tensor, count: int, state: Tensor):
        self.request = request
        #: Another tensor on the same memory, since `parameter.data = other` gives the parameter other memory.
        self.tensor = tensor.detach()
        self.filled = weakref.ref(tensor)
        self.count = count
        #: The state of the generator before the fill.
        self.state = state
        self.version = tensor._version

    def deferred(self) -> DeferredFill:
        """Returns what `torch_flush` takes."""
        tensor = self.tensor
        return DeferredFill(self.request, data_ptr(tensor), DTYPES[tensor.dtype], self.count, data_ptr(self.state))

    def is_overwritten(self) -> bool:
        """Returns whether the tensor was written to by an operation that the mode did not see."""
        filled = self.filled()
        # Autograd counts the deferred fill as one write when it is queued. Other operations of this thread flush the fill.
        return (
            filled is not None
            and storage_of(filled)._cdata == storage_of(self.tensor)._cdata
            and filled._version > self.version + 1
        )

    def is_unused(self) -> bool:
        """Returns whether nothing but this object refers to the storage."""
        return torch._C._storage_Use_Count(storage_of(self.tensor)._cdata) <= _UNUSED_COUNT


def _unused_count() -> int:
    """Returns the use count of a storage to which a single tensor refers, as `is_unused` reads it."""
    tensor = torch.empty(1, device="cpu").detach()
    return torch._C._storage_Use_Count(storage_of(tensor)._cdata)


_UNUSED_COUNT = _unused_count()


def flush(fills: list[QueuedFill]) -> None:
    """Does deferred fills.

    Raises
    ------
    RuntimeError
        If one of the tensors was written to unseen. It keeps what was written; the other fills are done.
    """
    overwritten = [fill for fill in fills if fill.is_overwritten()]
    ready = [fill for fill in fills if fill not in overwritten] if overwritten else fills
    if ready:
        torch_flush([fill.deferred() for fill in ready])
    if overwritten:
        raise RuntimeError(
            f"a tensor of shape {tuple(overwritten[0].tensor.shape)} whose fill was deferred by fast_init(defer=True) "
            "has been written to by another thread or by compiled code: leave out defer=True"
        )
