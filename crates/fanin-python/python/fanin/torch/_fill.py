"""What `sharded_init` does to a part of a parameter."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import _schemes
from .._fanin import Initializer, Prepared
from ._boxes import is_dtensor, local_of
from ._views import Part, whole
from ._write import changed, check, dtype_of, write_box

#: Laws whose value at an index knows nothing of the shape.
_BY_INDEX = ("uniform", "normal", "trunc_normal")


def _kaiming(make: Callable[..., Initializer]) -> Callable[..., Initializer | None]:
    def initializer(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"):
        if 0 in tensor.shape:
            warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
            return None
        return make(float(a) if nonlinearity == "leaky_relu" else None, mode.lower(), nonlinearity)

    return initializer


#: Of each function of torch.nn.init that writes: what it asks for. A number is a constant.
INITIALIZERS: dict[str, Callable[..., Initializer | float | None]] = {
    "uniform_": lambda tensor, a=0.0, b=1.0: _schemes.uniform(float(a), float(b)),
    "normal_": lambda tensor, mean=0.0, std=1.0: _schemes.normal(float(mean), float(std)),
    "trunc_normal_": lambda tensor, mean=0.0, std=1.0, a=-2.0, b=2.0: _schemes.trunc_normal(mean, std, a, b),
    "constant_": lambda tensor, val: val,
    "ones_": lambda tensor: 1.0,
    "zeros_": lambda tensor: 0.0,
    "eye_": lambda tensor: _schemes.eye(),
    "dirac_": lambda tensor, groups=1: _schemes.dirac(groups),
    "xavier_uniform_": lambda tensor, gain=1.0: _schemes.xavier_uniform(float(gain)),
    "xavier_normal_": lambda tensor, gain=1.0: _schemes.xavier_normal(float(gain)),
    "kaiming_uniform_": _kaiming(_schemes.kaiming_uniform),
    "kaiming_normal_": _kaiming(_schemes.kaiming_normal),
    "orthogonal_": lambda tensor, gain=1.0: _schemes.orthogonal(float(gain)),
    "sparse_": lambda tensor, sparsity, std=0.01: _schemes.sparse(float(sparsity), float(std)),
}


def _method(make: Callable[..., Initializer], first: str, second: str):
    def read(*args, generator=None, **kwargs) -> Initializer | None:
        a = args[0] if args else kwargs.pop(first, 0.0)
        b = args[1] if len(args) > 1 else kwargs.pop(second, 1.0)
        # Wrong arguments are torch's to complain of.
        return None if kwargs or len(args) > 2 else make(float(a), float(b))

    return read


#: Methods of tensors that draw.
METHODS = {
    "uniform_": _method(_schemes.uniform, "from", "to"),
    "normal_": _method(_schemes.normal, "mean", "std"),
}


def fill(part: Part, spec: Initializer | float | None, seed: int) -> None:
    """Fills what this rank holds of a part of a parameter."""
    known = part.known
    check(known.tensor, known.name)
    known.filled = True
    if spec is None:
        return
    if not isinstance(spec, Initializer):
        each(part, "fill_", (spec,), {})
        return
    drawn = dtype_of(known.tensor, known.name)
    # Here, so that what is wrong is wrong on every rank, whatever it holds.
    plan = spec.resolve(part.shape, drawn)
    law = str(spec).split("(")[0]
    if law.startswith(("xavier_", "kaiming_")) and not part.is_itself:
        # The numbers follow from the part's fans; the values are the parameter's own.
        bound = math.sqrt(3.0) * plan.std
        spec = _schemes.uniform(-bound, bound) if law.endswith("_uniform") else _schemes.normal(0.0, plan.std)
        law = "uniform"
    if part.is_reshaped and law == "orthogonal" and part.shape == (known.shape[0], math.prod(known.shape[1:])):
        part = whole(known)
    if law in _BY_INDEX or part.is_itself:
        prepared = Prepared(spec, known.shape, drawn, seed, known.name)
        for start, inside, _, _ in part.held():
            write_box(inside, prepared, start)
    elif part.is_reshaped:
        raise ValueError(f"{known.name}: {law}_ of the parameter in another shape, {part.shape}: fill it as it is")
    else:
        prepared = Prepared(spec, part.shape, drawn, seed, part.name)
        for _, _, mine, view in part.held():
            write_box(view, prepared, mine.start)
    changed(known.tensor)


def each(part: Part, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """An operation on every element of a part, in place."""
    with torch.no_grad():
        for _, inside, _, _ in part.held():
            getattr(inside, method)(*args, **kwargs)
    part.known.filled = True
    changed(part.known.tensor)


def copy(part: Part, source: Tensor) -> None:
    """copy_: from a plain tensor of which every rank has the whole, or from a DTensor that lies as the parameter does."""
    known = part.known
    with torch.no_grad():
        if is_dtensor(source):
            if not part.is_itself or tuple(source.placements) != tuple(known.tensor.placements):  # type: ignore[attr-defined]
                raise ValueError(f"{known.name}: copy_ from a DTensor of other placements would need communication")
            local_of(known.tensor).copy_(local_of(source))
        elif part.is_reshaped:
            source = source.expand(part.shape).reshape(known.shape)
            for start, inside, _, _ in part.held():
                inside.copy_(source[tuple(slice(a, a + n) for a, n in zip(start, inside.shape))])
        else:
            source = source.expand(part.shape)
            for _, _, mine, view in part.held():
                view.copy_(source[tuple(slice(a, a + n) for a, n in zip(mine.start, mine.size))])
    known.filled = True
    changed(known.tensor)
