"""fast_init: model code as it is, its random fills by fanin.

Two doors lead to every random fill of model code: the methods `Tensor.uniform_` and `Tensor.normal_`, which
torch.nn.init, timm and transformers call at the moment of the fill, and `_no_grad_trunc_normal_`, which
torch.nn.init.trunc_normal_ looks up at the moment of the call. So it does not matter how a function was imported. Doors
cost nothing where no fill is: a mode, which sees every operation, would cost microseconds for each.
"""

from __future__ import annotations

import contextlib
import threading

import torch
from torch import Tensor
from torch.nn import init as _torch
from torch.overrides import handle_torch_function

from ._init import _draw_truncated
from ._plain import _KINDS, FEW, NORMAL, UNIFORM, _function_mode_on, draw, is_for_torch

_grad_is_enabled = torch.is_grad_enabled
_is_overridden = torch._C._has_torch_function_unary

_lock = threading.RLock()
_entered = 0
#: What was put in place: owner, name, ours, and what was there in the owner itself.
_installed: list[tuple[object, str, object, object]] = []


def _read(law: int, names: tuple[str, str], given, /, generator=None, **named):
    """The wish and the generator that a method's arguments ask for: both have 0 and 1 for defaults.

    None for arguments that torch will have something to say about.
    """
    first, second = names
    if len(given) > 2 or not named.keys() <= set(names[len(given) :]):
        return None
    a = given[0] if given else named.get(first, 0.0)
    b = given[1] if len(given) == 2 else named.get(second, 1.0)
    return (law, a, b, 0.0, 0.0), generator


def _door(name: str, law: int, names: tuple[str, str]):
    """A method in the place of torch's: the same but for who draws."""
    original = getattr(torch._C.TensorBase, name)

    def method(self, *args, **kwargs):
        if type(self) in _KINDS and not _function_mode_on(self) and self.numel() < FEW:
            return original(self, *args, **kwargs)
        if is_for_torch(self):
            if not _is_overridden(self):
                return original(self, *args, **kwargs)
            # As torch's method would, and naming torch's method to whoever overrides it.
            return handle_torch_function(original, (self,), self, *args, **kwargs)
        # Autograd is torch's: it refuses a leaf that requires grad, and records the rest.
        if not (_grad_is_enabled() and self.requires_grad):
            read = _read(law, names, args, **kwargs)
            if read is not None and draw(read[0], self, read[1]):
                return self
        return original(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = original.__doc__
    return method


def _truncated_door(original):
    """The body of torch.nn.init.trunc_normal_, but for who draws."""

    def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
        if not is_for_torch(tensor) and tensor.numel() >= FEW:
            if _draw_truncated(tensor, mean, std, a, b, generator):
                return tensor
        return original(tensor, mean, std, a, b, generator=generator)

    return _no_grad_trunc_normal_


def _install() -> None:
    for name, law, names in (("uniform_", UNIFORM, ("from", "to")), ("normal_", NORMAL, ("mean", "std"))):
        # If somebody has put a method of their own there, it is theirs to be called.
        if name not in Tensor.__dict__:
            _installed.append((Tensor, name, _door(name, law, names), None))
    name = "_no_grad_trunc_normal_"
    original = getattr(_torch, name, None)
    if original is not None:
        _installed.append((_torch, name, _truncated_door(original), original))
    for owner, name, ours, _ in _installed:
        setattr(owner, name, ours)


def _remove() -> None:
    for owner, name, ours, previous in _installed:
        # What somebody has put over ours meanwhile stays; ours, below it, does what torch does.
        if owner.__dict__.get(name) is ours:
            if previous is None:
                delattr(owner, name)
            else:
                setattr(owner, name, previous)
    _installed.clear()


class fast_init(contextlib.ContextDecorator):
    """A context, or a decorator, in which models are built with the same weights, sooner.

    >>> import torch, fanin.torch
    >>> def build():
    ...     _ = torch.manual_seed(0)
    ...     return torch.nn.Linear(300, 200)
    >>> with fanin.torch.fast_init():
    ...     model = build()
    >>> torch.equal(model.weight, build().weight)
    True

    Inside, random fills of dense CPU tensors are fanin's, whoever asks for them: torch.nn.init however it was imported,
    Tensor.normal_ and Tensor.uniform_, and with them timm's and transformers' initializers. Weights and generator
    are torch's to the bit afterwards.

    It may be nested and entered again, and leaves nothing behind when an exception passes through. While any thread is
    inside, fills of other threads are fanin's too; they cannot tell.

    `defer=True`: fills of whole tensors wait, so that those which are overwritten before anyone reads them are never
    drawn, and the others are drawn together on all threads when the context ends. Weights and generator are the same
    still, as long as inside the context

    - tensors made there are not used by other threads, nor by compiled code or C++ extensions that take their memory
      without an operator of torch's;
    - no view is read that torch knows nothing of (NumPy's, one by DLPack, a storage), made before, of a torch.empty that
      nothing was ever written to;
    - the methods that look at memory (`numpy`, `tolist`, `data_ptr` ...) are looked up when they are called, not kept from
      before as `f = torch.Tensor.tolist`.

    Nobody can see these from here, so waiting is for you to choose. All else that reads a tensor is seen, and
    waited for. It begins with the first fill of 2^20 values: until then `defer=True` costs some tens of
    microseconds in all.

    Ctrl-C during a fill leaves the generator where it was before the fill; while fills that waited are done, it leaves
    the generator after them, and the tensors in an unknown state.
    """

    def __new__(cls, defer=False):
        if callable(defer):
            # @fast_init, without parentheses.
            return cls()(defer)
        return super().__new__(cls)

    def __init__(self, defer: bool = False):
        if not isinstance(defer, bool):
            raise TypeError(f"defer = {defer!r} is neither True nor False: fast_init(defer=True) lets fills wait")
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
                # Its methods are dear to import, and few need it.
                from ._defer import Deferral

                _thread.mode = Deferral()
                _thread.mode.__enter__()
            _thread.depth = depth + 1
        return self

    def __exit__(self, *exception):
        global _entered
        if self.defer and not getattr(_thread, "depth", 0):
            raise RuntimeError(
                "fast_init(defer=True) was entered in another thread, whose fills wait: leave it in that thread"
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
                    _remove()


#: The mode of a thread in which fills wait, and how often it has been entered.
_thread = threading.local()
