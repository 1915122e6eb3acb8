"""Classifies modules for `probe` (weights, norm, activation, container, ...), and computes the properties that mean-field theory needs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .records import own_parameters

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WRITTEN_OUT = {"gelu": "gelu", "silu": "silu", "swish": "silu", "mish": "mish"}
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def is_hf_conv1d(module: nn.Module) -> bool:
    """Returns whether a module is the Conv1D of transformers, a linear layer whose weight has the shape [in, out]."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def is_transposed(module: nn.Module) -> bool:
    """Returns whether the first axis of the module's weight is the input axis."""
    return isinstance(module, _TRANSPOSED) or is_hf_conv1d(module)


def is_weight(module: nn.Module) -> bool:
    """Returns whether a module is a linear layer or a convolution."""
    return isinstance(module, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)) or is_hf_conv1d(module)


def is_norm(module: nn.Module) -> bool:
    """Returns whether a module is a norm.

    A norm has "norm" in the name of its class, and each of its parameters has at most one axis larger than 1.
    """
    name = type(module).__name__.lower()
    return "norm" in name and all(one.dim() <= 1 or one.shape.numel() == max(one.shape) for one in module.parameters(False))


def written_out_activation(module: nn.Module) -> str | None:
    """Returns the name of the activation function after which a module's class is named, such as "gelu", or None.

    Such a module may compute the function in several steps, as NewGELUActivation of transformers does. The steps are
    not recorded as layers. Returns None for modules with parameters or submodules.
    """
    if any(True for _ in module.children()) or own_parameters(module):
        return None
    name = type(module).__name__.lower()
    return next((known for word, known in _WRITTEN_OUT.items() if word in name), None)


def role_of(module: nn.Module) -> str:
    """Returns the role of a module: "weight", "embedding", "norm", "dropout", "container" or "other"."""
    if is_weight(module):
        return "weight"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if is_norm(module):
        return "norm"
    if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
        return "dropout"
    return "container" if any(True for _ in module.children()) else "other"


def unit_axis_of(module: nn.Module | None, output: Tensor, inherited: int | None) -> int:
    """Returns the axis of the units in a module's output: 1 for channels, as in convolutions, or -1 for features.

    The argument `inherited` is the unit axis of the module's input, or None if this axis is unknown. Modules such as
    activations have the same unit axis as their input. If `inherited` is None, the unit axis of such a module is 1 if
    the output has at least four axes, and -1 otherwise.
    """
    if isinstance(module, (*_CONVOLUTIONS, *_TRANSPOSED, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)):
        return 1 if output.dim() >= 2 else -1
    if module is not None and (is_weight(module) or isinstance(module, (nn.Embedding, nn.LayerNorm))):
        return -1
    if inherited is not None:
        return inherited
    return 1 if output.dim() >= 4 else -1


def facts_of(module: nn.Module, inputs: list[Tensor]) -> dict[str, float]:
    """Returns the properties of a module that mean-field theory needs, by name.

    - A linear layer or convolution has `fan`, the number of products in the sum for one output value: see `_terms`. It
      also has `gain`, which is `fan` times the mean square of the weight (sigma_w^2 in theory.py), and `bias`, the mean
      square of the bias.
    - A norm of torch has `scale` and `bias`, the mean squares of its weight and its bias, and `eps`: see
      `_is_plain_norm`. Other norms have no properties, because they may compute something else. The norms of Gemma
      multiply by 1 + weight.
    - A batch norm that normalizes by running statistics has `fixed_scale`, the mean square of its weight. It also has
      `is_new`, which is 1 if the statistics have their initial values.
    - Dropout in training mode has `p`, the probability that a value becomes 0.
    - Other modules have no properties.
    """
    if is_weight(module):
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or not weight.numel():
            return {}
        fan = _terms(module, weight, inputs)
        return {"gain": fan * _mean_square(weight), "fan": fan, "bias": _mean_square(getattr(module, "bias", None))}
    if is_norm(module):
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        scale = 1.0 if weight is None else _mean_square(weight)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not _is_plain_norm(module):
            mean, variance = module.running_mean, module.running_var
            is_new = mean is not None and variance is not None and not mean.any() and bool(torch.eq(variance, 1).all())
            return {"fixed_scale": scale, "is_new": float(is_new)}
        eps = float(getattr(module, "eps", None) or 0.0)
        return {"scale": scale, "bias": _mean_square(bias), "eps": eps} if _is_plain_norm(module) else {}
    if isinstance(module, nn.Dropout) and module.training and 0 < module.p < 1:
        return {"p": float(module.p)}
    return {}


def _is_plain_norm(module: nn.Module) -> bool:
    """Returns whether a module is a norm of torch that normalizes by the statistics of its input.

    Returns False for InstanceNorm.
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.training or module.running_mean is None
    return isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm))


def _mean_square(tensor: object) -> float:
    if not isinstance(tensor, Tensor) or not tensor.numel():
        return 0.0
    return float(tensor.detach().double().square().mean())


def _terms(module: nn.Module, weight: Tensor, inputs: list[Tensor]) -> float:
    """Returns the number of products in the sum for one output value, averaged over the output.

    Products with the zero padding of a convolution do not count.
    """
    if is_hf_conv1d(module):
        return float(weight.shape[0])
    if isinstance(module, _TRANSPOSED):
        taps = weight.shape[2:].numel() / math.prod(module.stride)
        return weight.shape[0] // module.groups * taps
    if not isinstance(module, _CONVOLUTIONS):
        return float(weight.shape[1])
    terms = weight.shape[1:].numel()
    if not inputs or not any(inputs[0].shape) or module.padding_mode != "zeros" or module.padding == "valid":
        return float(terms)
    ones = torch.ones(1, 1, *inputs[0].shape[-(weight.dim() - 2) :], device=inputs[0].device)
    kernel = torch.ones(1, 1, *module.kernel_size, device=inputs[0].device)
    convolve = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}[weight.dim() - 2]
    inside = convolve(ones, kernel, None, module.stride, module.padding, module.dilation)  # type: ignore[operator]
    return weight.shape[1] * float(inside.double().mean())
