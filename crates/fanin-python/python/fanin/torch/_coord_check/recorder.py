"""What is measured in one training run of a few steps: the sizes of outputs, and of their changes."""

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

#: The kind of an output that is the logits of an attention instead of the output of a module.
LOGITS = "attention logits"


class Output:
    """The output of one call of a module, or the logits of an attention, in one training run."""

    def __init__(self, kind: str, has_parameters: bool, first: Tensor):
        self.kind, self.has_parameters, self.shape = kind, has_parameters, tuple(first.shape)
        self.first = first
        #: The root mean square of the input x_0, or None if the first input has no floating-point values.
        self.input: float | None = None
        #: For the logits of an attention, their first gradient that is not 0, divided by its norm.
        self.direction: Tensor | None = None
        #: The root mean squares of h_t, of h_t - h_0, and of the module's own change, for t = 0, 1, ...
        self.size: list[float] = []
        self.change: list[float] = []
        self.own: list[float | None] = []


    def set_direction(self, gradient: Tensor) -> None:
        """Keeps the direction of a gradient, if it is not 0."""
        norm = float(gradient.detach().double().norm())
        if norm > 0 and gradient.shape == self.first.shape:
            self.direction = gradient.detach() / norm


class Recorder:
    """Records the outputs of all modules of a model during its first training steps.

    A module's own change is f(x_t; w_t) - f(x_t; w_0), where x_t is its input after t steps, and w_t are its parameters. It shows
    the effect of the module's own updates. The change of its output also has the changes of its input. Containers have no own
    change. For the logits of an attention, this is done with the module that computes queries and keys, and the own change is the part
    that is along the first gradient of the logits: the other part is random, and hides it in narrow models.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.outputs: dict[str, Output] = {}
        self._parameters = {module: _copies(module) for module in model.modules() if _has_own_change(module)}
        self._own: dict[nn.Module, float] = {}
        #: The outputs that were recorded, and their versions.
        self._seen = WeakTensorKeyDictionary()
        self._counts: dict[str, int] = {}
        self._frames: list[Call] = []
        self._inputs: list[float | None] = []
        self._step = 0
        self._is_busy = False
        #: The modules that compute logits of attention, with the logits of the current call.
        self._hosts: dict[nn.Module, list[tuple[Output, Tensor]]] = {}
        #: The logits of a second call.
        self._captured: list[Tensor] = []

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Records the forward pass inside this context, which follows `number` training steps."""
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
        before = self._again(module, self._parameters[module], args, kwargs)
        pairs = list(zip(tensors_of(output), tensors_of(before)))
        if pairs:
            after, reference = pairs[0]
            self._own[module] = moments(after.detach() - reference).rms

    def _again(self, module: nn.Module, parameters: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
        """Calls a module again with other parameters. This changes no buffer, such as the statistics of BatchNorm, and no generator."""
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
        # A container returns the output of its last module. The output is shown once.
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
        """Returns the initial parameters of a module and of the modules inside it."""
        found = {}
        for prefix, one in module.named_modules():
            for name, value in self._parameters.get(one, {}).items():
                found[f"{prefix}.{name}" if prefix else name] = value
        return found

    def _measure_logits(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Measures the own changes of the logits that a module has computed: it is called again with its initial parameters."""
        if self._is_busy:
            return
        # With a cache of keys, the second call would see the keys of the first one.
        kwargs = {name: None if name.startswith(("past_key_value", "layer_past")) else one for name, one in kwargs.items()}
        self._again(module, self._initial(module), args, kwargs)
        for (logits_of, after), before in zip(self._hosts[module], self._captured):
            if logits_of.direction is not None and before.shape == after.shape == logits_of.direction.shape:
                size = abs(float(((after - before) * logits_of.direction).sum())) / math.sqrt(after.numel())
                logits_of.own[-1] = size
        self._hosts[module].clear()

    def _record(self, name: str, kind: str, has_parameters: bool, value: Tensor, own: float | None) -> Output:
        # The numbers of calls in `Call` also count the second calls that `_measure_own` makes.
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
    """Returns whether a module's own change is measured. That of a container would also depend on the modules inside it."""
    return isinstance(module, nn.MultiheadAttention) or not any(True for _ in module.children())


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in module.named_parameters(recurse=False) if one.requires_grad}
