"""Functions that fill the memory of this rank with values of the native stream."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .._fanin import Initializer, Prepared
from ._regions import Region, local_of, regions_of, view_of

#: The types that fanin can fill on the native stream, and the names of these types in Rust.
DTYPES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float8_e4m3fn: "f8_e4m3",
    torch.float8_e5m2: "f8_e5m2",
}

#: The approximate number of values in a chunk. A tensor that is not on the CPU is filled in chunks, which are drawn
#: into CPU memory and then copied.
COPIED_VALUES = 1 << 24


def dtype_of(tensor: Tensor, name: str) -> str:
    """Returns the name of a tensor's type in Rust. Raises TypeError if fanin cannot fill tensors of this type."""
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        known = ", ".join(str(one).removeprefix("torch.") for one in DTYPES)
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be filled: expected one of {known}")
    return dtype


def check_memory(tensor: Tensor, name: str) -> None:
    """Raises an error unless this rank's part of a tensor is dense memory to which fanin can write."""
    local = local_of(tensor)
    if local.is_meta:
        raise ValueError(f"{name} is on the meta device and has no memory: call module.to_empty(device=...) first")
    if local.layout is not torch.strided:
        raise TypeError(f"{name} has the layout {local.layout}: only dense tensors are filled")
    if is_traceable_wrapper_subclass(local):
        raise TypeError(f"{name} is a {type(local).__name__}, which is made of other tensors: initialize it before it is converted")
    storage = local.untyped_storage()
    if local.numel() and (storage.device.type == "meta" or not storage.nbytes()):
        raise ValueError(f"{name} has no memory at present, because its storage was freed: gather or allocate it first")
    if torch._debug_has_internal_overlap(local) == 1:
        raise ValueError(f"{name}: several of its elements have the same memory, as after expand: replace it by its clone()")
    if local.is_neg():
        raise ValueError(f"{name}: its memory has the negated values (the negative bit is set): replace it by the result of resolve_neg()")


def fill(tensor: Tensor, spec: str | Initializer, seed: int, name: str) -> None:
    """Fills a tensor with the values that `spec`, `seed` and `name` determine. Of a DTensor, fills this rank's part."""
    check_memory(tensor, name)
    regions = regions_of(tensor, name)
    if regions:
        prepared = Prepared(spec, tuple(tensor.shape), dtype_of(tensor, name), seed, name)
        fill_regions(local_of(tensor), prepared, regions)
    increment_version(tensor)


def fill_regions(local: Tensor, prepared: Prepared, regions: Iterable[Region]) -> None:
    """Fills the local tensor of this rank with the values of the given regions of the global tensor."""
    local = local.detach()
    for region in regions:
        fill_region(view_of(local, region), prepared, region.start)


def fill_region(view: Tensor, prepared: Prepared, start: tuple[int, ...]) -> None:
    """Fills a view, on any device, with a region of the global tensor. The region begins at the index `start`."""
    if view.device.type == "cpu" and torch._debug_has_internal_overlap(view) == 0:
        prepared.fill_region(view, start)
        return
    count = view.numel()
    rows = view.shape[0] if view.ndim and count > COPIED_VALUES else 1
    step = max(1, rows * COPIED_VALUES // count) if rows > 1 else 1
    for first in range(0, rows, step):
        rows_view = view[first : first + step] if rows > 1 else view
        memory = torch.empty(rows_view.shape, dtype=rows_view.dtype, device="cpu")
        prepared.fill_region(memory, (start[0] + first, *start[1:]) if rows > 1 else start)
        with torch.no_grad():
            rows_view.copy_(memory)


def increment_version(tensor: Tensor) -> None:
    """Increments the version counters of a tensor and, for a DTensor, of its local tensor, as an in-place operation does."""
    for one in {id(each): each for each in (tensor, local_of(tensor))}.values():
        if not one.is_inference():
            torch.autograd.graph.increment_version(one)
