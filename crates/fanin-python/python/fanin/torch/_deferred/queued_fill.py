"""The class `QueuedFill`, which describes a deferred fill, and the function `flush`, which performs deferred fills."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from ..._fanin import DeferredFill, FillRequest, torch_flush
from .._torch_stream import DTYPES, data_ptr

storage_of = torch._C.TensorBase.untyped_storage


def has_cpu_memory(tensor: Tensor) -> bool:
    """Returns whether a tensor is in CPU memory and has strides. Sparse and MKL-DNN tensors have no strides."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu"


def covers_storage(tensor: Tensor, count: int) -> bool:
    """Returns whether a tensor of `count` elements is contiguous and has exactly the size of its storage."""
    return tensor.is_contiguous() and storage_of(tensor).nbytes() == count * tensor.element_size()


class QueuedFill:
    """A deferred fill of a whole storage: the generator has advanced past the fill, but no value is written yet."""

    __slots__ = ("count", "filled", "request", "state", "tensor", "version")

    def __init__(self, request: FillRequest, tensor: Tensor, count: int, state: Tensor):
        self.request = request
        #: A new tensor on the memory to fill. An assignment `parameter.data = other` can give other memory to `tensor` itself.
        self.tensor = tensor.detach()
        self.filled = weakref.ref(tensor)
        self.count = count
        #: The state that the generator had before the fill.
        self.state = state
        self.version = tensor._version

    def deferred(self) -> DeferredFill:
        """Returns the description of this fill that `torch_flush` takes as an argument."""
        tensor = self.tensor
        return DeferredFill(self.request, data_ptr(tensor), DTYPES[tensor.dtype], self.count, data_ptr(self.state))

    def is_overwritten(self) -> bool:
        """Returns whether an operation that the mode did not intercept has written to the tensor since the deferral."""
        filled = self.filled()
        # Deferring the fill increments the version by 1. If the mode intercepts another write, the fill is no longer deferred.
        # A larger version therefore means that the mode did not intercept a write.
        return (
            filled is not None
            and storage_of(filled)._cdata == storage_of(self.tensor)._cdata
            and filled._version > self.version + 1
        )

    def is_unused(self) -> bool:
        """Returns whether this object has the only reference to the storage. Nothing can then read the values of the fill."""
        return torch._C._storage_Use_Count(storage_of(self.tensor)._cdata) <= _UNUSED_COUNT


def _unused_count() -> int:
    """Returns the use count of a storage that only one tensor uses. Reads the count in the same way as `is_unused`."""
    tensor = torch.empty(1, device="cpu").detach()
    return torch._C._storage_Use_Count(storage_of(tensor)._cdata)


_UNUSED_COUNT = _unused_count()


def flush(fills: list[QueuedFill]) -> None:
    """Performs deferred fills.

    Raises
    ------
    RuntimeError
        If an operation that the mode did not intercept has written to one of the tensors. This tensor is not filled, and keeps
        the values that the operation wrote. The other tensors are filled before the error is raised.
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
