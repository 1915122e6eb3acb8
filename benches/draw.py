"""Draws the charts of `docs/bench.svg`: the speedup over torch by case, and the speed by size and by number of threads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from chart_style import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PINK, save, styled_pyplot

COLOURS = {
    "native stream": BLUE,
    "torch stream": PINK,
    "torch": GREY,
    "numpy": ORANGE,
    "jax": GREEN,
    "memory fill": INK,
}


def draw(result: dict[str, Any], path: Path) -> None:
    plt = styled_pyplot()
    runs = {int(count): run for count, run in result["threads"].items()}
    max_threads = max(runs)
    cases = runs[max_threads]["cases"]
    curves = bool(runs[max_threads]["sizes"])
    figure = plt.figure(figsize=(10, 9.2 if curves else 5.5))
    grid = figure.add_gridspec(2 if curves else 1, 2, height_ratios=(1.5, 1) if curves else (1,), hspace=0.28, wspace=0.22)
    bars(figure.add_subplot(grid[0, :]), cases, max_threads)
    if curves:
        by_size(figure.add_subplot(grid[1, 0]), runs[max_threads]["sizes"]["normal"])
        by_threads(figure.add_subplot(grid[1, 1]), runs)
    machine = result["machine"]
    figure.text(
        0.01,
        0.005,
        f"{machine['cpu']}, {machine['cores']} cores; torch {machine['torch']}, NumPy {machine['numpy']}, JAX {machine['jax']}; "
        "medians of one interleaved run",
        fontsize=7.5,
        color=COLOURS["torch"],
    )
    save(figure, path, padding=0.15)
    plt.close(figure)


def bars(axes: Any, cases: list[dict[str, Any]], threads: int) -> None:
    """Draws two bars for each fill, one for each stream. The axis is the speedup over torch, on a logarithmic scale."""
    names = [case["name"] for case in cases]
    height = 0.36
    for offset, stream in ((-height / 2, "native stream"), (height / 2, "torch stream")):
        ratios = [case["seconds"]["torch"] / case["seconds"][stream] for case in cases]
        positions = [row + offset for row in range(len(cases))]
        left = [min(1, ratio) for ratio in ratios]
        widths = [abs(ratio - 1) for ratio in ratios]
        axes.barh(positions, widths, height * 0.92, left=left, color=COLOURS[stream], label=stream)
        for position, ratio in zip(positions, ratios):
            text = f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
            axes.text(max(ratio, 1) * 1.06, position, text, va="center", fontsize=7.5, color=COLOURS[stream])
    axes.axvline(1, color=COLOURS["torch"], linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}x")
    axes.set_title(f"Times faster than torch, {threads} threads, 2^24 values unless stated", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="lower right")


def by_size(axes: Any, fills: list[dict[str, Any]]) -> None:
    for name in ("torch", "numpy", "torch stream", "native stream", "memory fill"):
        points = [(f["values"], 1e9 * f["seconds"][name] / f["values"]) for f in fills if name in f["seconds"]]
        label = "NumPy" if name == "numpy" else name
        style = "--" if name == "memory fill" else "-"
        axes.plot(*zip(*points), style, color=COLOURS[name], label=label, marker="o", markersize=2.5, linewidth=1.4)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_title("normal f32: ns per value, by number of values", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=8)


def by_threads(axes: Any, runs: dict[int, dict[str, Any]]) -> None:
    for name_of_case, style in (("normal f32", "-"), ("uniform f32", ":")):
        for name in ("torch", "torch stream", "native stream"):
            points = []
            for count, run in sorted(runs.items()):
                for case in run["cases"]:
                    if case["name"] == name_of_case:
                        points.append((count, case["values"] / case["seconds"][name] / 1e9))
            if points:
                axes.plot(*zip(*points), style, color=COLOURS[name], label=f"{name}, {name_of_case.split()[0]}", marker="o", markersize=3)
    axes.set_xticks(sorted(runs))
    axes.set_ylim(bottom=0)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_title("Billions of values per second, by threads", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=8)
