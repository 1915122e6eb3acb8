"""Findings: what is wrong with a model's initialization, in words, with the limit that was applied and its source."""

from __future__ import annotations

import dataclasses
import math

from torch import nn

from . import peers
from .fit import Fit
from .paths import Paths
from .records import Layer, Run
from .trunk import Trunk

#: |slope| times depth above which a signal or a gradient does not survive: 6 depth scales. In a model with norms, the scale of a
#: signal has no effect behind a norm, and batch norm by itself makes the gradient of a relu network grow by pi / (pi - 1) in each
#: layer. 50 such layers are allowed: healthy models of timm reach 31 of them.
LOG_CHANGE = 6.0
LOG_CHANGE_WITH_NORMS = 50 * math.log(math.pi / (math.pi - 1))
#: The share of dead or saturated units.
DEAD, SATURATED = 0.9, 0.5
#: The entropy of attention, divided by that of equal probabilities.
ENTROPY = 0.2
#: The loss of a classifier may be this much above ln(classes), or else its logits must have at most this std. Normal logits of
#: std s add s^2 / 2. In models whose head is their embedding, such as Gemma, a single logit, that of the input, adds more.
EXCESS_LOSS, LOGITS = 3.0, 2.0
#: The mean square that a layer with weights returns for an input of mean square 1.
GAIN = 100.0
#: The mean square of inputs.
INPUT = 1000.0
#: The mean cosine between two tokens or two inputs.
COSINE = 0.9999

SOURCES = {
    "forward": "Schoenholz et al. 2017, figure 5: networks train down to about 6 depth scales; with norms, Yang et al. 2019",
    "backward": "Schoenholz et al. 2017, figure 5: networks train down to about 6 depth scales; with norms, Yang et al. 2019",
    "dead": "Lu et al. 2020, Dying ReLU and Initialization",
    "saturated": "Glorot and Bengio 2010, section 3",
    "attention": "Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention Entropy Collapse",
    "loss": "equal probabilities have the loss ln(classes)",
    "gain": "He et al. 2015: between 1 (linear) and 2 (relu) keeps the signal",
    "inputs": "LeCun et al. 1998, Efficient BackProp, section 4.3",
    "collapse": "Dong et al. 2021, Attention is not all you need; Noci et al. 2022",
    "symmetric": "Goodfellow et al. 2016, Deep Learning, section 8.4",
    "peers": "comparison within the model",
    "blocked": "a product with 0 passes no gradient",
    "nonfinite": "IEEE 754",
    "unused": "autograd",
}


@dataclasses.dataclass
class Finding:
    """Something that the measurements show.

    `level` is "problem" or "note". A problem makes `Probe.ok` False.
    """

    kind: str
    level: str
    #: The module, or the parameter, that it is about.
    module: str
    text: str
    value: float
    limit: float
    #: The parameter to change, if there is one.
    parameter: str | None = None

    @property
    def source(self) -> str:
        """Where the limit comes from."""
        return SOURCES[self.kind]


def find(model: nn.Module, run: Run, trunk: Trunk, forward: Fit | None, backward: Fit | None) -> list[Finding]:
    """Returns the findings, problems first."""
    broken = _not_finite(run)
    if broken:
        return broken
    paths = Paths(run)
    found = [
        *_inputs(run),
        *_peers(run),
        *_symmetric(run),
        *_blocked(run, paths),
        *_dead(run, paths),
        *_saturated(run, paths),
        *_attention(run),
        *_gain(run, paths),
        *_slopes(run, trunk, forward, backward),
        *_loss(run, paths),
        *_collapse(run, trunk),
        *_unused(run),
    ]
    return sorted(found, key=lambda one: one.level != "problem")


def _number(value: float) -> str:
    return f"{value:.3g}"


def _not_finite(run: Run) -> list[Finding]:
    found = []
    for weights in run.weights:
        if not weights.forward.is_finite:
            text = f"{weights.name} has values that are NaN or infinite"
            found.append(Finding("nonfinite", "problem", weights.module, text, math.nan, 0.0, weights.name))
    if found:
        return found
    for layer in run.layers:
        if not layer.forward.is_finite:
            text = f"the output of {layer.name} is not finite, and its input is: {layer.kind} overflows or divides by 0"
            return [Finding("nonfinite", "problem", layer.module or layer.name, text, math.nan, 0.0)]
    for layer in reversed(run.layers):
        if layer.backward is not None and not layer.backward.is_finite:
            text = f"the gradient of the output of {layer.name} is not finite"
            return [Finding("nonfinite", "problem", layer.module or layer.name, text, math.nan, 0.0)]
    return []


def _inputs(run: Run) -> list[Finding]:
    found = []
    for layer in run.layers:
        if layer.role == "input" and layer.q > INPUT:
            text = f"the inputs have a mean square of {_number(layer.q)} (mean {_number(layer.forward.mean)}): they are not normalized"
            found.append(Finding("inputs", "problem", layer.name, text, layer.q, INPUT))
    return found


def _peers(run: Run) -> list[Finding]:
    found = []
    for one in peers.outliers(run.weights):
        name, count = one.weights.name, len(one.peers)
        if one.weights.rms == 0:
            text = f"{name} is 0, and its {count} nearest peers have an rms of {_number(one.expected)}"
        elif one.expected > 0:
            text = f"{name} has an rms of {_number(one.weights.rms)}: {_number(one.factor)} times that of its {count} nearest peers"
        else:
            text = f"{name} has an rms of {_number(one.weights.rms)}, and its {count} nearest peers are 0"
        found.append(Finding("peers", "problem", one.weights.module, text, one.factor, peers.FACTOR, name))
    return found


def _symmetric(run: Run) -> list[Finding]:
    """Finds weights whose rows are all equal, so that all units compute the same and get the same gradient."""
    layers = {layer.module for layer in run.layers if layer.role == "weight"}
    found = []
    for one in run.weights:
        if one.rows_are_equal and one.rms > 0 and one.module in layers and one.name.endswith("weight"):
            text = f"all units of {one.module} have the same weights: they compute the same, and training does not separate them"
            found.append(Finding("symmetric", "problem", one.module, text, 1.0, 0.0, one.name))
    return found


def _blocked(run: Run, paths: Paths) -> list[Finding]:
    """Finds the layer that passes no gradient on, if no gradient reaches the first layers with weights."""
    carrying = [layer for layer in run.layers if layer.p is not None and layer.alias is None and layer.role in ("weight", "embedding")]
    if not carrying or carrying[0].p != 0 or run.layers[-1].p == 0:
        return []
    for layer in reversed(run.layers):
        if layer.p is not None and layer.p > 0 and layer.sources and all(run.layers[one].p == 0 for one in layer.sources):
            named = paths.with_parameters(paths.source_of_zeros(layer))
            is_last = paths.is_last_weight(named)
            text = f"{named.name} passes no gradient on: all layers before it get a gradient of 0"
            if is_last:
                text += " in the first step. It is the last layer, which some models set to 0 on purpose"
            return [Finding("blocked", "note" if is_last else "problem", named.module, text, 0.0, 0.0, paths.weight_name(named))]
    return []


def _dead(run: Run, paths: Paths) -> list[Finding]:
    found: list[Finding] = []
    reported: list[int] = []
    for layer in run.layers:
        if layer.dead is None or layer.dead < DEAD or layer.forward.unit_count < 16:
            continue
        # Branches that begin at 0, by a norm weight of 0 for example, are not dead: their input becomes positive in training.
        if all(run.layers[one].q == 0 for one in layer.sources) or any(paths.descends(layer.index, one) for one in reported):
            continue
        reported.append(layer.index)
        named = paths.with_parameters(layer)
        text = f"{layer.dead:.0%} of the units of {layer.name} are 0 for every input"
        found.append(Finding("dead", "problem", named.module, text, layer.dead, DEAD, paths.weight_name(named)))
    return found


def _saturated(run: Run, paths: Paths) -> list[Finding]:
    found = []
    for layer in run.layers:
        if layer.saturated is not None and layer.alias is None and layer.saturated >= SATURATED:
            named = paths.with_parameters(layer)
            text = f"{layer.saturated:.0%} of the values of {layer.name} are saturated: the slope of {layer.activation} is below 5 % there"
            found.append(Finding("saturated", "problem", named.module, text, layer.saturated, SATURATED, paths.weight_name(named)))
    return found


def _attention(run: Run) -> list[Finding]:
    found = []
    for one in run.attention:
        if one.entropy < ENTROPY:
            text = (
                f"the attention of {one.module} is saturated: the entropy is {one.entropy:.2f} of that of equal probabilities, "
                f"and the logits have a std of {_number(one.logits)}"
            )
            found.append(Finding("attention", "problem", one.module, text, one.entropy, ENTROPY))
    return found


def _gain(run: Run, paths: Paths) -> list[Finding]:
    """Finds layers that multiply the mean square by more than `GAIN`, if no norm follows."""
    found = []
    for layer in run.layers:
        gain = layer.facts.get("gain", 0.0) if layer.role == "weight" else 0.0
        if gain > GAIN and not paths.is_normalized(layer):
            text = f"{layer.name} multiplies the mean square of the signal by {_number(gain)} (fan_in E[w^2])"
            found.append(Finding("gain", "problem", layer.module, text, gain, GAIN, paths.weight_name(layer)))
    return found


def _slopes(run: Run, trunk: Trunk, forward: Fit | None, backward: Fit | None) -> list[Finding]:
    found = []
    norms = sum(layer.role == "norm" for layer in run.layers)
    limit = LOG_CHANGE_WITH_NORMS if 2 * norms >= len(trunk.points) else LOG_CHANGE
    for kind, what, fit in (("forward", "signal", forward), ("backward", "gradient", backward)):
        if fit is None or fit.depth < 3 or abs(fit.total) <= limit:
            continue
        found.append(Finding(kind, "problem", _span(run, trunk), words(what, fit, trunk), abs(fit.total), limit))
    return found


def _span(run: Run, trunk: Trunk) -> str:
    return f"{run.layers[trunk.points[0]].name} to {run.layers[trunk.points[-1]].name}"


def words(what: str, fit: Fit, trunk: Trunk) -> str:
    """Returns a sentence about a slope: what it does in each step, and over the whole depth."""
    verb, at = ("grows", "the last") if fit.slope > 0 else ("falls", "the last")
    at = "the first" if what == "gradient" else at
    factor = math.exp(fit.slope)
    step = f"{factor:.3g} times" if fit.slope > 0 else f"{1 - factor:.1%}"
    total = math.exp(max(-690.0, min(690.0, fit.total)))
    reached = f"{total:.1g} times" if total < 0.1 or total >= 1000 else f"{total:.3g} times"
    return (
        f"the {'mean square' if what == 'signal' else 'sum of squares'} of the {what} {verb} {'to ' if fit.slope > 0 else 'by '}{step} in each {trunk.unit}: "
        f"over {fit.depth} {trunk.unit}s, {at} {trunk.unit} has {reached} as much (ln {fit.slope:+.3f} a {trunk.unit})"
    )


def _loss(run: Run, paths: Paths) -> list[Finding]:
    if run.loss is None or run.classes is None:
        return []
    excess = run.loss - math.log(run.classes)
    if excess <= EXCESS_LOSS or (run.logits or 0.0) <= LOGITS:
        return []
    named = paths.last_weight()
    text = (
        f"the loss is {_number(run.loss)}, and equal probabilities have ln({run.classes}) = {math.log(run.classes):.2f}: "
        f"the logits have a std of {_number(run.logits or math.nan)}"
    )
    return [Finding("loss", "problem", named.module if named else "", text, excess, EXCESS_LOSS, paths.weight_name(named))]


def _collapse(run: Run, trunk: Trunk) -> list[Finding]:
    """Finds that all inputs, or all tokens, look the same at the end of the trunk, and did not at its beginning."""
    if not trunk.points:
        return []
    last = run.layers[trunk.points[-1]]
    for what, values in (
        ("tokens", [run.layers[one].cosine_tokens for one in trunk.points]),
        ("inputs", [run.layers[one].cosine_inputs for one in trunk.points]),
    ):
        known = [(index, value) for index, value in zip(trunk.points, values) if value is not None]
        if not known or known[-1][1] <= COSINE or last.q == 0:
            continue
        first = next(index for index, value in known if value > COSINE)
        named: Layer = run.layers[first]
        level = "problem" if known[0][1] <= COSINE or first == trunk.points[0] else "note"
        text = f"all {what} look the same from {named.name} on: the mean cosine between two of them is {known[-1][1]:.6f}"
        return [Finding("collapse", level, named.module, text, known[-1][1], COSINE)]
    return []


def _unused(run: Run) -> list[Finding]:
    unused = [one.name for one in run.weights if one.requires_grad and one.gradient is None]
    if not unused or len(unused) == len(run.weights):
        return []
    shown = ", ".join(unused[:3]) + (f" and {len(unused) - 3} more" if len(unused) > 3 else "")
    text = f"{len(unused)} parameters get no gradient: {shown}"
    return [Finding("unused", "note", unused[0].rpartition(".")[0], text, float(len(unused)), 0.0)]
