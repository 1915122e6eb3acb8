"""Checks of signals (the outputs of layers) and gradients. Each check returns its findings: what is wrong, and at which layer."""

from __future__ import annotations

import math

from .finding import (
    COSINE,
    DEAD,
    ENTROPY,
    EXCESS_LOSS,
    INPUT,
    LOG_CHANGE,
    LOG_CHANGE_WITH_NORMS,
    LOGITS,
    SATURATED,
    Finding,
    rounded,
)
from .fit import Fit
from .paths import Paths
from .records import Layer, Run
from .trunk import Trunk


def inputs(run: Run) -> list[Finding]:
    """Finds inputs of the model that are not normalized: their mean square is above `INPUT`."""
    found = []
    for layer in run.layers:
        if layer.role == "input" and layer.q > INPUT:
            text = f"the inputs have a mean square of {rounded(layer.q)} (mean {rounded(layer.forward.mean)}): they are not normalized"
            found.append(Finding("inputs", "problem", layer.name, text, layer.q, INPUT))
    return found


def blocked(run: Run, paths: Paths) -> list[Finding]:
    """If the gradient of the first layer with weights is 0, finds the layer at which the gradient becomes 0."""
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


def dead(run: Run, paths: Paths) -> list[Finding]:
    """Finds activations in which the fraction of dead units is at least `DEAD`. A dead unit is 0 for every input.

    Activations with fewer than 16 values in each unit are not reported. If an activation is reported, the activations
    that were computed from it are not.
    """
    found: list[Finding] = []
    reported: list[int] = []
    for layer in run.layers:
        if layer.dead is None or layer.dead < DEAD or layer.forward.unit_count < 16:
            continue
        # An activation whose input is 0 is not reported as dead. Some models initialize a branch so that its output is 0 on
        # purpose. Training then changes the output.
        if all(run.layers[one].q == 0 for one in layer.sources) or any(paths.descends(layer.index, one) for one in reported):
            continue
        reported.append(layer.index)
        named = paths.with_parameters(layer)
        text = f"{layer.dead:.0%} of the units of {layer.name} are 0 for every input"
        found.append(Finding("dead", "problem", named.module, text, layer.dead, DEAD, paths.weight_name(named)))
    return found


def saturated(run: Run, paths: Paths) -> list[Finding]:
    """Finds activations in which the fraction of saturated values is at least `SATURATED`.

    For example, outputs of tanh near -1 and 1 are saturated, because the slope of tanh is nearly 0 there.
    """
    found = []
    for layer in run.layers:
        if layer.saturated is not None and layer.alias is None and layer.saturated >= SATURATED:
            named = paths.with_parameters(layer)
            text = f"{layer.saturated:.0%} of the values of {layer.name} are saturated: the slope of {layer.activation} is below 5 % there"
            found.append(Finding("saturated", "problem", named.module, text, layer.saturated, SATURATED, paths.weight_name(named)))
    return found


def attention(run: Run) -> list[Finding]:
    """Finds attention whose probabilities have a low entropy, so that each query attends to few keys."""
    found = []
    for one in run.attention:
        if one.entropy < ENTROPY:
            text = (
                f"the attention of {one.module} is saturated: the entropy is {one.entropy:.2f} times that of equal probabilities, "
                f"and the logits have a std of {rounded(one.logits)}"
            )
            found.append(Finding("attention", "problem", one.module, text, one.entropy, ENTROPY))
    return found


def slopes(run: Run, trunk: Trunk, forward: Fit | None, backward: Fit | None) -> list[Finding]:
    """Finds a signal or a gradient that vanishes or explodes along the trunk (the layers along which depth is counted)."""
    found = []
    norms = sum(layer.role == "norm" for layer in run.layers)
    limit = LOG_CHANGE_WITH_NORMS if 2 * norms >= len(trunk.points) else LOG_CHANGE
    for kind, what, fit in (("forward", "signal", forward), ("backward", "gradient", backward)):
        if fit is None or fit.depth < 3 or abs(fit.total) <= limit:
            continue
        found.append(Finding(kind, "problem", _span(run, trunk), slope_text(what, fit, trunk), abs(fit.total), limit))
    return found


def _span(run: Run, trunk: Trunk) -> str:
    return f"{run.layers[trunk.points[0]].name} to {run.layers[trunk.points[-1]].name}"


def slope_text(what: str, fit: Fit, trunk: Trunk) -> str:
    """Returns `fit` in words: the change in each layer or block, and the change over the whole depth.

    `what` is "signal" or "gradient".
    """
    verb = "grows" if fit.slope > 0 else "falls"
    at, start = ("the first", "the last") if what == "gradient" else ("the last", "the first")
    factor = math.exp(fit.slope)
    step = f"{factor:.3g} times" if fit.slope > 0 else f"{1 - factor:.1%}"
    total = math.exp(max(-690.0, min(690.0, fit.total)))
    reached = f"{total:.1g} times" if total < 0.1 or total >= 1000 else f"{total:.3g} times"
    return (
        f"the {'mean square' if what == 'signal' else 'sum of squares'} of the {what} {verb} {'to ' if fit.slope > 0 else 'by '}{step} in each {trunk.unit}: "
        f"{at} of {fit.depth} {trunk.unit}s has {reached} as much as {start} (ln {fit.slope:+.3f} a {trunk.unit})"
    )


def loss(run: Run, paths: Paths) -> list[Finding]:
    """Finds a classifier with large logits and a loss far above ln(classes), the loss of equal probabilities."""
    if run.loss is None or run.classes is None:
        return []
    excess = run.loss - math.log(run.classes)
    if excess <= EXCESS_LOSS or (run.logits or 0.0) <= LOGITS:
        return []
    named = paths.last_weight()
    text = (
        f"the loss is {rounded(run.loss)}, and equal probabilities have ln({run.classes}) = {math.log(run.classes):.2f}: "
        f"the logits have a std of {rounded(run.logits or math.nan)}"
    )
    return [Finding("loss", "problem", named.module if named else "", text, excess, EXCESS_LOSS, paths.weight_name(named))]


def collapse(run: Run, trunk: Trunk) -> list[Finding]:
    """Finds models in which the outputs for all inputs, or for all tokens, become nearly parallel.

    The mean cosine between the outputs at the end of the trunk is then above `COSINE`.
    """
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


def recurrent(run: Run) -> list[Finding]:
    """Finds recurrent layers in which the gradient explodes or vanishes along the time steps.

    A vanishing gradient is reported only as a note, because the gradient also vanishes with torch's default initialization.
    """
    found = []
    for one in run.recurrences:
        total = one.gradient * (one.steps - 1)
        if abs(total) <= LOG_CHANGE:
            continue
        step = f"grows to {math.exp(one.gradient):.3g} times" if total > 0 else f"falls by {1 - math.exp(one.gradient):.1%}"
        text = (
            f"the sum of squares of the gradient {step} in each time step of {one.module}, layer {one.layer}: "
            f"the first of {one.steps} steps has {math.exp(min(690.0, total)):.1g} times as much as the last"
        )
        level = "problem" if total > 0 else "note"
        found.append(Finding("recurrent", level, one.module, text, abs(total), LOG_CHANGE, f"{one.module}.weight_hh_l{one.layer}".lstrip(".")))
    return found
