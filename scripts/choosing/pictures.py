"""Draws one picture for each experiment: signal, gradient and training loss. The pictures are readable in light and dark mode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "choosing"
#: Each colour in light mode, and its counterpart in dark mode.
INK, PAPER, FAINT = "#24292f", "#ffffff", "#d0d7de"
LINES = ["#cf222e", "#bc6c00", "#0969da", "#1a7f37", "#8250df", "#6e7781"]
DARK = {
    INK: "#e6edf3",
    PAPER: "#0d1117",
    FAINT: "#3d444d",
    "#cf222e": "#ff7b72",
    "#bc6c00": "#e3b341",
    "#0969da": "#79c0ff",
    "#1a7f37": "#56d364",
    "#8250df": "#d2a8ff",
    "#6e7781": "#9198a1",
}
#: A signal that falls below f32's least number looks like any other line that leaves the picture.
BOUNDS = (1e-16, 1e16)


def draw(results: dict[str, Any]) -> None:
    """Draws all pictures of docs/choosing."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({
        "svg.fonttype": "none",
        "svg.hashsalt": "fanin",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": PAPER,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.minor.bottom": False,
        "ytick.minor.left": False,
        "figure.facecolor": PAPER,
    })
    FOLDER.mkdir(exist_ok=True)
    for key, experiment in results["experiments"].items():
        figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), gridspec_kw={"wspace": 0.3})
        for colour, scheme in zip(LINES, experiment["schemes"]):
            panels(axes, experiment, scheme, colour)
        describe(axes, experiment)
        handles, labels = axes[2].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False)
        path = FOLDER / f"{key}.svg"
        figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=0.12)
        plt.close(figure)
        path.write_text(for_both_modes(path.read_text()))


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
        # A picture spans at least a factor of 100, so that small changes look small.
        low, high = min(values), max(values)
        panel.set_ylim(min(low / 2, 0.1), max(high * 2, 10))
        panel.set_xlabel(experiment["unit"])
        panel.minorticks_off()
    if experiment["fits_picture"]:
        axes[2].set_yscale("log")
    else:
        axes[2].set_ylim(0, 3)
    axes[2].set_xlabel("step")


def for_both_modes(svg: str) -> str:
    """Returns a picture that is smaller, and that has dark colours where the reader prefers them."""
    svg = re.sub(r"(?<![#\w])(\d+\.\d)\d+", r"\1", svg)
    svg = re.sub(r"\n(?=[LQCz\d-])", " ", svg)
    rules = []
    for light, dark in DARK.items():
        for key in ("fill", "stroke"):
            rules.append(f'[style*="{key}: {light}"]{{{key}:{dark}!important}}')
    # Text has no colour of its own where it is black.
    rules.append(f"text:not([style*=fill]){{fill:{DARK[INK]}}}")
    style = f'<style type="text/css">@media (prefers-color-scheme: dark){{{"".join(rules)}}}</style>'
    return svg.replace("<defs>", f"<defs>{style}", 1)
