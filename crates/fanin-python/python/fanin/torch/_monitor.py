"""The class `Monitor`, which measures signals, gradients and updates every k steps of a training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ._measure import Call, Moments, moments, observed, plain_name, unwrapped
from ._preserve import uncompiled
from ._probe.roles import role_of, unit_axis_of
from ._probe.terminal import number, sparkline


@dataclasses.dataclass(frozen=True)
class ModuleStatistics:
    """Statistics of a module's output in one step, over all calls of the module."""

    #: The mean square of the output.
    q: float
    #: The mean square of the gradient of the loss with respect to the output, or None if there was no backward pass.
    p: float | None
    mean: float
    #: The fraction of units whose output is 0 for every input. None unless the module is an activation, such as nn.ReLU.
    dead: float | None


@dataclasses.dataclass(frozen=True)
class ParameterStatistics:
    """Root mean squares of a parameter in one step."""

    #: The root mean square of the weights before the step.
    weight: float
    #: The root mean square of the gradient, or None if the parameter got no gradient.
    gradient: float | None
    #: The root mean square of the difference between the weights after and before the step.
    update: float


@dataclasses.dataclass(frozen=True)
class MonitorRecord:
    """The measurements of one step."""

    #: The index of the step, counted from 0.
    step: int
    #: Maps the name of each module to the module's statistics. The modules are in order of execution.
    modules: dict[str, ModuleStatistics]
    parameters: dict[str, ParameterStatistics]

    def scalars(self) -> dict[str, float]:
        """Returns a flat dict for loggers. The keys are names such as "q/layers.0" and "update/layers.0.weight"."""
        found = {}
        for group in (self.modules, self.parameters):
            for name, one in group.items():
                for key, value in dataclasses.asdict(one).items():
                    if value is not None:
                        found[f"{key}/{name}"] = value
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns the record as a dict of numbers."""
        return dataclasses.asdict(self)


class Monitor:
    """Measures signals, gradients and updates in every k-th step of a training loop.

    A measured step records these statistics:

    - For each module: the mean of its output, the mean square q of its output, and the mean square p of the gradient of
      the loss with respect to its output.
    - For each activation, such as nn.ReLU: also the fraction of dead units. The output of a dead unit is 0 for every
      input.
    - For each trainable parameter: the root mean squares of its values, its gradient and its update.

    Other steps cost nothing, because they have no hooks.

    During a measured step, compiled functions (torch.compile) run in eager mode. A copy of the trainable parameters is
    kept until the end of the step. With a gradient scaler, the gradients are those of the scaled loss. In a distributed
    run, each process measures only its own part of the batch, and only its own part of a DTensor.

    Parameters
    ----------
    model
        The model that is trained.
    every
        The number k of steps between measurements: steps 0, k, 2k, ... are measured.
    on_record
        A function that is called with each `MonitorRecord`, for example `lambda record: wandb.log(record.scalars(), record.step)`.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    >>> monitor = Monitor(model, every=50)
    >>> for _ in range(101):
    ...     with monitor.step():
    ...         loss = model(torch.randn(16, 8)).square().mean()
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    >>> [record.step for record in monitor.records]
    [0, 50, 100]
    >>> sorted(monitor.records[-1].modules)
    ['0', '1', '2']
    """

    def __init__(self, model: nn.Module, *, every: int = 50, on_record: Callable[[MonitorRecord], object] | None = None):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model = {model!r}: must be a torch.nn.Module")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every = {every!r}: must be a positive integer")
        self.model, self.every, self.on_record = unwrapped(model), every, on_record
        #: One record for each measured step.
        self.records: list[MonitorRecord] = []
        self._next = 0
        self._open: contextlib.ExitStack | None = None

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A context manager for one training step: the forward pass, the backward pass, and the optimizer's step.

        If the optimizer's step is outside the `with` block, the measured updates are 0. With gradient accumulation, put all batches
        of the step inside the `with` block.
        """
        self.begin_step()
        try:
            yield
        except BaseException:
            self.abandon_step()
            raise
        self.end_step()

    def begin_step(self) -> None:
        """Begins a step, for loops that cannot use `with monitor.step()`. If the previous step has not ended, abandons it."""
        self.abandon_step()
        if self._next % self.every == 0:
            stack = contextlib.ExitStack()
            self._measured = stack.enter_context(_measured(self.model))
            self._open = stack

    def end_step(self) -> None:
        """Ends a step. If the step was measured, its record is added to `records`."""
        number, self._next = self._next, self._next + 1
        if self._open is not None:
            self.abandon_step()
            record = MonitorRecord(number, self._measured.modules(), self._measured.parameters())
            self.records.append(record)
            if self.on_record is not None:
                self.on_record(record)

    def abandon_step(self) -> None:
        """Abandons a step, for example after an exception: removes its hooks and adds no record.

        Does nothing if no step has begun.
        """
        if self._open is not None:
            stack, self._open = self._open, None
            stack.close()

    def lightning_callback(self) -> Any:
        """Returns a callback for `lightning.Trainer(callbacks=[...])`. Needs lightning or pytorch_lightning."""
        from ._callbacks import lightning_callback

        return lightning_callback(self)

    def transformers_callback(self) -> Any:
        """Returns a callback for `transformers.Trainer(callbacks=[...])`. Needs transformers."""
        from ._callbacks import transformers_callback

        return transformers_callback(self)

    def to_json(self) -> list[dict[str, Any]]:
        """Returns all records as dicts of numbers."""
        return [one.to_json() for one in self.records]

    def __str__(self) -> str:
        """Returns a table of the modules and a table of the parameters in the last record.

        The table of the modules also shows two curves over all records: q (the mean square of the module's output), and
        p (the mean square of the gradient of the loss with respect to this output).
        """
        if not self.records:
            return f"{type(self.model).__name__}: no step was measured yet"
        last = self.records[-1]
        rows: list[tuple[str, ...]] = [("module", "q", "over steps", "p", "over steps", "mean", "dead")]
        for name, one in last.modules.items():
            past = [record.modules.get(name) for record in self.records]
            curves = [sparkline([None if was is None else getattr(was, key) for was in past], 20) for key in ("q", "p")]
            dead = "-" if one.dead is None else f"{one.dead:.0%}"
            rows.append((name, number(one.q), curves[0], number(one.p), curves[1], number(one.mean), dead))
        lines = [f"{type(self.model).__name__}: step {last.step}, {len(self.records)} measured", *_aligned(rows), ""]
        rows = [("parameter", "weight", "gradient", "update / weight")]
        for name, value in last.parameters.items():
            ratio = value.update / value.weight if value.weight else math.nan
            rows.append((name, number(value.weight), number(value.gradient), number(ratio)))
        return "\n".join(lines + _aligned(rows))

    def __repr__(self) -> str:
        return f"Monitor({type(self.model).__name__}, every={self.every}, {len(self.records)} records)"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


class _Step:
    """The data collected during one measured step, such as the sum of the squares of each module's outputs."""

    def __init__(self, model: nn.Module):
        self.signals: dict[str, Moments] = {}
        self.gradients: dict[str, Moments] = {}
        self.activations: set[str] = set()
        self.before = {plain_name(name): (one, _local(one).clone()) for name, one in model.named_parameters() if one.requires_grad}
        self.parameter_gradients: dict[str, float] = {}
        self._seen = WeakTensorKeyDictionary()

    def leave(self, call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        # With activation checkpointing, modules run again in the backward pass. These second calls are not measured.
        if not outputs or torch._C._current_graph_task_id() != -1:
            return
        # The first output of the whole model may be the loss, a scalar. A tensor with axes is preferred.
        output = next((one for one in outputs if one.dim()), outputs[0])
        # A container may return the output of its last module. This output has already been measured.
        if output in self._seen and any(True for _ in call.module.children()):
            return
        self._seen[output] = True
        name = call.name or "(model)"
        is_activation = role_of(call.module) == "other" and not any(True for _ in call.module.parameters(False))
        axis = unit_axis_of(call.module, output, None) if output.dim() and is_activation else None
        if is_activation:
            self.activations.add(name)
        _add(self.signals, name, moments(output, unit_axis=axis))
        if output.requires_grad:
            output.register_hook(lambda gradient: _add(self.gradients, name, moments(gradient)))

    def modules(self) -> dict[str, ModuleStatistics]:
        found = {}
        for name, one in self.signals.items():
            gradient = self.gradients.get(name)
            dead = one.dead_share if name in self.activations else None
            found[name] = ModuleStatistics(one.q, None if gradient is None else gradient.q, one.mean, dead)
        return found

    def parameters(self) -> dict[str, ParameterStatistics]:
        found = {}
        for name, (parameter, before) in self.before.items():
            update = moments(_local(parameter) - before).rms
            found[name] = ParameterStatistics(moments(before).rms, self.parameter_gradients.get(name), update)
        return found


@contextlib.contextmanager
def _measured(model: nn.Module) -> Iterator[_Step]:
    """A context manager. Measures the training step that runs in the `with` block."""
    step = _Step(model)
    handles = []
    try:
        for name, (parameter, _) in step.before.items():

            def on_gradient(parameter: Tensor, name: str = name) -> None:
                if parameter.grad is not None:
                    gradient = _local(parameter.grad)
                    step.parameter_gradients[name] = moments(gradient.to_dense() if gradient.is_sparse else gradient).rms

            handles.append(parameter.register_post_accumulate_grad_hook(on_gradient))
        with uncompiled(), observed(model, step.leave):
            yield step
    finally:
        for handle in handles:
            handle.remove()


def _local(tensor: Tensor) -> Tensor:
    """Returns a tensor detached from autograd. For a DTensor, returns the local tensor of this process."""
    local = getattr(tensor.detach(), "to_local", None)
    return tensor.detach() if local is None else local()


def _add(sums: dict[str, Moments], name: str, one: Moments) -> None:
    if name in sums:
        sums[name].add(one)
    else:
        sums[name] = one
