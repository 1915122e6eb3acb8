"""Patches that perform deferred fills before memory is read in a way that `DeferredMode` cannot detect.

torch calls `DeferredMode` only for operators, and only while dispatch modes are on. Two kinds of functions are patched:

- Functions that give access to the memory of one tensor without an operator, such as `Tensor.numpy` and
  `Tensor.data_ptr`. The patch first performs the deferred fill of the tensor, even if another thread deferred the fill.
- Functions that turn dispatch modes off, and functions that read the memory of many tensors without an operator, such
  as `torch.jit.RecursiveScriptModule.save`. The patch first performs all deferred fills of all threads.
"""

from __future__ import annotations

import sys
import threading

import torch
import torch.utils._mode_utils
import torch.utils._python_dispatch
import torch.utils.dlpack
from torch import Tensor

from .._patches import Patch, Patches
from .queue import DeferredQueue

_lock = threading.RLock()
#: The queues of all threads that are inside `fast_init(defer=True)`.
queues: list[DeferredQueue] = []
patches = Patches()

#: The methods of Tensor that give code outside torch access to a tensor's memory.
_METHODS = ("numpy", "data_ptr", "const_data_ptr", "tolist", "untyped_storage", "apply_", "map_", "map2_", "__array__",
            "__dlpack__", "storage", "_typed_storage", "share_memory_", "__reduce_ex__",
            "__deepcopy__")  # fmt: skip

#: The methods of torch.jit.RecursiveScriptModule that read parameters without calling operators of torch.
_SAVERS = ("save", "save_to_buffer", "_save_for_lite_interpreter", "_save_to_buffer_for_lite_interpreter")


def _exposing_method(original):
    """Returns a method that first performs the deferred fill of its tensor, and then calls `original`."""

    def method(self, *args, **kwargs):
        for queue in tuple(queues):
            queue.expose(self)
        return original(self, *args, **kwargs)

    method.__name__ = getattr(original, "__name__", "method")
    method.__doc__ = original.__doc__
    return method


def _exposing_function(original):
    """Returns a function that first performs the deferred fill of its first argument, and then calls `original`."""

    def function(tensor, *args, **kwargs):
        for queue in tuple(queues):
            queue.expose(tensor)
        return original(tensor, *args, **kwargs)

    function.__name__ = original.__name__
    function.__doc__ = original.__doc__
    return function


def _flushing_function(original):
    """Returns a function that first performs all deferred fills, and then calls `original`.

    The returned function replaces functions that turn dispatch modes off temporarily, or that may read the memory of any tensor.
    """

    def function(*args, **kwargs):
        for queue in tuple(queues):
            queue.flush_all()
        return original(*args, **kwargs)

    return function


def apply(queue: DeferredQueue) -> None:
    """Adds a queue to `queues`. Applies the patches if this is the first queue."""
    with _lock:
        queues.append(queue)
        if len(queues) > 1:
            return
        for name in _METHODS:
            original = getattr(Tensor, name, None)
            if original is not None:
                patches.append(Patch(Tensor, name, _exposing_method(original), Tensor.__dict__.get(name)))
        for owner, name, wrap in (
            (torch, "to_dlpack", _exposing_function),
            (torch.utils.dlpack, "to_dlpack", _exposing_function),
            (torch.utils._python_dispatch, "_pop_mode", _flushing_function),
            (torch.utils._mode_utils, "no_dispatch", _flushing_function),
            (torch._C, "_DisableTorchDispatch", _flushing_function),
            *((torch.jit.RecursiveScriptModule, name, _flushing_function) for name in _SAVERS),
        ):
            original = getattr(owner, name, None)
            if original is not None:
                patches.append(Patch(owner, name, wrap(original), original))
        patches.apply()


def apply_to_importers() -> None:
    """Patches `to_dlpack` in all modules that have imported the function by name."""
    with _lock:
        for _, name, replacement, original in tuple(patches):
            if name == "to_dlpack":
                for module in tuple(sys.modules.values()):
                    if getattr(module, "__dict__", {}).get(name) is original:
                        patches.append(Patch(module, name, replacement, original))
                        setattr(module, name, replacement)


def remove(queue: DeferredQueue) -> None:
    """Removes a queue from `queues`. Removes the patches if this was the last queue."""
    with _lock:
        queues.remove(queue)
        if not queues:
            patches.restore()
