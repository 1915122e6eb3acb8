"""The function mode of `sharded_init`. It intercepts the methods and functions of tensors in one thread.

The mode does three things:

- For `normal_` and `uniform_` of a parameter, it writes values of the native stream.
- For a DTensor, it replaces operations in which torch would communicate or return a copy: indexing, views, and `copy_`
  from an ordinary tensor.
- It records which elements of a parameter were written, and which tensors have *known values*. Known values are
  computed only from written memory. All other values are unknown. A parameter with unknown values does not count as
  written. For example, the values of `bias` are unknown if `bias.data = pad(bias.data)` follows `to_empty`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .._regions import is_dtensor, local_of
from .fill import METHODS, apply_elementwise, copy, fill
from .parameter_views import ModuleTensors, NamedTensor, ParameterView, whole
from .written import StorageLog, storage_of

#: Methods and functions that return views of a tensor.
_VIEWS = frozenset(
    "__getitem__ select narrow chunk tensor_split split split_with_sizes unbind view view_as reshape flatten unflatten t "
    "transpose swapaxes swapdims permute movedim moveaxis squeeze unsqueeze diagonal unfold hsplit vsplit dsplit".split()
)
_SET_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
#: The attributes that return a view of a tensor: maps the getter of each attribute to the attribute's name.
_VIEW_ATTRIBUTES = {getattr(Tensor, name).__get__: name for name in ("T", "mT", "H", "mH")}

#: Functions that draw from torch's generator. A call with a DTensor is an error, because each rank would draw by itself, and the values
#: would depend on the mesh.
_DRAWS = frozenset(
    "random_ exponential_ geometric_ cauchy_ log_normal_ bernoulli_ bernoulli rand_like randn_like randint_like normal "
    "dropout dropout_ multinomial poisson".split()
)

#: Elementwise in-place methods that overwrite all elements with a number.
_CONSTANT = frozenset(("fill_", "zero_"))
#: Elementwise in-place methods that compute each element from its former value. Their arguments must be numbers.
_ARITHMETIC = frozenset(
    "mul_ div_ add_ sub_ multiply_ divide_ subtract_ true_divide_ pow_ clamp_ clamp_min_ clamp_max_ clip_ neg_ "
    "abs_ exp_ log_ log1p_ expm1_ sqrt_ rsqrt_ reciprocal_ square_ sin_ cos_ tanh_ sigmoid_ erf_ erfinv_ round_ floor_ "
    "ceil_ trunc_ sign_".split()
)
#: In-place methods after which all elements count as written. Other in-place methods compute elements from their former
#: values, or change only some elements.
_OVERWRITING = _CONSTANT | frozenset(
    "__setitem__ copy_ normal_ uniform_ random_ exponential_ geometric_ cauchy_ log_normal_ bernoulli_ "
    "constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ trunc_normal_ "
    "orthogonal_ sparse_".split()
)
#: Methods whose names end with an underscore, although they do not write values.
_NOT_WRITING = frozenset(
    "requires_grad_ detach_ share_memory_ rename_ retain_grad_ is_shared_ t_ transpose_ swapaxes_ squeeze_ unsqueeze_ "
    "as_strided_ resize_ resize_as_ set_".split()
)

#: Functions that return unwritten memory.
_EMPTY = frozenset("empty empty_like empty_strided empty_permuted new_empty new_empty_strided".split())
#: Functions that read only the shape and the dtype of their first argument.
_SHAPE_ONLY = frozenset("new_zeros new_ones new_full".split())


def _writes(name: str) -> bool:
    """Returns whether a method writes to its tensor, judged by its name."""
    return name == "__setitem__" or (name.endswith("_") and not name.endswith("__") and name not in _NOT_WRITING)


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yields the tensors among values, including those in lists, tuples and dicts."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())


def _is_empty(tensors: ModuleTensors) -> bool:
    """Returns whether all parameters are still unwritten, as after `to_empty`. If so, the buffers count as unwritten too."""
    parameters = [local_of(one.tensor) for one in tensors.by_id.values() if one.is_parameter]
    parameters = [one for one in parameters if not nn.parameter.is_lazy(one) and one.numel()]
    return bool(parameters) and not any(one.is_inference() or one._version for one in parameters)


class ShardedMode(TorchFunctionMode):
    """The function mode that is on in a thread while the thread is inside `sharded_init`."""

    def __init__(self, module: nn.Module, seed: int, ignored: frozenset[int]):
        super().__init__()
        self.tensors = ModuleTensors(module, ignored)
        self.seed = seed
        if not _is_empty(self.tensors):
            # Buffers have values: the constructors of the modules have written them.
            for named in self.tensors.by_id.values():
                if not named.is_parameter:
                    whole(named).mark_written()
        #: Results of functions such as `empty_like` for a parameter, by the id of the result. A fill writes the same
        #: values to the result as to the parameter.
        self.likes: dict[int, tuple[Tensor, ParameterView]] = {}
        #: Records which tensors outside of the torch module have known values (see the docstring of this file).
        self.log = StorageLog()

    def find(self, tensor: Any, function: str) -> ParameterView | None:
        """Returns the ParameterView of `tensor`, or None if `tensor` has no ParameterView.

        A parameter or buffer of the module, or a view of one, has a ParameterView. A result of `empty_like(parameter)`
        has one too, with the parameter's name. Raises ValueError for a DTensor without a ParameterView, for the local
        tensor of a DTensor, and for a view that a ParameterView cannot describe, such as `weight.diagonal()`.
        `function` is the name of the called function, for error messages.
        """
        if not isinstance(tensor, Tensor) or nn.parameter.is_lazy(tensor):
            return None
        like = self.likes.get(id(tensor))
        if like is not None:
            return like[1]
        view = self.tensors.find(tensor)
        if view is None:
            # The code may have added a parameter to the module since the last update.
            self.tensors.update()
            view = self.tensors.find(tensor)
        if view is None and is_dtensor(tensor):
            raise ValueError(
                f"{function} of a DTensor of shape {tuple(tensor.shape)} that is not a parameter or buffer of the module: it has no "
                "name, so its values would depend on the mesh"
            )
        if view is None and self.tensors.is_local(tensor):
            raise ValueError(f"{function} of the local tensor of a DTensor: initialize the parameter, which has the global shape")
        return view

    def fill(self, view: ParameterView, spec: Any) -> None:
        """Fills a view and records the write. The view is of a parameter, or of the result of `empty_like(parameter)`."""
        fill(view, spec, self.seed)
        self._log_like(view)

    def unwritten(self) -> list[NamedTensor]:
        """Returns the parameters and buffers with elements that were not written, or that were computed from unwritten memory."""
        self.tensors.update()
        left = []
        for named in {id(one): one for one in self.tensors.by_id.values()}.values():
            if not named.written.is_complete and not self.log.get(named.tensor):
                left.append(named)
        return left

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensor = args[0] if args else None
        if name == "__get__" and func not in _VIEW_ATTRIBUTES:
            # Reading an attribute such as `shape` or `data` computes no values.
            return func(*args, **kwargs)
        if name in METHODS and isinstance(tensor, Tensor):
            spec = METHODS[name](*args[1:], **kwargs)
            view = None if spec is None else self.find(tensor, name)
            if view is not None:
                self.fill(view, spec)
                return tensor
        elif name.endswith("_like") and name not in _DRAWS and isinstance(tensor, Tensor):
            return self._like(func, name, args, kwargs)
        elif name in _DRAWS and any(isinstance(one, Tensor) and is_dtensor(one) for one in args):
            raise ValueError(
                f"{name} of a DTensor: torch draws on each rank separately, so the weights would depend on the mesh: use "
                "normal_, uniform_ or a function of torch.nn.init"
            )
        elif isinstance(tensor, Tensor) and func == _SET_DATA:
            return self._set_data(func, tensor, args[1])
        elif isinstance(tensor, Tensor) and (is_dtensor(tensor) or tensor.is_meta):
            return self._call_on_dtensor(func, name, args, kwargs)
        return self._call(func, name, args, kwargs)

    def _call(self, func, name, args, kwargs):
        """Calls a function of torch, and records which elements it has written, and whether its result has known values."""
        tensor = args[0] if args else None
        if isinstance(tensor, Tensor) and _writes(name):
            values = [*args[2:], *kwargs.values()] if name == "__setitem__" else [*args[1:], *kwargs.values()]
            is_known = self._are_known(values)
            result = func(*args, **kwargs)
            target = self._assigned(tensor, args[1]) if name == "__setitem__" else tensor
            self._record_write(target, name, is_known)
            return result
        if name.startswith("_foreach_") and _writes(name):
            return self._call_foreach(func, name, args, kwargs)
        result = func(*args, **kwargs)
        made = [one for one in _tensors((result,)) if one.layout is torch.strided]
        if made:
            given = list(_tensors((*args, *kwargs.values())))
            reads_shape = name in _SHAPE_ONLY or name.endswith("_like")
            is_known = name not in _EMPTY and (reads_shape or self._are_known(given))
            memory = {storage_of(one)._cdata for one in given if one.layout is torch.strided}
            out = kwargs.get("out")
            if isinstance(out, Tensor):
                read = (*args, *(value for key, value in kwargs.items() if key != "out"))
                self._record_write(out, "copy_", self._are_known(read))
            for one in made:
                # A view uses the memory of an argument. Whether this memory has known values is recorded already.
                if storage_of(one)._cdata not in memory:
                    self.log.set(one, is_known)
        return result

    def _call_foreach(self, func, name, args, kwargs):
        """Calls an in-place function that changes a list of tensors, such as `torch._foreach_zero_`."""
        targets = args[0] if args else kwargs["self"]
        given = [*args[1:], *kwargs.values()]
        lists = [one for one in given if isinstance(one, (list, tuple)) and len(one) == len(targets)]
        known = [self._are_known([one[i] for one in lists] if lists else given) for i in range(len(targets))]
        result = func(*args, **kwargs)
        for target, is_known in zip(targets, known):
            self._record_write(target, name.removeprefix("_foreach_"), is_known)
        return result

    def _are_known(self, values) -> bool:
        """Returns whether all tensors among some arguments have known values."""
        return all(self._is_known(one) for one in _tensors(values))

    def _is_known(self, tensor: Tensor) -> bool:
        """Returns whether a tensor has known values: values that were computed only from written memory."""
        if not tensor.numel() or nn.parameter.is_lazy(tensor):
            return True
        like = self.likes.get(id(tensor))
        try:
            view = like[1] if like is not None else self.tensors.find(tensor)
            is_written = view is None or view.is_written
        except ValueError:
            # The tensor is part of a parameter, but not a region of it: a diagonal, for example. Its values are known if the whole parameter
            # was written.
            owner = self.tensors.owner(tensor)
            view, is_written = None, owner is None or owner.written.is_complete
        logged = self.log.get(tensor)
        return logged is True or (is_written and (view is not None or logged is None))

    def _assigned(self, tensor: Tensor, index: Any) -> Tensor | None:
        """Returns the elements that `tensor[index] = values` writes, as a view of `tensor` or as `tensor` itself.

        Returns None if they are not a view, for example if `index` is a mask that selects some of the elements.
        """
        selected = tensor[index]
        if storage_of(selected)._cdata == storage_of(tensor)._cdata:
            return selected
        if selected.numel() != tensor.numel():
            return None
        # An index such as `[0, 0]` selects some elements twice, and others not at all.
        is_selected = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
        is_selected[index] = True
        return tensor if is_selected.all() else None

    def _record_write(self, target: Tensor | None, name: str, is_known: bool) -> None:
        """Records that the method `name` has written a tensor. `is_known` says whether the arguments have known values."""
        if target is None or not target.numel():
            return
        like = self.likes.get(id(target))
        try:
            view = like[1] if like is not None else self.tensors.find(target)
        except ValueError:
            # The tensor is part of a parameter, but not a region of it: a diagonal, for example.
            owner = self.tensors.owner(target)
            view, name = whole(owner) if owner is not None else None, "fill_diagonal_"
        if view is None:
            if name in _OVERWRITING:
                self.log.set(target, is_known)
            elif not is_known:
                self.log.set(target, False)
        else:
            self._record_write_to(view, name, is_known)

    def _record_write_to(self, view: ParameterView, name: str, is_known: bool) -> None:
        if not is_known:
            # Some elements now have unknown values. It is not recorded which elements, so no element counts as written.
            view.named.written.clear()
            self.log.set(view.named.tensor, False)
        elif name in _OVERWRITING:
            view.mark_written()
        self._log_like(view)

    def _log_like(self, view: ParameterView) -> None:
        """If a view belongs to a tensor in `likes`, records whether all values of this tensor are known."""
        if id(view.named.tensor) in self.likes:
            self.log.set(view.named.tensor, view.named.written.is_complete)

    def _set_data(self, func, tensor: Tensor, data: Tensor):
        """Runs `tensor.data = data`, and records whether the new data has known values."""
        is_known = self._is_known(data)
        result = func(tensor, data)
        self.tensors.update()
        named = self.tensors.by_id.get(id(tensor))
        if named is not None:
            named.written.clear()
            if is_known:
                whole(named).mark_written()
        return result

    def _call_on_dtensor(self, func, name, args, kwargs):
        """Performs an operation on a DTensor or on a view of a DTensor, and returns the result.

        Instead of a view of the DTensor, an operation such as `weight[0]` returns a view of the DTensor's twin (see
        `parameter_views`). An operation that writes to the DTensor or to such a view changes this rank's local tensor.
        An operation that neither returns a view nor writes, such as `weight + 1`, is left to torch.
        """
        tensor = args[0]
        is_view = name in _VIEWS or func in _VIEW_ATTRIBUTES
        view = self.tensors.find(tensor) if is_view or _writes(name) else None
        if view is None and name == "__setitem__" and is_dtensor(tensor):
            raise ValueError(
                f"an assignment to a part of a DTensor of shape {tuple(tensor.shape)} that is not a parameter: torch would write to "
                "a copy on some ranks. Assign to the parameter, or assign to an ordinary tensor and copy it with copy_"
            )
        if view is None or view.named.twin is None:
            return self._call(func, name, args, kwargs)
        twin = view.named.twin if is_dtensor(tensor) else tensor
        if is_view:
            return func(twin, *args[1:], **kwargs)
        if name == "__setitem__":
            _, index, values = args
            target = twin[index]
            view = self.tensors.find(target)
            if view is None:
                raise ValueError(f"an assignment to single elements of a DTensor of shape {tuple(twin.shape)}: use a slice")
            name, args = ("copy_", (target, values)) if isinstance(values, Tensor) else ("fill_", (target, values))
        is_known = self._are_known((*args[1:], *kwargs.values()))
        if name == "copy_" or (name == "fill_" and isinstance(args[1], Tensor)):
            copy(view, args[1])
        elif is_dtensor(tensor) and view.is_itself and name not in _ARITHMETIC and name not in _CONSTANT:
            func(*args, **kwargs)
        elif (name in _ARITHMETIC or name in _CONSTANT) and not any(_tensors((*args[1:], *kwargs.values()))):
            apply_elementwise(view, name, args[1:], kwargs)
        else:
            raise ValueError(
                f"{view.named.name}: {name} on a view of a DTensor is not supported: use in-place operations with numbers, "
                "copy_ or assignment"
            )
        self._record_write_to(view, name, is_known)
        return tensor

    def _like(self, func, name, args, kwargs):
        """Calls a function such as `empty_like`. If its argument is a parameter, adds the result to `likes`."""
        made = func(*args, **kwargs)
        if not isinstance(made, Tensor):
            return made
        is_known = name not in _EMPTY
        self.log.set(made, is_known)
        view = self.tensors.find(args[0]) if args[0].numel() else None
        if view is not None and view.is_itself and made.shape == args[0].shape:
            # `likes` also stores the tensor itself. While the tensor exists, no other tensor has the same id.
            named = NamedTensor(view.named.name, made)
            self.likes[id(made)] = (made, whole(named))
            self.tensors.add_like(named)
            if is_known:
                self.likes[id(made)][1].mark_written()
        return made
