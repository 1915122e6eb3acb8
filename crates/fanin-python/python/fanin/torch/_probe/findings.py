"""The function `find`, which returns all findings about a model."""

from __future__ import annotations

import math

from . import signal_checks, weight_checks
from .finding import Finding
from .fit import Fit
from .paths import Paths
from .records import Run
from .trunk import Trunk


def find(run: Run, trunk: Trunk, forward: Fit | None, backward: Fit | None) -> list[Finding]:
    """Returns the findings about a model, problems first. If values are NaN or infinite, no other findings are returned."""
    broken = _not_finite(run)
    if broken:
        return broken
    paths = Paths(run)
    found = [
        *signal_checks.inputs(run),
        *weight_checks.differing(run, paths),
        *weight_checks.symmetric(run),
        *signal_checks.blocked(run, paths),
        *signal_checks.dead(run, paths),
        *signal_checks.saturated(run, paths),
        *signal_checks.attention(run),
        *weight_checks.gain(run, paths),
        *weight_checks.statistics(run),
        *signal_checks.recurrent(run),
        *signal_checks.slopes(run, trunk, forward, backward),
        *signal_checks.loss(run, paths),
        *signal_checks.collapse(run, trunk),
        *weight_checks.adapters(run),
        *_unused(run),
    ]
    return sorted(found, key=lambda one: one.level != "problem")


def _not_finite(run: Run) -> list[Finding]:
    """Finds NaN and infinite values in the parameters, else in the outputs, else in the gradients.

    If parameters have such values, all these parameters are reported. Otherwise, if outputs have such values, only the
    first layer with such an output is reported. Otherwise, only the last layer with such a gradient is reported.
    """
    found = []
    for weights in run.weights:
        if not weights.forward.is_finite:
            text = f"{weights.name} has values that are NaN or infinite"
            found.append(Finding("nonfinite", "problem", weights.module, text, math.nan, 0.0, weights.name))
    if found:
        return found
    for layer in run.layers:
        if not layer.forward.is_finite:
            if layer.role == "input":
                return [Finding("nonfinite", "problem", layer.name, "the inputs have values that are NaN or infinite", math.nan, 0.0)]
            text = f"the output of {layer.name} is not finite, although its input is: {layer.kind} overflows or divides by 0"
            return [Finding("nonfinite", "problem", layer.module or layer.name, text, math.nan, 0.0)]
    for layer in reversed(run.layers):
        if layer.backward is not None and not layer.backward.is_finite:
            text = f"the gradient of the output of {layer.name} is not finite"
            return [Finding("nonfinite", "problem", layer.module or layer.name, text, math.nan, 0.0)]
    return []


def _unused(run: Run) -> list[Finding]:
    """Finds trainable parameters that get no gradient."""
    trainable = [one for one in run.weights if one.requires_grad]
    unused = [one.name for one in trainable if one.gradient is None]
    if run.weights and not trainable:
        return [Finding("unused", "note", "(model)", "no parameter requires a gradient: only the signal was measured", 0.0, 0.0)]
    if not unused:
        return []
    if len(unused) == len(trainable):
        text = "no parameter gets a gradient: the loss does not depend on the parameters, or a tensor between them is detached"
        return [Finding("unused", "problem", "(model)", text, float(len(unused)), 0.0)]
    shown = ", ".join(unused[:3]) + (f" and {len(unused) - 3} more" if len(unused) > 3 else "")
    text = f"{len(unused)} parameters get no gradient: {shown}"
    return [Finding("unused", "note", unused[0].rpartition(".")[0], text, float(len(unused)), 0.0)]
