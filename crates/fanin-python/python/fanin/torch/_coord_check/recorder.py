"""What is measured in one training run of a few steps: the sizes of outputs, and of their changes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .._measure import Call, moments, observed, tensors_of
from .._preserve import generators_restored
from .._probe.activations import SOFTMAX
from .._probe.attention import MASKED


#: The kind of an output that is the logits of an attention instead of the output of a module.
LOGITS = "attention logits"


class Output:
    """The output of one call of a module, or the logits of an attention, in one training run."""

    def __init__(self, kind: str, has_parameters: bool, first: Tensor):
        self.kind, self.has_parameters, self.shape = kind, has_parameters, tuple(first.shape)
        self.first = first
        #: The root mean square of the input x_0, or None if the first input has no floating-point values.
        self.input: float | None = None
        #: The root mean squares of h_t, of h_t - h_0, and of the module's own change, for t = 0, 1, ...
        self.size: list[float] = []
        self.change: list[float] = []
        self.own: list[float | None] = []


class Recorder:
    """Records the outputs of all modules of a model during its first training steps.

    A module's own change is f(x_t; w_t) - f(x_t; w_0), where x_t is its input after t steps, and w_t are its parameters. It shows
    the effect of the module's own updates. The change of its output also has the changes of its input. Containers have no own
    change.
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
            with observed(self.model, self._leave, on_enter=self._enter), _Attention(self._on_logits):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _measure_own(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._is_busy:
            return
        self._is_busy = True
        # The second call must not change buffers, such as the statistics of BatchNorm, or the state of a generator.
        buffers = {name: one.clone() for name, one in module.named_buffers()}
        try:
            with torch.no_grad(), generators_restored():
                before = functional_call(module, {**buffers, **self._parameters[module]}, args, kwargs)
        finally:
            self._is_busy = False
        pairs = list(zip(tensors_of(output), tensors_of(before)))
        if pairs:
            after, reference = pairs[0]
            self._own[module] = moments(after.detach() - reference).rms

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
        if self._seen.get(tensor) == tensor._version:
            return
        self._seen[tensor] = tensor._version
        has_parameters = bool(self._parameters.get(call.module))
        output = self._record(call.name or "(model)", type(call.module).__name__, has_parameters, tensor.detach(), own)
        output.input = size if output.input is None else output.input

    def _on_logits(self, logits: Tensor) -> None:
        if not self._is_busy:
            module = self._frames[-1].name if self._frames else ""
            self._record(f"{module}:logits", LOGITS, False, logits, None)

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


class _Attention(TorchFunctionMode):
    """Calls a function with the logits of each attention: of scaled_dot_product_attention, or of a softmax over the last axis."""

    def __init__(self, on_logits: Callable[[Tensor], None]):
        super().__init__()
        self._on_logits = on_logits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention or func in SOFTMAX:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                logits = _dot_products(args, kwargs) if func is scaled_dot_product_attention else _softmax_input(args, kwargs)
                if logits is not None:
                    self._on_logits(logits)
        return func(*args, **kwargs)


def _dot_products(args: Any, kwargs: Any) -> Tensor:
    given = {**dict(zip(("query", "key"), args)), **kwargs}
    query, key, scale = given["query"].detach(), given["key"].detach(), given.get("scale")
    if key.dim() == 4 and key.shape[1] != query.shape[1]:
        # Grouped-query attention: each head of the keys serves several heads of the queries.
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    return query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)


def _softmax_input(args: Any, kwargs: Any) -> Tensor | None:
    """Returns the input of a softmax over the last of at least three axes, where masked logits are 0, else None."""
    logits = args[0] if args else kwargs.get("input")
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(logits, Tensor) or dim is None or logits.dim() < 3 or dim % logits.dim() != logits.dim() - 1:
        return None
    return logits.detach().masked_fill(logits <= MASKED, 0.0)


def _has_own_change(module: nn.Module) -> bool:
    """Returns whether a module's own change is measured. That of a container would also depend on the modules inside it."""
    return isinstance(module, nn.MultiheadAttention) or not any(True for _ in module.children())


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in module.named_parameters(recurse=False) if one.requires_grad}
