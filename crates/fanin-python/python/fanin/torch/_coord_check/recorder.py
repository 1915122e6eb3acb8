"""The class `Recorder`: measures the rms (root mean square) of outputs and of their changes during a few training steps."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.weak import WeakTensorKeyDictionary

from .._measure import Call, moments, observed, tensors_of, version_of
from .._preserve import generators_restored
from .attention import AttentionMode, OnGradient

#: The `kind` of an `Output` that is the logits of an attention layer, not the output of a module.
LOGITS = "attention logits"


class Output:
    """The rms (root mean square) of the output of a module call, or of attention logits, after each training step."""

    def __init__(self, kind: str, has_parameters: bool, first: Tensor):
        self.kind, self.has_parameters, self.shape = kind, has_parameters, tuple(first.shape)
        #: The output h_0 before the first step. It is deleted after the run, as is `direction`.
        self.first = first
        #: The rms of the module's first floating-point input before the first step. None if there is no floating-point input.
        self.input: float | None = None
        #: If the output is attention logits: the gradient of the loss with respect to the logits, divided by its norm.
        #: The gradient is that of the first training step in which the gradient is not 0.
        self.direction: Tensor | None = None
        #: The rms of the output h_t after t training steps, for t = 0, 1, ...
        self.size: list[float] = []
        #: The rms of the change h_t - h_0 of the output, for t = 0, 1, ...
        self.change: list[float] = []
        #: The rms of the module's own change (see `Recorder`), for t = 0, 1, ...
        self.own: list[float | None] = []

    def set_direction(self, gradient: Tensor) -> None:
        """Stores the direction of a gradient, unless the gradient is 0."""
        norm = float(gradient.detach().double().norm())
        if norm > 0 and gradient.shape == self.first.shape:
            self.direction = gradient.detach() / norm


class Recorder:
    """Records the rms (root mean square) of the outputs of all modules in the first training steps.

    The *own change* of a module f is f(x_t; w_t) - f(x_t; w_0). x_t is the input and w_t are the parameters after t
    steps. The own change is the effect of the updates of the module's own parameters. In contrast, the *change*
    h_t - h_0 of the output also depends on changes of the input. Own changes of containers are not measured.

    The own change of attention logits is measured in another way. f is the module that computes queries, keys and
    logits, and only one component of the own change is measured: the component along the gradient of the loss with
    respect to the logits. In narrow models, the other components are mostly random. The gradient is that of the first
    training step in which the gradient is not 0.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.outputs: dict[str, Output] = {}
        #: The initial parameters w_0 of each module whose own change (see above) is measured.
        self._parameters = {module: _copies(module) for module in model.modules() if _has_own_change(module)}
        #: For each module, the rms of its own change (see above) in its current call.
        self._own: dict[nn.Module, float] = {}
        #: The tensors that were recorded in this forward pass, and their versions.
        self._seen = WeakTensorKeyDictionary()
        #: The number of outputs that were recorded under each name in this forward pass.
        self._counts: dict[str, int] = {}
        #: The running calls of modules, outermost first, and the rms of their inputs.
        self._frames: list[Call] = []
        self._inputs: list[float | None] = []
        #: The number of training steps so far.
        self._step = 0
        #: Whether a module is being called again with other parameters. Hooks then record nothing.
        self._is_busy = False
        #: For each module that computes logits of attention, the logits of its current call.
        self._hosts: dict[nn.Module, list[tuple[Output, Tensor]]] = {}
        #: The logits that were computed when a module was called again with its initial parameters.
        self._captured: list[Tensor] = []

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """A context manager that records the forward pass inside it. `number` is the number of training steps before this pass."""
        self._step = number
        self._seen.clear()
        self._counts.clear()
        self._frames.clear()
        self._inputs.clear()
        handles = []
        try:
            for module, initial in self._parameters.items():
                if number and initial:
                    handles.append(module.register_forward_hook(self._measure_own, with_kwargs=True))
            for host, logits in self._hosts.items():
                logits.clear()
                if number:
                    handles.append(host.register_forward_hook(self._measure_logits, with_kwargs=True))
            with observed(self.model, self._leave, on_enter=self._enter), AttentionMode(self._on_logits):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _measure_own(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._is_busy:
            return
        before = self._call_again(module, self._parameters[module], args, kwargs)
        pairs = list(zip(tensors_of(output), tensors_of(before)))
        if pairs:
            after, reference = pairs[0]
            self._own[module] = moments(after.detach() - reference).rms

    def _call_again(self, module: nn.Module, parameters: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
        """Calls a module again with other parameters. The module's buffers and the states of the generators do not change."""
        self._is_busy = True
        self._captured.clear()
        buffers = {name: one.clone() for name, one in module.named_buffers()}
        try:
            with torch.no_grad(), generators_restored():
                return functional_call(module, {**buffers, **parameters}, args, kwargs)
        finally:
            self._is_busy = False

    def _enter(self, call: Call, inputs: list[Tensor]) -> None:
        if not self._is_busy:
            self._frames.append(call)
            self._inputs.append(moments(inputs[0]).rms if inputs and not self._step else None)

    def _leave(self, call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        if self._is_busy:
            return
        self._frames.pop()
        size = self._inputs.pop()
        own = self._own.pop(call.module, None)
        if not outputs:
            return
        tensor = outputs[0]
        # A container returns the output of its last module, which has been recorded already.
        if self._seen.get(tensor) == version_of(tensor):
            return
        self._seen[tensor] = version_of(tensor)
        has_parameters = bool(self._parameters.get(call.module))
        output = self._record(call.name or "(model)", type(call.module).__name__, has_parameters, tensor.detach(), own)
        output.input = size if output.input is None else output.input

    def _on_logits(self, logits: Tensor) -> OnGradient | None:
        if self._is_busy:
            self._captured.append(logits)
            return None
        module = self._frames[-1].name if self._frames else ""
        output = self._record(f"{module}:logits", LOGITS, True, logits, 0.0)
        host = next((one.module for one in reversed(self._frames) if self._initial(one.module)), None)
        if host is not None:
            self._hosts.setdefault(host, []).append((output, logits))
        return output.set_direction if output.direction is None else None

    def _initial(self, module: nn.Module) -> dict[str, Tensor]:
        """Returns the initial parameters of a module and of its submodules, by name."""
        found = {}
        for prefix, one in module.named_modules():
            for name, value in self._parameters.get(one, {}).items():
                found[f"{prefix}.{name}" if prefix else name] = value
        return found

    def _measure_logits(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Measures the *own change* (see `Recorder`) of the attention logits that a module computes.

        Calls the module again with its initial parameters, and compares the logits of the two calls.
        """
        if self._is_busy:
            return
        # With a key-value cache, the repeated call would append to the cache of the first call.
        kwargs = {name: None if name.startswith(("past_key_value", "layer_past")) else one for name, one in kwargs.items()}
        self._call_again(module, self._initial(module), args, kwargs)
        for (logits_of, after), before in zip(self._hosts[module], self._captured):
            if logits_of.direction is not None and before.shape == after.shape == logits_of.direction.shape:
                size = abs(float(((after - before) * logits_of.direction).sum())) / math.sqrt(after.numel())
                logits_of.own[-1] = size
        self._hosts[module].clear()

    def _record(self, name: str, kind: str, has_parameters: bool, value: Tensor, own: float | None) -> Output:
        # The number of a `Call` is not used here, because it also counts the calls that `_call_again` makes.
        number = self._counts[name] = self._counts.get(name, 0) + 1
        label = name if number == 1 else f"{name}#{number}"
        if not self._step:
            self.outputs[label] = Output(kind, has_parameters, value.clone())
        found = self.outputs.get(label)
        if found is None or found.shape != tuple(value.shape):
            raise ValueError(
                f"the forward pass after {self._step} steps calls other modules than the first one, or the output of {label} has "
                "another shape: coord_check needs a model that does the same in each step"
            )
        found.size.append(moments(value).rms)
        found.change.append(moments(value - found.first).rms)
        found.own.append(own)
        return found


def _has_own_change(module: nn.Module) -> bool:
    """Returns whether the *own change* (see `Recorder`) of a module is measured.

    For a container, the own change would be a mixture of the own changes of its submodules.
    """
    return isinstance(module, nn.MultiheadAttention) or not any(True for _ in module.children())


def _copies(module: nn.Module) -> dict[str, Tensor]:
    """Returns copies of the trainable parameters of a module, without those of its submodules."""
    return {name: one.detach().clone() for name, one in module.named_parameters(recurse=False) if one.requires_grad}
