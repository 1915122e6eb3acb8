"""Determines what an operator of torch does with memory: allocate, write to its arguments, return new values, or return views."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

#: The kinds of operators. VIEW: returns views or metadata, and neither reads nor writes values. ALLOCATE: returns
#: unwritten memory, as torch.empty does. WRITE: writes to its arguments. NEW: returns new values.
VIEW, ALLOCATE, WRITE, NEW = range(4)


class Effect(NamedTuple):
    """What an operator does with memory."""

    #: VIEW, ALLOCATE, WRITE or NEW.
    kind: int
    #: The arguments that the operator writes to: positions, and names for keyword-only arguments.
    written: tuple[int | str, ...] = ()
    #: Whether the new values are independent of the former values of the written arguments.
    overwrites: bool = True
    #: Whether the operator writes all elements of its `written` arguments. If False, the values of an argument may
    #: select the elements, as in `scatter_`.
    covers: bool = True
    #: Whether the operator writes to its first argument, a tensor, and no other argument can be or contain a tensor.
    only_numbers: bool = False
    #: Whether the operator reads the values of tensors among its arguments.
    reads: bool = True
    #: Whether the operator draws from a random generator.
    draws: bool = False
    #: The name of the operator without namespace and overload, such as `normal_`.
    name: str = ""


#: The names, without the overload, of the operators that allocate memory and do not write to it.
_ALLOCATING = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "empty_quantized",
    "_empty_affine_quantized",
}  # fmt: skip

#: Operators that return new tensors and read only the shape and the dtype of their tensor arguments.
SHAPE_ONLY = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "rand_like", "randn_like",
              "randint_like", *_ALLOCATING}  # fmt: skip

#: Operators that change a tensor's storage, size or other metadata, and write no values.
_REBINDING = {"set_", "resize_", "resize_as_", "_resize_output_", "set_data", "requires_grad_", "rename_", "swap_"}

#: Operators that copy values, and may convert them to another dtype.
COPYING = {"copy_", "clone", "_to_copy", "copy", "contiguous"}

#: In-place operators that overwrite all elements without reading them.
_OVERWRITING = {
    "zero_", "fill_", "copy_", "normal_", "uniform_", "random_", "bernoulli_", "exponential_", "log_normal_", "cauchy_",
    "geometric_",
}  # fmt: skip

#: Beginnings of the names of in-place operators that may leave some elements unchanged.
_SCATTERING = (
    "index_", "masked_", "scatter", "put_", "_index_put_impl_", "fill_diagonal_", "tril_", "triu_", "map_",
)  # fmt: skip


#: Maps the id of each operator to the operator and its effect. The operator is not the key, because its `__hash__` is a
#: slow Python function. Storing the operator keeps its id unique.
_effects: dict[int, tuple[Any, Effect]] = {}


def effect_of(operator: Any) -> Effect:
    """Returns what an operator does with memory. The result is cached."""
    found = _effects.get(id(operator))
    if found is None:
        found = _effects[id(operator)] = operator, _determine(operator)
    return found[1]


def _determine(operator: Any) -> Effect:
    schema = getattr(operator, "_schema", None)
    if schema is None:  # a higher-order operator
        return Effect(NEW, draws=True, name=str(operator))
    # `_foreach_zero_` does the same as `zero_`, to each tensor of a list.
    name = schema.name.split("::")[-1].removeprefix("_foreach_")
    tags = operator.tags
    if name in ("lift_fresh", "lift_fresh_copy"):
        return Effect(WRITE, (0,), only_numbers=True, name="tensor")  # torch.tensor: the values come from Python objects
    if name in _ALLOCATING:
        return Effect(ALLOCATE, name=name)
    if torch.Tag.inplace_view in tags or name in _REBINDING:
        return Effect(VIEW, name=name)
    draws = torch.Tag.nondeterministic_seeded in tags
    written: list[int | str] = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written.append(argument.name if argument.kwarg_only else position)
    if written:
        out = any(isinstance(where, str) for where in written)
        overwrites = out or name in _OVERWRITING
        covers = not name.startswith(_SCATTERING)
        # Operators such as `_foreach_zero_` write to a list of tensors.
        is_tensor = written == [0] and str(schema.arguments[0].type) == "Tensor"
        only_numbers = is_tensor and not any(map(_may_be_tensor, schema.arguments[1:]))
        return Effect(WRITE, tuple(written), overwrites, covers, only_numbers, draws=draws, name=name)
    if operator.is_view or all(value.alias_info is not None for value in schema.returns):
        # `all` is also True for operators without results, such as assertions.
        return Effect(VIEW, name=name)
    reads = name not in SHAPE_ONLY and any(map(_may_be_tensor, schema.arguments))
    return Effect(NEW, reads=reads, draws=draws, name=name)


def _may_be_tensor(argument: Any) -> bool:
    """Returns whether an argument in the schema of an operator can be a tensor, or can contain tensors."""
    return "Tensor" in str(argument.type)


def tensors_in(values: Any) -> list[Tensor]:
    """Returns the tensors in the arguments or the result of an operator, including the tensors in lists."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(item for item in value if isinstance(item, Tensor))
    return found
