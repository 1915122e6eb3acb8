"""fast_init: unchanged model code, whose random fills are done by fanin.

Every random fill of model code goes through one of three functions: the methods `Tensor.uniform_` and `Tensor.normal_`, which
torch.nn.init, timm and transformers call at the moment of the fill, and `_no_grad_trunc_normal_`, which
torch.nn.init.trunc_normal_ looks up at the moment of the call. These are patched, so it does not matter how a function was
imported. Other operations cost nothing more; a mode would cost microseconds for each of them.
"""

from __future__ import annotations

import contextlib
import threading

import torch
from torch import Tensor
from torch.nn import init as _torch
from torch.overrides import handle_torch_function

from ._init import _fill_truncated
from ._patches import Patch, Patches
from ._torch_stream import (
    MIN_VALUES,
    NORMAL,
    TENSOR_TYPES,
    UNIFORM,
    MakeRequest,
    fill,
    has_function_mode,
    is_for_torch,
    read_arguments,
)

_grad_is_enabled = torch.is_grad_enabled
_is_overridden = torch._C._has_torch_function_unary

_lock = threading.RLock()
_entered = 0
_patches = Patches()


def _patched_method(name: str, make_request: MakeRequest, names: tuple[str, str]):
    """Returns a replacement of a tensor's method that fills with fanin where it can, and else calls torch's method."""
    original = getattr(torch._C.TensorBase, name)

    def method(self, *args, **kwargs):
        if type(self) in TENSOR_TYPES and not has_function_mode(self) and self.numel() < MIN_VALUES:
            return original(self, *args, **kwargs)
        if is_for_torch(self):
            if not _is_overridden(self):
                return original(self, *args, **kwargs)
            # As in torch: __torch_function__ gets torch's method as the function.
            return handle_torch_function(original, (self,), self, *args, **kwargs)
        # torch raises for a leaf that requires grad, and records the fill of other tensors for autograd.
        if not (_grad_is_enabled() and self.requires_grad):
            read = read_arguments(names, args, **kwargs)
            if read is not None and fill(make_request, read[:2], self, read[2]):
                return self
        return original(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = original.__doc__
    return method


def _patched_trunc_normal(original):
    """Returns a replacement of the body of torch.nn.init.trunc_normal_ that fills with fanin where it can."""

    def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
        if not is_for_torch(tensor) and tensor.numel() >= MIN_VALUES:
            if _fill_truncated(tensor, mean, std, a, b, generator):
                return tensor
        return original(tensor, mean, std, a, b, generator=generator)

    return _no_grad_trunc_normal_


def _install() -> None:
    for name, make_request, names in (("uniform_", UNIFORM, ("from", "to")), ("normal_", NORMAL, ("mean", "std"))):
        # A method that other code has put there stays.
        if name not in Tensor.__dict__:
            _patches.append(Patch(Tensor, name, _patched_method(name, make_request, names), None))
    name = "_no_grad_trunc_normal_"
    original = getattr(_torch, name, None)
    if original is not None:
        _patches.append(Patch(_torch, name, _patched_trunc_normal(original), original))
    _patches.apply()


class fast_init(contextlib.ContextDecorator):
    """A context manager or decorator in which models are built faster, with the same weights.

    Random fills of dense CPU tensors are done by fanin: those of torch.nn.init, however it was imported, of Tensor.normal_
    and Tensor.uniform_, and so of the initializers of timm and transformers. The weights and the generator's state are
    bit-identical to torch's.

    The context may be nested and entered again. While one thread is inside, fills of other threads are done by fanin as
    well, with the same values as torch's.

    Ctrl-C during a fill leaves the generator as it was before the fill. During the flush of deferred fills it leaves the
    generator after them, and the tensors with old and new values.

    Parameters
    ----------
    defer
        Defer fills of whole tensors. A fill that is overwritten before anything reads it is never done, and the others are
        done together on all threads when the context ends. Weights and generator are the same as without it, provided that
        inside the context

        - tensors made there are not used by other threads, by compiled code, or by C++ extensions that read their memory
          without an operator of torch;
        - no view that torch does not know of (of NumPy, by DLPack, of a storage) is read that was made of a torch.empty
          before anything was written to it;
        - methods that read memory (`numpy`, `tolist`, `data_ptr` ...) are looked up when they are called, not kept from
          before the context as in `f = torch.Tensor.tolist`.

        fanin cannot check these. All other reads of a tensor do its fill first. Deferring begins with the first fill of
        2^20 values; until then it costs some tens of microseconds in all.

    Examples
    --------
    >>> import torch, fanin.torch
    >>> def build():
    ...     _ = torch.manual_seed(0)
    ...     return torch.nn.Linear(300, 200)
    >>> with fanin.torch.fast_init():
    ...     model = build()
    >>> torch.equal(model.weight, build().weight)
    True
    """

    def __new__(cls, defer=False):
        if callable(defer):
            # Used as a decorator without parentheses: @fast_init.
            return cls()(defer)
        return super().__new__(cls)

    def __init__(self, defer: bool = False):
        if not isinstance(defer, bool):
            raise TypeError(f"defer = {defer!r}: must be True or False")
        self.defer = defer

    def __enter__(self):
        global _entered
        with _lock:
            _entered += 1
            if _entered == 1:
                _install()
        if self.defer:
            depth = getattr(_thread, "depth", 0)
            if depth == 0:
                # Imported here because the import is slow, and most programs do not defer.
                from ._deferred_mode import DeferredMode

                _thread.mode = DeferredMode()
                _thread.mode.__enter__()
            _thread.depth = depth + 1
        return self

    def __exit__(self, *exception):
        global _entered
        if self.defer and not getattr(_thread, "depth", 0):
            raise RuntimeError(
                "fast_init(defer=True) was entered in another thread, which has deferred fills: leave it in that thread"
            )
        try:
            if self.defer:
                _thread.depth -= 1
                if _thread.depth == 0:
                    mode, _thread.mode = _thread.mode, None
                    mode.__exit__(*exception)
        finally:
            with _lock:
                _entered -= 1
                if _entered == 0:
                    _patches.restore()


#: The mode of a thread that defers fills, and how often the thread has entered it.
_thread = threading.local()
