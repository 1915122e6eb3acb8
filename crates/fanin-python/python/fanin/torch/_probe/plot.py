"""Draws a probe with matplotlib."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .result import Probe


def plot(probe: Probe, axes: Any = None) -> Any:
    """Draws two panels, and returns their matplotlib axes.

    The first panel shows q, the mean square of the signal, over the depth. The second panel shows p, the mean square of
    the gradient, over the depth. Each panel has a measured curve and the curve that mean-field theory predicts.
    """
    if axes is None:
        try:
            pyplot = importlib.import_module("matplotlib.pyplot")
        except ImportError as error:
            raise ImportError("plot() needs matplotlib: install it, or use to_html(), which needs no other package") from error
        axes = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")[1]
    first, second = axes
    depth = list(range(1, len(probe.trunk) + 1))
    panels = (
        (first, "q", [one.q for one in probe.trunk], [one.theory_q for one in probe.trunk], "signal: mean square q"),
        (second, "p", [one.p for one in probe.trunk], [one.theory_p for one in probe.trunk], "gradient: mean square p"),
    )
    for panel, name, measured, theory, title in panels:
        panel.plot(depth, [_or_nan(one) for one in measured], "o-", markersize=3, label=f"{name} measured")
        panel.plot(depth, [_or_nan(one) for one in theory], "--", label="theory")
        panel.set(yscale="log", xlabel=probe.unit, title=title)
        panel.legend()
    return first, second


def _or_nan(value: float | None) -> float:
    return value if value is not None and value > 0 else math.nan
