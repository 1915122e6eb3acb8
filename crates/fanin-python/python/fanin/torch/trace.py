"""Shows which initializer wrote each parameter of a model, from which line, and with which numbers.

>>> import torch, fanin.torch
>>> trace = fanin.torch.trace_init(lambda: torch.nn.Linear(4, 2))
>>> trace["weight"].initializer
'kaiming_uniform(a=sqrt(5))'
>>> trace["weight"].writer.function
'Linear.reset_parameters'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from ._trace_recorder import Recorder
    from ._traced_tensor import TracedTensor, Write

__all__ = ["InitTrace", "trace_init"]


class InitTrace(Mapping[str, "TracedTensor"]):
    """What initialization did to each parameter and buffer of a module. `trace_init` returns it.

    A mapping from the name of each parameter and buffer to a `TracedTensor`. Printing the trace shows a table. A notebook shows
    the table as HTML.

    Attributes
    ----------
    module
        The module.
    unwritten
        The names of the tensors that have elements that nobody wrote.
    overwritten
        The draws that were for nothing: the values were overwritten, or their memory was freed, before anything read them.
    """

    def __init__(self, module: nn.Module, recorder: Recorder):
        from ._traced_tensor import overwritten_draws, traced_tensors

        self.module = module
        self._recorder = recorder
        self._tensors: dict[str, TracedTensor] = traced_tensors(module, recorder)
        self.unwritten: list[str] = [name for name, tensor in self._tensors.items() if tensor.unwritten]
        self.overwritten: list[Write] = overwritten_draws(self._tensors, recorder)

    def __getitem__(self, name: str) -> TracedTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __str__(self) -> str:
        from ._trace_table import as_text

        return as_text(self)

    def __repr__(self) -> str:
        return f"<InitTrace of {type(self.module).__name__}: {len(self)} tensors, {len(self.unwritten)} not written>"

    def _repr_html_(self) -> str:
        from ._trace_table import as_html

        return as_html(self)

    def to_json(self, indent: int | None = None) -> str:
        """Returns the trace as JSON text."""
        from ._trace_table import as_json

        return as_json(self, indent)


def trace_init(build: Callable[[], Any] | nn.Module, initialize: Callable[[], Any] | None = None) -> InitTrace:
    """Runs initialization code, and records every write to what ends as a parameter or buffer.

    The code runs as it would without `trace_init`: the weights and the state of torch's generator are the same.

    Parameters
    ----------
    build
        A function without arguments that returns a module. It may instead return a module and a function that initializes the
        module, which is then called. Or a module, if `initialize` is given.
    initialize
        A function without arguments that initializes the module `build`, such as `model.init_weights`.

    Returns
    -------
    InitTrace
        A mapping from the name of each parameter and buffer to a `TracedTensor`.

    Notes
    -----
    Operators of torch are recorded that the calling thread executes. Not recorded are writes by other threads, writes through
    NumPy arrays that share memory with a tensor, and writes by C++ or CUDA code that calls no operator of torch.

    Examples
    --------
    >>> import torch, fanin.torch
    >>> class Scale(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = torch.nn.Parameter(torch.empty(8))
    ...         self.shift = torch.nn.Parameter(torch.zeros(8))
    >>> trace = fanin.torch.trace_init(Scale)
    >>> trace.unwritten
    ['scale']
    >>> trace["shift"].writer.initializer
    'zeros'
    """
    from ._trace_calls import run
    from ._trace_recorder import Recorder

    if isinstance(build, nn.Module):
        if initialize is None:
            raise TypeError("build is a module: also give a function, as in trace_init(model, model.init_weights)")
    elif initialize is not None:
        raise TypeError("initialize can only be given if build is a module")
    elif not callable(build):
        raise TypeError(f"build must be a function that returns a module, got {type(build).__name__}")
    recorder = Recorder()
    if isinstance(build, nn.Module):
        recorder.add_existing(build)
    try:
        with recorder:
            result = run(build if initialize is None else initialize)
            if initialize is None and _is_pair(result):
                run(result[1])
    finally:
        recorder.close()
    module = build if initialize is not None else result[0] if _is_pair(result) else result
    if not isinstance(module, nn.Module):
        raise TypeError(f"build must return a module, or a module and a function; it returned {type(result).__name__}")
    return InitTrace(module, recorder)


def _is_pair(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], nn.Module) and callable(result[1])
