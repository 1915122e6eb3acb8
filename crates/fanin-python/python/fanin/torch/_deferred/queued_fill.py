"""The class `QueuedFill`, which describes a deferred fill, and the function `flush`, which performs deferred fills."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from ..._fanin import DeferredFill, FillRequest, torch_flush
from .._torch_stream import DTYPES, data_ptr

storage_of = torch._C.TensorBase.untyped_storage


def has_cpu_memory(tensor: Tensor) -> bool:
    """Returns whether a tensor is in CPU memory and has strides, unlike sparse and MKL-DNN tensors."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu"


def covers_storage(tensor: Tensor, count: int) -> bool:
    """Returns whether a tensor is contiguous and uses all of its storage. `count` is the number of elements of the tensor."""
    return tensor.is_contiguous() and storage_of(tensor).nbytes() == count * tensor.element_size()


class QueuedFill:
    """A deferred fill of a whole storage. The generator has skipped the fill's random numbers, but no value is written yet."""

    __slots__ = ("count", "filled", "request", "state", "tensor", "version")

    def __init__(self, request: FillRequest, tensor: Tensor, count: int, state: Tensor):
        self.request = request
        #: A tensor with the memory to fill. `tensor.data = other` does not change the memory of this tensor.
        self.tensor = tensor.detach()
        #: A weak reference to the tensor whose fill was deferred.
        self.filled = weakref.ref(tensor)
        self.count = count
        #: The state of the generator before the fill.
        self.state = state
        #: The version of the tensor before the fill. torch counts the in-place operations on a tensor as its version.
        self.version = tensor._version

    def deferred(self) -> DeferredFill:
        """Returns the description of this fill for `torch_flush`."""
        tensor = self.tensor
        return DeferredFill(self.request, data_ptr(tensor), DTYPES[tensor.dtype], self.count, data_ptr(self.state))

    def is_overwritten(self) -> bool:
        """Returns whether an operation has written to the tensor after the fill was deferred.

        Operations that DeferredMode intercepts do not count.
        """
        filled = self.filled()
        # Deferring the fill increments the version by 1. Any further increment is a write that DeferredMode did not
        # intercept, because an intercepted write performs or drops the fill.
        return (
            filled is not None
            and storage_of(filled)._cdata == storage_of(self.tensor)._cdata
            and filled._version > self.version + 1
        )

    def is_unused(self) -> bool:
        """Returns whether only this object refers to the storage, so that nothing can read the values of the fill."""
        return torch._C._storage_Use_Count(storage_of(self.tensor)._cdata) <= _UNUSED_COUNT


def _unused_count() -> int:
    """Returns torch's use count of a storage to which a single tensor refers. `is_unused` compares with this count."""
    tensor = torch.empty(1, device="cpu").detach()
    return torch._C._storage_Use_Count(storage_of(tensor)._cdata)


_UNUSED_COUNT = _unused_count()


def flush(fills: list[QueuedFill]) -> None:
    """Performs deferred fills.

    Raises
    ------
    RuntimeError
        If an operation that DeferredMode did not intercept has written to one of the tensors. This tensor is not filled, and keeps
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
