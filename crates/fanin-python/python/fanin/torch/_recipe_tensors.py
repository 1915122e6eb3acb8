"""The function `recipe_tensors`, which returns a dict from names to the tensors that a recipe fills in a module."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from .._fanin import Initializer, canonical_name
from ._flat_shards import FlatShard, check_declared_sizes, fsdp1_shards, zero3_shard
from ._manual_split import fill_flat
from ._native_stream import check_memory, fill, increment_version
from ._regions import is_dtensor, local_of, regions_of


class RecipeTensor:
    """A parameter or buffer that a recipe fills: a plain tensor, a DTensor, or a flat range on this rank (`shard`)."""

    def __init__(self, tensor: Tensor, shard: FlatShard | None = None):
        self.tensor = tensor
        #: This rank's range, if the tensor is a parameter of FSDP1 or ZeRO-3.
        self.shard = shard

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape) if self.shard is None else self.shard.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def check(self, name: str, scheme: str) -> None:
        """Raises an error if fanin cannot write the values of `scheme` to the tensor's memory."""
        if scheme == "arange" and (self.shard is not None or is_dtensor(self.tensor)):
            kind = "a DTensor" if self.shard is None else "sharded"
            raise TypeError(f"{name} is {kind}: arange can only fill a plain tensor")
        if self.shard is not None:
            check_memory(self.shard.memory, name)
        if self.shard is None or self._is_gathered:
            check_memory(self.tensor, name)
            regions_of(self.tensor, name)

    def memories(self) -> list[Tensor]:
        """Returns the tensors to which `fill` writes in this process."""
        shard = [] if self.shard is None else [self.shard.memory]
        return shard if shard and not self._is_gathered else [*shard, local_of(self.tensor)]

    @property
    def _is_gathered(self) -> bool:
        """Whether ZeRO-3 has gathered the whole parameter. If so, both the parameter and this rank's partition must be written."""
        return hasattr(self.tensor, "ds_shape") and tuple(self.tensor.shape) == self.shape and self.tensor.numel() > 0

    def fill(self, spec: Initializer, seed: int, source: str) -> None:
        """Fills this rank's memory with the values that `seed` gives to the tensor `source`."""
        if self.shard is not None:
            fill_flat(self.shard.memory, spec, shape=self.shard.shape, start=self.shard.start, seed=seed, name=source)
        if self.shard is None or self._is_gathered:
            fill(self.tensor, spec, seed, source)

    def set_integers(self, value: int | None) -> None:
        """Sets all elements to `value`. If `value` is None, sets each element to its index along the last dimension."""
        with torch.no_grad():
            if value is None and self.tensor.dim() == 0:
                self.tensor.zero_()
            elif value is None:
                self.tensor.copy_(torch.arange(self.tensor.shape[-1], device=self.tensor.device).expand(self.tensor.shape))
            else:
                if self.shard is not None:
                    self.shard.memory.fill_(value)
                if self.shard is None or self._is_gathered:
                    local_of(self.tensor).fill_(value)
        increment_version(self.tensor)


def recipe_tensors(module: nn.Module) -> dict[str, RecipeTensor]:
    """Returns the parameters and persistent buffers of a module by name. A tensor with several names is listed under the first.

    The names are the keys of `module.state_dict()`, without the prefixes of wrappers. Hooks of modules may change what
    state_dict returns. Entries that are not in the memory of a parameter or buffer of the module are ignored.

    Raises
    ------
    ValueError
        If a module is lazy, or a parameter is a placeholder whose memory is unknown. If state_dict returns copies
        instead of a parameter. If it returns views that do not contain each element of the parameter exactly once. If
        two names are equal without the prefixes of wrappers.
    TypeError
        If a parameter is a nested tensor.
    """
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(f"{name} has no shape yet because its module is lazy: run a forward pass first")
        if parameter.is_nested:
            raise TypeError(f"{name} is a nested tensor: only dense tensors are filled")
    check_declared_sizes(module)
    flat = fsdp1_shards(module)
    if flat:
        # The hooks of FSDP1 would gather the parameters, so state_dict is not called.
        return _by_canonical_name(_of_fsdp1(module, flat))
    return _by_canonical_name(_of_state_dict(module))


def check_no_shared_elements(tensors: dict[str, RecipeTensor]) -> None:
    """Raises ValueError if two tensors share some of their elements, because the second fill would overwrite the first."""
    ranges = []
    for name, tensor in tensors.items():
        for memory in tensor.memories():
            if memory.numel():
                address = memory.data_ptr()
                ranges.append((str(memory.device), address, address + _extent(memory) * memory.element_size(), name, memory))
    ranges.sort(key=lambda one: one[:3])
    for i, (device, start, end, name, memory) in enumerate(ranges):
        for other_device, other_start, _, other_name, other in ranges[i + 1 :]:
            if (device, end) <= (other_device, other_start):
                break
            if _share_elements(memory, other, other_start - start):
                raise ValueError(
                    f"{name} and {other_name} share some of their elements, but are not the same tensor: one fill would "
                    "overwrite the other, so give one of them its own memory, or skip it"
                )


def _share_elements(first: Tensor, second: Tensor, distance: int) -> bool:
    """Returns whether two tensors have a byte in common. `second` begins `distance` bytes after `first`."""
    size = max(_extent(first) * first.element_size(), distance + _extent(second) * second.element_size())
    counts = torch.zeros(size, dtype=torch.uint8)
    for tensor, start in ((first, 0), (second, distance)):
        width = tensor.element_size()
        counts.as_strided((*tensor.shape, width), (*(step * width for step in tensor.stride()), 1), start).add_(1)
    return bool((counts > 1).any())


def _of_fsdp1(module: nn.Module, flat: dict[str, FlatShard]) -> Iterator[tuple[str, RecipeTensor]]:
    for name, shard in flat.items():
        yield name, RecipeTensor(shard.memory, shard)
    seen: set[int] = set()
    for name, parameter in module.named_parameters():
        if not getattr(parameter, "_fsdp_flattened", False):
            yield name, RecipeTensor(parameter, zero3_shard(parameter, name))
    for name, buffer in persistent_buffers(module):
        if id(buffer) not in seen:
            seen.add(id(buffer))
            yield name, RecipeTensor(buffer)


def persistent_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the name and the tensor of each buffer in `state_dict()`. A buffer with several names is yielded once for each name."""
    for prefix, one in module.named_modules(remove_duplicate=False):
        for name, buffer in one._buffers.items():
            if buffer is not None and name not in one._non_persistent_buffers_set:
                yield f"{prefix}.{name}" if prefix else name, buffer


def _of_state_dict(module: nn.Module) -> Iterator[tuple[str, RecipeTensor]]:
    entries = module.state_dict(keep_vars=True)
    # The parameters are read after state_dict, because FSDP2 may shard them again in state_dict.
    parameters = list(module.named_parameters(remove_duplicate=False))
    own: dict[int, Tensor] = {id(one): one for _, one in [*parameters, *persistent_buffers(module)]}
    #: Tensor objects that refer to the same elements in memory are treated as tied: they count as one tensor.
    by_memory: dict[Any, Tensor] = {}
    for one in own.values():
        key = _memory(one)
        if key is not None:
            own[id(one)] = by_memory.setdefault(key, one)
    storages: dict[int, list[Tensor]] = {}
    for one in {id(one): one for one in own.values()}.values():
        storages.setdefault(_storage(one), []).append(one)
    shown: set[int] = set()
    views: dict[int, list[Tensor]] = {}
    copies: list[str] = []
    for name, entry in entries.items():
        if not isinstance(entry, Tensor):
            continue
        tensor: Tensor | None = own.get(id(entry))
        if tensor is None and _memory(entry) is not None:
            tensor = by_memory.get(_memory(entry))
        if tensor is not None:
            if id(tensor) not in shown:
                shown.add(id(tensor))
                yield name, RecipeTensor(tensor, zero3_shard(tensor, name))
            continue
        owner = next((one for one in storages.get(_storage(entry), ()) if _contains(one, entry)), None)
        if owner is not None and entry.dtype == owner.dtype:
            views.setdefault(id(owner), []).append(entry)
            yield name, RecipeTensor(entry)
        elif name.rsplit(".", 1)[-1] != "_extra_state":
            copies.append(name)
    for name, given in parameters:
        parameter = own[id(given)]
        if id(parameter) in shown:
            continue
        shown.add(id(parameter))
        if id(parameter) in views:
            _check_covered(name, parameter, views[id(parameter)])
        elif copies:
            raise ValueError(
                f"{name} is not among the tensors of state_dict(), because a hook of a module replaces it by copies, such as "
                f"{', '.join(copies[:3])}: filling the copies would not change the parameter, so write a checkpoint with "
                "fanin.write_checkpoint and load it with load_state_dict"
            )
        else:
            yield name, RecipeTensor(parameter, zero3_shard(parameter, name))


def _memory(tensor: Tensor) -> tuple[Any, ...] | None:
    """Returns a key that identifies the elements in memory to which a tensor refers.

    Two tensors with equal keys share all their elements. Returns None if the tensor has no elements or is not dense.
    """
    local = local_of(tensor)
    if not tensor.numel() or local.layout is not torch.strided:
        return None
    placements = tuple(tensor.placements) if is_dtensor(tensor) else None  # type: ignore[attr-defined]
    return _storage(tensor), local.storage_offset(), local.shape, local.stride(), local.dtype, tensor.shape, placements


def _storage(tensor: Tensor) -> int:
    local = local_of(tensor)
    if local.layout is not torch.strided:
        return id(tensor)
    return torch._C.TensorBase.untyped_storage(local)._cdata


def _contains(owner: Tensor, view: Tensor) -> bool:
    """Returns whether the elements of `view` are between the first and the last element of `owner`.

    Both tensors must have the same storage. Returns False for DTensors and for an empty `view`.
    """
    if is_dtensor(owner) or is_dtensor(view) or not view.numel():
        return False
    first = int(view.storage_offset()) - int(owner.storage_offset())
    return first >= 0 and first + _extent(view) <= _extent(owner)


def _extent(tensor: Tensor) -> int:
    return sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride())) + 1 if tensor.numel() else 0


def _check_covered(name: str, parameter: Tensor, views: list[Tensor]) -> None:
    """Raises ValueError unless the views cover every element of a parameter exactly once."""
    counts = torch.zeros(_extent(parameter), dtype=torch.uint8)
    for view in views:
        counts.as_strided(view.shape, view.stride(), view.storage_offset() - parameter.storage_offset()).add_(1)
    own = counts.as_strided(parameter.shape, parameter.stride())
    if not bool((own == 1).all()) or sum(view.numel() for view in views) != prod(parameter.shape):
        raise ValueError(
            f"{name}: the views of this parameter in state_dict(), which a hook of a module returns, do not cover each of its "
            "elements exactly once: fill the parameter without the hook"
        )


def _by_canonical_name(tensors: Iterator[tuple[str, RecipeTensor]]) -> dict[str, RecipeTensor]:
    found: dict[str, RecipeTensor] = {}
    names: dict[str, str] = {}
    for name, tensor in tensors:
        canonical = canonical_name(name)
        if canonical in names:
            raise ValueError(
                f"{names[canonical]} and {name} both have the name {canonical} (without the prefixes of wrappers), so they "
                "would get the same values"
            )
        names[canonical], found[canonical] = name, tensor
    return found
