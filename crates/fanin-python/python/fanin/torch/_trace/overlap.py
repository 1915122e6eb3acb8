"""Compares the memory of tensors: whether one place covers another, and which elements are in none of several places."""

from __future__ import annotations

import torch

from .recorder import Place

#: How a place covers another one: it has none, some or all of its elements.
NONE, PART, ALL = range(3)


def span(place: Place) -> tuple[int, int]:
    """Returns the range of bytes (end exclusive) in the storage from the first to the last element of a place."""
    last = sum((size - 1) * stride for size, stride in zip(place.shape, place.strides))
    size = place.dtype.itemsize
    return place.offset * size, (place.offset + last + 1) * size


def is_dense(place: Place) -> bool:
    """Returns whether a place has every element of its span exactly once."""
    expected = 1
    for stride, size in sorted((stride, size) for size, stride in zip(place.shape, place.strides) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_contiguous(place: Place) -> bool:
    """Returns whether the elements of a place are in row-major order without gaps."""
    expected = 1
    for size, stride in zip(reversed(place.shape), reversed(place.strides)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def coverage(place: Place, target: Place) -> int:
    """Returns how many of the elements of `target` are in `place`: NONE, PART or ALL."""
    if place.storage != target.storage or not place.elements or not target.elements:
        return NONE
    if place[1:4] == target[1:4] and place.dtype.itemsize == target.dtype.itemsize:
        return ALL
    (first, end), (low, high) = span(place), span(target)
    if end <= low or high <= first:
        return NONE
    if is_dense(place) and first <= low and high <= end:
        return ALL
    if is_dense(place) and is_dense(target):
        return PART
    inside = _mask([place], target)
    return ALL if bool(inside.all()) else PART if bool(inside.any()) else NONE


def missing(places: list[Place], target: Place) -> int:
    """Returns the number of elements of `target` that are in none of the places."""
    if not target.elements:
        return 0
    if not places:
        return target.elements
    return target.elements - int(_mask(places, target).sum())


def _mask(places: list[Place], target: Place) -> torch.Tensor:
    """Returns for each element of `target` whether one of the places has it."""
    size = target.dtype.itemsize
    unit = min([size, *(place.dtype.itemsize for place in places)])
    low, high = span(target)
    ends = [span(place) for place in places if place.elements]
    low, high = min([low, *(first for first, _ in ends)]), max([high, *(end for _, end in ends)])
    memory = torch.zeros((high - low) // unit, dtype=torch.bool, device="cpu")

    def view(place: Place) -> torch.Tensor:
        factor = place.dtype.itemsize // unit
        shape, strides = place.shape, tuple(stride * factor for stride in place.strides)
        return memory.as_strided((*shape, factor), (*strides, 1), place.offset * factor - low // unit)

    for place in places:
        view(place).fill_(True)
    return view(target).all(-1)
