"""Finds the last operation that wrote to a tensor, by means of `trace_init`."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..trace import InitTrace, trace_init
from .build_paths import Built
from .report import Writer


def traced_build(build: Callable[[], Built]) -> tuple[InitTrace | None, Built]:
    """Calls `build`. Returns a trace of the call (None if tracing fails), and the value that `build` returned."""
    built: list[Built] = []

    def run() -> nn.Module:
        built.append(build())
        return built[-1].module

    try:
        return trace_init(run), built[-1]
    except Exception:
        # If `build` itself raised the error, the second call of `build` raises it again.
        return None, built[-1] if built else build()


def writer_of(trace: InitTrace | None, names: tuple[str, ...]) -> Writer | None:
    """Returns the last writer of a tensor. Returns None if nothing wrote it, or if there is no trace."""
    for name in names:
        # Tensors that are plain attributes of a module, not parameters or buffers, are not in the trace.
        if trace is not None and name in trace:
            last = trace[name].last
            if last is not None and last.file is not None and last.line is not None:
                return Writer(last.initializer, last.file, last.line)
    return None


def was_drawn(trace: InitTrace | None, name: str) -> bool:
    """Returns whether the trace shows that the values of a tensor were drawn from a random generator."""
    return trace is not None and name in trace and any(write.drawn for write in trace[name].left)
