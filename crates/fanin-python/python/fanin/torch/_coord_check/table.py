"""Formats a coordinate check as text for the terminal, and as HTML for notebooks."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from .slopes import Slope
from .verdict import LIMIT, first_slope

if TYPE_CHECKING:
    from .result import CoordCheck, Module

#: The maximum number of evenly spaced modules in a table. The table also shows all modules with findings.
ROWS = 60

MEANING = {
    "muP": "No size depends on the width, as in the maximal update parametrization (muP): learning rates transfer between widths.",
    "standard": "Changes grow with the width, as in the standard parametrization: wider models need smaller learning rates.",
    "kernel": "Updates of hidden layers vanish with the width, as in the kernel regime: wide models do not learn features.",
    "other": "Some sizes depend on the width: learning rates do not transfer between widths.",
}


def number(slope: Slope | None) -> str:
    """Returns an exponent as text with its sign and two decimals, or "-" for None."""
    if slope is None:
        return "-"
    return f"{slope.value:+.2f}" if math.isfinite(slope.value) else "inf"


def _header(check: CoordCheck) -> str:
    widths = ", ".join(map(str, check.widths))
    seeds, steps = f"{check.seeds} seed{'s' * (check.seeds != 1)}", f"{check.steps} step{'s' * (check.steps != 1)}"
    return f"{check.model}: widths {widths}; {seeds}, {steps}"


def _columns(check: CoordCheck) -> list[str]:
    return ["|h_0|", f"|h_{check.steps}|", *(f"h_{step} - h_0" for step in range(1, check.steps + 1)), "own change"]


def _slopes(module: Module) -> list[Slope | None]:
    return [module.size_slopes[0], module.size_slopes[-1], *module.change_slopes[1:], first_slope(module.own_slopes)[1]]


def _shown(check: CoordCheck) -> list[Module]:
    wrong = {one.module for one in check.findings}
    if len(check.modules) <= ROWS:
        return check.modules
    step = math.ceil(len(check.modules) / ROWS)
    return [one for index, one in enumerate(check.modules) if index % step == 0 or one.name in wrong]


def terminal(check: CoordCheck) -> str:
    """Returns the coordinate check as text for the terminal."""
    lines = [_header(check), MEANING[check.parametrization], ""]
    lines += [f"  x {one.module}: {one.text}" for one in check.findings[:20]]
    if len(check.findings) > 20:
        lines.append(f"  ... and {len(check.findings) - 20} more")
    lines += [""] * bool(check.findings) + [f"exponent of the width (0 is good; the limit is +-{LIMIT})"]
    rows = [["", *_columns(check)]]
    rows += [[one.name, *map(number, _slopes(one))] for one in _shown(check)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines + _left_out(check))


def _left_out(check: CoordCheck) -> list[str]:
    missing = len(check.modules) - len(_shown(check))
    return [f"  ({missing} more modules are in `modules`)"] if missing else []


def html(check: CoordCheck) -> str:
    """Returns the coordinate check as HTML. Exponents beyond the limit are bold and red."""
    cell = lambda slope: (
        f'<td style="text-align:right;font-weight:bold;color:#c0392b">{number(slope)}</td>'
        if slope is not None and abs(slope.value) > LIMIT
        else f'<td style="text-align:right">{number(slope)}</td>'
    )
    rows = "".join(
        f'<tr><td style="text-align:left"><code>{escape(one.name)}</code></td>{"".join(map(cell, _slopes(one)))}</tr>'
        for one in _shown(check)
    )
    findings = "".join(f"<li><code>{escape(one.module)}</code>: {escape(one.text)}</li>" for one in check.findings)
    header = "".join(f"<th>{escape(one)}</th>" for one in ["module", *_columns(check)])
    return (
        f"<div><p>{escape(_header(check))}<br><b>{escape(MEANING[check.parametrization])}</b></p><ul>{findings}</ul>"
        f"<table><caption>exponent of the width (0 is good; the limit is &#177;{LIMIT})</caption>"
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>{''.join(map(escape, _left_out(check)))}</div>"
    )


def page(check: CoordCheck) -> str:
    """Returns the coordinate check as a complete HTML page."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(check.model)} – fanin coord-check</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem}td,th{padding:.1rem .6rem}div{overflow-x:auto}</style></head>"
        f"<body>{html(check)}</body></html>"
    )
