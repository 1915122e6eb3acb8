"""Which part of the whole a tensor's memory holds: the box of a DTensor, computed without a collective.

torch splits a dimension as `torch.chunk` does, once for each mesh dimension that shards it, and what a rank holds depends
on the order of these splits. A `_StridedShard` says that its split came after those of mesh dimensions to its right: FSDP2
over tensor parallel cuts each rank's tensor-parallel chunk, although its mesh dimension stands first. Placements are
therefore put into the order of the splits, and each split cuts what the ones before it left. (Read from left to right,
as torch's own compute_local_shape_and_global_offset does, rows that do not divide come out wrong.)

A placement of another class, or one whose order cannot be told, is an error: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

#: First and last but one of some indices along a dimension.
Interval = tuple[int, int]


class Box(NamedTuple):
    """A part of a tensor's memory, and the part of the whole that it holds."""

    #: Where it begins in this rank's memory.
    local: tuple[int, ...]
    #: Where it begins in the whole.
    start: tuple[int, ...]
    #: Its sizes.
    size: tuple[int, ...]


def is_dtensor(tensor: object) -> bool:
    """Whether this is a DTensor. torch.distributed need not be there, or be imported."""
    return hasattr(tensor, "_local_tensor") and hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def local_of(tensor: Tensor) -> Tensor:
    """The memory of a tensor on this rank."""
    return tensor._local_tensor if is_dtensor(tensor) else tensor  # type: ignore[attr-defined]


def boxes_of(tensor: Tensor, name: str = "tensor") -> list[Box]:
    """What this rank holds of a tensor. One box, except where a split is strided over nothing; none if it is empty.

    >>> boxes_of(torch.empty(3, 2))
    [Box(local=(0, 0), start=(0, 0), size=(3, 2))]
    """
    shape = tuple(tensor.shape)
    if not is_dtensor(tensor):
        return [Box((0,) * len(shape), (0,) * len(shape), shape)] if tensor.numel() else []
    mesh = tensor.device_mesh  # type: ignore[attr-defined]
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        # This rank is not in the mesh, and holds nothing.
        return []
    try:
        intervals = intervals_of(shape, tuple(mesh.shape), coordinate, tensor.placements)  # type: ignore[attr-defined]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    boxes = list(boxes_between(intervals))
    held, found = tuple(sum(end - start for start, end in along) for along in intervals), tuple(local_of(tensor).shape)
    if held != found and (boxes or local_of(tensor).numel()):
        raise ValueError(
            f"{name}: by its placements {tensor.placements} on a mesh of {tuple(mesh.shape)} this rank holds a "  # type: ignore[attr-defined]
            f"{list(held)} of {list(shape)}, but its local tensor is {list(found)}: the splits were made in another order "
            "than FSDP2 and DTensor make them, and which part this is cannot be told"
        )
    return boxes


def boxes_between(intervals: Sequence[Sequence[Interval]]) -> Iterator[Box]:
    """The boxes of all combinations of intervals, one of each dimension; those of one dimension follow one another."""
    placed = []
    for along in intervals:
        at, here = 0, []
        for start, end in along:
            if end > start:
                here.append((at, start, end - start))
                at += end - start
        placed.append(here)
    for combination in product(*placed):
        yield Box(*(tuple(part[i] for part in combination) for i in range(3)))


def intervals_of(
    shape: Sequence[int], mesh: Sequence[int], coordinate: Sequence[int], placements: Sequence[object]
) -> list[list[Interval]]:
    """Along each dimension of a DTensor the indices that the rank at `coordinate` of the mesh holds.

    >>> from torch.distributed.tensor.placement_types import Shard, _StridedShard
    >>> intervals_of((7,), (2, 2), (1, 0), (_StridedShard(0, split_factor=2), Shard(0)))
    [[(2, 4)]]
    """
    intervals = [[(0, size)] for size in shape]
    for dimension, splits in _splits_in_order(len(shape), mesh, placements).items():
        for count, index, strided in splits:
            pieces = [_chunk(intervals[dimension], strided, piece) for piece in range(strided)]
            intervals[dimension] = [part for piece in pieces for part in _chunk(piece, count, coordinate[index])]
    return intervals


def _splits_in_order(ndim: int, mesh: Sequence[int], placements: Sequence[object]):
    """For each dimension its splits in the order in which they were made: into how many chunks, along which dimension of
    the mesh, and of how many pieces each."""
    from torch.distributed.tensor.placement_types import Replicate, Shard, _StridedShard

    splits: dict[int, list[tuple[int, int, int]]] = {}
    # From the right: a plain shard came before those to its right, a strided one after so many of them as its factor says.
    for index in reversed(range(len(placements))):
        placement = placements[index]
        if type(placement) is Replicate:
            continue
        if type(placement) is Shard:
            after, strided = 0, 1
        elif type(placement) is _StridedShard:
            after, strided = _place_of(placement, splits.get(placement.dim, []), placements)
        else:
            raise ValueError(
                f"the placement {placement!r} is none of Shard, Replicate and _StridedShard: a tensor so placed cannot be "
                "initialized; redistribute it, or initialize it before it is distributed"
            )
        if not 0 <= placement.dim < ndim:
            raise ValueError(f"the placement {placement!r} shards a dimension that a tensor of {ndim} has not")
        splits.setdefault(placement.dim, []).insert(after, (mesh[index], index, strided))
    return splits


def _place_of(placement, later: list[tuple[int, int, int]], placements) -> tuple[int, int]:
    """After how many of the splits to its right a strided one was made; and over how many pieces it strides."""
    factor = int(placement.split_factor)
    if factor == 1:
        return 0, 1
    if not later:
        # Nobody shards the pieces that it strides over: all of them are here.
        return 0, factor
    pieces = 1
    for after, (count, _, _) in enumerate(later):
        pieces *= count
        if pieces == factor:
            return after + 1, 1
    raise ValueError(
        f"{placement!r} among {tuple(placements)} strides over {factor} pieces, and the mesh dimensions to its right do not "
        "make so many: in which order the splits were made cannot be told"
    )


def _chunk(intervals: Sequence[Interval], count: int, index: int) -> list[Interval]:
    """The `index`th of the `count` pieces that torch.chunk makes of these indices, empty where there are fewer."""
    size = sum(end - start for start, end in intervals)
    step = -(-size // count)
    first, last = min(size, step * index), min(size, step * (index + 1))
    held, at = [], 0
    for start, end in intervals:
        low, high = max(first, at), min(last, at + end - start)
        if low < high:
            held.append((start + low - at, start + high - at))
        at += end - start
    return held


def view_of(tensor: Tensor, box: Box) -> Tensor:
    """The part of a rank's memory that a box says."""
    view = tensor
    for dimension, (start, size) in enumerate(zip(box.local, box.size)):
        if size != view.shape[dimension]:
            view = torch.narrow(view, dimension, start, size)
    return view
