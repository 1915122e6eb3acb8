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
    """A record of the initialization of a module. `trace_init` returns it.

    The trace is a mapping from the name of each parameter and buffer to a `TracedTensor`. `print(trace)` shows a table.
    A Jupyter notebook shows the table as HTML.

    Attributes
    ----------
    module
        The initialized module.
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

        The file lists the writes to each tensor of the module's state_dict. For a random fill, it also gives the
        position in torch's stream of random numbers. `fanin init replay.toml --stream torch -o model.safetensors`
        writes the weights.

        Before this method returns, it computes every tensor from the replay and compares it with the module's tensor.

        Parameters
        ----------
        max_values
            The largest number of values that may be listed for a tensor. The values of a tensor are listed if a replay
            cannot express its writes. Such writes are arithmetic with several tensors, values from Python or NumPy, and
            functions such as `exp`. A replay also cannot express `orthogonal_` and timm's `trunc_normal_`, because the
            last bits of their values differ between CPUs. The values of integer tensors are also listed, except
            constants and `arange`.

        Raises
        ------
        ValueError
            If the replay cannot contain some of the tensors, for example because more than `max_values` values must be
            listed. The message gives the reason for each tensor.

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
        """Returns a recipe with the recorded initializer of each tensor of the module.

        Tensors with the same initializer share a rule with a name pattern. A number is written as a formula if one
        fits, such as `0.02/sqrt(2*n_layer)`. If a recipe cannot express the writes of a tensor, for example arithmetic
        with several tensors, the tensor's rule has a comment that begins with CHECK and gives the reason.

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
    """Runs initialization code, and records every write to the parameters and buffers of the module.

    Writes to a tensor before it becomes a parameter or buffer are also recorded. The weights and the state of torch's
    generator are the same as without `trace_init`.

    Parameters
    ----------
    build
        A function without arguments that returns a module. It may also return a tuple: a module, and a function without
        arguments that initializes the module. If `initialize` is given, `build` must be the module itself.
    initialize
        A function without arguments that initializes the module `build`, such as `model.init_weights`.

    Returns
    -------
    InitTrace
        A mapping from the name of each parameter and buffer to a `TracedTensor`.

    Notes
    -----
    `trace_init` records the torch operators that the calling thread executes. It does not record

    - writes by other threads,
    - writes through a NumPy array that shares memory with a tensor,
    - writes by C++ or CUDA code that calls no torch operator.

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
