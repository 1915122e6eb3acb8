"""Shows which initializer wrote each parameter of a model, with which arguments, and from which line of code.

>>> import torch, fanin.torch
>>> trace = fanin.torch.trace_init(lambda: torch.nn.Linear(4, 2))
>>> trace["weight"].initializer
'kaiming_uniform(a=sqrt(5))'
>>> trace["weight"].writer.function
'Linear.reset_parameters'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from ._trace.recorder import Recorder
    from ._trace.traced_tensor import TracedTensor, Write

__all__ = ["InitTrace", "trace_init"]


class InitTrace(Mapping[str, "TracedTensor"]):
    """What initialization did to each parameter and buffer of a module. `trace_init` returns it.

    A mapping from the name of each parameter and buffer to a `TracedTensor`. Printing the trace shows a table. A Jupyter
    notebook shows the table as HTML.

    Attributes
    ----------
    module
        The module.
    """

    def __init__(self, module: nn.Module, recorder: Recorder):
        from ._trace.traced_tensor import traced_tensors

        self.module = module
        self._recorder = recorder
        self._tensors: dict[str, TracedTensor] = traced_tensors(module, recorder)

    @cached_property
    def unwritten(self) -> list[str]:
        """The names of the tensors that have elements that no code wrote."""
        return [name for name, tensor in self._tensors.items() if tensor.unwritten]

    @cached_property
    def overwritten(self) -> list[Write]:
        """The draws whose values were overwritten, or freed, before any code read them."""
        from ._trace.traced_tensor import overwritten_draws

        return overwritten_draws(self._tensors, self._recorder)

    def __getitem__(self, name: str) -> TracedTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __str__(self) -> str:
        from ._trace.table import as_text

        return as_text(self)

    def __repr__(self) -> str:
        return f"<InitTrace of {type(self.module).__name__}: {len(self)} tensors, {len(self.unwritten)} not written>"

    def _repr_html_(self) -> str:
        from ._trace.table import as_html

        return as_html(self)

    def replay(self, max_values: int = 4096) -> str:
        """Returns a replay: the text of a TOML file from which fanin computes the exact weights without torch.

        The file lists, for each tensor of the module's state_dict, the writes and their positions in torch's stream of random
        numbers. `fanin init replay.toml --stream torch -o model.safetensors` writes the weights. Every tensor is computed from
        the replay and compared with the module before the text is returned.

        Parameters
        ----------
        max_values
            The greatest number of elements of a tensor whose values may be written as a list. The values are written as a list if
            a replay cannot express the writes. Such writes are arithmetic with several tensors, values from Python or NumPy, and
            functions such as `exp`.

        Raises
        ------
        ValueError
            If a replay cannot express some of the tensors. The message gives the reason for each tensor. A replay cannot express
            `orthogonal_` and timm's `trunc_normal_`, because the last bits of their values differ between CPUs.

        Examples
        --------
        >>> import torch, fanin.torch
        >>> def build():
        ...     _ = torch.manual_seed(0)
        ...     return torch.nn.Linear(3, 2)
        >>> print(fanin.torch.trace_init(build).replay().split("[tensors]")[1].strip())
        "weight" = { shape = [2, 3], fill = "uniform(a=-0.5773502691896257, b=0.5773502691896257)", at = 0 }
        "bias" = { shape = [2], fill = "uniform(a=-1/sqrt(3), b=1/sqrt(3))", at = 6 }
        """
        from ._trace.replay import write

        return write(self, max_values)

    def recipe(self) -> str:
        """Returns a recipe that gives each tensor of the module the distribution of its recorded writes.

        Tensors with the same distribution share a rule with a name pattern. A number is written as a formula if one fits, such as
        `0.02/sqrt(2*n_layer)`. If a recipe cannot express the writes of a tensor, a comment that begins with CHECK says why.

        Examples
        --------
        >>> import torch, fanin.torch
        >>> print(fanin.torch.trace_init(lambda: torch.nn.Linear(3, 2)).recipe())
        # Recorded by fanin.torch.trace_init from Linear: 2 tensors.
        <BLANKLINE>
        [init]
        "weight" = "kaiming_uniform(a=sqrt(5))"
        "bias" = "linear_default_bias(weight_fan_in)"
        <BLANKLINE>
        """
        from ._trace.recipe import write

        return write(self)

    def to_json(self, indent: int | None = None) -> str:
        """Returns the trace as JSON text."""
        from ._trace.table import as_json

        return as_json(self, indent)


def trace_init(build: Callable[[], Any] | nn.Module, initialize: Callable[[], Any] | None = None) -> InitTrace:
    """Runs initialization code, and records every write to a tensor that becomes a parameter or buffer of the module.

    The code runs as it would without `trace_init`: the weights and the state of torch's generator are the same.

    Parameters
    ----------
    build
        A function without arguments that returns a module. It may instead return a module and a function that initializes the
        module. This function is then called without arguments. If `initialize` is given, `build` is a module instead.
    initialize
        A function without arguments that initializes the module `build`, such as `model.init_weights`.

    Returns
    -------
    InitTrace
        A mapping from the name of each parameter and buffer to a `TracedTensor`.

    Notes
    -----
    trace_init records the operators of torch that the calling thread executes. It does not record writes by other threads, writes
    through NumPy arrays that share memory with a tensor, and writes by C++ or CUDA code that calls no operator of torch.

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
    from ._trace.calls import run
    from ._trace.recorder import Recorder

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
