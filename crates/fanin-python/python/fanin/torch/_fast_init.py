"""The context manager `fast_init`, inside which fanin performs the random fills of unchanged model code.

fast_init patches `Tensor.uniform_`, `Tensor.normal_`, and the function `_no_grad_trunc_normal_` of torch.nn.init. The
initializers of torch.nn.init, timm and transformers look up these functions by name at each call. So it does not matter
how the model code has imported an initializer. The patches do not slow down other torch operations. Instead of patches,
fast_init could use a TorchFunctionMode or a TorchDispatchMode, but a mode would add microseconds to each operation.
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
    """Returns a replacement for the method `name` of Tensor. fanin performs the fill if possible, and torch otherwise."""
    original = getattr(torch._C.TensorBase, name)

    def method(self, *args, **kwargs):
        if type(self) in TENSOR_TYPES and not has_function_mode(self) and self.numel() < MIN_VALUES:
            return original(self, *args, **kwargs)
        if is_for_torch(self):
            if not _is_overridden(self):
                return original(self, *args, **kwargs)
            # The argument `func` of `__torch_function__` must be torch's own method, not the patch.
            return handle_torch_function(original, (self,), self, *args, **kwargs)
        # torch performs a fill that autograd must record. If the tensor is a leaf, torch raises an error.
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
    """Returns a replacement for `_no_grad_trunc_normal_`, which torch.nn.init.trunc_normal_ calls to fill a tensor.

    fanin performs the fill if possible. Otherwise the replacement calls `original`.
    """

    def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
        if not is_for_torch(tensor) and tensor.numel() >= MIN_VALUES:
            if _fill_truncated(tensor, mean, std, a, b, generator):
                return tensor
        return original(tensor, mean, std, a, b, generator=generator)

    return _no_grad_trunc_normal_


def _install() -> None:
    for name, make_request, names in (("uniform_", UNIFORM, ("from", "to")), ("normal_", NORMAL, ("mean", "std"))):
        # If other code has already replaced this method of Tensor, fast_init does not patch it.
        if name not in Tensor.__dict__:
            _patches.append(Patch(Tensor, name, _patched_method(name, make_request, names), None))
    name = "_no_grad_trunc_normal_"
    original = getattr(_torch, name, None)
    if original is not None:
        _patches.append(Patch(_torch, name, _patched_trunc_normal(original), original))
    _patches.apply()


class fast_init(contextlib.ContextDecorator):
    """A context manager or decorator that makes the construction of models faster, with the same weights.

    Inside the context, fanin performs random fills of dense CPU tensors in place of torch. A random fill is a call of
    Tensor.normal_, Tensor.uniform_, or a function of torch.nn.init that draws random values. The initializers of timm
    and transformers call these functions. torch still performs fills of fewer than 8192 values, unless they are
    deferred. The weights and the state of torch's generator are bit-identical to those without fast_init.

    Contexts may be nested. A context may be entered again. While one thread is inside, fanin also performs the fills of
    all other threads, with the same values as torch.

    If Ctrl-C interrupts a fill, the generator has the state from before the fill. If Ctrl-C interrupts deferred fills
    while they are performed, the generator has the state from after all of these fills. In both cases, some elements
    have new values, and the others keep their old values.

    Parameters
    ----------
    defer
        If True, fills of whole tensors are deferred. A deferred fill is performed just before something reads the
        tensor, or at the end of the context. At the end, all remaining fills are performed together, on all threads. A
        fill is never performed if it is overwritten before anything reads the tensor.

        The weights and the state of the generator are the same as without `defer` if the code inside the context meets
        three conditions:

        - Other threads and compiled code must not use a tensor that is created inside the context. C++ extensions must
          read the memory of such a tensor only by operators of torch.
        - A NumPy array, a DLPack capsule or a storage that shares the memory of a tensor must be created after the
          first write to the tensor. If it is created earlier, it must not be read inside the context.
        - Methods that read memory, such as `numpy`, `tolist` and `data_ptr`, must be looked up when they are called. A
          reference from before the context, such as `f = torch.Tensor.tolist`, must not be called.

        fanin cannot check these conditions, because it cannot detect the reads that they exclude. fanin detects every
        other read of a tensor, and performs the tensor's deferred fill before the read. Deferring begins with the first
        fill of at least 2^20 values. Without such a fill, `defer` costs some tens of microseconds in total.

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
            # The class is used as a decorator without parentheses (`@fast_init`), so `defer` is the decorated function.
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
                # Imported only here, because the import is slow and most programs do not defer fills.
                from ._deferred.mode import DeferredMode

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


#: The state of each thread: `mode` is the thread's DeferredMode. `depth` is the number of nested contexts with `defer=True`.
_thread = threading.local()
