"""A rank's memory filled on the native stream."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .._fanin import Initializer, Prepared
from ._boxes import Box, boxes_of, local_of, view_of

#: The types that fanin draws, as specs call them.
DRAWN = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float8_e4m3fn: "f8_e4m3",
    torch.float8_e5m2: "f8_e5m2",
}

#: Values that go by way of a copy at a time, into memory that is not the CPU's.
_COPIED = 1 << 24


def dtype_of(tensor: Tensor, name: str) -> str:
    """The type of a tensor that is to be drawn."""
    drawn = DRAWN.get(tensor.dtype)
    if drawn is None:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DRAWN)
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be drawn: {known} can")
    return drawn


def check(tensor: Tensor, name: str) -> None:
    """Refuses what has no dense memory here."""
    local = local_of(tensor)
    if local.is_meta:
        raise ValueError(f"{name} is on the meta device and has no memory: call module.to_empty(device=...) first")
    if local.layout is not torch.strided:
        raise TypeError(f"{name} has the layout {local.layout}: only dense tensors are filled")
    if local.is_neg():
        raise ValueError(f"{name}: its memory holds the values negated: put what resolve_neg() gives in its place")


def fill(tensor: Tensor, spec: str | Initializer, seed: int, name: str) -> None:
    """Fills a tensor, or of a DTensor this rank's part, with the values that the whole has."""
    check(tensor, name)
    boxes = boxes_of(tensor, name)
    if boxes:
        prepared = Prepared(spec, tuple(tensor.shape), dtype_of(tensor, name), seed, name)
        write(local_of(tensor), prepared, boxes)
    changed(tensor)


def write(local: Tensor, prepared: Prepared, boxes: Iterable[Box]) -> None:
    """Fills parts of a rank's memory with the parts of the whole that they hold."""
    local = local.detach()
    for box in boxes:
        write_box(view_of(local, box), prepared, box.start)


def write_box(view: Tensor, prepared: Prepared, start: tuple[int, ...]) -> None:
    """Fills memory, wherever it lies, with the box that begins at `start`."""
    if view.device.type == "cpu" and torch._debug_has_internal_overlap(view) == 0:
        prepared.fill_box(view, start)
        return
    # By way of a copy; if it is large, a part of its rows at a time.
    count = view.numel()
    rows = view.shape[0] if view.ndim and count > _COPIED else 1
    step = max(1, rows * _COPIED // count) if rows > 1 else 1
    for first in range(0, rows, step):
        part = view[first : first + step] if rows > 1 else view
        memory = torch.empty(part.shape, dtype=part.dtype, device="cpu")
        prepared.fill_box(memory, (start[0] + first, *start[1:]) if rows > 1 else start)
        with torch.no_grad():
            part.copy_(memory)


def changed(tensor: Tensor) -> None:
    """Tells autograd, as an operation under no_grad would."""
    for one in {id(each): each for each in (tensor, local_of(tensor))}.values():
        if not one.is_inference():
            torch.autograd.graph.increment_version(one)
