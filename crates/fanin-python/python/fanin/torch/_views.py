"""Which part of which parameter a tensor is.

Initialization code takes parameters apart: `weight[padding_idx].fill_(0)`, `weight.chunk(4)`, `weight.view(rows, -1)`. Of a
plain parameter the parts are views of its memory. Of a DTensor torch would make them by communication, or as copies whose
fills are lost: here they are views of a twin on the meta device, which has the parameter's whole shape and no memory. In
either case offset and strides tell which indices a part has.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from .._fanin import canonical_name
from ._boxes import Box, boxes_of, is_dtensor, local_of, view_of


class Known:
    """A parameter or a buffer, under its canonical name."""

    __slots__ = ("filled", "is_parameter", "name", "tensor", "twin")

    def __init__(self, name: str, tensor: Tensor):
        self.name = name
        self.tensor = tensor
        self.is_parameter = isinstance(tensor, nn.Parameter)
        self.filled = False
        self.twin = None
        if is_dtensor(tensor):
            self.twin = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def memory(self) -> Tensor:
        """What views of it are views of."""
        return self.tensor if self.twin is None else self.twin


class Part:
    """A tensor as part of a parameter: along each of the parameter's dimensions an interval, which is a dimension of the
    tensor or, of one index, none."""

    def __init__(self, known: Known, start: tuple[int, ...], size: tuple[int, ...], axes: tuple[int | None, ...], shape):
        self.known = known
        #: Where it begins in the parameter, and its sizes there.
        self.start, self.size = start, size
        #: For each dimension of the tensor the parameter's; none for one that was put in, of size 1.
        self.axes = axes
        #: The tensor's sizes.
        self.shape = tuple(shape)

    @property
    def is_whole(self) -> bool:
        return self.size == self.known.shape

    @property
    def is_reshaped(self) -> bool:
        """Whether it is all of the parameter in another shape, row by row."""
        return len(self.axes) != len(self.shape)

    @property
    def is_itself(self) -> bool:
        """Whether it is the parameter as it stands."""
        return self.is_whole and self.shape == self.known.shape and self.axes == tuple(range(len(self.shape)))

    @property
    def name(self) -> str:
        """The name of the part as a tensor of its own, as Python would index it."""
        if self.is_itself:
            return self.known.name
        cuts = [f"{start}:{start + size}" for start, size in zip(self.start, self.size)]
        while cuts and self.size[len(cuts) - 1] == self.known.shape[len(cuts) - 1]:
            cuts.pop()
        axes = [axis for axis in self.axes if axis is not None]
        name = f"{self.known.name}[{', '.join(cuts)}]" if cuts else self.known.name
        return name if axes == sorted(axes) else f"{name}.permute{tuple(axes)}".replace(",)", ")")

    def held(self):
        """What this rank holds of it: boxes in the parameter's indices, boxes in the tensor's own, and the memory of each
        with the tensor's dimensions."""
        local = local_of(self.known.tensor).detach()
        for box in boxes_of(self.known.tensor, self.known.name):
            low = [max(a, b) for a, b in zip(box.start, self.start)]
            high = [min(a + n, b + m) for a, n, b, m in zip(box.start, box.size, self.start, self.size)]
            if any(a >= b for a, b in zip(low, high)):
                continue
            start, size = tuple(low), tuple(b - a for a, b in zip(low, high))
            here = tuple(at + a - b for at, a, b in zip(box.local, low, box.start))
            inside = view_of(local, Box(here, start, size))
            mine, view = self._own(start, size, inside)
            yield start, inside, mine, view

    def _own(self, start, size, inside: Tensor) -> tuple[Box, Tensor]:
        """A box of the parameter in the tensor's indices, and its memory with the tensor's dimensions."""
        kept = [axis for axis in self.axes if axis is not None]
        gone = [axis for axis in range(len(size)) if axis not in kept]
        view = inside.permute([*kept, *gone])
        for _ in gone:
            view = view.select(-1, 0)
        at, sizes = [], []
        for dimension, axis in enumerate(self.axes):
            if axis is None:
                view = view.unsqueeze(dimension)
            at.append(0 if axis is None else start[axis] - self.start[axis])
            sizes.append(1 if axis is None else size[axis])
        return Box(tuple(at), tuple(at), tuple(sizes)), view


class Parameters:
    """The parameters and buffers of a module, to be found by the memory of a tensor."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.known: dict[int, Known] = {}
        self.memory: dict[int, list[Known]] = {}
        self.look()

    def look(self) -> None:
        """Looks at the module again: its parameters may have been replaced."""
        names: dict[str, str] = {}
        known: dict[int, Known] = {}
        for name, tensor in [*self.module.named_parameters(), *self.module.named_buffers()]:
            canonical = canonical_name(name)
            if canonical in names:
                raise ValueError(f"{names[canonical]} and {name} are one name, {canonical}: they would get the same values")
            names[canonical] = name
            before = self.known.get(id(tensor))
            same = before is not None and before.tensor is tensor and before.name == canonical
            known[id(tensor)] = before if same and before is not None else Known(canonical, tensor)
        self.known = known
        self.memory = {}
        for one in known.values():
            for tensor in (one.memory, local_of(one.tensor)):
                self.memory.setdefault(_storage(tensor), []).append(one)

    def find(self, tensor: Tensor) -> Part | None:
        """The part that a tensor is; None if it is no part of a parameter.

        A view that is neither a box of it nor a reshaped whole is a ValueError.
        """
        if is_dtensor(tensor):
            for known in self.memory.get(_storage(local_of(tensor)), ()):
                if known.twin is not None and tensor.shape == known.tensor.shape:
                    if tensor.placements == known.tensor.placements:  # type: ignore[attr-defined]
                        return whole(known)
            return None
        for known in self.memory.get(_storage(tensor), ()):
            memory = known.memory
            if _storage(memory) != _storage(tensor):
                continue
            first, last = memory.storage_offset(), memory.storage_offset() + _reach(memory)
            if first <= tensor.storage_offset() and tensor.storage_offset() + _reach(tensor) <= last:
                return _part(known, tensor)
        return None


    def is_local(self, tensor: Tensor) -> bool:
        """Whether a plain tensor is this rank's memory of a DTensor."""
        here = self.memory.get(_storage(tensor), ())
        return not is_dtensor(tensor) and any(_storage(known.memory) != _storage(tensor) for known in here)


def whole(known: Known) -> Part:
    """A parameter as it stands."""
    shape = known.shape
    return Part(known, (0,) * len(shape), shape, tuple(range(len(shape))), shape)


def _storage(tensor: Tensor) -> int:
    return torch._C.TensorBase.untyped_storage(tensor)._cdata


def _reach(tensor: Tensor) -> int:
    """Elements from the first to the last but one."""
    return sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride())) + 1 if tensor.numel() else 0


def _part(known: Known, tensor: Tensor) -> Part:
    memory = known.memory
    shape, strides = known.shape, memory.stride()
    if tuple(tensor.shape) == shape and (tensor.stride() == strides or 0 in shape):
        return whole(known)
    left = int(tensor.storage_offset()) - int(memory.storage_offset())
    start = [0] * len(shape)
    for axis in sorted(range(len(shape)), key=lambda axis: -strides[axis]):
        if shape[axis] > 1:
            start[axis], left = divmod(left, strides[axis])
    size = [1] * len(shape)
    axes: list[int | None] = []
    for n, stride in zip(tensor.shape, tensor.stride()):
        fits = [a for a in range(len(shape)) if shape[a] > 1 and strides[a] == stride and start[a] + n <= shape[a]]
        fits = [axis for axis in fits if axis not in axes]
        if n == 1:
            axes.append(None)
        elif fits:
            size[fits[0]] = n
            axes.append(fits[0])
        else:
            break
    else:
        if left == 0:
            return Part(known, tuple(start), tuple(size), tuple(axes), tensor.shape)
    # Another shape of all of it, row by row.
    if tensor.is_contiguous() and memory.is_contiguous() and prod(tensor.shape) == prod(shape):
        flat = whole(known)
        return Part(known, flat.start, flat.size, (), tensor.shape)
    raise ValueError(
        f"{known.name}: a view of shape {tuple(tensor.shape)} and strides {tensor.stride()} of the parameter's "
        f"{shape} is no box of it: initialize a slice of its dimensions, or all of it"
    )

