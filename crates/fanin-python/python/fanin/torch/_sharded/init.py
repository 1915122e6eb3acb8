"""The context manager `sharded_init`: inside it, a module's own initialization code writes values of the native stream.

Initialization code writes to parameters in two ways, which are intercepted differently:

- By functions of torch.nn.init. Many modules hold references to these functions: torch's layers import them, and transformers
  has a table of them. Inside the context, the code object of each function is therefore replaced, so that a call through any
  reference calls fanin.
- By methods of tensors. A function mode, which applies to one thread, intercepts them (see `mode`).

torch does all other operations on a parameter that is not a DTensor.
"""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import init as _torch

from .._flat_shards import check_declared_sizes, check_not_sharded_flat
from .fill import INITIALIZERS
from .mode import ShardedMode
from .transformers_models import TransformersModels

_thread = threading.local()
_lock = threading.RLock()
_entered = 0
_HOOK = "_fanin_sharded_init"

#: Three dicts by the name of a function of torch.nn.init that writes to its argument: the original code objects, functions that
#: have these code objects, and the signatures.
_codes: dict[str, types.CodeType] = {}
_originals: dict[str, Callable[..., Any]] = {}
_signatures: dict[str, inspect.Signature] = {}


def _functions() -> dict[str, types.FunctionType]:
    found = {name: getattr(_torch, name, None) for name in INITIALIZERS}
    return {name: function for name, function in found.items() if isinstance(function, types.FunctionType)}


def _install() -> None:
    for name, function in _functions().items():
        original = types.FunctionType(
            function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
        )
        original.__kwdefaults__ = function.__kwdefaults__
        _originals[name], _codes[name], _signatures[name] = original, function.__code__, inspect.signature(function)
        scope: dict[str, Any] = {}
        exec(f"def {name}(*args, **kwargs):\n    return {_HOOK}({name!r}, args, kwargs)\n", scope)
        function.__code__ = scope[name].__code__
    setattr(_torch, _HOOK, _call)


def _remove() -> None:
    for name, code in _codes.items():
        getattr(_torch, name).__code__ = code
    _codes.clear()


def _call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Does a call of the function `name` of torch.nn.init. fanin does it inside sharded_init if possible, and else torch."""
    mode: ShardedMode | None = getattr(_thread, "mode", None)
    if mode is None:
        return _originals[name](*args, **kwargs)
    bound = _signatures[name].bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    tensor = arguments.pop("tensor")
    arguments.pop("generator", None)
    # fanin's own operations on tensors must not be intercepted by the mode.
    with torch._C.DisableTorchFunction():
        view = mode.find(tensor, name)
        if view is not None:
            mode.fill(view, INITIALIZERS[name](tensor, **arguments))
            return tensor
    return _originals[name](*args, **kwargs)


class sharded_init:
    """A context manager inside which a module's own initialization code writes values of the native stream.

    Inside, call the model's own code: `reset_parameters` of its modules, its `init_weights`, or the `init_weights` or
    `_init_weights` of transformers. fanin does all calls of torch.nn.init, `normal_` and `uniform_` in this code. The value at
    an index of a parameter depends only on the call, the seed, the parameter's name and the index. The weights are therefore
    the same in one process and on any mesh. Each rank fills the part that it holds, without communication.

    Slices and views of a parameter may be filled as well. `uniform_`, `normal_` and `trunc_normal_` then write the values that
    the same fill of the whole parameter has at the indices of the slice. `orthogonal_` and `sparse_` fill the slice as a
    separate matrix, whose name contains the slice, such as `rnn.weight_hh_l0[64:128]`.

    torch does draws into other tensors, such as `torch.rand(n)`, whose result the code may copy into a parameter. For these
    draws, the default generator is seeded with `seed` at the beginning of the context, and its former state is restored at the
    end. The values are the same on every rank if every rank makes the same draws.

    At the end of the context, ValueError is raised if an element of a parameter has no known value. An element has a known value if
    the code has written it, from values that were not computed from unwritten memory. After `to_empty`, this also applies to
    buffers.

    Models of transformers have the same weights with and without `fully_shard` (see `TransformersModels`). Tied weights are
    initialized by the module of their source alone. Weights that `to_empty` has separated must be tied again, as `init_weights`
    does. Parameters that were loaded from a checkpoint keep their values.

    Parameters of which this rank holds a flat range (FSDP1, DeepSpeed ZeRO-3) are an error.

    Parameters
    ----------
    module
        The module. The values of a parameter depend on its name in this module. Prefixes that wrappers add are ignored.
    seed
        The seed of the native stream.
    partial
        If True, the code may leave some parameters and buffers unwritten.

    Examples
    --------
    >>> model = torch.nn.Linear(16, 8, device="meta").to_empty(device="cpu")
    >>> with sharded_init(model, seed=42):
    ...     model.reset_parameters()
    >>> import fanin
    >>> weight = fanin.filled((8, 16), "kaiming_uniform(a=sqrt(5))", seed=42, name="weight")
    >>> bool((model.weight.detach().numpy() == weight).all())
    True
    """

    def __init__(self, module: nn.Module, *, seed: int = 0, partial: bool = False):
        self.module = module
        self.seed = seed
        self.partial = partial

    def __enter__(self) -> sharded_init:
        global _entered
        if getattr(_thread, "mode", None) is not None:
            raise RuntimeError("sharded_init cannot be entered inside sharded_init")
        check_declared_sizes(self.module)
        check_not_sharded_flat(self.module)
        models = TransformersModels(self.module)
        models.enter()
        try:
            mode = ShardedMode(self.module, self.seed, models.standins)
        except BaseException:
            models.leave()
            raise
        self._models = models
        with _lock:
            _entered += 1
            if _entered == 1:
                _install()
        self._state = torch.default_generator.get_state()
        torch.default_generator.manual_seed(self.seed & 0xFFFF_FFFF_FFFF_FFFF)
        _thread.mode = mode
        mode.__enter__()
        return self

    def __exit__(self, kind, error, trace) -> None:
        global _entered
        mode, _thread.mode = _thread.mode, None
        mode.__exit__(kind, error, trace)
        torch.default_generator.set_state(self._state)
        with _lock:
            _entered -= 1
            if _entered == 0:
                _remove()
        self._models.leave()
        if kind is None and not self.partial:
            self._models.check_ties()
            left = [one.name if one.is_parameter else f"{one.name} (a buffer)" for one in mode.unwritten() if one.name]
            if left:
                names = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                raise ValueError(
                    f"nothing was written to {names}: initialize them as well, or pass partial=True"
                )
