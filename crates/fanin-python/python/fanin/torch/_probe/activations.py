"""The activation functions that `probe` knows: their names in torch, where they saturate, and their mean-field theory."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Maps the names of activation functions in torch, torch.nn.functional and torch.Tensor to the names that probe uses.
_NAMES = {
    "relu": "relu", "relu_": "relu", "relu6": "relu6", "leaky_relu": "leaky_relu", "leaky_relu_": "leaky_relu",
    "gelu": "gelu", "silu": "silu", "tanh": "tanh", "tanh_": "tanh", "sigmoid": "sigmoid", "sigmoid_": "sigmoid",
    "elu": "elu", "elu_": "elu", "selu": "selu", "selu_": "selu", "celu": "celu", "mish": "mish", "softplus": "softplus",
    "hardtanh": "hardtanh", "hardtanh_": "hardtanh", "hardswish": "hardswish", "hardsigmoid": "hardsigmoid",
}  # fmt: skip

#: Maps the function objects, which a TorchFunctionMode receives, to the names that probe uses.
FUNCTIONS: dict[Callable[..., object], str] = {
    getattr(owner, spelling): name
    for owner in (torch, F, Tensor)
    for spelling, name in _NAMES.items()
    if hasattr(owner, spelling)
}
SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}

#: `_UNSATURATED` maps activation functions to the ranges of their unsaturated outputs h. In these ranges, the slope is
#: at least 5 % of the greatest slope. The slope of tanh is 1 - h^2. The slope of the sigmoid is h (1 - h). hardtanh and
#: hardsigmoid have slope 0 at their bounds, so their ranges end 1e-6 inside of the bounds.
_TANH = math.sqrt(0.95)
_SIGMOID = (1 + _TANH) / 2
_UNSATURATED = {
    "tanh": (-_TANH, _TANH),
    "sigmoid": (1 - _SIGMOID, _SIGMOID),
    "hardtanh": (-1 + 1e-6, 1 - 1e-6),
    "hardsigmoid": (1e-6, 1 - 1e-6),
}


def saturated_share(name: str, output: Tensor, is_open: Tensor | None = None) -> float | None:
    """Returns the fraction of an activation function's outputs that are outside of its range in `_UNSATURATED`.

    Only outputs where `is_open` is True count. It is False where the input is a masked logit, such as -inf. Returns
    None if the function is not in `_UNSATURATED`, or if no output counts.
    """
    if name not in _UNSATURATED or not output.numel():
        return None
    low, high = _UNSATURATED[name]
    saturated = (output < low) | (output > high)
    if is_open is not None and not bool(is_open.all()):
        saturated = saturated[is_open]
    return float(saturated.double().mean()) if saturated.numel() else None


def function_of(name: str, slope: float | None = None) -> Callable[[Tensor], Tensor] | None:
    """Returns the activation function called `name`, or None if probe does not know it.

    `slope` is the slope of leaky_relu for negative inputs, by default 0.01.
    """
    if name == "leaky_relu":
        return lambda x: F.leaky_relu(x, 0.01 if slope is None else slope)
    return getattr(F, name, None) if name in _NAMES.values() else None
