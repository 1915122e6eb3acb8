"""The function `check_axes`, for JAX and Keras. It rejects initializers that only fill weights of shape [out, in, kernel...]."""

from __future__ import annotations

from ._fanin import Initializer


def check_axes(spec: Initializer, library: str, other: str) -> None:
    """Raises ValueError if an initializer requires torch's axes [out, in, kernel...], as `dirac` does.

    `library` is "JAX" or "Keras", whose kernels have the axes [..., in, out]. `other` is a function for torch's axes.
    The error message may recommend it.
    """
    part = spec.torch_axes
    if part is not None:
        remedy = f"write {part}(kernel_in_out)" if part.startswith("fan_") else f"use {other} for an array with these axes"
        raise ValueError(f"{spec}: {part} is for the axes of torch, [out, in, kernel...], not for those of {library}: {remedy}")
