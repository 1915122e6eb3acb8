"""Computes the regions of a DTensor that are on this rank, without communication.

torch splits a tensor dimension once for each mesh dimension that shards it, into the chunks of `torch.chunk`. The
region of a rank depends on the order of these splits. The placements of the mesh dimensions determine this order. The
split of a Shard was made before the splits of all mesh dimensions to its right. The split of a `_StridedShard` was made
after the splits of some mesh dimensions to its right. An example is FSDP2 over tensor parallelism: FSDP2 is the first
mesh dimension, but splits the chunk that tensor parallelism gives to a rank.

This module sorts the splits by the order in which they were made, and applies each split to the result of the previous
split. (torch's own function compute_local_shape_and_global_offset applies the placements from left to right. This is
wrong for sizes that do not divide evenly.)

Placements other than Shard, Replicate and `_StridedShard` raise ValueError. So do placements whose order is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

#: Start and end (exclusive) of a range of indices along a dimension.
Interval = tuple[int, int]


class Region(NamedTuple):
    """A region of a global tensor, and its position in this rank's local tensor."""

    #: The index, in the local tensor, of the region's first element.
    local: tuple[int, ...]
    #: The index, in the global tensor, of the region's first element.
    start: tuple[int, ...]
    #: The shape of the region.
    size: tuple[int, ...]


class _Split(NamedTuple):
    """A split of one dimension of a tensor between the ranks along one mesh dimension."""

    #: The number of chunks.
    chunks: int
    #: The mesh dimension. A rank holds the chunk whose index is the rank's coordinate along this mesh dimension.
    mesh_dim: int
    #: The number of equal blocks into which the dimension is divided first. Each block is then split into `chunks` chunks.
    blocks: int


def is_dtensor(tensor: object) -> bool:
    """Returns whether an object is a DTensor. Does not import torch.distributed, because not every torch has this module."""
    return hasattr(tensor, "_local_tensor") and hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def local_of(tensor: Tensor) -> Tensor:
    """Returns the local tensor of a DTensor. Returns any other tensor unchanged."""
    return tensor._local_tensor if is_dtensor(tensor) else tensor  # type: ignore[attr-defined]


def regions_of(tensor: Tensor, name: str = "tensor") -> list[Region]:
    """Returns the regions of a tensor that are on this rank. `name` is the name of the tensor in error messages.

    A rank usually holds one region. It holds none if its local tensor is empty or if it is not in the mesh. It can hold
    several if a placement is a `_StridedShard` and no later placement shards the same tensor dimension.

    >>> regions_of(torch.empty(3, 2))
    [Region(local=(0, 0), start=(0, 0), size=(3, 2))]
    """
    shape = tuple(tensor.shape)
    if not is_dtensor(tensor):
        return [Region((0,) * len(shape), (0,) * len(shape), shape)] if tensor.numel() else []
    mesh = tensor.device_mesh  # type: ignore[attr-defined]
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        # A rank that is not in the mesh holds no region.
        return []
    try:
        intervals = intervals_of(shape, tuple(mesh.shape), coordinate, tensor.placements)  # type: ignore[attr-defined]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    regions = list(regions_between(intervals))
    expected = tuple(sum(end - start for start, end in along) for along in intervals)
    found = tuple(local_of(tensor).shape)
    if expected != found and (regions or local_of(tensor).numel()):
        raise ValueError(
            f"{name}: with placements {tensor.placements} on a mesh of {tuple(mesh.shape)}, expected a local tensor of "  # type: ignore[attr-defined]
            f"shape {list(expected)} of {list(shape)}, got {list(found)}: the splits were not made in the order of FSDP2 and "
            "DTensor, so the region of this rank is unknown"
        )
    return regions


def regions_between(intervals: Sequence[Sequence[Interval]]) -> Iterator[Region]:
    """Yields one region for each combination of one interval per dimension.

    `intervals[d]` are the intervals of dimension `d`. In the local tensor, they follow one another without gaps.
    """
    placed = []
    for along in intervals:
        offset, parts = 0, []
        for start, end in along:
            if end > start:
                parts.append((offset, start, end - start))
                offset += end - start
        placed.append(parts)
    for combination in product(*placed):
        yield Region(*(tuple(part[i] for part in combination) for i in range(3)))


def intervals_of(
    shape: Sequence[int], mesh: Sequence[int], coordinate: Sequence[int], placements: Sequence[object]
) -> list[list[Interval]]:
    """Returns the intervals of indices that a rank holds, for each dimension of a DTensor.

    `coordinate` is the position of the rank in the mesh.

    >>> from torch.distributed.tensor.placement_types import Shard, _StridedShard
    >>> intervals_of((7,), (2, 2), (1, 0), (_StridedShard(0, split_factor=2), Shard(0)))
    [[(2, 4)]]
    """
    intervals = [[(0, size)] for size in shape]
    for dimension, splits in _splits_in_order(len(shape), mesh, placements).items():
        for chunks, mesh_dim, blocks in splits:
            parts = [_chunk(intervals[dimension], blocks, block) for block in range(blocks)]
            intervals[dimension] = [
                interval for part in parts for interval in _chunk(part, chunks, coordinate[mesh_dim])
            ]
    return intervals


def _splits_in_order(ndim: int, mesh: Sequence[int], placements: Sequence[object]) -> dict[int, list[_Split]]:
    """Returns the splits of each dimension of the tensor, in the order in which they were made."""
    from torch.distributed.tensor.placement_types import Replicate, Shard, _StridedShard

    splits: dict[int, list[_Split]] = {}
    # From right to left: the split of a Shard was made before all splits to its right. The split of a _StridedShard was
    # made after some of the splits to its right. The split factor determines after which of these splits.
    for mesh_dim in reversed(range(len(placements))):
        placement = placements[mesh_dim]
        if type(placement) is Replicate:
            continue
        if type(placement) is Shard:
            position, blocks = 0, 1
        elif type(placement) is _StridedShard:
            position, blocks = _position_of(placement, splits.get(placement.dim, []), placements)
        else:
            raise ValueError(
                f"the placement {placement!r} is not Shard, Replicate or _StridedShard: redistribute the tensor, or "
                "initialize it before it is distributed"
            )
        if not 0 <= placement.dim < ndim:
            raise ValueError(f"the placement {placement!r} shards a dimension that a tensor of {ndim} dimensions does not have")
        splits.setdefault(placement.dim, []).insert(position, _Split(mesh[mesh_dim], mesh_dim, blocks))
    return splits


def _position_of(placement, right: list[_Split], placements) -> tuple[int, int]:
    """Returns two numbers for a new split: its index in the list `right`, and its field `blocks` (see `_Split`).

    The new split is the split of a tensor dimension by `placement`, a _StridedShard. The list `right` contains the
    splits of the same tensor dimension by the mesh dimensions to the right of `placement`, in the order in which these
    splits were made. The new split must be inserted into the list at the returned index.
    """
    factor = int(placement.split_factor)
    if factor == 1:
        return 0, 1
    if not right:
        # The mesh dimensions to the right do not split this dimension. So each rank has one chunk of every block.
        return 0, factor
    chunks = 1
    for position, split in enumerate(right):
        chunks *= split.chunks
        if chunks == factor:
            return position + 1, 1
    raise ValueError(
        f"{placement!r} among {tuple(placements)} has the split factor {factor}, but the mesh dimensions to its right do "
        "not make as many chunks: the order of the splits is unknown"
    )


def _chunk(intervals: Sequence[Interval], count: int, index: int) -> list[Interval]:
    """Splits the indices in `intervals` into `count` chunks like torch.chunk, and returns the chunk with index `index`.

    The chunk is returned as a list of intervals. The list is empty if there is no chunk with this index. For example,
    torch.chunk splits 5 indices into 3 chunks if `count` is 4.
    """
    size = sum(end - start for start, end in intervals)
    step = -(-size // count)
    first, last = min(size, step * index), min(size, step * (index + 1))
    chunk, offset = [], 0
    for start, end in intervals:
        low, high = max(first, offset), min(last, offset + end - start)
        if low < high:
            chunk.append((start + low - offset, start + high - offset))
        offset += end - start
    return chunk


def view_of(tensor: Tensor, region: Region) -> Tensor:
    """Returns a region as a view of the rank's local tensor. `tensor` is the local tensor."""
    view = tensor
    for dimension, (start, size) in enumerate(zip(region.local, region.size)):
        if size != view.shape[dimension]:
            view = torch.narrow(view, dimension, start, size)
    return view
