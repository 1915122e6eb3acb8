"""The style of the charts in docs/: colours, matplotlib's settings, and SVG files that are readable in light and dark mode.

To import this module, a file adds the folder of this module to `sys.path`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

INK, PAPER, FAINT = "#24292f", "#ffffff", "#d0d7de"
RED, ORANGE, BLUE, GREEN, PURPLE, PINK, GREY = "#cf222e", "#bc6c00", "#0969da", "#1a7f37", "#8250df", "#bf3989", "#6e7781"
#: Each colour in light mode, and its counterpart in dark mode.
DARK = {
    INK: "#e6edf3",
    PAPER: "#0d1117",
    FAINT: "#3d444d",
    RED: "#ff7b72",
    ORANGE: "#e3b341",
    BLUE: "#79c0ff",
    GREEN: "#56d364",
    PURPLE: "#d2a8ff",
    PINK: "#f778ba",
    GREY: "#9198a1",
}


def styled_pyplot() -> Any:
    """Returns the module matplotlib.pyplot with the style of the charts in docs/. Figures can only be saved to files."""
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
        "figure.facecolor": PAPER,
    })
    return plt


def save(figure: Any, path: Path, padding: float = 0.12) -> None:
    """Writes a figure as an SVG file. Two equal figures give the same bytes."""
    figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=padding)
    path.write_text(for_both_modes(path.read_text(encoding="utf-8")), encoding="utf-8")


def for_both_modes(svg: str) -> str:
    """Returns `svg` with dark colours for browsers in dark mode. Numbers in tags are truncated to one decimal."""
    shorter = lambda tag: re.sub(r"(?<![#\w])(\d+\.\d)\d+", r"\1", tag.group())
    svg = re.sub(r"<[^>]*>", shorter, svg)
    svg = re.sub(r"\n(?=[LQCz\d-])", " ", svg)
    rules = []
    for light, dark in DARK.items():
        for key in ("fill", "stroke"):
            rules.append(f'[style*="{key}: {light}"]{{{key}:{dark}!important}}')
    # matplotlib writes no colour for black text, so the CSS rules above do not match black text.
    rules.append(f"text:not([style*=fill]){{fill:{DARK[INK]}}}")
    style = f'<style type="text/css">@media (prefers-color-scheme: dark){{{"".join(rules)}}}</style>'
    return svg.replace("<defs>", f"<defs>{style}", 1)
