"""The function `check_axes`, for JAX and Keras. It rejects initializers that only fill weights of shape [out, in, kernel...]."""

from __future__ import annotations

from ._fanin import Initializer


def check_axes(spec: Initializer, library: str, other: str) -> None:
    """Raises ValueError if an initializer can only fill weights with torch's shape [out, in, kernel...].

    The error message names `library`, whose kernels have the shape [..., in, out]. The message may also name `other`, a function
    that the caller can use for weights of shape [out, in, kernel...].
    """
    part = spec.torch_axes
    if part is not None:
        remedy = f"write {part}(kernel_in_out)" if part.startswith("fan_") else f"use {other} for an array with these axes"
        raise ValueError(f"{spec}: {part} is for the axes of torch, [out, in, kernel...], not for those of {library}: {remedy}")
