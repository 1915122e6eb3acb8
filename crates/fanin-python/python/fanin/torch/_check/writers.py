"""Looks up which operation wrote a tensor last, with `trace_init`."""

from __future__ import annotations

from collections.abc import Callable
from torch import nn

from ..trace import InitTrace, trace_init
from .build_paths import Built
from .report import Writer


def traced_build(build: Callable[[], Built]) -> tuple[InitTrace | None, Built]:
    """Calls a function that builds a module, and returns the trace of the build and the result.

    If tracing fails, the module is built without a trace, and None is returned for the trace.
    """
    built: list[Built] = []

    def run() -> nn.Module:
        built.append(build())
        return built[-1].module

    try:
        return trace_init(run), built[-1]
    except Exception:
        # Findings are worth more than their writers. If the build itself raises, it does so again here.
        return None, built[-1] if built else build()


def writer_of(trace: InitTrace | None, names: tuple[str, ...]) -> Writer | None:
    """Returns the last writer of a tensor. Returns None if nothing wrote it, or if there is no trace."""
    for name in names:
        # Tensors that are no parameters and no buffers are not in the trace.
        if trace is not None and name in trace:
            last = trace[name].last
            if last is not None and last.file is not None and last.line is not None:
                return Writer(last.initializer, last.file, last.line)
    return None


def was_drawn(trace: InitTrace | None, name: str) -> bool:
    """Returns whether the values of a tensor are known to be draws, or copies of draws."""
    return trace is not None and name in trace and any(write.drawn for write in trace[name].left)
