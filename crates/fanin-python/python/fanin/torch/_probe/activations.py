"""The activation functions that probe knows: how they are called, where they saturate, and their values for theory."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: The names of activation functions in torch, torch.nn.functional and torch.Tensor, and what probe calls them.
_NAMES = {
    "relu": "relu", "relu_": "relu", "relu6": "relu6", "leaky_relu": "leaky_relu", "leaky_relu_": "leaky_relu",
    "gelu": "gelu", "silu": "silu", "tanh": "tanh", "tanh_": "tanh", "sigmoid": "sigmoid", "sigmoid_": "sigmoid",
    "elu": "elu", "elu_": "elu", "selu": "selu", "selu_": "selu", "celu": "celu", "mish": "mish", "softplus": "softplus",
    "hardtanh": "hardtanh", "hardtanh_": "hardtanh", "hardswish": "hardswish", "hardsigmoid": "hardsigmoid",
}  # fmt: skip

#: The functions themselves, as a function mode of torch sees them.
FUNCTIONS: dict[Callable[..., object], str] = {
    getattr(owner, spelling): name
    for owner in (torch, F, Tensor)
    for spelling, name in _NAMES.items()
    if hasattr(owner, spelling)
}
SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}

#: Outputs between these bounds are where the slope is at least 5 % of the greatest slope: tanh' = 1 - h^2, and the slope of the
#: sigmoid is h (1 - h). The functions whose names begin with "hard" are flat at their bounds.
_TANH = math.sqrt(0.95)
_SIGMOID = (1 + _TANH) / 2
_UNSATURATED = {
    "tanh": (-_TANH, _TANH),
    "sigmoid": (1 - _SIGMOID, _SIGMOID),
    "hardtanh": (-1 + 1e-6, 1 - 1e-6),
    "hardsigmoid": (1e-6, 1 - 1e-6),
}


def saturated_share(name: str, output: Tensor, is_open: Tensor | None = None) -> float | None:
    """Returns the share of an activation's outputs that are saturated, or None if the activation has no two bounds.

    `is_open` is False for values that do not count, because a mask made their inputs -inf.
    """
    if name not in _UNSATURATED or not output.numel():
        return None
    low, high = _UNSATURATED[name]
    saturated = (output < low) | (output > high)
    if is_open is not None and not bool(is_open.all()):
        saturated = saturated[is_open]
    return float(saturated.double().mean()) if saturated.numel() else None


def quadrature(name: str, slope: float | None = None) -> Callable[[Tensor], Tensor] | None:
    """Returns the activation function, for f64 tensors, or None if probe does not know it."""
    if name == "leaky_relu":
        return lambda x: F.leaky_relu(x, 0.01 if slope is None else slope)
    return getattr(F, name, None) if name in _NAMES.values() else None
