"""The context manager `sharded_init`, in which a module's own initialization code gets values of the native stream.

Initialization code writes to parameters in two ways:

- It calls functions of torch.nn.init. `sharded_init` replaces the code objects of these functions. New functions in
  torch.nn.init would not be enough: torch's layers and transformers have references to the original functions.
- It calls methods of tensors. A function mode intercepts these calls in one thread (see `mode`).

torch itself performs all other operations on ordinary parameters. On a DTensor, the function mode also replaces
operations such as indexing, views and `copy_`.
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

#: Maps the name of each function of torch.nn.init to the function's original code object.
_codes: dict[str, types.CodeType] = {}
#: Maps the name of each function of torch.nn.init to a copy of the function. The copy runs the function's original code object.
_originals: dict[str, Callable[..., Any]] = {}
#: Maps the name of each function of torch.nn.init to the function's signature.
_signatures: dict[str, inspect.Signature] = {}


def _functions() -> dict[str, types.FunctionType]:
    """Returns the functions of torch.nn.init that fill a tensor, as a dictionary whose key is the name of the function."""
    found = {name: getattr(_torch, name, None) for name in INITIALIZERS}
    return {name: function for name, function in found.items() if isinstance(function, types.FunctionType)}


def _install() -> None:
    """Replaces the code objects of the functions of torch.nn.init, so that each of them calls `_call`."""
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
    """Gives the functions of torch.nn.init their original code objects again."""
    for name, code in _codes.items():
        getattr(_torch, name).__code__ = code
    _codes.clear()


def _call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a call of the function `name` of torch.nn.init.

    If this thread runs the `with` block of a sharded_init, and the tensor belongs to the module, fanin fills the tensor. Otherwise
    torch fills the tensor.
    """
    mode: ShardedMode | None = getattr(_thread, "mode", None)
    if mode is None:
        return _originals[name](*args, **kwargs)
    bound = _signatures[name].bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    tensor = arguments.pop("tensor")
    arguments.pop("generator", None)
    # The function mode of `sharded_init` must not intercept fanin's own operations on tensors.
    with torch._C.DisableTorchFunction():
        view = mode.find(tensor, name)
        if view is not None:
            mode.fill(view, INITIALIZERS[name](tensor, **arguments))
            return tensor
    return _originals[name](*args, **kwargs)


class sharded_init:
    """A context manager in which a module's own initialization code gets its values from fanin's native stream.

    In the `with` block, call the model's own code, such as `init_weights`, or `reset_parameters` of its modules. For a
    model of the transformers library, call `init_weights` or `_init_weights`. When this code calls a function of
    torch.nn.init, or the method `normal_` or `uniform_` of a tensor, fanin fills the parameter. Each rank fills its own
    shard, without communication. A value depends only on the call, the seed, the parameter's name and the index in the
    parameter. So the weights are the same in one process and on any mesh.

    The code may also fill slices and views of a parameter. If `uniform_`, `normal_` or `trunc_normal_` fills a slice,
    each element gets the same value as in a fill of the whole parameter. `orthogonal_` and `sparse_` fill the slice as
    a separate matrix. The name of this matrix contains the slice, such as `rnn.weight_hh_l0[64:128]`.

    The code may also draw random tensors that are not parameters, such as `torch.rand(n)`, and copy them into a
    parameter. The values of these tensors come from torch's default generator, not from fanin's native stream. The
    generator is seeded with `seed` at the beginning of the `with` block. The former state of the generator is restored
    at the end of the block. If every rank makes the same draws, the values are the same on every rank.

    At the end of the `with` block, ValueError is raised if the code has not written every element of every parameter.
    Elements that were computed from unwritten memory count as not written. After `to_empty` of a module on the meta
    device, the buffers are unwritten too. The code must then also write every element of every buffer. `sharded_init`
    assumes this case if no parameter was written in place before the `with` block.

    A model of the transformers library gets the same weights with and without `fully_shard`. Tied weights are
    initialized once, by the module that transformers declares as their source. If `to_empty` has separated tied
    weights, the code must tie them again, as `init_weights` does. Parameters that were loaded from a checkpoint keep
    their values.

    FSDP1 and DeepSpeed ZeRO-3 are not supported, because they give each rank a flat range of a parameter.
    `sharded_init` raises ValueError for models that use them.

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
