"""Functions with which `sharded_init` writes to parameters and to views of them. Each rank writes only the part that it holds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ... import _schemes
from ..._fanin import Initializer, Prepared
from .._native_stream import check_memory, dtype_of, fill_region, increment_version
from .._regions import is_dtensor, local_of
from .._torch_stream import read_arguments
from .parameter_views import ParameterView, whole

#: The schemes whose values do not depend on the shape. They write to a slice the values that a fill of the whole
#: parameter writes there.
_INDEPENDENT_OF_SHAPE = ("uniform", "normal", "trunc_normal")


def _kaiming(make: Callable[..., Initializer]) -> Callable[..., Initializer | None]:
    """Returns a value for the dict `INITIALIZERS`: a function with the arguments of torch's `kaiming_uniform_` and `kaiming_normal_`."""

    def initializer(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"):
        if 0 in tensor.shape:
            warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
            return None
        return make(float(a) if nonlinearity == "leaky_relu" else None, mode.lower(), nonlinearity)

    return initializer


#: Maps the name of a function of torch.nn.init to a function that returns what to write: an initializer, a number for a
#: constant fill, or None for nothing. Both functions have the same arguments, except `generator`.
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


def _method(make: Callable[..., Initializer], names: tuple[str, str]):
    """Returns a value for the dict `METHODS`: a function with the arguments of `Tensor.uniform_` or `Tensor.normal_`.

    `names` are the names of these arguments, such as `mean` and `std`.
    """

    def initializer(*args, **kwargs) -> Initializer | None:
        read = read_arguments(names, args, **kwargs)
        # If the arguments are invalid, None is returned. ShardedMode then calls torch, which raises its own error.
        return None if read is None else make(float(read[0]), float(read[1]))

    return initializer


#: Maps the name of a method of Tensor to a function with the same arguments. The function returns the initializer, or
#: None if the arguments are invalid.
METHODS = {
    "uniform_": _method(_schemes.uniform, ("from", "to")),
    "normal_": _method(_schemes.normal, ("mean", "std")),
}


def fill(view: ParameterView, spec: Initializer | float | None, seed: int) -> None:
    """Fills this rank's part of a view of a parameter, and marks the whole view as written.

    `spec` is an initializer, or a number for a constant fill. If `spec` is None, no values are written.
    """
    named = view.named
    check_memory(named.tensor, named.name)
    view.mark_written()
    if spec is None:
        return
    if not isinstance(spec, Initializer):
        apply_elementwise(view, "fill_", (spec,), {})
        return
    dtype = dtype_of(named.tensor, named.name)
    # Every rank resolves the spec, even if it holds no part of the view, so that an error is raised on all ranks.
    plan = spec.resolve(view.shape, dtype)
    scheme = str(spec).split("(")[0]
    if scheme.startswith(("xavier_", "kaiming_")) and not view.is_itself:
        # The standard deviation depends on the fans of the view. The values are those of a uniform or normal fill of
        # the whole parameter with this standard deviation.
        bound = math.sqrt(3.0) * plan.std
        spec = _schemes.uniform(-bound, bound) if scheme.endswith("_uniform") else _schemes.normal(0.0, plan.std)
        scheme = "uniform"
    rows = (named.shape[0], math.prod(named.shape[1:])) if named.shape else ()
    if view.is_reshaped and scheme == "orthogonal" and view.shape == rows:
        view = whole(named)
    if scheme in _INDEPENDENT_OF_SHAPE or view.is_itself:
        prepared = Prepared(spec, named.shape, dtype, seed, named.name)
        for part in view.local_regions():
            fill_region(part.memory, prepared, part.start)
    elif view.is_reshaped:
        raise ValueError(
            f"{named.name}: {scheme}_ cannot fill the parameter through a view of another shape, {view.shape}: fill the parameter itself"
        )
    else:
        prepared = Prepared(spec, view.shape, dtype, seed, view.name)
        for part in view.local_regions():
            fill_region(part.view, prepared, part.region.start)
    increment_version(named.tensor)


def apply_elementwise(view: ParameterView, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Applies an elementwise in-place method of Tensor to a view. Changes only the elements on this rank."""
    with torch.no_grad():
        for part in view.local_regions():
            getattr(part.memory, method)(*args, **kwargs)
    increment_version(view.named.tensor)


def copy(view: ParameterView, source: Tensor) -> None:
    """Copies `source` to this rank's part of a view.

    `source` is a DTensor with the same placements as the parameter, or an ordinary tensor that is the same on every rank.
    """
    named = view.named
    with torch.no_grad():
        if is_dtensor(source):
            placements = named.tensor.placements  # type: ignore[attr-defined]
            if not view.is_itself or tuple(source.placements) != tuple(placements):  # type: ignore[attr-defined]
                raise ValueError(
                    f"{named.name}: copy_ from a DTensor needs the placements of the parameter, {tuple(placements)}: call redistribute "
                    "on the DTensor first"
                )
            local_of(named.tensor).copy_(local_of(source))
        elif view.is_reshaped:
            source = source.expand(view.shape).reshape(named.shape)
            for part in view.local_regions():
                part.memory.copy_(source[tuple(slice(a, a + n) for a, n in zip(part.start, part.memory.shape))])
        else:
            source = source.expand(view.shape)
            for part in view.local_regions():
                region = part.region
                part.view.copy_(source[tuple(slice(a, a + n) for a, n in zip(region.start, region.size))])
    increment_version(named.tensor)
