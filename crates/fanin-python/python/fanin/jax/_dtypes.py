"""The dtypes of JAX arrays that fanin can fill."""

from __future__ import annotations

import numpy as np

#: The dtypes of JAX arrays that fanin can fill, and the names of these dtypes in Rust.
DTYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2",
}


class DTypeError(TypeError, ValueError):
    """An error for a dtype that fanin cannot draw. Also a ValueError, as the error of `jax.random` for such a dtype."""


def dtype_name_of(name: str, dtype: np.dtype) -> str:
    """Returns the name of a dtype in Rust. `name` is the name of the array in the error message."""
    dtype_name = DTYPES.get(dtype.name)
    if dtype_name is None:
        raise DTypeError(f"{name}: an array of {dtype} cannot be drawn: {', '.join(DTYPES)} can")
    return dtype_name


def bits_of(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Returns the memory of an array in a type of NumPy, and the name of the type of its bits if NumPy lacks this type."""
    dtype_name = DTYPES[array.dtype.name]
    if dtype_name == "bf16":
        return array.view(np.uint16), dtype_name
    if dtype_name.startswith("f8"):
        return array.view(np.uint8), dtype_name
    return array, None
