"""The types of JAX arrays that fanin fills."""

from __future__ import annotations

import numpy as np

#: The types of JAX arrays that fanin fills, and the names of these types in Rust.
DTYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2",
}


class DTypeError(TypeError, ValueError):
    """An error for a type that cannot be drawn. It is also a ValueError, because `jax.random` raises that for such a type."""


def dtype_name_of(name: str, dtype: np.dtype) -> str:
    """Returns the name of a type in Rust. `name` is the name of the array in the error message."""
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
