"""Mean-field theory: what the mean squares of signals and gradients are if weights are random and independent.

Forward, with sigma_w^2 = fan_in * E[w^2] and sigma_b^2 = E[b^2] (Poole et al. 2016, arXiv 1606.05340, equation 3):

    q' = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2,    z standard normal

Backward (Schoenholz et al. 2017, arXiv 1611.01232, equations 5 and 18): the gradient is multiplied by
chi = sigma_w^2 E[phi'(sqrt(q) z)^2] in each layer, and -1/ln(chi) layers is the depth over which it changes by a factor of e. At a
sum of a stream and a branch, q is the sum of both, and each of them gets the whole gradient. A norm returns the mean square of its
weight, and divides the gradient by its input's. Attention with nearly equal probabilities returns
q (rho + (1 - rho) / n) for n keys whose values have the mean cosine rho (Noci et al. 2022, arXiv 2206.03126).

These rules are applied to each layer in order of execution. Where a module has no rule, its measured factor is used.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from .activations import quadrature
from .records import Layer


@functools.cache
def _grid() -> tuple[Tensor, Tensor]:
    """Returns the points and the weights of the trapezoidal sums for integrals over the standard normal distribution.

    The grid contains 0, where relu has its kink. It is not computed at import: a process that was forked may import this module,
    and an operation of torch would wait there for threads of the parent process.
    """
    points = torch.linspace(-9, 9, 3601, dtype=torch.float64)
    density = torch.exp(-points.square() / 2)
    return points, density / density.sum()


@functools.lru_cache(maxsize=4096)
def _square_means(name: str, slope: float | None, q: float) -> tuple[float, float] | None:
    """Returns E[phi(sqrt(q) z)^2] and E[phi'(sqrt(q) z)^2]."""
    function = quadrature(name, slope)
    if function is None or not 0 <= q < math.inf:
        return None
    grid, density = _grid()
    with torch.enable_grad():
        x = (math.sqrt(q) * grid).requires_grad_()
        value = function(x)
        (derivative,) = torch.autograd.grad(value.sum(), x)
    if name == "relu" or name == "leaky_relu":
        # At the kink, both slopes count half.
        derivative[len(grid) // 2] = math.sqrt((1 + (0.0 if name == "relu" else (slope or 0.01)) ** 2) / 2)
    return float((value.detach().square() * density).sum()), float((derivative.square() * density).sum())


def forward_mean(layer: Layer, q: float) -> float | None:
    """Returns E[phi(sqrt(q) z)^2] for the activation of a layer."""
    found = None if layer.activation is None else _square_means(layer.activation, layer.facts.get("slope"), q)
    return None if found is None else found[0]


def slope_mean(layer: Layer, q: float) -> float | None:
    """Returns E[phi'(sqrt(q) z)^2] for the activation of a layer."""
    found = None if layer.activation is None else _square_means(layer.activation, layer.facts.get("slope"), q)
    return None if found is None else found[1]


def _predicted(layer: Layer, sources: list[float], measured: list[float]) -> float | None:
    """Returns the mean square of a layer's output for the given mean squares of its sources, or None if it has no rule."""
    facts = layer.facts
    if layer.role == "add" and len(sources) == 2:
        return sum(sources)
    if len(sources) != 1:
        return None
    (q,) = sources
    if layer.role == "weight" and "gain" in facts:
        return facts["gain"] * q + facts["bias"]
    if layer.role == "norm" and "scale" in facts:
        return facts["scale"] * q / (q + facts["eps"]) + facts["bias"] if q > 0 else facts["bias"]
    if layer.role == "activation":
        return forward_mean(layer, q)
    if layer.role == "dropout" and "p" in facts:
        return q / (1 - facts["p"])
    if layer.role == "attention" and "value_q" in facts and measured[0] > 0:
        cosine = facts["value_cosine"]
        return facts["value_q"] * q / measured[0] * (cosine + (1 - cosine) * facts["inverse_keys"])
    return None


def predict_forward(layers: list[Layer]) -> None:
    """Sets `local_q` and `theory_q` of every layer. Theory begins with the measured values of inputs and embeddings."""
    for layer in layers:
        sources = [layers[one] for one in layer.sources]
        if layer.alias is not None:
            layer.theory_q = layers[layer.alias].theory_q
            layer.local_q = layers[layer.alias].local_q
            continue
        measured = [one.q for one in sources]
        theory = [one.q if one.theory_q is None else one.theory_q for one in sources]
        layer.local_q = _predicted(layer, measured, measured)
        layer.theory_q = _predicted(layer, theory, measured)
        if layer.theory_q is None:
            factor = layer.q / measured[0] if measured and measured[0] > 0 else math.nan
            layer.theory_q = factor * theory[0] if math.isfinite(factor) else layer.q


def predict_backward(layers: list[Layer]) -> None:
    """Sets `theory_p` of every layer, from the last one back.

    The sum of squares of a gradient is passed from each layer to its sources. Where a layer passes it on by no rule, its sources
    have their measured value.
    """
    sums: dict[int, float | None] = {}
    for layer in reversed(layers):
        if layer.alias is not None or layer.p is None:
            continue
        size = layer.forward.count
        own = sums.get(layer.index)
        # A layer that passes on to none is the output: theory begins there.
        own = layer.p * size if own is None else own
        layer.theory_p = own / size
        for one in layer.sources:
            source = layers[one]
            while source.alias is not None:
                source = layers[source.alias]
            if source.p is None:
                continue
            factor = _gradient_factor(layer, source)
            if factor is None or sums.get(source.index, 0.0) is None:
                sums[source.index] = None
            else:
                sums[source.index] = (sums.get(source.index) or 0.0) + own * factor
    for layer in layers:
        if layer.alias is not None:
            layer.theory_p = layers[layer.alias].theory_p


def _gradient_factor(layer: Layer, source: Layer) -> float | None:
    """Returns the factor by which a layer multiplies the sum of squares of a gradient, or None if it has no rule."""
    facts, q = layer.facts, source.q if source.theory_q is None else source.theory_q
    if layer.role == "add":
        return 1.0
    if len(layer.sources) != 1:
        return None
    if layer.role == "weight":
        return facts.get("gain")
    if layer.role == "norm" and "scale" in facts and q > 0:
        return facts["scale"] / (q + facts["eps"])
    if layer.role == "activation":
        return slope_mean(layer, q)
    if layer.role == "dropout" and "p" in facts:
        return 1 / (1 - facts["p"])
    return None


class MeanField(NamedTuple):
    """The fixed point of a plain stack: q = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2."""

    activation: str
    weight_variance: float
    bias_variance: float
    #: The fixed point q*, or None if q grows without bound or falls to 0.
    fixed_point: float | None
    chi: float

    @property
    def depth_scale(self) -> float | None:
        """-1/ln(chi), in layers: positive if the gradient vanishes, negative if it explodes, None at chi = 1."""
        return None if self.chi <= 0 or abs(math.log(self.chi)) < 1e-9 else -1 / math.log(self.chi)


def mean_field(layers: list[Layer], points: list[int]) -> MeanField | None:
    """Returns the fixed point of a plain stack of weights and one activation function, or None if the model is another one."""
    weights = [layers[one] for one in points]
    if len(weights) < 3 or any("gain" not in one.facts for one in weights):
        return None
    between = []
    for one in weights[1:]:
        source = _source_of(layers, one)
        if source is None or source.role not in ("activation", "weight"):
            return None
        if source.role == "activation":
            before = _source_of(layers, source)
            if before is None or before.role != "weight":
                return None
        between.append(source)
    kinds = {one.activation or "linear" for one in between}
    if len(kinds) != 1:
        return None
    hidden = weights[1:-1] or weights[1:]
    gain = math.exp(sum(math.log(max(one.facts["gain"], 1e-300)) for one in hidden) / len(hidden))
    bias = sum(one.facts["bias"] for one in hidden) / len(hidden)
    return _fixed_point(between[0] if between[0].role == "activation" else None, gain, bias, weights[-1].q)


def _fixed_point(activation: Layer | None, gain: float, bias: float, q: float) -> MeanField:
    name = "linear" if activation is None else str(activation.activation)
    settled = False
    for _ in range(1000):
        mean = q if activation is None else forward_mean(activation, q)
        following = None if mean is None else gain * mean + bias
        if following is None or not 1e-30 < following < 1e30:
            break
        change, q = abs(following - q) / following, following
        # At chi = 1, tanh falls to 0 as 1/depth. That is not a fixed point, and neither is each q of relu.
        if change < 1e-9:
            settled = activation is not None and name not in ("relu", "leaky_relu")
            break
    slope = 1.0 if activation is None else slope_mean(activation, q)
    return MeanField(name, gain, bias, q if settled else None, gain * (slope if slope is not None else math.nan))


def _source_of(layers: list[Layer], layer: Layer) -> Layer | None:
    """Returns the only source of a layer, or None if there are several. Dropout and reshaping are passed over."""
    while len(layer.sources) == 1:
        layer = layers[layer.sources[0]]
        while layer.alias is not None:
            layer = layers[layer.alias]
        if layer.role not in ("dropout", "container", "other") or layer.kind not in ("Dropout", "Flatten", "Identity", "Sequential"):
            return layer
    return None
