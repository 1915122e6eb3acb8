"""The dtypes of JAX arrays that fanin can fill."""

from __future__ import annotations

import numpy as np

#: Maps the JAX dtypes that fanin can fill to their names in Rust.
DTYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2",
}


class DTypeError(TypeError, ValueError):
    """Raised for a dtype that fanin cannot fill. It is also a ValueError, because `jax.random` raises ValueError."""


def dtype_name_of(name: str, dtype: np.dtype) -> str:
    """Returns the name that Rust uses for a dtype, such as "f32". `name` is the array's name, for the error message."""
    dtype_name = DTYPES.get(dtype.name)
    if dtype_name is None:
        raise DTypeError(f"{name}: arrays of {dtype} cannot be filled: the dtype must be one of {', '.join(DTYPES)}")
    return dtype_name


def bits_of(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Returns `(view, name)`: a view of `array` with a dtype of NumPy itself, and the name of the original dtype.

    A bfloat16 or float8 array is viewed as unsigned integers. Other arrays are returned unchanged, with the name None.
    """
    dtype_name = DTYPES[array.dtype.name]
    if dtype_name == "bf16":
        return array.view(np.uint16), dtype_name
    if dtype_name.startswith("f8"):
        return array.view(np.uint8), dtype_name
    return array, None
