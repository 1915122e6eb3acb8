"""Formats a probe as text for the terminal: findings, slopes, sparklines, and a table of the trunk.

The trunk is the layers that count as the depth of the model: see `trunk.Trunk`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .signal_checks import slope_text
from .fit import Fit

if TYPE_CHECKING:
    from .result import Probe

_BARS = "▁▂▃▄▅▆▇█"
#: The table shows at most this many evenly spaced layers of the trunk, plus the last layer.
ROWS = 24


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number with `digits` significant digits, or "-" for None and NaN."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}g}"


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """Returns at most `width` bars that show logarithms of values. Values that are None, 0 or not finite become spaces.

    If there are more than `width` values, evenly spaced values are shown. Returns "" if all of these would be spaces.
    """
    step = max(1, math.ceil(len(values) / width))
    logs = [math.log(one) if one is not None and 0 < one < math.inf else None for one in values[::step]]
    known = [one for one in logs if one is not None]
    if not known:
        return ""
    # The scale spans a factor of at least 10. Otherwise almost equal values would get very different bars.
    low, high = min(known), max(known)
    middle, span = (low + high) / 2, max(high - low, math.log(10))
    scaled = [None if one is None else (one - middle) / span + 0.5 for one in logs]
    return "".join(" " if one is None else _BARS[min(7, max(0, int(one * 8)))] for one in scaled)


def _slope(name: str, fit: Fit | None, unit: str) -> str:
    if fit is None:
        return f"  {name:<9} no slope: a value along the depth is 0, not finite or missing"
    text = f"  {name:<9} {fit.slope:+.4f} a {unit}"
    if math.isfinite(fit.low):
        text += f", 95 % over {fit.interval}: {fit.low:+.4f} to {fit.high:+.4f}"
    if fit.theory is not None:
        text += f", theory {fit.theory:+.4f}"
    return text + f", x {number(math.exp(max(-700.0, min(700.0, fit.total))))} from one end of {fit.depth} {unit}s to the other"


def terminal(probe: Probe) -> str:
    """Returns the probe as text."""
    lines = [f"{probe.model}: {probe.parameter_count:,} parameters, {len(probe.trunk)} {probe.unit}s, {_passes(probe)}", ""]
    lines += _findings(probe)
    lines += ["", "the logarithm of the mean square of the signal and of the sum of squares of the gradient, along the depth"]
    lines += [_slope("signal", probe.forward, probe.unit), _slope("gradient", probe.backward, probe.unit)]
    if probe.mean_field is not None:
        lines.append("  " + mean_field_text(probe))
    if probe.loss is not None:
        lines.append("  " + loss_text(probe))
    lines += ["", f"  q  {sparkline([one.q for one in probe.trunk])}", f"  p  {sparkline([one.p for one in probe.trunk])}", ""]
    return "\n".join(lines + _table(probe))


def _passes(probe: Probe) -> str:
    return f"{probe.seconds:.2g} s" if probe.seeds == 1 else f"{probe.seeds} seeds"


def mean_field_text(probe: Probe) -> str:
    """Returns a line with the fixed point, chi and the depth scale of mean-field theory. `probe.mean_field` must not be None."""
    field = probe.mean_field
    assert field is not None
    scale = field.depth_scale
    depth = "without bound" if scale is None else f"{abs(scale):.3g} layers"
    fixed = "none" if field.fixed_point is None else number(field.fixed_point)
    return (
        f"theory: {field.activation}, sigma_w^2 = {number(field.weight_variance)}, sigma_b^2 = {number(field.bias_variance)}, "
        f"fixed point q* = {fixed}, chi = {number(field.chi, 4)}, depth scale {depth}"
    )


def loss_text(probe: Probe) -> str:
    """Returns a line with the loss. `probe.loss` must not be None.

    For a classifier, the line also contains two numbers: ln(classes), which is the loss of equal probabilities, and the
    std of the logits.
    """
    if probe.classes is None:
        return f"loss {number(probe.loss, 4)}"
    return (
        f"loss {number(probe.loss, 4)}; ln({probe.classes} classes) = {math.log(probe.classes):.4g}; "
        f"std of the logits {number(probe.logits_std)}"
    )


def _findings(probe: Probe) -> list[str]:
    lines = []
    problems = [one for one in probe.findings if one.level == "problem"]
    lines.append(f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else "No problem found.")
    for one in probe.findings[:30]:
        mark = "x" if one.level == "problem" else "-"
        lines += [f"  {mark} {one.module}: {one.text}", f"      limit {number(one.limit, 5)}: {one.source}"]
    if len(probe.findings) > 30:
        lines.append(f"  ... and {len(probe.findings) - 30} more")
    for advice in probe.advice:
        lines += ["", f"Tried on a copy: {advice.text}", *(f'    "{name}" = "{spec}"' for name, spec in advice.rules.items())]
        lines.append(f"    {advice.result}")
    return lines


def _table(probe: Probe) -> list[str]:
    trunk = probe.trunk
    if not trunk:
        return []
    step = max(1, math.ceil(len(trunk) / ROWS))
    shown = sorted({*range(0, len(trunk), step), len(trunk) - 1})
    rows = [("", "q", "theory", "p", "theory", "mean", "cosine")]
    for one in (trunk[index] for index in shown):
        cosine = one.cosine_tokens if one.cosine_tokens is not None else one.cosine_inputs
        values = (one.q, one.theory_q, one.p, one.theory_p, one.forward.mean, cosine)
        rows.append((one.name, *(number(value) for value in values)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [
        "  " + "  ".join(cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    ]
    return [line.rstrip() for line in aligned] + ([] if step == 1 else [f"  (every {step}th {probe.unit}; the page has all)"])


def verdicts(probe: Probe) -> list[str]:
    """Returns a sentence for the slope of the signal and a sentence for the slope of the gradient, if these slopes exist."""
    trunk = probe._analysis.trunk
    found = []
    for what, fit in (("signal", probe.forward), ("gradient", probe.backward)):
        if fit is not None:
            found.append(slope_text(what, fit, trunk))
    return found
