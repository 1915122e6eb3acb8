"""Formats a probe as an HTML page: one file that can be opened offline.

The file contains its style sheet and script. Its content security policy allows only these two, and forbids the page to
load anything. Names in a model may contain any text, so they are escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from ..._fanin import __version__
from .chart import charts
from .terminal import loss_text, mean_field_text, number, verdicts

if TYPE_CHECKING:
    from .result import Probe


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page(probe: Probe) -> str:
    """Returns the HTML of the whole page."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="generator" content="fanin {__version__}">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(probe.model)} – fanin probe</title><style>{style}</style></head>"
        f'<body class="fanin-probe"><header><h1><bdi>{escape(probe.model)}</bdi></h1><p class="note">{_subtitle(probe)}</p></header>'
        f"<main>{_findings(probe)}{_overview(probe)}{_layers(probe)}{_residuals(probe)}{_attention(probe)}{_recurrent(probe)}{_parameters(probe)}</main>"
        f"<script>{script}</script></body></html>"
    )


def fragment(probe: Probe) -> str:
    """Returns the HTML that a notebook shows: the findings, the charts, and the table of slopes."""
    return (
        f'<div class="fanin-probe"><style>{_asset("page.css")}</style><h3>{escape(probe.model)}</h3>'
        f"{_findings(probe)}{_overview(probe)}</div>"
    )


def _subtitle(probe: Probe) -> str:
    inputs = probe._analysis.run.batch
    parts = [f"{probe.parameter_count:,} parameters", f"{len(probe.trunk)} {probe.unit}s"]
    parts += [f"{inputs} inputs"] if inputs else []
    parts += [f"{probe.seeds} seed{'s' * (probe.seeds != 1)}"]
    return f"{', '.join(parts)}. Measured with fanin {__version__}."


def _findings(probe: Probe) -> str:
    problems = [one for one in probe.findings if one.level == "problem"]
    heading = "No problem found" if not problems else f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    items = "".join(
        f'<li class="{one.level}"><b><bdi>{escape(one.module)}</bdi></b>: {escape(one.text)} '
        f'<span class="note">(limit {number(one.limit, 5)}: {escape(one.source)})</span></li>'
        for one in probe.findings
    )
    advice = "".join(
        f"<li>{escape(one.text[:1].upper() + one.text[1:])}: <b>{escape(one.result)}</b>"
        + f"<pre>{escape(chr(10).join(f'{chr(34)}{name}{chr(34)} = {chr(34)}{spec}{chr(34)}' for name, spec in one.rules.items()))}</pre></li>"
        for one in probe.advice
    )
    tried = f"<h2>What helps: tried on a copy</h2><ol>{advice}</ol>" if advice else ""
    return f'<section class="findings {"bad" if problems else "good"}"><h2>{heading}</h2><ul>{items}</ul></section>{tried}'


def _overview(probe: Probe) -> str:
    lines = [escape(one[:1].upper() + one[1:]) + "." for one in verdicts(probe)]
    for name, fit in (("signal", probe.forward), ("gradient", probe.backward)):
        if fit is None:
            lines.append(f"The {name} has no slope: a value along the depth is 0, not finite or missing.")
    if probe.mean_field is not None:
        text = mean_field_text(probe)
        lines.append(escape(text[:1].upper() + text[1:]) + ".")
    if probe.loss is not None:
        text = loss_text(probe)
        lines.append(escape(text[:1].upper() + text[1:]) + ".")
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    return f"<section><h2>Along the depth</h2>{paragraphs}{charts(probe)}{_slopes(probe)}</section>"


def _slopes(probe: Probe) -> str:
    rows = []
    for name, fit in (("signal, ln q", probe.forward), ("gradient, ln P", probe.backward)):
        if fit is not None:
            interval = "-" if math.isinf(fit.low) else f"{fit.low:+.4f} to {fit.high:+.4f} ({fit.interval})"
            inputs = "-" if fit.inputs is None else f"{fit.inputs[0]:+.4f} to {fit.inputs[1]:+.4f}"
            theory = "-" if fit.theory is None else f"{fit.theory:+.4f}"
            rows.append([name, f"{fit.slope:+.4f}", interval, inputs, theory, f"{fit.total:+.2f}"])
    columns = ["", f"slope a {probe.unit}", "95 % interval", "single inputs", "theory", "over the whole depth"]
    return _table("slopes", columns, rows, sortable=False) if rows else ""


def _layers(probe: Probe) -> str:
    columns = ["layer", "kind", "shape", "q", "theory q", "p", "theory p", "mean", "dead", "saturated", "cos inputs", "cos tokens"]
    rows: list[Sequence[object]] = [
        (
            one.name,
            one.kind,
            " x ".join(map(str, one.shape)),
            one.q,
            one.theory_q,
            one.p,
            one.theory_p,
            one.forward.mean,
            one.dead,
            one.saturated,
            one.cosine_inputs,
            one.cosine_tokens,
        )
        for one in probe.layers
    ]
    return f"<section><h2>Layers in order of execution</h2>{_table('layers', columns, rows)}</section>"


def _residuals(probe: Probe) -> str:
    if not probe.residuals:
        return ""
    layers = probe._analysis.run.layers
    rows = []
    for one in probe.residuals:
        stream, branch = layers[one.stream], layers[one.branch]
        ratio = branch.q / stream.q if stream.q > 0 else None
        rows.append((one.module, stream.name, branch.name, stream.q, branch.q, ratio))
    columns = ["module", "stream", "branch", "q of the stream", "q of the branch", "branch / stream"]
    return f"<section><h2>Residual additions</h2>{_table('residuals', columns, rows)}</section>"


def _attention(probe: Probe) -> str:
    if not probe.attention:
        return ""
    rows = [(one.module, one.entropy, one.logits) for one in probe.attention]
    columns = ["attention", "entropy / uniform", "std of the logits"]
    return f"<section><h2>Attention</h2>{_table('attention', columns, rows)}</section>"


def _recurrent(probe: Probe) -> str:
    if not probe.recurrences:
        return ""
    rows = [(one.module, str(one.layer), str(one.steps), one.gradient) for one in probe.recurrences]
    columns = ["module", "layer", "time steps", "ln of the gradient, a step back"]
    return f"<section><h2>Recurrent layers</h2>{_table('recurrent', columns, rows)}</section>"


def _parameters(probe: Probe) -> str:
    columns = ["parameter", "shape", "rms", "rms of the gradient", "ratio"]
    rows = [(one.name, " x ".join(map(str, one.shape)), one.rms, one.gradient_rms, one.ratio) for one in probe.parameters]
    return f"<section><h2>Parameters</h2>{_table('parameters', columns, rows)}</section>"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], sortable: bool = True) -> str:
    # A column without any value is left out.
    kept = [index for index in range(len(columns)) if not rows or any(row[index] is not None for row in rows)]
    columns, rows = [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]
    numeric = [any(isinstance(row[index], float) for row in rows) for index in range(len(columns))]
    heads = "".join(
        f'<th scope="col"{" class=n" if number_ else ""}>' + (f'<button type="button">{text}</button>' if sortable else text) + "</th>"
        for text, number_ in zip(columns, numeric)
    )
    body = "".join("<tr>" + "".join(_cell(*one) for one in zip(row, columns, numeric)) + "</tr>" for row in rows)
    search = f'<p><input type="search" placeholder="filter" aria-label="filter {name}"> <output></output></p>' if sortable else ""
    return (
        f'<div class="table" id="{name}">{search}<div class="scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _cell(value: object, column: str, is_number: bool) -> str:
    label = f' data-l="{column}"' if column else ""
    if value is None or isinstance(value, float):
        known = value is not None and not math.isnan(value)
        sort = f' data-v="{value!r}"' if known else ""
        return f"<td class=n{label}{sort}>{number(value) if known else '–'}</td>"
    return f"<td{' class=n' if is_number else ''}{label}>{escape(str(value))}</td>"
