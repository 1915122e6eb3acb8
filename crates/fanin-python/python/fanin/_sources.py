"""The function `native_source`, which gives Rust access to the memory of NumPy, JAX, torch and other arrays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

#: The argument of the analysis functions: the path of a checkpoint, or a mapping from names to arrays.
Source = str | PathLike[str] | Mapping[str, Any]

#: Maps dtype names of NumPy, JAX and ml_dtypes to the names in safetensors.
_STORED = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}

#: A source in the form that is passed to Rust: the path of a checkpoint, or a pair for arrays in memory. The pair is a
#: list of (name, dtype, shape), and a function of an index into this list. The function returns the array's address,
#: its size in bytes, and the object that owns the memory.
Native = str | tuple[list[tuple[str, str, list[int]]], Callable[[int], tuple[int, int, Any]]]


def native_source(source: Source, argument: str = "source") -> tuple[Native, str]:
    """Converts a source to the form that is passed to Rust. Returns the converted source and its name in reports."""
    if isinstance(source, (str, PathLike)):
        path = fspath(source)
        return path, os.fspath(path)
    if not isinstance(source, Mapping):
        raise TypeError(f"{argument} must be a path, or a mapping from names to arrays, got {type(source).__name__}")
    arrays = dict(source)
    for name in arrays:
        if not isinstance(name, str):
            raise TypeError(f"{argument}: the names must be text, got {name!r}")
    return of_arrays(arrays), "arrays in memory"


def of_arrays(arrays: Mapping[str, Any]) -> Native:
    """Converts arrays to the form `Native`, which is passed to Rust.

    The argument `arrays` maps names to arrays of any library.
    """
    values = list(arrays.values())
    rows = [(name, *_kind(value, name)) for name, value in arrays.items()]

    def memory(number: int) -> tuple[int, int, Any]:
        value = values[number]
        if _is_torch(value):
            from .torch._module_tensors import memory_of

            return memory_of(value)
        import numpy as np

        array = np.ascontiguousarray(_to_numpy(value))
        if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
            array = array.astype(array.dtype.newbyteorder("<"))
        return array.ctypes.data, array.nbytes, array

    return rows, memory


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _kind(value: Any, name: str) -> tuple[str, list[int]]:
    """Returns the name of an array's dtype in safetensors, and the array's shape."""
    if _is_torch(value):
        from .torch._module_tensors import stored_type

        return stored_type(value, name), list(value.shape)
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        value = _to_numpy(value)
    stored = _STORED.get(getattr(value.dtype, "name", str(value.dtype)))
    if stored is None:
        raise TypeError(f"{name}: arrays of {value.dtype} are not supported: expected one of {', '.join(_STORED)}")
    return stored, list(value.shape)


def _to_numpy(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(value)
