"""Draws the charts of a probe as SVG: measured and predicted values along the depth.

One chart shows q, the mean square of each layer's output. The other shows p, the mean square of the gradient with
respect to this output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import Probe

_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 14, 34


def charts(probe: Probe) -> str:
    """Returns the HTML of the charts of the signal and of the gradient. A chart without values is left out."""
    names = [one.name for one in probe.trunk]
    signal = _chart("q", names, [one.q for one in probe.trunk], [one.theory_q for one in probe.trunk])
    gradient = _chart("p", names, [one.p for one in probe.trunk], [one.theory_p for one in probe.trunk])
    figures = [
        ("Signal: mean square q of the output", signal),
        ("Gradient: mean square p of the gradient of the output", gradient),
    ]
    drawn = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in figures if svg)
    key = '<p class="key"><span class="swatch measured"></span>measured <span class="swatch theory"></span>mean-field theory</p>'
    return f'<div class="charts">{drawn}</div>{key}' if drawn else ""


def _log(value: float | None) -> float | None:
    return math.log10(value) if value is not None and 0 < value < math.inf else None


def _chart(name: str, names: Sequence[str], measured: Sequence[float | None], theory: Sequence[float | None]) -> str:
    logs, expected = [_log(one) for one in measured], [_log(one) for one in theory]
    known = [one for one in (*logs, *expected) if one is not None]
    if len(names) < 2 or not known:
        return ""
    low, high = min(known), max(known)
    # The axis spans at least a factor of 10, so that a flat line looks flat.
    if high - low < 1:
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)

    def x(index: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * index / (len(names) - 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name} along the depth">']
    for value, label in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{y(value) + 4:.1f}">{label}</text>')
    step = max(1, math.ceil((len(names) - 1) / 8))
    for index in range(0, len(names), step):
        parts.append(f'<text class="x" x="{x(index):.1f}" y="{_HEIGHT - 16}">{index + 1}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="x" x="{middle}" y="{_HEIGHT - 2}">depth</text>')
    parts.append(f'<path class="theory" d="{_line(expected, x, y)}"/>')
    parts.append(f'<path class="measured" d="{_line(logs, x, y)}"/>')
    radius = 2.6 if len(names) <= 60 else 1.4
    for index, one in enumerate(logs):
        if one is not None:
            title = f"{escape(names[index])}: {name} = {measured[index]:.4g}"
            if theory[index] is not None:
                title += f", theory {theory[index]:.4g}"
            parts.append(f'<circle cx="{x(index):.1f}" cy="{y(one):.1f}" r="{radius}"><title>{title}</title></circle>')
    return "".join(parts) + "</svg>"


def _line(values: Sequence[float | None], x: object, y: object) -> str:
    """Returns the SVG path through the values, with a gap for each None."""
    assert callable(x) and callable(y)
    path, pen_is_up = [], True
    for index, value in enumerate(values):
        if value is None:
            pen_is_up = True
            continue
        path.append(f"{'M' if pen_is_up else 'L'}{x(index):.1f} {y(value):.1f}")
        pen_is_up = False
    return "".join(path)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Returns the positions (log10) and labels of the ticks on the vertical axis between `low` and `high`.

    Ticks are at powers of 10. If there are fewer than two such ticks, ticks are also at 2 and 5 times powers of 10.
    """
    first, last = math.ceil(low), math.floor(high)
    step = max(1, math.ceil((last - first + 1) / 6))
    powers = [(float(one), f"{10.0**one:g}") for one in range(first, last + 1, step)]
    if len(powers) >= 2:
        return powers
    fine = ((power + math.log10(factor), factor * 10.0**power) for power in range(first - 1, last + 2) for factor in (1, 2, 5))
    return [(one, f"{value:g}") for one, value in fine if low <= one <= high]
