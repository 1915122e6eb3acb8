"""Draws a coordinate check with matplotlib: root mean squares by width, on logarithmic axes."""

from __future__ import annotations

import importlib
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .result import CoordCheck


def plot(check: CoordCheck, axes: Any = None) -> Any:
    """Draws the root mean squares of h_0, h_1 - h_0 and h_n - h_0 by width, with one line for each module.

    h_t is the output of the module after t training steps, and n is `check.steps`. Modules with a finding have thick
    lines and a label. Returns the three matplotlib axes.
    """
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: install it, or use print(), which needs no other package") from error
    if axes is None:
        axes = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")[1]
    if len(axes) != 3:
        raise ValueError(f"axes has {len(axes)} axes: three are needed")
    wrong = {one.module for one in check.findings}
    colours = pyplot.get_cmap("viridis")
    count = max(1, len(check.modules) - 1)
    last = check.steps
    panels = [("|h_0|", 0, "size"), ("|h_1 - h_0|", 1, "change"), (f"|h_{last} - h_0|", last, "change")]
    for panel, (title, step, key) in zip(axes, panels):
        for index, module in enumerate(check.modules):
            sizes = [statistics.geometric_mean(row) if all(row) else float("nan") for row in getattr(module, key)[step]]
            is_wrong = module.name in wrong
            panel.plot(
                check.widths,
                sizes,
                color=colours(0.9 * index / count),
                linewidth=2.5 if is_wrong else 1,
                marker="o",
                markersize=3,
                label=module.name if is_wrong else None,
            )
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(check.widths, [str(one) for one in check.widths])
        panel.set_xlabel("width")
        panel.set_title(title)
    if wrong:
        axes[-1].legend(fontsize=8, title="findings")
    return axes
