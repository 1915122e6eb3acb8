"""sharded_init: the user's own initialization code, its numbers from the native stream.

Numbers come into parameters by two ways. The functions of torch.nn.init are held by name in many places (torch's layers
import them, transformers keeps a table of them), so inside the context it is their code that is another: who holds the
function calls ours. A function mode, which is the thread's own, sees the methods of tensors: `normal_` and `uniform_`, and
on a DTensor also what torch would do by communication or on a copy: indexing, views, `copy_` from a plain tensor.

Of a plain parameter everything else is torch's.
"""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import init as _torch
from torch.overrides import TorchFunctionMode

from ._boxes import is_dtensor
from ._fill import INITIALIZERS, METHODS, copy, each, fill
from ._views import Known, Parameters, Part, whole

#: What gives parts of a tensor, or its values in another shape.
_VIEWS = frozenset(
    "__getitem__ select narrow chunk tensor_split split split_with_sizes unbind view view_as reshape flatten unflatten t "
    "transpose swapaxes swapdims permute movedim moveaxis squeeze unsqueeze diagonal unfold hsplit vsplit dsplit".split()
)
_SET_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
#: Attributes that do.
_VIEW_ATTRIBUTES = {getattr(Tensor, name).__get__: name for name in ("T", "mT", "H", "mH")}

#: What draws from torch's generator, in place or anew: each rank of a DTensor would get the same, or other, numbers.
_DRAWS = frozenset(
    "random_ exponential_ geometric_ cauchy_ log_normal_ bernoulli_ bernoulli rand_like randn_like randint_like normal "
    "dropout dropout_ multinomial poisson".split()
)

#: In place, element by element, of numbers.
_IN_PLACE = frozenset(
    "fill_ zero_ mul_ div_ add_ sub_ multiply_ divide_ subtract_ true_divide_ pow_ clamp_ clamp_min_ clamp_max_ clip_ neg_ "
    "abs_ exp_ log_ log1p_ expm1_ sqrt_ rsqrt_ reciprocal_ square_ sin_ cos_ tanh_ sigmoid_ erf_ erfinv_ round_ floor_ "
    "ceil_ trunc_ sign_".split()
)

#: What ends like an operation in place, and writes no values.
_KEEPS = frozenset("requires_grad_ detach_ share_memory_ rename_ retain_grad_ is_shared_".split())

_thread = threading.local()
_lock = threading.RLock()
_entered = 0
_HOOK = "_fanin_sharded_init"

#: Of each function of torch.nn.init that writes: its own code, and the function with it under which torch's can be called.
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
    setattr(_torch, _HOOK, _answer)


def _remove() -> None:
    for name, code in _codes.items():
        getattr(_torch, name).__code__ = code
    _codes.clear()


def _answer(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of torch.nn.init, of any thread."""
    mode: _Mode | None = getattr(_thread, "mode", None)
    if mode is None:
        return _originals[name](*args, **kwargs)
    bound = _signatures[name].bind(*args, **kwargs)
    bound.apply_defaults()
    given = dict(bound.arguments)
    tensor = given.pop("tensor")
    given.pop("generator", None)
    # Our own operations are not the mode's to see.
    with torch._C.DisableTorchFunction():
        part = mode.find(tensor, name)
        if part is not None:
            fill(part, INITIALIZERS[name](tensor, **given), mode.seed)
            return tensor
    return _originals[name](*args, **kwargs)


class _Mode(TorchFunctionMode):
    """What tensors' methods do inside."""

    def __init__(self, module: nn.Module, seed: int):
        super().__init__()
        self.parameters = Parameters(module)
        self.seed = seed
        #: Tensors that are made like a parameter, to be copied into it: drawn under its name.
        self.likes: dict[int, tuple[Tensor, Part]] = {}

    def find(self, tensor: Any, what: str) -> Part | None:
        """The part of a parameter that a tensor is, or is made like."""
        if not isinstance(tensor, Tensor) or nn.parameter.is_lazy(tensor):
            return None
        like = self.likes.get(id(tensor))
        if like is not None:
            return like[1]
        part = self.parameters.find(tensor)
        if part is None:
            # It may have been put there since.
            self.parameters.look()
            part = self.parameters.find(tensor)
        if part is None and is_dtensor(tensor):
            raise ValueError(
                f"{what} of a DTensor of shape {tuple(tensor.shape)} that is no parameter or buffer of the module: it has no "
                "name, and without one every rank would draw what it likes"
            )
        if part is None and self.parameters.is_local(tensor):
            raise ValueError(f"{what} of the local part of a DTensor: initialize the parameter, which knows its whole shape")
        return part

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensor = args[0] if args else None
        if name in METHODS and isinstance(tensor, Tensor):
            spec = METHODS[name](*args[1:], **kwargs)
            part = None if spec is None else self.find(tensor, name)
            if part is None:
                return func(*args, **kwargs)
            fill(part, spec, self.seed)
            return tensor
        if name.endswith("_like") and name not in _DRAWS and isinstance(tensor, Tensor):
            return self._like(func, args, kwargs)
        if name in _DRAWS and any(isinstance(one, Tensor) and is_dtensor(one) for one in args):
            raise ValueError(
                f"{name} of a DTensor: torch draws it rank by rank, so the weights would depend on the mesh; use normal_, "
                "uniform_ or a function of torch.nn.init"
            )
        if isinstance(tensor, Tensor) and func == _SET_DATA:
            self._mark(self.parameters.find(tensor))
        elif isinstance(tensor, Tensor) and (is_dtensor(tensor) or tensor.is_meta):
            return self._of_dtensor(func, name, args, kwargs)
        elif isinstance(tensor, Tensor) and self._writes(name) and tensor.numel():
            self._mark(self.parameters.find(tensor))
        return func(*args, **kwargs)

    def _of_dtensor(self, func, name, args, kwargs):
        """What happens to a DTensor, or to a view of its twin."""
        tensor = args[0]
        looks = name in _VIEWS or func in _VIEW_ATTRIBUTES
        if not (looks or self._writes(name)):
            return func(*args, **kwargs)
        part = self.parameters.find(tensor)
        if part is None or part.known.twin is None:
            return func(*args, **kwargs)
        twin = part.known.twin if is_dtensor(tensor) else tensor
        if looks:
            return func(twin, *args[1:], **kwargs)
        if name == "__setitem__":
            _, index, values = args
            window = twin[index]
            part = self.parameters.find(window)
            name, args = ("copy_", (window, values)) if isinstance(values, Tensor) else ("fill_", (window, values))
        self._mark(part)
        if name == "copy_" or (name == "fill_" and isinstance(args[1], Tensor)):
            copy(part, args[1])
            return tensor
        if is_dtensor(tensor) and part.is_itself and name not in _IN_PLACE:
            return func(*args, **kwargs)
        if name not in _IN_PLACE or any(isinstance(one, Tensor) for one in (*args[1:], *kwargs.values())):
            raise ValueError(
                f"{part.known.name}: {name} on a part of a DTensor is not known here: operations with numbers, copy_ and "
                "assignment are"
            )
        each(part, name, args[1:], kwargs)
        return tensor

    def _like(self, func, args, kwargs):
        made = func(*args, **kwargs)
        part = self.parameters.find(args[0]) if args[0].numel() else None
        if part is not None and part.is_itself and isinstance(made, Tensor) and made.shape == args[0].shape:
            # Kept, so that no other tensor can have its id meanwhile.
            self.likes[id(made)] = (made, whole(Known(part.known.name, made)))
        return made

    @staticmethod
    def _writes(name: str) -> bool:
        return name == "__setitem__" or (name.endswith("_") and not name.endswith("__") and name not in _KEEPS)

    @staticmethod
    def _mark(part: Part | None) -> None:
        if part is not None:
            part.known.filled = True


class sharded_init:
    """A context in which a module's own initialization draws from the native stream, each parameter by its name.

    Inside, call what the model has: `reset_parameters` of its modules, its own `init_weights`, transformers'
    `init_weights` or `_init_weights`. What these ask of torch.nn.init and of `normal_` and `uniform_` is done by fanin: the
    value at an index of a parameter depends on the seed, the parameter's name and the index alone. So the weights are the
    same for one process and for any mesh, each rank fills its own part, and no rank talks to another.

    >>> model = torch.nn.Linear(16, 8, device="meta").to_empty(device="cpu")
    >>> with sharded_init(model, seed=42):
    ...     model.reset_parameters()
    >>> import fanin
    >>> weight = fanin.filled((8, 16), "kaiming_uniform(a=sqrt(5))", seed=42, name="weight")
    >>> bool((model.weight.detach().numpy() == weight).all())
    True

    Slices and views of a parameter may be filled too: `uniform_`, `normal_` and `trunc_normal_` give the values that the
    parameter has there; `orthogonal_` and `sparse_` of a part are a matrix of their own, drawn under the name with the
    slice, as `rnn.weight_hh_l0[64:128]`.

    Draws that belong to no parameter (`torch.rand(n)`, to be copied into one) are torch's, from a generator that begins
    with the seed: the same on every rank as long as every rank draws the same. The generator is restored afterwards.

    A parameter that nobody has written to when the context ends is an error that names it, unless `partial` is true:
    after `to_empty` it would hold whatever was in memory. transformers' marks of modules that were initialized before (on
    the meta device) are taken off, so that its `init_weights` does its work; marks of loaded parameters stay.
    """

    def __init__(self, module: nn.Module, *, seed: int = 0, partial: bool = False):
        self.module = module
        self.seed = seed
        self.partial = partial

    def __enter__(self) -> sharded_init:
        global _entered
        if getattr(_thread, "mode", None) is not None:
            raise RuntimeError("sharded_init inside sharded_init: whose seed should it be?")
        mode = _Mode(self.module, self.seed)
        for one in self.module.modules():
            one.__dict__.pop("_is_hf_initialized", None)
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
        if kind is None and not self.partial:
            mode.parameters.look()
            left = [one.name for one in mode.parameters.known.values() if one.is_parameter and not one.filled]
            left = [name for name in left if name]
            if left:
                names = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                raise ValueError(
                    f"nothing was written to {names}: initialize them too, or say sharded_init(..., partial=True)"
                )
