"""Analyzes the measurements of a model: finds the trunk, fits slopes along the depth, applies mean-field theory, and collects findings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from torch import nn

from . import fit, theory
from .finding import Finding
from .findings import find
from .records import Layer, Run
from .trunk import Trunk, find_trunk


@dataclasses.dataclass
class Analysis:
    """The measurements of a model with one or several seeds, and the results that are derived from the measurements."""

    #: The measurements with the first seed. But sums, such as `Layer.forward`, are over all seeds.
    run: Run
    #: The layers along which the depth is counted.
    trunk: Trunk
    #: The slope of the signal (see `Fit`), from the first layer of the trunk to the last.
    forward: fit.Fit | None
    #: The slope of the gradient (see `Fit`), from the last layer of the trunk to the first.
    backward: fit.Fit | None
    #: The fixed point of mean-field theory, or None unless the model is a plain stack (see `Probe.mean_field`).
    mean_field: theory.MeanField | None
    findings: list[Finding]

    @property
    def points(self) -> list[Layer]:
        """The layers of the trunk."""
        return [self.run.layers[one] for one in self.trunk.points]


def analyze(model: nn.Module, runs: Sequence[Run]) -> Analysis:
    """Returns the analysis of a model. `runs` contains the measurements of the model, one `Run` for each seed."""
    merged = runs[0]
    trunk = find_trunk(model, merged)
    curves = [_curves(run, trunk) for run in runs]
    examples = _example_curves(merged, trunk)
    for count, run in enumerate(runs[1:], 1):
        _merge(merged, run, count)
    theory.predict_forward(merged.layers)
    theory.predict_backward(merged.layers)
    forward = fit.fit([one[0] for one in curves])
    backward = fit.fit([one[1] for one in curves])
    points = [merged.layers[one] for one in trunk.points]
    if forward is not None:
        _add_details(forward, [_or_nan(one.theory_q) for one in points], examples[0])
    if backward is not None:
        _add_details(backward, [_or_nan(one.theory_p) * one.forward.count for one in reversed(points)], examples[1])
    plain = theory.mean_field(merged.layers, trunk.points) if trunk.kind == "layer" else None
    result = Analysis(merged, trunk, forward, backward, plain, [])
    result.findings = find(merged, trunk, forward, backward)
    return result


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _curves(run: Run, trunk: Trunk) -> tuple[list[float], list[float]]:
    """Returns two curves along the trunk: one of the signal, one of the gradient.

    The signal's curve is of mean squares, from the first point to the last. The gradient's curve is of sums of squares,
    from the last point to the first.
    """
    points = [run.layers[one] for one in trunk.points]
    return [one.q for one in points], [math.nan if one.backward is None else one.backward.squares for one in reversed(points)]


def _example_curves(run: Run, trunk: Trunk) -> tuple[list[list[float]], list[list[float]]]:
    """Returns the curves of the signal and those of the gradient, one for each input of the batch. See `_curves`.

    A list is empty if inputs were not measured separately.
    """
    points = [run.layers[one] for one in trunk.points]
    signals = [one.forward.examples for one in points]
    gradients = [
        None if one.backward is None or one.backward.examples is None else one.backward.examples * one.forward.count
        for one in reversed(points)
    ]
    found: list[list[list[float]]] = []
    for curves in (signals, gradients):
        known = [curve.tolist() for curve in curves if curve is not None]
        found.append([list(one) for one in zip(*known)] if len(known) == len(curves) else [])
    return found[0], found[1]


def _add_details(found: fit.Fit, predicted: list[float], examples: list[list[float]]) -> None:
    """Sets `theory` and `inputs` of a fit. `predicted` is a curve, and `examples` has a curve for each input."""
    by_theory = fit.fit([predicted])
    found.theory = None if by_theory is None else by_theory.slope
    slopes = [one.slope for one in (fit.fit([curve]) for curve in examples) if one is not None]
    found.inputs = (min(slopes), max(slopes)) if slopes else None


def _merge(run: Run, other: Run, count: int) -> None:
    """Adds the sums of `other` to the sums of `run`.

    `run` has the sums of `count` seeds, and `other` has the sums of another seed.
    """
    if [one.name for one in run.layers] != [one.name for one in other.layers]:
        raise ValueError("the layers of the model differ between seeds: probe one seed at a time")
    for mine, theirs in zip(run.layers, other.layers):
        if mine.alias is not None:
            continue
        mine.forward.add(theirs.forward)
        if mine.backward is not None and theirs.backward is not None:
            mine.backward.add(theirs.backward)
        for name in mine.facts:
            if name in theirs.facts:
                mine.facts[name] = (count * mine.facts[name] + theirs.facts[name]) / (count + 1)
    for own, their in zip(run.weights, other.weights):
        own.forward.add(their.forward)
        if own.gradient is not None and their.gradient is not None:
            own.gradient.add(their.gradient)
    for layer in run.layers:
        if layer.alias is not None:
            layer.forward, layer.backward = run.layers[layer.alias].forward, run.layers[layer.alias].backward
