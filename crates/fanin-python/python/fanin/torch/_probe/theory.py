"""Mean-field theory predicts mean squares of signals and gradients, for a model with random and independent weights.

q is the mean square of a layer's input, and q' the mean square of its output. phi is the activation function, and z is
standard normal. For a weight w and a bias b of the layer, sigma_w^2 = fan_in * E[w^2] and sigma_b^2 = E[b^2]. The rules
for some kinds of layers follow. The forward rules are applied in order of execution, the backward rules in reverse.

Linear layers and convolutions, together with the activation before them (Poole et al. 2016, arXiv 1606.05340,
equation 3). Here q is the mean square before the activation:

    q' = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2

Backward, each such layer multiplies the sum of squares of the gradient by chi = sigma_w^2 E[phi'(sqrt(q) z)^2]. The
depth scale is the number of layers after which this sum has changed by a factor of e. The depth scale is equal to
-1/ln(chi) (Schoenholz et al. 2017, arXiv 1611.01232, equations 5, 18).

Additions: q' is the sum of the q of both operands. Backward, each operand gets the whole gradient.

Norms: q' = E[weight^2] q / (q + eps) + E[bias^2]. Backward, the sum of squares of the gradient is multiplied by
E[weight^2] / (q + eps).

Attention with nearly equal probabilities over n keys: q' = q (rho + (1 - rho) / n). Here q is the mean square of the
value vectors, and rho is the mean cosine between the value vectors of two tokens (Noci et al. 2022, arXiv 2206.03126).
There is no backward rule.

Dropout with probability p: q' = q / (1 - p). Backward, the sum of squares of the gradient is divided by 1 - p too.

For a layer without a forward rule, q is multiplied by a measured factor: the measured q' divided by the measured q. For
a layer without a backward rule, the gradient of the layer's input is not predicted, and the measured gradient is used.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from .activations import function_of
from .records import Layer


@functools.cache
def _quadrature() -> tuple[Tensor, Tensor]:
    """Returns the points and weights of a quadrature for expectations over the standard normal distribution.

    The middle point is 0, the kink of relu. The points are not computed at import, because a torch operation can
    deadlock in a forked process that imports this module.
    """
    points = torch.linspace(-9, 9, 3601, dtype=torch.float64)
    density = torch.exp(-points.square() / 2)
    return points, density / density.sum()


@functools.lru_cache(maxsize=4096)
def _square_means(name: str, slope: float | None, q: float) -> tuple[float, float] | None:
    """Returns E[phi(sqrt(q) z)^2] and E[phi'(sqrt(q) z)^2] for the activation function phi called `name`, and z standard normal.

    `slope` is the negative slope of leaky_relu. Returns None if the function is not known, or if q is negative or not finite.
    """
    function = function_of(name, slope)
    if function is None or not 0 <= q < math.inf:
        return None
    grid, density = _quadrature()
    with torch.enable_grad():
        x = (math.sqrt(q) * grid).requires_grad_()
        value = function(x)
        (derivative,) = torch.autograd.grad(value.sum(), x)
    if name == "relu" or name == "leaky_relu":
        # At the kink of relu and leaky_relu, phi'^2 is taken as the mean of its values on both sides.
        derivative[len(grid) // 2] = math.sqrt((1 + (0.0 if name == "relu" else 0.01 if slope is None else slope) ** 2) / 2)
    return float((value.detach().square() * density).sum()), float((derivative.square() * density).sum())


def forward_mean(layer: Layer, q: float) -> float | None:
    """Returns E[phi(sqrt(q) z)^2], where phi is the layer's activation and z is standard normal.

    Returns None if phi is not known, or if q is negative or not finite.
    """
    found = None if layer.activation is None else _square_means(layer.activation, layer.facts.get("slope"), q)
    return None if found is None else found[0]


def slope_mean(layer: Layer, q: float) -> float | None:
    """Returns E[phi'(sqrt(q) z)^2], where phi is the layer's activation and z is standard normal.

    Returns None if phi is not known, or if q is negative or not finite.
    """
    found = None if layer.activation is None else _square_means(layer.activation, layer.facts.get("slope"), q)
    return None if found is None else found[1]


def _predicted(layer: Layer, sources: list[float], measured: list[float]) -> float | None:
    """Predicts the mean square of a layer's output. Returns None if theory has no rule for the layer.

    The list `sources` contains the mean square of each input of the layer, measured or predicted. The list `measured`
    contains the measured mean square of each input.
    """
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
    """Sets `local_q` and `theory_q` of every layer: two predictions of q, the mean square of the layer's output.

    `local_q` is predicted from the measured q of the layer's sources. It is None if theory has no rule for the layer.
    `theory_q` is predicted from `theory_q` of the sources. It is the measured q if the layer has no sources.
    """
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
    """Sets `theory_p` of every layer that has a gradient, from the last layer to the first.

    `theory_p` predicts p, the mean square of the gradient with respect to the layer's output. p is the sum of squares
    of this gradient, divided by the number of its elements. The sum of squares is predicted from the readers: the
    layers that read the output. The sum of squares of each reader's gradient is multiplied by the reader's
    `_gradient_factor`, and the products are added.

    In two cases, `theory_p` is the measured p: for the output of the model, and if the factor of any reader is None.
    """
    sums: dict[int, float | None] = {}
    for layer in reversed(layers):
        if layer.alias is not None or layer.p is None:
            continue
        size = layer.forward.count
        own = sums.get(layer.index)
        # `own` is None for the output of the model, and if theory has no rule for a reader of this layer's output.
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
    """Returns the factor by which a layer multiplies the sum of squares of the gradient in the backward pass.

    The factor is the sum of squares for the layer's input `source`, divided by that for the layer's output. None if
    theory has no rule for the layer.
    """
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
    """The fixed point q* of the mean square q of a layer's output, in a plain stack of layers with weights.

    In a plain stack, the same activation function phi is between any two consecutive layers. q* is a solution of
    q = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2, where z is standard normal.
    """

    #: The name of the activation function phi, or "linear" if there is no activation function.
    activation: str
    #: The geometric mean over the hidden layers of sigma_w^2 = fan_in * E[w^2], where w is a weight of the layer.
    weight_variance: float
    #: The mean over the hidden layers of sigma_b^2 = E[b^2], where b is a bias of the layer.
    bias_variance: float
    #: The fixed point q*. None if q grows without bound or falls to 0. Always None for linear, relu and leaky_relu.
    fixed_point: float | None
    #: The factor by which each layer multiplies the sum of squares of the gradient: sigma_w^2 E[phi'(sqrt(q*) z)^2].
    #: If `fixed_point` is None, the last q of the iteration is used instead of q*.
    chi: float

    @property
    def depth_scale(self) -> float | None:
        """The number of layers over which the sum of squares of the gradient changes by a factor of e: -1/ln(chi).

        The number is positive if the gradient vanishes, and negative if the gradient explodes. None if chi is 1 or not positive.
        """
        return None if self.chi <= 0 or abs(math.log(self.chi)) < 1e-9 else -1 / math.log(self.chi)


def mean_field(layers: list[Layer], points: list[int]) -> MeanField | None:
    """Returns the fixed point of mean-field theory for a plain stack (see `MeanField`) of at least three layers.

    Returns None for any other model. `points` are the indices of the layers of the trunk.
    """
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
        # The limit is this low because q can change slowly far from q*: for tanh at chi = 1, q falls to 0 only as
        # 1/depth. For relu at chi = 1 without biases, every q is a fixed point, so q* is not reported for relu.
        if change < 1e-9:
            settled = activation is not None and name not in ("relu", "leaky_relu")
            break
    slope = 1.0 if activation is None else slope_mean(activation, q)
    return MeanField(name, gain, bias, q if settled else None, gain * (slope if slope is not None else math.nan))


def _source_of(layers: list[Layer], layer: Layer) -> Layer | None:
    """Returns the layer whose output `layer` reads. Dropout, Flatten, Identity and Sequential are skipped.

    Returns None if `layer` or a skipped layer does not read exactly one output.
    """
    while len(layer.sources) == 1:
        layer = layers[layer.sources[0]]
        while layer.alias is not None:
            layer = layers[layer.alias]
        if layer.role not in ("dropout", "container", "other") or layer.kind not in ("Dropout", "Flatten", "Identity", "Sequential"):
            return layer
    return None
