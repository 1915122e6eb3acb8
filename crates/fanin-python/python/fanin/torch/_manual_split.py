"""Fills of weights that are split between ranks without DTensor.

`init_method` fills weights that are split along one dimension, as in Megatron. `fill_flat` fills weights whose row-major values
are split into ranges, as in DeepSpeed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from .._fanin import Initializer, Prepared
from ._native_stream import COPIED_VALUES, check_memory, dtype_of, fill_regions, increment_version
from ._regions import regions_between


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
    """Returns a function that fills this rank's part of a weight. The weight is split along `dim`.

    Megatron accepts the returned function as an `init_method`. The function's argument is this rank's part of the
    weight. Along `dim`, the global weight is `world_size` times as long as this part. Fans are computed from the shape
    of the global weight.

    Parameters
    ----------
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    seed
        The seed of the native stream.
    name
        The name of the weight.
    rank, world_size
        The rank of this process in its tensor-parallel group, and the number of ranks in this group. The defaults are
        the rank and the world size of torch.distributed.
    dim
        The dimension along which the weight is split.
    stride
        The number of weights that are fused along `dim`, such as 2 for a gate and an up projection. The global weight
        is split into `world_size * stride` equal blocks. This rank holds the blocks `rank`, `rank + world_size`,
        `rank + 2 * world_size`, ..., as in Megatron's `_initialize_affine_weight`. `stride` must divide the length of
        this rank's part along `dim`. Otherwise the returned function raises ValueError.

    Examples
    --------
    >>> whole = init_method("normal(std=0.02)", name="w", rank=0, world_size=1)(torch.empty(8, 3))
    >>> part = init_method("normal(std=0.02)", name="w", rank=1, world_size=2, stride=2)(torch.empty(4, 3))
    >>> torch.equal(part, torch.cat([whole[2:4], whole[6:8]]))
    True
    """
    if (rank is None) != (world_size is None):
        raise ValueError("give both rank and world_size, or neither to use those of torch.distributed")
    if stride < 1:
        raise ValueError(f"stride = {stride}: must be at least 1")

    def fill(tensor: Tensor) -> Tensor:
        index, count = (rank, world_size) if rank is not None else _distributed()
        if not 0 <= index < count:  # type: ignore[operator]
            raise ValueError(f"rank = {index}: must be from 0 to world_size - 1 = {count - 1}")  # type: ignore[operator]
        check_memory(tensor, name)
        axis = dim % tensor.ndim if tensor.ndim else 0
        if not tensor.ndim or not -tensor.ndim <= dim < tensor.ndim:
            raise ValueError(f"{name}: dim = {dim} is out of range for a tensor of shape {tuple(tensor.shape)}")
        length = tensor.shape[axis]
        if length % stride:
            raise ValueError(f"{name}: stride = {stride} does not divide the {length} indices of dimension {axis}")
        block = length // stride
        intervals = [[(0, size)] for size in tensor.shape]
        intervals[axis] = [((s * count + index) * block, (s * count + index + 1) * block) for s in range(stride)]  # type: ignore[operator]
        shape = tuple(size * count if one == axis else size for one, size in enumerate(tensor.shape))  # type: ignore[operator]
        prepared = Prepared(spec, shape, dtype_of(tensor, name), seed, name)
        fill_regions(tensor, prepared, regions_between(intervals))
        increment_version(tensor)
        return tensor

    return fill


def _distributed() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    raise ValueError("torch.distributed is not initialized: give rank and world_size")


def fill_flat(
    tensor: Tensor, spec: str | Initializer, *, shape: Sequence[int], start: int, seed: int = 0, name: str
) -> Tensor:
    """Fills a vector with a range of the values of a global tensor. The values are in row-major order.

    In ZeRO-3 and FSDP1, each rank holds such a range of a parameter. For a parameter `p` of ZeRO-3, the vector is
    `p.ds_tensor`, and the shape of the global tensor is `p.ds_shape`. If the vector extends past the last value of the
    global tensor, the rest is padding. Padding is set to 0.

    Parameters
    ----------
    tensor
        A contiguous vector.
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    shape
        The shape of the global tensor.
    start
        The row-major index in the global tensor at which the range begins.
    seed
        The seed of the native stream.
    name
        The name of the global tensor.

    Returns
    -------
    Tensor
        `tensor`.

    Examples
    --------
    >>> whole = fill_flat(torch.empty(6), "orthogonal", shape=(3, 2), start=0, name="w")
    >>> fill_flat(torch.empty(4), "orthogonal", shape=(3, 2), start=4, name="w")[2:]
    tensor([0., 0.])
    >>> torch.equal(fill_flat(torch.empty(4), "orthogonal", shape=(3, 2), start=4, name="w")[:2], whole[4:])
    True
    """
    check_memory(tensor, name)
    if start < 0:
        raise ValueError(f"start = {start}: must be at least 0")
    if tensor.ndim != 1 or not tensor.is_contiguous():
        raise ValueError(f"{name}: a flat range fills a contiguous vector, not a tensor of shape {tuple(tensor.shape)}")
    prepared = Prepared(spec, tuple(shape), dtype_of(tensor, name), seed, name)
    count = min(max(prod(shape) - start, 0), tensor.numel())
    with torch.no_grad():
        values, padding = tensor.detach()[:count], tensor.detach()[count:]
        step = count if tensor.device.type == "cpu" else COPIED_VALUES
        for first in range(0, count, max(step, 1)):
            chunk = values[first : first + step]
            memory = chunk if chunk.device.type == "cpu" else torch.empty_like(chunk, device="cpu")
            prepared.fill_flat(memory, start + first)
            if memory is not chunk:
                chunk.copy_(memory)
        padding.zero_()
    increment_version(tensor)
    return tensor
