"""fill, filled and filled_like: arrays with values of the native stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._fanin import Initializer, fill_array

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array")

#: The NumPy type of each type of fanin. NumPy has no bf16 or float8: their bits are stored in unsigned integers.
_NUMPY = {
    "f32": "float32",
    "f64": "float64",
    "f16": "float16",
    "bf16": "uint16",
    "f8_e4m3": "uint8",
    "f8_e5m2": "uint8",
}

#: The names of the types in NumPy (with ml_dtypes) and torch.
_DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

#: Types of ml_dtypes that NumPy cannot export by DLPack: the integer type of a view, and the name in fanin.
_VIEW_DTYPES = {
    "bfloat16": ("uint16", "bf16"),
    "float8_e4m3fn": ("uint8", "f8_e4m3"),
    "float8_e5m2": ("uint8", "f8_e5m2"),
}


def fill(
    array: Array,
    spec: str | Initializer,
    *,
    seed: int = 0,
    name: str = "weight",
    out: Any = None,
    dtype: str | None = None,
    whole: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> Array:
    """Fills an array in place and returns it.

    Parameters
    ----------
    array
        An array of NumPy, torch or any other library with `__dlpack__`, in CPU memory, with any strides. A tensor may
        require grad; its version counter is incremented, as by torch.nn.init.
    spec
        A spec or an initializer.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Two names have independent values.
    out
        Fill and return this array instead; `array` then only has to have the same shape.
    dtype
        For integer arrays that hold the bits of floats: "bf16" (uint16), "f8_e4m3" or "f8_e5m2" (uint8). Not needed for the
        types of ml_dtypes and torch.
    whole, start
        The array is the region of a global tensor of shape `whole` that begins at the index `start`. It gets the values
        that filling the global tensor and slicing it would give.

    Examples
    --------
    >>> import numpy as np
    >>> fill(np.empty((2, 2), np.float32), "eye")
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> fill(np.empty(2, np.uint16), "constant(1.5)", dtype="bf16")
    array([16320, 16320], dtype=uint16)
    """
    target = array if out is None else out
    if out is not None and _shape(array, "array") != _shape(out, "out"):
        raise ValueError(f"out has the shape {_shape(out, 'out')}, the array has {_shape(array, 'array')}")
    try:
        fill_array(target, spec, seed, name, dtype, whole, start)
        return target  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        # After the first attempt, because reading the type of an array takes as long as a small fill.
        kind: Any = getattr(target, "dtype", None)
        foreign = getattr(kind, "kind", None) == "V" or (getattr(kind, "kind", None) == "f" and kind.itemsize == 1)
        viewed = _VIEW_DTYPES.get(str(kind)) if foreign else None
        if viewed is None:
            raise
    # NumPy cannot export this type by DLPack, but a view of integers.
    memory: Any = target
    fill_array(memory.view(viewed[0]), spec, seed, name, dtype or viewed[1], whole, start)
    return target  # type: ignore[no-any-return]


def _shape(array: Any, name: str) -> tuple[int, ...]:
    shape = getattr(array, "shape", None)
    if shape is None:
        raise TypeError(f"{name}: a {type(array).__name__} has no shape: expected an array or a tensor")
    return tuple(shape)


@overload
def filled(
    shape: int | Sequence[int],
    spec: str | Initializer,
    *,
    dtype: torch.dtype,
    seed: int = 0,
    name: str = "weight",
    whole: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> torch.Tensor: ...


@overload
def filled(
    shape: int | Sequence[int],
    spec: str | Initializer,
    *,
    dtype: Any = "f32",
    seed: int = 0,
    name: str = "weight",
    whole: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> np.ndarray: ...


def filled(
    shape: int | Sequence[int],
    spec: str | Initializer,
    *,
    dtype: Any = "f32",
    seed: int = 0,
    name: str = "weight",
    whole: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> Any:
    """Returns a new array with values of the native stream.

    Parameters
    ----------
    shape
        The shape of the array.
    spec
        A spec or an initializer.
    dtype
        A name: "f32", "f64", "f16", "bf16" (bits in uint16), "f8_e4m3" or "f8_e5m2" (bits in uint8); or a type of NumPy.
        With a type of torch a tensor in CPU memory is returned.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Two names have independent values.
    whole, start
        The array is the region of a global tensor of shape `whole` that begins at the index `start`.

    Examples
    --------
    >>> filled((3, 2), "uniform(-1, 1)", seed=7).shape
    (3, 2)
    >>> filled(4, "zeros", dtype="bf16")
    array([0, 0, 0, 0], dtype=uint16)
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, torch.dtype):
        if str(dtype).removeprefix("torch.") not in _DTYPES:
            raise _dtype_error(dtype)
        tensor = torch.empty(shape, dtype=dtype, device="cpu")
        return fill(tensor, spec, seed=seed, name=name, whole=whole, start=start)
    import numpy as np

    bits = None
    if isinstance(dtype, str) and dtype in _NUMPY:
        bits = dtype if dtype in ("bf16", "f8_e4m3", "f8_e5m2") else None
        dtype = _NUMPY[dtype]
    else:
        try:
            kind = np.dtype(dtype)
        except TypeError:
            raise _dtype_error(dtype) from None
        if str(kind.newbyteorder("=")) not in _DTYPES:
            raise _dtype_error(dtype)
        dtype = kind
    return fill(np.empty(shape, dtype), spec, seed=seed, name=name, dtype=bits, whole=whole, start=start)


def _dtype_error(dtype: Any) -> Exception:
    message = f"dtype = {dtype!r}: must be one of {', '.join(_NUMPY)}, or one of these types of NumPy or torch"
    return ValueError(message) if isinstance(dtype, str) else TypeError(message)


@overload
def filled_like(
    array: torch.Tensor,
    spec: str | Initializer,
    *,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    name: str = "weight",
) -> torch.Tensor: ...


@overload
def filled_like(
    array: Any,
    spec: str | Initializer,
    *,
    dtype: Any = None,
    seed: int = 0,
    name: str = "weight",
) -> np.ndarray: ...


def filled_like(
    array: Any,
    spec: str | Initializer,
    *,
    dtype: Any = None,
    seed: int = 0,
    name: str = "weight",
) -> Any:
    """Returns a new array of the shape and type of `array`, with values of the native stream.

    Parameters
    ----------
    array
        An array or a tensor; its values are not read.
    spec
        A spec or an initializer.
    dtype
        Another type, as for `filled`. With a type of torch, also that of `array`, a tensor in CPU memory is returned.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Two names have independent values.

    Examples
    --------
    >>> import numpy as np
    >>> filled_like(np.zeros((2, 3), np.float64), "ones")
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    shape = _shape(array, "array")
    if dtype is None:
        dtype = array.dtype
    return filled(shape, spec, dtype=dtype, seed=seed, name=name)
