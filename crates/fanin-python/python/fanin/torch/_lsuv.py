"""The function `lsuv_`, which scales the weights of a model so that each layer's output has variance 1."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ._init import orthogonal_
from ._measure import Moments, moments, unwrapped
from ._preserve import preserved
from ._probe.roles import is_weight
from ._probe.run import call, copied


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    batch: Any,
    *,
    tolerance: float = 0.02,
    passes: int = 10,
    orthogonal: bool = True,
    generator: torch.Generator | None = None,
) -> dict[str, float]:
    """Scales a model's weights so that each layer's output has variance 1 for a batch. Returns the variances.

    The method is layer-sequential unit variance (Mishkin and Matas 2016, arXiv 1511.06422). First, each weight is
    filled with an orthogonal matrix. Then each weight is divided by the standard deviation of the layer's output.

    The scaled layers are torch.nn.Linear, convolutions, and transformers' Conv1D. One forward pass scales all layers,
    in order of execution. Passes are repeated while a variance differs from 1 by more than `tolerance`.

    If a layer is called several times, its variance is computed over the outputs of all calls. If several layers share
    a weight, the weight is scaled for the first of these layers.

    These tensors keep their values: biases, the parameters of norms, weights that an embedding shares, and weights that
    a parametrization computes. Buffers, gradients, attributes and training mode are restored. If an error or Ctrl-C
    ends the call, some weights have new values.

    Parameters
    ----------
    model
        The model, whose weights are changed.
    batch
        The input: a mapping is passed as keywords, a tuple or list as arguments, anything else as one argument.
    tolerance
        The greatest allowed difference between the variance of a layer's output and 1.
    passes
        The greatest number of forward passes. RuntimeError is raised if a variance is still outside the tolerance after these
        passes.
    orthogonal
        Whether to fill the weights with orthogonal matrices first. If False, the present values of the weights are scaled.
    generator
        The generator of the orthogonal matrices. The default is torch's default generator.

    Returns
    -------
    dict of str to float
        The variance of the output of each scaled layer, by the name of the layer.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> layers = [layer for _ in range(20) for layer in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
    >>> variances = lsuv_(torch.nn.Sequential(*layers), torch.randn(256, 64))
    >>> len(variances), all(abs(variance - 1) <= 0.02 for variance in variances.values())
    (20, True)
    """
    if not tolerance > 0 or passes < 1:
        raise ValueError(f"tolerance = {tolerance!r}, passes = {passes!r}: both must be positive")
    model = unwrapped(model)
    layers = _layers(model)
    if orthogonal:
        for module in layers.values():
            orthogonal_(module.weight, generator=generator)  # type: ignore[arg-type]
    variances: dict[str, float] = {}
    shared: set[str] = set()
    for _ in range(passes):
        variances = _scale(model, batch, layers, tolerance, shared)
        if all(abs(variance - 1) <= tolerance for variance in variances.values()):
            return variances
    worst = max(variances, key=lambda name: abs(variances[name] - 1))
    raise RuntimeError(
        f"the output of {worst} has variance {variances[worst]:.3g} after {passes} passes: allow more passes, or set its bias to 0"
    )


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Returns the layers to scale, by name.

    Of several layers that share a weight, only the first is returned. If an embedding shares the weight, none is.
    """
    embeddings = {id(one.weight) for one in model.modules() if isinstance(one, (nn.Embedding, nn.EmbeddingBag))}
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        weight = module._parameters.get("weight") if is_weight(module) else None
        if weight is not None and weight.is_floating_point() and weight.numel() and id(weight) not in embeddings:
            embeddings.add(id(weight))
            found[name] = module
    if not found:
        raise ValueError(f"{type(model).__name__} has no linear layer and no convolution whose weight could be scaled")
    return found


def _scale(model: nn.Module, batch: Any, layers: dict[str, nn.Module], tolerance: float, shared: set[str]) -> dict[str, float]:
    """Calls the model once and scales the layers. Returns the variance of each layer's output.

    `shared` contains the names of layers that are called several times in a forward pass. A layer that is not in
    `shared` is scaled in its first call. If this layer is called again, its name is added to `shared`. After the pass,
    the layers in `shared` are scaled. So a layer that is added in this pass can be scaled twice. A layer is not scaled
    if its variance is close enough to 1 (see `tolerance`).

    The returned variance of a layer is computed over the outputs of all its calls. These outputs are measured after the
    scaling in the first call, but before the scaling after the pass.
    """
    names = {module: name for name, module in layers.items()}
    sums: dict[str, Moments] = {}
    calls: dict[str, int] = {}

    def scale(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        name = names[module]
        measured = moments(output)
        calls[name] = calls.get(name, 0) + 1
        if name in sums:
            sums[name].add(measured)
            shared.add(name)
            return output
        # The bias does not scale with the weight, so scaling the weight once is not always enough.
        for _ in range(20):
            if name in shared or abs(measured.variance - 1) <= tolerance / 2:
                break
            if not measured.is_finite or measured.variance <= 0:
                raise ValueError(
                    f"the output of {name or 'the model'} has variance {measured.variance:.3g}: its input is constant or not finite"
                )
            module.weight.mul_(1 / math.sqrt(measured.variance))  # type: ignore[operator, union-attr]
            output = module.forward(*args, **kwargs)
            measured = moments(output)
        sums[name] = measured
        return output

    with preserved(model, may_write=True):
        handles = [module.register_forward_hook(scale, with_kwargs=True) for module in names]
        try:
            with torch.no_grad():
                call(model, copied(batch))
        finally:
            for handle in handles:
                handle.remove()
    for name in shared:
        if abs(sums[name].variance - 1) > tolerance:
            # A factor s on the weight can multiply the last output by s^calls, as in a recurrent network.
            factor = sums[name].variance ** (-0.5 / calls[name])
            layers[name].weight.mul_(factor)  # type: ignore[operator, union-attr]
    return {name: total.variance for name, total in sums.items()}
