"""The dtypes of JAX arrays that fanin can fill."""

from __future__ import annotations

import numpy as np

#: Maps the dtypes of JAX arrays that fanin can fill to the names that the Rust module uses for them.
DTYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2",
}


class DTypeError(TypeError, ValueError):
    """Raised for a dtype that fanin cannot fill. It is also a ValueError, because `jax.random` raises ValueError for such a dtype."""


def dtype_name_of(name: str, dtype: np.dtype) -> str:
    """Returns the name that the Rust module uses for a dtype. `name` is the name of the array, for the error message."""
    dtype_name = DTYPES.get(dtype.name)
    if dtype_name is None:
        raise DTypeError(f"{name}: arrays of {dtype} cannot be filled: the dtype must be one of {', '.join(DTYPES)}")
    return dtype_name


def bits_of(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Returns a view of `array` with a dtype that NumPy has, and the name of the dtype of `array` if NumPy does not have it.

    NumPy has no bfloat16 and no float8. For these dtypes, the view has unsigned integers of the same size, and the name, such as
    "bf16", says what the bits mean. For other dtypes, `array` itself and None are returned.
    """
    dtype_name = DTYPES[array.dtype.name]
    if dtype_name == "bf16":
        return array.view(np.uint16), dtype_name
    if dtype_name.startswith("f8"):
        return array.view(np.uint8), dtype_name
    return array, None
