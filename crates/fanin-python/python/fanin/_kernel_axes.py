"""Rejects initializers that can only use the axes of torch, for libraries whose kernels have the shape [..., in, out]."""

from __future__ import annotations

from ._fanin import Initializer


def check_axes(spec: Initializer, library: str, other: str) -> None:
    """Raises ValueError if an initializer uses the axes of torch and cannot use those of `library`.

    `other` is what the caller can use instead for an array with the axes of torch.
    """
    part = spec.torch_axes
    if part is not None:
        remedy = f"write {part}(kernel_in_out)" if part.startswith("fan_") else f"use {other} for an array with these axes"
        raise ValueError(f"{spec}: {part} is for the axes of torch, [out, in, kernel...], not for those of {library}: {remedy}")
