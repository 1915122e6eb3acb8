"""Compares the memory of tensors: which elements of one tensor are also in the memory of others."""

from __future__ import annotations

import torch

from .recorder import Memory

#: How many elements of a tensor are also in the memory of another tensor: none, some or all.
NONE, PART, ALL = range(3)


def span(memory: Memory) -> tuple[int, int]:
    """Returns the byte range of a tensor in its storage: start and end (exclusive)."""
    last = sum((size - 1) * stride for size, stride in zip(memory.shape, memory.strides))
    size = memory.dtype.itemsize
    return memory.offset * size, (memory.offset + last + 1) * size


def is_dense(memory: Memory) -> bool:
    """Returns whether a tensor fills one range of memory without gaps or overlaps. Its axes may have any order."""
    expected = 1
    for stride, size in sorted((stride, size) for size, stride in zip(memory.shape, memory.strides) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_contiguous(memory: Memory) -> bool:
    """Returns whether the elements of a tensor are in row-major order without gaps."""
    expected = 1
    for size, stride in zip(reversed(memory.shape), reversed(memory.strides)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def coverage(memory: Memory, target: Memory) -> int:
    """Returns how many elements of `target` are also in `memory`: NONE, PART or ALL."""
    if memory.storage != target.storage or not memory.elements or not target.elements:
        return NONE
    if memory[1:4] == target[1:4] and memory.dtype.itemsize == target.dtype.itemsize:
        return ALL
    (first, end), (low, high) = span(memory), span(target)
    if end <= low or high <= first:
        return NONE
    if is_dense(memory) and first <= low and high <= end:
        return ALL
    if is_dense(memory) and is_dense(target):
        return PART
    inside = _mask([memory], target)
    return ALL if bool(inside.all()) else PART if bool(inside.any()) else NONE


def missing(written: list[Memory], target: Memory) -> int:
    """Returns the number of elements of `target` that the memory in `written` does not cover."""
    if not target.elements:
        return 0
    if not written:
        return target.elements
    return target.elements - int(_mask(written, target).sum())


def _mask(written: list[Memory], target: Memory) -> torch.Tensor:
    """Returns, for each element of `target`, whether it is in the memory of any tensor in `written`."""
    size = target.dtype.itemsize
    unit = min([size, *(memory.dtype.itemsize for memory in written)])
    low, high = span(target)
    ends = [span(memory) for memory in written if memory.elements]
    low, high = min([low, *(first for first, _ in ends)]), max([high, *(end for _, end in ends)])
    mask = torch.zeros((high - low) // unit, dtype=torch.bool, device="cpu")

    def view(memory: Memory) -> torch.Tensor:
        factor = memory.dtype.itemsize // unit
        shape, strides = memory.shape, tuple(stride * factor for stride in memory.strides)
        return mask.as_strided((*shape, factor), (*strides, 1), memory.offset * factor - low // unit)

    for memory in written:
        view(memory).fill_(True)
    return view(target).all(-1)
