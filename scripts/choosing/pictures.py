"""Draws one picture for each experiment, with panels for the signal, the gradient and the training loss.

The pictures are readable in light and dark mode.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SCRIPTS))
from chart_style import BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, RED, save, styled_pyplot

FOLDER = SCRIPTS.parent / "docs" / "choosing"
LINES = [RED, ORANGE, BLUE, GREEN, PURPLE, GREY]
#: The largest range of values that a picture shows. A curve is cut off where it leaves this range.
BOUNDS = (1e-16, 1e16)


def draw(results: dict[str, Any]) -> None:
    """Draws all pictures of docs/choosing."""
    plt = styled_pyplot()
    plt.rcParams.update({"xtick.minor.bottom": False, "ytick.minor.left": False})
    FOLDER.mkdir(exist_ok=True)
    for key, experiment in results["experiments"].items():
        figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), gridspec_kw={"wspace": 0.3})
        for colour, scheme in zip(LINES, experiment["schemes"]):
            panels(axes, experiment, scheme, colour)
        describe(axes, experiment)
        handles, labels = axes[2].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False)
        save(figure, FOLDER / f"{key}.svg")
        plt.close(figure)


def panels(axes: Any, experiment: dict[str, Any], scheme: dict[str, Any], colour: str) -> None:
    layers = [experiment["step"] * one for one in range(len(scheme["signal"]))]
    for panel, curve in zip(axes, (scheme["signal"], scheme["gradient"])):
        panel.plot(layers, curve, color=colour, linewidth=1.6)
    steps = [experiment["bin"] * (one + 0.5) for one in range(len(scheme["loss"]))]
    low, middle, high = zip(*scheme["loss"])
    axes[2].plot(steps, middle, color=colour, linewidth=1.6, label=scheme["name"])
    axes[2].fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)


def describe(axes: Any, experiment: dict[str, Any]) -> None:
    titles = ("mean square of the signal", "mean square of the gradient", "training loss")
    for panel, title in zip(axes, titles):
        panel.set_title(title, loc="left", fontsize=10)
        panel.grid(color=FAINT, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(length=0)
    for panel, key in zip(axes, ("signal", "gradient")):
        panel.set_yscale("log")
        values = [min(max(one, BOUNDS[0]), BOUNDS[1]) for scheme in experiment["schemes"] for one in scheme[key]]
        # The axis spans at least a factor of 100, so that small changes look small.
        low, high = min(values), max(values)
        panel.set_ylim(min(low / 2, 0.1), max(high * 2, 10))
        panel.set_xlabel(experiment["unit"])
        panel.minorticks_off()
    if experiment["fits_picture"]:
        axes[2].set_yscale("log")
    else:
        axes[2].set_ylim(0, 3)
    axes[2].set_xlabel("step")
