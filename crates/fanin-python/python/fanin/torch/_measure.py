"""Measurements for `probe`, `coord_check`, `lsuv_` and `Monitor`.

`Moments` contains sums over the values of a tensor. `observed` passes the output of every module to a callback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

#: The number of values that are converted to f64 at a time. Two buffers of this size fit in a core's cache.
CHUNK = 1 << 15

#: Parts of module names that the wrappers of torch.compile, FSDP and activation checkpointing add.
_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


@dataclasses.dataclass
class Moments:
    """Sums over the values of a tensor, in f64. The sums of several tensors can be added."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    #: The number of values that are 0. None if zeros were not counted.
    zeros: int | None = None
    #: The sum of the values of each unit (a channel or a feature). None if there are no units.
    unit_totals: Tensor | None = None
    #: The sum of the squares of the values of each unit. None if there are no units.
    unit_squares: Tensor | None = None
    #: The number of values of each unit.
    unit_count: int = 0
    #: For each input of the batch, the mean of the squares of its values. None if not computed.
    examples: Tensor | None = None

    @property
    def q(self) -> float:
        """The mean of the squares."""
        return self.squares / self.count if self.count else math.nan

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else math.nan

    @property
    def rms(self) -> float:
        return math.sqrt(self.q) if self.q >= 0 else math.nan

    @property
    def variance(self) -> float:
        return max(self.q - self.mean**2, 0.0)

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.squares)

    @property
    def zero_share(self) -> float | None:
        return None if self.zeros is None or not self.count else self.zeros / self.count

    @property
    def dead_share(self) -> float | None:
        """The fraction of the units whose values are all 0. None if the tensor has no axis of units."""
        if self.unit_squares is None or not len(self.unit_squares):
            return None
        return float((self.unit_squares == 0).double().mean())

    @property
    def channel_square_mean(self) -> float | None:
        """The average channel squared mean (Brock et al. 2021): the mean over channels of (channel mean)^2."""
        if self.unit_totals is None or not self.unit_count:
            return None
        return float((self.unit_totals / self.unit_count).square().mean())

    @property
    def channel_variance(self) -> float | None:
        """The average channel variance (Brock et al. 2021): the variance of a channel's values, averaged over the channels."""
        if self.channel_square_mean is None or self.unit_count < 2:
            return None
        return max(self.q - self.channel_square_mean, 0.0) * self.unit_count / (self.unit_count - 1)

    def add(self, other: Moments) -> None:
        """Adds the sums of another tensor of the same module."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.zeros = None if self.zeros is None or other.zeros is None else self.zeros + other.zeros
        units = self.unit_totals, other.unit_totals, self.unit_squares, other.unit_squares
        if any(one is None for one in units) or len(units[0]) != len(units[1]):  # type: ignore[arg-type]
            self.unit_totals = self.unit_squares = None
        else:
            self.unit_totals = units[0] + units[1]  # type: ignore[operator]
            self.unit_squares = units[2] + units[3]  # type: ignore[operator]
            self.unit_count += other.unit_count
        examples = [one.examples for one in (self, other) if one.examples is not None]
        self.examples = torch.cat(examples) if len(examples) == 2 else None


def moments(tensor: Tensor, *, unit_axis: int | None = None, batch: int | None = None, count_zeros: bool = False) -> Moments:
    """Returns the `Moments` of a tensor.

    Parameters
    ----------
    tensor
        A floating-point tensor with any strides.
    unit_axis
        The axis of the units: the channels of a convolution, or the features of a linear layer. None if there are no
        units.
    batch
        The number of inputs in the batch. `Moments.examples` is computed if the first axis has this size.
    count_zeros
        Whether to count the values that are 0.
    """
    tensor = tensor.detach()
    result = Moments(count=tensor.numel(), zeros=0 if count_zeros else None)
    if not result.count:
        return result
    # MPS has no f64. There, the sums of a chunk are f32, and the sums of all chunks are f64.
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    axis = (tensor.dim() - 1 if unit_axis is None else unit_axis % tensor.dim()) if tensor.dim() else 0
    sizes = tensor.shape
    outer, units, inner = math.prod(sizes[:axis]), sizes[axis] if sizes else 1, math.prod(sizes[axis + 1 :])
    rows = tensor.reshape(outer, units, inner)
    row_squares = torch.empty(outer, dtype=torch.float64)
    unit_totals = torch.zeros(units, dtype=torch.float64)
    unit_squares = torch.zeros(units, dtype=torch.float64)
    step = max(1, CHUNK // max(1, units * inner))
    for start in range(0, outer, step):
        part = rows[start : start + step]
        values = part.to(wide)
        squares = values * values
        row_squares[start : start + step] = squares.sum((1, 2))
        unit_totals += values.sum((0, 2)).cpu()
        if unit_axis is not None:
            unit_squares += squares.sum((0, 2)).cpu()
        if result.zeros is not None:
            result.zeros += part.numel() - int(torch.count_nonzero(part))
    result.total, result.squares = float(unit_totals.sum()), float(row_squares.sum())
    if unit_axis is not None:
        result.unit_totals, result.unit_squares, result.unit_count = unit_totals, unit_squares, outer * inner
    if batch and sizes and sizes[0] == batch and outer % batch == 0:
        result.examples = row_squares.view(batch, -1).sum(1) / (result.count // batch)
    return result


def tensors_of(value: Any) -> list[Tensor]:
    """Returns the floating-point tensors in a value, in order. Lists, tuples, mappings and dataclasses are searched recursively."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        return [tensor for one in value.values() for tensor in tensors_of(one)]
    if isinstance(value, (list, tuple)):
        return [tensor for one in value for tensor in tensors_of(one)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [tensor for field in dataclasses.fields(value) for tensor in tensors_of(getattr(value, field.name, None))]
    return []


def version_of(tensor: Tensor) -> int:
    """Returns torch's count of a tensor's in-place changes. An inference tensor has no count, so -1 is returned."""
    return -1 if tensor.is_inference() else tensor._version


def plain_name(name: str) -> str:
    """Returns a module's or parameter's name without the parts that wrappers such as torch.compile add."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def unwrapped(model: nn.Module) -> nn.Module:
    """Returns the module inside the wrappers of data parallelism and torch.compile."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


class Call(NamedTuple):
    """One call of a module in a forward pass."""

    name: str
    module: nn.Module
    #: 1 for the first call of the module in this pass, 2 for the second.
    number: int

    @property
    def label(self) -> str:
        """The module's name and, from the second call on, the number of the call."""
        name = self.name or "(model)"
        return name if self.number == 1 else f"{name}#{self.number}"


@contextlib.contextmanager
def observed(
    model: nn.Module,
    on_output: Callable[[Call, list[Tensor], list[Tensor]], None],
    *,
    on_enter: Callable[[Call, list[Tensor]], None] | None = None,
    modules: Callable[[str, nn.Module], bool] | None = None,
) -> Iterator[None]:
    """A context manager that calls a function after each call of a module. The hooks are removed at the end.

    Wrapper modules, such as that of torch.compile, are not observed. Scripted modules accept no hooks, and are not
    observed either. If a module has several names, `Call.name` is the first.

    Parameters
    ----------
    on_output
        `on_output(call, inputs, outputs)` is called after each call of a module, with the floating-point tensors of the
        inputs and the output. It is called before later in-place operations can change these tensors. It may call
        `Tensor.register_hook` to get the gradient of an output.
    on_enter
        `on_enter(call, inputs)` is called before each call of a module.
    modules
        `modules(name, module)` returns whether to observe a module. By default, all modules are observed.
    """
    counts: dict[nn.Module, int] = {}
    names: dict[nn.Module, str] = {}

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        counts[module] = counts.get(module, 0) + 1
        if on_enter is not None:
            on_enter(Call(names[module], module, counts[module]), tensors_of((args, kwargs)))

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        on_output(Call(names[module], module, counts.get(module, 1)), tensors_of((args, kwargs)), tensors_of(output))

    handles = []
    try:
        for name, module in model.named_modules():
            is_wrapper = any(child in _WRAPPERS for child, _ in module.named_children())
            if not is_wrapper and not isinstance(module, torch.jit.ScriptModule) and (modules is None or modules(name, module)):
                names[module] = plain_name(name)
                handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(module.register_forward_hook(after, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
