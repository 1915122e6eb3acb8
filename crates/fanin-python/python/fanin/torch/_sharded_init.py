"""The context manager `sharded_init`: inside it, a module's own initialization code writes values of the native stream.

Initialization code writes to parameters in two ways, which are intercepted differently:

- By functions of torch.nn.init. Many modules hold references to these functions: torch's layers import them, and transformers
  has a table of them. Inside the context, the code object of each function is therefore replaced, so that a call through any
  reference calls fanin.
- By methods of tensors. A function mode, which applies to one thread, intercepts `normal_` and `uniform_`. For a DTensor, the
  mode also intercepts operations that torch would do with communication or on a copy: indexing, views, and `copy_` from an
  ordinary tensor.

torch does all other operations on a parameter that is not a DTensor.
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

from ._parameter_views import ModuleTensors, NamedTensor, ParameterView, whole
from ._regions import is_dtensor
from ._sharded_fill import INITIALIZERS, METHODS, apply_elementwise, copy, fill

#: Methods and functions that return views of a tensor.
_VIEWS = frozenset(
    "__getitem__ select narrow chunk tensor_split split split_with_sizes unbind view view_as reshape flatten unflatten t "
    "transpose swapaxes swapdims permute movedim moveaxis squeeze unsqueeze diagonal unfold hsplit vsplit dsplit".split()
)
_SET_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
#: Attributes of a tensor that return views of the tensor: the key is the getter, and the value is the attribute's name.
_VIEW_ATTRIBUTES = {getattr(Tensor, name).__get__: name for name in ("T", "mT", "H", "mH")}

#: Functions that draw from torch's generator. Calling them with a DTensor is an error: each rank would draw separately, so the
#: values would depend on the mesh.
_DRAWS = frozenset(
    "random_ exponential_ geometric_ cauchy_ log_normal_ bernoulli_ bernoulli rand_like randn_like randint_like normal "
    "dropout dropout_ multinomial poisson".split()
)

#: Elementwise in-place methods. Their arguments must be numbers.
_IN_PLACE = frozenset(
    "fill_ zero_ mul_ div_ add_ sub_ multiply_ divide_ subtract_ true_divide_ pow_ clamp_ clamp_min_ clamp_max_ clip_ neg_ "
    "abs_ exp_ log_ log1p_ expm1_ sqrt_ rsqrt_ reciprocal_ square_ sin_ cos_ tanh_ sigmoid_ erf_ erfinv_ round_ floor_ "
    "ceil_ trunc_ sign_".split()
)

#: Methods whose names end with an underscore, although they do not write values.
_NOT_WRITING = frozenset("requires_grad_ detach_ share_memory_ rename_ retain_grad_ is_shared_".split())

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
    mode: _Mode | None = getattr(_thread, "mode", None)
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
            fill(view, INITIALIZERS[name](tensor, **arguments), mode.seed)
            return tensor
    return _originals[name](*args, **kwargs)


class _Mode(TorchFunctionMode):
    """The function mode of a thread that is inside the context. It intercepts methods and functions of tensors."""

    def __init__(self, module: nn.Module, seed: int):
        super().__init__()
        self.tensors = ModuleTensors(module)
        self.seed = seed
        #: Tensors that functions such as `empty_like` have returned for a parameter, by the id of the tensor. A fill of such a
        #: tensor writes the values that the same fill of the parameter writes.
        self.likes: dict[int, tuple[Tensor, ParameterView]] = {}

    def find(self, tensor: Any, function: str) -> ParameterView | None:
        """Returns the ParameterView that describes a tensor, or None if the tensor does not belong to a parameter.

        A tensor that `empty_like` has returned for a parameter is treated as the parameter. `function` is the name of the
        called function, for error messages.
        """
        if not isinstance(tensor, Tensor) or nn.parameter.is_lazy(tensor):
            return None
        like = self.likes.get(id(tensor))
        if like is not None:
            return like[1]
        view = self.tensors.find(tensor)
        if view is None:
            # The tensor may be a parameter that the module got after the last update.
            self.tensors.update()
            view = self.tensors.find(tensor)
        if view is None and is_dtensor(tensor):
            raise ValueError(
                f"{function} of a DTensor of shape {tuple(tensor.shape)} that is no parameter or buffer of the module: it has no "
                "name, so its values would differ from rank to rank"
            )
        if view is None and self.tensors.is_local(tensor):
            raise ValueError(f"{function} of the local tensor of a DTensor: initialize the parameter, which has the global shape")
        return view

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensor = args[0] if args else None
        if name in METHODS and isinstance(tensor, Tensor):
            spec = METHODS[name](*args[1:], **kwargs)
            view = None if spec is None else self.find(tensor, name)
            if view is None:
                return func(*args, **kwargs)
            fill(view, spec, self.seed)
            return tensor
        if name.endswith("_like") and name not in _DRAWS and isinstance(tensor, Tensor):
            return self._like(func, args, kwargs)
        if name in _DRAWS and any(isinstance(one, Tensor) and is_dtensor(one) for one in args):
            raise ValueError(
                f"{name} of a DTensor: torch draws on each rank by itself, so the weights would depend on the mesh: use "
                "normal_, uniform_ or a function of torch.nn.init"
            )
        if isinstance(tensor, Tensor) and func == _SET_DATA:
            self._mark_filled(self.tensors.find(tensor))
        elif isinstance(tensor, Tensor) and (is_dtensor(tensor) or tensor.is_meta):
            return self._call_on_dtensor(func, name, args, kwargs)
        elif isinstance(tensor, Tensor) and self._writes(name) and tensor.numel():
            self._mark_filled(self.tensors.find(tensor))
        return func(*args, **kwargs)

    def _call_on_dtensor(self, func, name, args, kwargs):
        """Does an operation on a DTensor or on a view of its twin, and returns the result.

        A view of a DTensor is computed as a view of its twin (see `_parameter_views`). A write to the DTensor, or to a view of
        its twin, writes to the local tensor of this rank. torch does all other operations.
        """
        tensor = args[0]
        is_view = name in _VIEWS or func in _VIEW_ATTRIBUTES
        if not (is_view or self._writes(name)):
            return func(*args, **kwargs)
        view = self.tensors.find(tensor)
        if view is None or view.named.twin is None:
            return func(*args, **kwargs)
        twin = view.named.twin if is_dtensor(tensor) else tensor
        if is_view:
            return func(twin, *args[1:], **kwargs)
        if name == "__setitem__":
            _, index, values = args
            target = twin[index]
            view = self.tensors.find(target)
            name, args = ("copy_", (target, values)) if isinstance(values, Tensor) else ("fill_", (target, values))
        self._mark_filled(view)
        if name == "copy_" or (name == "fill_" and isinstance(args[1], Tensor)):
            copy(view, args[1])
            return tensor
        if is_dtensor(tensor) and view.is_itself and name not in _IN_PLACE:
            return func(*args, **kwargs)
        if name not in _IN_PLACE or any(isinstance(one, Tensor) for one in (*args[1:], *kwargs.values())):
            raise ValueError(
                f"{view.named.name}: {name} on a view of a DTensor is not supported: use in-place operations with numbers, "
                "copy_ or assignment"
            )
        apply_elementwise(view, name, args[1:], kwargs)
        return tensor

    def _like(self, func, args, kwargs):
        made = func(*args, **kwargs)
        view = self.tensors.find(args[0]) if args[0].numel() else None
        if view is not None and view.is_itself and isinstance(made, Tensor) and made.shape == args[0].shape:
            # The dict also holds the tensor, because no other tensor gets the same id while this tensor lives.
            self.likes[id(made)] = (made, whole(NamedTensor(view.named.name, made)))
        return made

    @staticmethod
    def _writes(name: str) -> bool:
        return name == "__setitem__" or (name.endswith("_") and not name.endswith("__") and name not in _NOT_WRITING)

    @staticmethod
    def _mark_filled(view: ParameterView | None) -> None:
        if view is not None:
            view.named.filled = True


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

    transformers marks a module as initialized even if the module is on the meta device, and its `init_weights` skips modules
    with this mark. sharded_init removes the marks of modules, so that the modules are filled. It does not remove the marks of
    parameters that were loaded from a checkpoint.

    Parameters
    ----------
    module
        The module. The values of a parameter depend on its name in this module. Prefixes that wrappers add are ignored.
    seed
        The seed of the native stream.
    partial
        If True, the code may leave some parameters unwritten. By default, ValueError is raised at the end of the context if
        nothing was written to a parameter, because its memory is uninitialized after `to_empty`.

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
            mode.tensors.update()
            tensors = mode.tensors.by_id.values()
            left = [one.name for one in tensors if one.is_parameter and not one.filled and one.name]
            if left:
                names = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                raise ValueError(
                    f"nothing was written to {names}: initialize them as well, or pass partial=True"
                )
