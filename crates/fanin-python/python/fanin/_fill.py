"""The functions `fill`, `filled` and `filled_like`, which fill arrays with values of the native stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._fanin import Initializer, fill_array

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array")

#: For each dtype of fanin, the NumPy dtype that stores its values. NumPy has no bf16 and no float8. Their bits are
#: stored as unsigned integers.
_NUMPY = {
    "f32": "float32",
    "f64": "float64",
    "f16": "float16",
    "bf16": "uint16",
    "f8_e4m3": "uint8",
    "f8_e5m2": "uint8",
}

#: The names of the supported dtypes in torch and NumPy. In NumPy, the last three come from the package ml_dtypes.
_DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

#: For each dtype of ml_dtypes: an integer dtype of the same size, and the dtype's name in fanin. NumPy cannot export
#: arrays of these dtypes by DLPack. It can export a view of them as integers.
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
    global_shape: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> Array:
    """Fills an array in place with values of the native stream, and returns the array.

    For a given spec, shape and dtype, a value depends only on `seed`, `name` and its index in the tensor.

    Parameters
    ----------
    array
        An array in CPU memory, with any strides: a NumPy array, a torch tensor, or any other object with `__dlpack__`. A
        torch tensor may require grad. Its version counter is incremented, as by the functions of torch.nn.init.
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Tensors of different names have independent values.
    out
        The array to fill and return instead of `array`. `array` is then not changed, and must have the same shape as `out`.
    dtype
        The dtype of the values. Required only if the array stores their bits as integers: "bf16" for uint16, "f8_e4m3"
        or "f8_e5m2" for uint8.
    global_shape, start
        Needed only if the array is a region of a larger, global tensor. `global_shape` is the shape of the global
        tensor. `start` is the index of the region's first element in the global tensor (default: 0 along every axis).
        The array gets the values that this region has if the whole global tensor is filled. By default, the array is
        the whole tensor.

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
        raise ValueError(f"out must have the shape of the array, {_shape(array, 'array')}, got {_shape(out, 'out')}")
    try:
        fill_array(target, spec, seed, name, dtype, global_shape, start)
        return target  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        # The dtype is read only after a failure, because reading it takes as long as filling a small array.
        kind: Any = getattr(target, "dtype", None)
        foreign = getattr(kind, "kind", None) == "V" or (getattr(kind, "kind", None) == "f" and kind.itemsize == 1)
        viewed = _VIEW_DTYPES.get(str(kind)) if foreign else None
        if viewed is None:
            raise
    memory: Any = target
    fill_array(memory.view(viewed[0]), spec, seed, name, dtype or viewed[1], global_shape, start)
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
    global_shape: Sequence[int] | None = None,
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
    global_shape: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> np.ndarray: ...


def filled(
    shape: int | Sequence[int],
    spec: str | Initializer,
    *,
    dtype: Any = "f32",
    seed: int = 0,
    name: str = "weight",
    global_shape: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> Any:
    """Returns a new array with values of the native stream.

    Parameters
    ----------
    shape
        The shape of the array.
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    dtype
        The dtype of the values: a NumPy dtype, a torch dtype, or one of the names "f32", "f64", "f16", "bf16",
        "f8_e4m3" and "f8_e5m2". For the name "bf16", the array stores the bits of the values as uint16. For "f8_e4m3"
        and "f8_e5m2", it stores them as uint8. For a torch dtype, the function returns a torch tensor in CPU memory.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Tensors of different names have independent values.
    global_shape, start
        Needed only if the array is a region of a larger, global tensor. `global_shape` is the shape of the global
        tensor. `start` is the index of the region's first element in the global tensor (default: 0 along every axis).
        By default, the array is the whole tensor.

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
        return fill(tensor, spec, seed=seed, name=name, global_shape=global_shape, start=start)
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
    return fill(np.empty(shape, dtype), spec, seed=seed, name=name, dtype=bits, global_shape=global_shape, start=start)


def _dtype_error(dtype: Any) -> Exception:
    message = f"dtype = {dtype!r}: must be one of {', '.join(_NUMPY)}, or the NumPy or torch dtype of one of these"
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
    """Returns a new array with the shape and dtype of `array`, and with values of the native stream.

    Parameters
    ----------
    array
        An array or a tensor. Only its shape and dtype are read.
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    dtype
        The dtype of the values, as in `filled`. The default is the dtype of `array`. For a torch dtype, the function
        returns a torch tensor in CPU memory.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Tensors of different names have independent values.

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
