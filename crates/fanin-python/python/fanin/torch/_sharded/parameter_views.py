"""Determines whether a tensor is a view of a parameter, and which indices of the parameter the view covers.

Initialization code writes to views of parameters, as in `weight[padding_idx].fill_(0)`, `weight.chunk(4)` and
`weight.view(rows, -1)`. The storage offset and the strides of a view determine the indices that it covers.

A view of an ordinary parameter shares the parameter's memory. For a view of a DTensor, torch would communicate or
return a copy. A fill of the copy would not change the DTensor. `sharded_init` therefore takes the view of the DTensor's
*twin*: a tensor on the meta device with the DTensor's global shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from ..._fanin import canonical_name
from .._regions import Region, is_dtensor, local_of, regions_of, view_of
from .written import Coverage, storage_of


class NamedTensor:
    """A parameter or buffer, its name, and the record of its written elements.

    `name` has no prefixes of wrappers such as `_orig_mod`. `twin` is the twin of a DTensor (see the module docstring),
    or None for an ordinary tensor.
    """

    __slots__ = ("_storage", "is_parameter", "name", "tensor", "twin", "written")

    def __init__(self, name: str, tensor: Tensor):
        self.name = name
        self.tensor = tensor
        self.is_parameter = isinstance(tensor, nn.Parameter)
        #: The elements that were written since the tensor got its present memory.
        self.written = Coverage(() if nn.parameter.is_lazy(tensor) else self.shape)
        self._storage = _weak_storage(tensor)
        self.twin = None
        if is_dtensor(tensor):
            self.twin = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def has_new_memory(self) -> bool:
        """Returns whether the tensor's memory was replaced after this object was created, for example by `tensor.data = other`."""
        if self._storage is None:
            return not nn.parameter.is_lazy(self.tensor) and local_of(self.tensor).layout is torch.strided
        return storage_of(self.tensor)._cdata != self._storage.cdata

    @property
    def base(self) -> Tensor:
        """The tensor of which views are taken: for a DTensor its twin (see the module docstring), otherwise the parameter itself."""
        return self.tensor if self.twin is None else self.twin


class LocalRegion(NamedTuple):
    """A region of a ParameterView. Its elements are on this rank."""

    #: The index of the region's first element in the parameter.
    start: tuple[int, ...]
    #: The elements of the region, as a tensor with as many dimensions as the parameter.
    memory: Tensor
    #: The region in the coordinates of the ParameterView.
    region: Region
    #: The same elements, as a view of `memory` with as many dimensions as the ParameterView.
    view: Tensor


class ParameterView:
    """A view of a parameter: a region of it, or the whole parameter in another shape (see `is_reshaped`).

    A region is a range of indices along each dimension of the parameter. If the view lacks a dimension of the
    parameter, as `weight[3]` does, the range along it has one index. A view may also have the dimensions in another
    order, and additional dimensions of size 1.
    """

    def __init__(
        self, named: NamedTensor, start: tuple[int, ...], size: tuple[int, ...], axes: tuple[int | None, ...], shape
    ):
        self.named = named
        #: The view covers `size[k]` indices along dimension k of the parameter, beginning with the index `start[k]`.
        self.start, self.size = start, size
        #: For each dimension of the view, the dimension of the parameter, or None for an inserted dimension.
        self.axes = axes
        #: The shape of the view.
        self.shape = tuple(shape)

    @property
    def is_reshaped(self) -> bool:
        """Whether the view is the whole parameter in another shape, in row-major order."""
        return len(self.axes) != len(self.shape)

    @property
    def is_itself(self) -> bool:
        """Whether the view is the whole parameter in the parameter's own shape."""
        shape = self.named.shape
        return self.size == shape and self.shape == shape and self.axes == tuple(range(len(shape)))

    @property
    def name(self) -> str:
        """The name under which the view is filled as a separate tensor. The name contains the slice, as in `weight[0:4]`."""
        if self.is_itself:
            return self.named.name
        slices = [f"{start}:{start + size}" for start, size in zip(self.start, self.size)]
        while slices and self.size[len(slices) - 1] == self.named.shape[len(slices) - 1]:
            slices.pop()
        axes = [axis for axis in self.axes if axis is not None]
        name = f"{self.named.name}[{', '.join(slices)}]" if slices else self.named.name
        return name if axes == sorted(axes) else f"{name}.permute{tuple(axes)}".replace(",)", ")")

    @property
    def is_written(self) -> bool:
        """Whether every element of the view was written."""
        return self.named.written.covers(self.start, self.size)

    def mark_written(self) -> None:
        """Records that every element of the view was written."""
        self.named.written.add(self.start, self.size)

    def local_regions(self) -> Iterator[LocalRegion]:
        """Yields the regions of the view that are on this rank."""
        local = local_of(self.named.tensor).detach()
        for region in regions_of(self.named.tensor, self.named.name):
            low = [max(a, b) for a, b in zip(region.start, self.start)]
            high = [min(a + n, b + m) for a, n, b, m in zip(region.start, region.size, self.start, self.size)]
            if any(a >= b for a, b in zip(low, high)):
                continue
            start, size = tuple(low), tuple(b - a for a, b in zip(low, high))
            offset = tuple(at + a - b for at, a, b in zip(region.local, low, region.start))
            memory = view_of(local, Region(offset, start, size))
            yield LocalRegion(start, memory, *self._in_view(start, size, memory))

    def _in_view(self, start, size, memory: Tensor) -> tuple[Region, Tensor]:
        """Returns the fields `region` and `view` of a LocalRegion with the given `start` and `memory`.

        `size` is the shape of `memory`.
        """
        kept = [axis for axis in self.axes if axis is not None]
        dropped = [axis for axis in range(len(size)) if axis not in kept]
        view = memory.permute([*kept, *dropped])
        for _ in dropped:
            view = view.select(-1, 0)
        starts, sizes = [], []
        for dimension, axis in enumerate(self.axes):
            if axis is None:
                view = view.unsqueeze(dimension)
            starts.append(0 if axis is None else start[axis] - self.start[axis])
            sizes.append(1 if axis is None else size[axis])
        return Region(tuple(starts), tuple(starts), tuple(sizes)), view


class ModuleTensors:
    """The parameters and buffers of a module. `find` determines whether a tensor is a view of one of them."""

    def __init__(self, module: nn.Module, ignored: frozenset[int] = frozenset()):
        self.module = module
        #: The ids of parameters that `find` ignores: the stand-ins for tied parameters (see `TransformersModels`).
        self.ignored = ignored
        #: The parameters and buffers, by the id of the tensor.
        self.by_id: dict[int, NamedTensor] = {}
        #: The parameters, buffers and `likes` in each storage. The key is the address of the storage object. A DTensor
        #: has two storages: that of its local tensor, and that of its twin.
        self.by_storage: dict[int, list[NamedTensor]] = {}
        #: Tensors that functions such as `empty_like` returned for a parameter. These tensors are not part of the module.
        self.likes: list[NamedTensor] = []
        self.update()

    def update(self) -> None:
        """Reads the parameters and buffers again, because the code of the module may have replaced some of them."""
        names: dict[str, str] = {}
        by_id: dict[int, NamedTensor] = {}
        for name, tensor in [*self.module.named_parameters(), *self.module.named_buffers()]:
            if id(tensor) in self.ignored:
                continue
            canonical = canonical_name(name)
            if canonical in names:
                raise ValueError(
                    f"{names[canonical]} and {name} both have the name {canonical} (without the prefixes of wrappers), so they "
                    "would get the same values"
                )
            names[canonical] = name
            before = self.by_id.get(id(tensor))
            if before is None or before.tensor is not tensor or before.name != canonical or before.has_new_memory():
                before = NamedTensor(canonical, tensor)
            by_id[id(tensor)] = before
        self.by_id = by_id
        self.by_storage = {}
        for key, named in by_id.items():
            # Parameters that share all of their memory, such as tied parameters, count as one tensor.
            by_id[key] = self._same_memory(named)
            if by_id[key] is named:
                self._add(named)
        for named in self.likes:
            self._add(named)

    def _same_memory(self, named: NamedTensor) -> NamedTensor:
        """Returns the tensor, among those added earlier, that has the same memory as `named`. Returns `named` if there is none."""
        tensor = named.tensor
        if nn.parameter.is_lazy(tensor) or named.twin is not None:
            return named
        for other in self.by_storage.get(_storage(tensor), ()):
            if other.twin is None and other.tensor.dtype == tensor.dtype and tensor.numel():
                one, two = ((each.storage_offset(), each.shape, each.stride()) for each in (other.tensor, tensor))
                if one == two:
                    return other
        return named

    def add_like(self, named: NamedTensor) -> None:
        """Adds a tensor that a function such as `empty_like` returned for a parameter, so that `find` recognizes the tensor."""
        self.likes.append(named)
        self._add(named)

    def _add(self, named: NamedTensor) -> None:
        for tensor in (named.base, local_of(named.tensor)):
            self.by_storage.setdefault(_storage(tensor), []).append(named)

    def find(self, tensor: Tensor) -> ParameterView | None:
        """Returns the ParameterView of `tensor`, or None if `tensor` is not a parameter or a view of one.

        Raises
        ------
        ValueError
            If `tensor` is a view that a ParameterView cannot describe, such as `weight.diagonal()`.
        """
        if is_dtensor(tensor):
            for named in self.by_storage.get(_storage(local_of(tensor)), ()):
                if named.twin is not None and tensor.shape == named.tensor.shape:
                    if tensor.placements == named.tensor.placements:  # type: ignore[attr-defined]
                        return whole(named)
            return None
        owner = self.owner(tensor)
        return None if owner is None else _view(owner, tensor)

    def owner(self, tensor: Tensor) -> NamedTensor | None:
        """Returns the parameter whose `base` contains the elements of `tensor`, or None. `tensor` must not be a DTensor."""
        for named in self.by_storage.get(_storage(tensor), ()):
            base = named.base
            if _storage(base) != _storage(tensor):
                continue
            first, end = base.storage_offset(), base.storage_offset() + _extent(base)
            if first <= tensor.storage_offset() and tensor.storage_offset() + _extent(tensor) <= end:
                return named
        return None

    def is_local(self, tensor: Tensor) -> bool:
        """Returns whether a tensor is the local tensor of one of the module's DTensors, or a view of such a local tensor."""
        sharing = self.by_storage.get(_storage(tensor), ())
        return not is_dtensor(tensor) and any(_storage(named.base) != _storage(tensor) for named in sharing)


def whole(named: NamedTensor) -> ParameterView:
    """Returns the view that covers the whole parameter in the parameter's own shape."""
    shape = named.shape
    return ParameterView(named, (0,) * len(shape), shape, tuple(range(len(shape))), shape)


def _storage(tensor: Tensor) -> int:
    return torch._C.TensorBase.untyped_storage(tensor)._cdata


def _weak_storage(tensor: Tensor) -> StorageWeakRef | None:
    """Returns a weak reference to a tensor's storage, or None if the tensor has no storage.

    While the reference exists, the address of the storage object is not reused.
    """
    if nn.parameter.is_lazy(tensor) or local_of(tensor).layout is not torch.strided:
        return None
    return StorageWeakRef(storage_of(tensor))


def _extent(tensor: Tensor) -> int:
    """Returns the number of elements of the storage from a tensor's first element to its last element (inclusive)."""
    return sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride())) + 1 if tensor.numel() else 0


def _view(named: NamedTensor, tensor: Tensor) -> ParameterView:
    """Returns the ParameterView of `tensor`, which shares memory with `named.base`.

    The storage offset determines `start`. The strides determine `axes`. Raises ValueError like `find`.
    """
    base = named.base
    shape, strides = named.shape, base.stride()
    if tuple(tensor.shape) == shape and (tensor.stride() == strides or 0 in shape):
        return whole(named)
    remainder = int(tensor.storage_offset()) - int(base.storage_offset())
    start = [0] * len(shape)
    for axis in sorted(range(len(shape)), key=lambda axis: -strides[axis]):
        if shape[axis] > 1:
            start[axis], remainder = divmod(remainder, strides[axis])
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
        if remainder == 0:
            return ParameterView(named, tuple(start), tuple(size), tuple(axes), tensor.shape)
    # The tensor is not a region of the parameter. It may be the whole parameter, reshaped.
    if tensor.is_contiguous() and base.is_contiguous() and prod(tensor.shape) == prod(shape):
        flat = whole(named)
        return ParameterView(named, flat.start, flat.size, (), tensor.shape)
    raise ValueError(
        f"{named.name}: a view of shape {tuple(tensor.shape)} and strides {tensor.stride()} is not a region of the "
        f"parameter's shape {shape}: initialize a slice of its dimensions, or the whole parameter"
    )
