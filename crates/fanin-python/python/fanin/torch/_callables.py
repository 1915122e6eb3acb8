"""Weights split by hand, as Megatron and DeepSpeed split them: one dimension over the ranks, or a flat range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from .._fanin import Initializer, Prepared
from ._boxes import boxes_between
from ._write import changed, check, dtype_of, write


def init_method(
    spec: str | Initializer,
    *,
    seed: int = 0,
    name: str,
    rank: int | None = None,
    world_size: int | None = None,
    dim: int = 0,
    stride: int = 1,
) -> Callable[[Tensor], Tensor]:
    """A callable that fills this rank's part of a weight which is split along `dim`: what Megatron calls an init_method.

    The whole weight is `world_size` times as long along `dim` as the tensor that the callable is given; its fans are the
    whole's. With `stride` s it is s weights in one (a fused gate and up projection, or qkv with equal heads): the
    dimension has `world_size * stride` equal pieces, and the rank holds every `world_size`th, from its own on, one after
    another, as Megatron's `_initialize_affine_weight` cuts them. `rank` and `world_size` are torch.distributed's if left
    out; say those of the tensor-parallel group where it is not all ranks.

    A length that `stride` does not divide is a ValueError.

    >>> whole = init_method("normal(std=0.02)", name="w", rank=0, world_size=1)(torch.empty(8, 3))
    >>> part = init_method("normal(std=0.02)", name="w", rank=1, world_size=2, stride=2)(torch.empty(4, 3))
    >>> torch.equal(part, torch.cat([whole[2:4], whole[6:8]]))
    True
    """
    if (rank is None) != (world_size is None):
        raise ValueError("give rank and world_size, or neither: then they are torch.distributed's")
    if stride < 1:
        raise ValueError(f"stride = {stride}: must be at least 1")

    def fill(tensor: Tensor) -> Tensor:
        here, count = (rank, world_size) if rank is not None else _here()
        if not 0 <= here < count:  # type: ignore[operator]
            raise ValueError(f"rank = {here}: must be from 0 to world_size - 1 = {count - 1}")  # type: ignore[operator]
        check(tensor, name)
        axis = dim % tensor.ndim if tensor.ndim else 0
        if not tensor.ndim or not -tensor.ndim <= dim < tensor.ndim:
            raise ValueError(f"{name}: dim = {dim} is none of a tensor of shape {tuple(tensor.shape)}")
        length = tensor.shape[axis]
        if length % stride:
            raise ValueError(f"{name}: stride = {stride} does not divide the {length} indices of dimension {axis}")
        piece = length // stride
        intervals = [[(0, size)] for size in tensor.shape]
        intervals[axis] = [((s * count + here) * piece, (s * count + here + 1) * piece) for s in range(stride)]  # type: ignore[operator]
        shape = tuple(size * count if one == axis else size for one, size in enumerate(tensor.shape))  # type: ignore[operator]
        prepared = Prepared(spec, shape, dtype_of(tensor, name), seed, name)
        write(tensor, prepared, boxes_between(intervals))
        changed(tensor)
        return tensor

    return fill


def _here() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    raise ValueError("torch.distributed is not initialized: give rank and world_size")


def fill_flat(
    tensor: Tensor, spec: str | Initializer, *, shape: Sequence[int], start: int, seed: int = 0, name: str
) -> Tensor:
    """Fill a vector with the row-major values `start`, `start + 1`, .. of the tensor `name` of this shape: what a rank
    holds of a parameter in ZeRO-3 (`ds_tensor`, of a parameter of `ds_shape`) or in FSDP1's flat one.

    What reaches beyond the tensor's end is padding, and becomes 0. A vector that is not dense is a ValueError, and so is a
    `start` below 0.

    >>> whole = fill_flat(torch.empty(6), "orthogonal", shape=(3, 2), start=0, name="w")
    >>> fill_flat(torch.empty(4), "orthogonal", shape=(3, 2), start=4, name="w")[2:]
    tensor([0., 0.])
    >>> torch.equal(fill_flat(torch.empty(4), "orthogonal", shape=(3, 2), start=4, name="w")[:2], whole[4:])
    True
    """
    check(tensor, name)
    if start < 0:
        raise ValueError(f"start = {start}: must not be below 0")
    if tensor.ndim != 1 or not tensor.is_contiguous():
        raise ValueError(f"{name}: a flat range goes into a dense vector, not into the shape {tuple(tensor.shape)}")
    prepared = Prepared(spec, tuple(shape), dtype_of(tensor, name), seed, name)
    held = min(max(prod(shape) - start, 0), tensor.numel())
    with torch.no_grad():
        values, padding = tensor.detach()[:held], tensor.detach()[held:]
        step = held if tensor.device.type == "cpu" else 1 << 24
        for first in range(0, held, max(step, 1)):
            part = values[first : first + step]
            memory = part if part.device.type == "cpu" else torch.empty_like(part, device="cpu")
            prepared.fill_flat(memory, start + first)
            if memory is not part:
                part.copy_(memory)
        padding.zero_()
    changed(tensor)
    return tensor
