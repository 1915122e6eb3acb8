"""Formats a trace as a table for a terminal, as HTML for a notebook, and as JSON."""

from __future__ import annotations

import html
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..trace import InitTrace
    from .calls import Line
    from .traced_tensor import TracedTensor, Write

_HEADER = ("name", "shape", "dtype", "initializer", "called from")


def as_text(trace: InitTrace) -> str:
    """Returns the table of a trace as text. In a terminal, tensors with elements that no code wrote are red."""
    rows = [_row(tensor) for tensor in trace.values()]
    widths = [max(len(row[column]) for row in [_HEADER, *rows]) for column in range(4)]
    red, plain = ("\x1b[31m", "\x1b[0m") if _has_colors() else ("", "")
    lines = [_columns(_HEADER, widths)]
    for row, tensor in zip(rows, trace.values()):
        line = _columns(row, widths)
        lines.append(f"{red}{line}{plain}" if tensor.unwritten else line)
    lines += ["", *(f"{red}{line}{plain}" if line.startswith("not written") else line for line in _summary(trace))]
    return "\n".join(lines)


def as_html(trace: InitTrace) -> str:
    """Returns the table of a trace as HTML."""
    rows = []
    for tensor in trace.values():
        style = ' style="color: #b00020; font-weight: bold"' if tensor.unwritten else ""
        cells = "".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in _row(tensor))
        rows.append(f"<tr{style}>{cells}</tr>")
    head = "".join(f'<th style="text-align: left">{cell}</th>' for cell in _HEADER)
    summary = "".join(f"<p>{html.escape(line)}</p>" for line in _summary(trace))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{summary}"


def as_json(trace: InitTrace, indent: int | None = None) -> str:
    """Returns a trace as JSON text."""
    return json.dumps(as_dict(trace), indent=indent)


def as_dict(trace: InitTrace) -> dict[str, Any]:
    """Returns a trace as a dict that json.dumps accepts."""
    return {
        "module": type(trace.module).__name__,
        "tensors": [_tensor_dict(tensor) for tensor in trace.values()],
        "unwritten": trace.unwritten,
        "overwritten": [_write_dict(write) for write in trace.overwritten],
    }


def _tensor_dict(tensor: TracedTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "device": tensor.device,
        "kind": tensor.kind,
        "is_persistent": tensor.is_persistent,
        "tied_to": tensor.tied_to,
        "initializer": tensor.initializer,
        "unwritten": tensor.unwritten,
        "allocated": [_line_dict(line) for line in tensor.allocated],
        "writes": [_write_dict(write) for write in tensor.writes],
    }


def _write_dict(write: Write) -> dict[str, Any]:
    return {
        "tensor": write.tensor,
        "initializer": write.initializer,
        "is_spec": write.is_spec,
        "is_whole": write.is_whole,
        "is_superseded": write.is_superseded,
        "drawn": write.drawn,
        "seconds": round(write.seconds, 6),
        "sources": list(write.sources),
        "stack": [_line_dict(line) for line in write.stack],
        "copied_by": [_line_dict(line) for line in write.copied_by],
    }


def _line_dict(line: Line) -> dict[str, Any]:
    return {"file": line.file, "line": line.line, "function": line.function}


def _row(tensor: TracedTensor) -> tuple[str, str, str, str, str]:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    return (tensor.name, shape, tensor.dtype, _initializer(tensor), _where(tensor))


def _initializer(tensor: TracedTensor) -> str:
    if tensor.tied_to is not None:
        return f"tied to {tensor.tied_to}"
    if tensor.device == "meta":
        return "on the meta device"
    if tensor.unwritten == _count(tensor):
        return "NOT WRITTEN" if tensor.unwritten else "no elements"
    text = tensor.initializer or "not recorded"
    return f"{tensor.unwritten} elements NOT WRITTEN; {text}" if tensor.unwritten else text


def _count(tensor: TracedTensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _where(tensor: TracedTensor) -> str:
    writer = tensor.writer
    if writer is not None and writer.stack:
        where = _short(writer.stack[0])
        return f"{where}, copied by {_short(writer.copied_by[0])}" if writer.copied_by else where
    return f"allocated at {_short(tensor.allocated[0])}" if tensor.allocated else ""


def _short(line: Line) -> str:
    """Returns the file, number and function of a source line. The path is relative to site-packages or the working directory."""
    file = line.file.replace("\\", "/")
    for folder in ("/site-packages/", "/dist-packages/", os.getcwd().replace("\\", "/") + "/"):
        if folder in file:
            file = file.split(folder)[-1]
    return f"{file}:{line.line} {line.function}"


def _summary(trace: InitTrace) -> list[str]:
    lines = []
    if trace.unwritten:
        lines.append(f"not written: {', '.join(trace.unwritten)}")
    if trace.overwritten:
        values, seconds = sum(w.drawn for w in trace.overwritten), sum(w.seconds for w in trace.overwritten)
        draws = f"{len(trace.overwritten)} draw{'s' * (len(trace.overwritten) != 1)}"
        lines.append(f"drawn and not used: {draws}, {values:,} values, {seconds:.3f} s")
    return lines


def _columns(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), *row[len(widths) :]]).rstrip()


def _has_colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
