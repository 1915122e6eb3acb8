"""The function `check_axes`, which rejects initializers for torch's weight axes in libraries with kernels [..., in, out]."""

from __future__ import annotations

from ._fanin import Initializer


def check_axes(spec: Initializer, library: str, other: str) -> None:
    """Raises ValueError if an initializer can only fill weights of shape [out, in, kernel...].

    Kernels of `library` have the shape [..., in, out] instead.

    The error message names `other`, a function that the caller can use for weights of shape [out, in, kernel...].
    """
    part = spec.torch_axes
    if part is not None:
        remedy = f"write {part}(kernel_in_out)" if part.startswith("fan_") else f"use {other} for an array with these axes"
        raise ValueError(f"{spec}: {part} is for the axes of torch, [out, in, kernel...], not for those of {library}: {remedy}")
