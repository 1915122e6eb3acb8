"""Arrays filled on the native stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._fanin import Initializer, fill_array

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array")

#: What NumPy calls the types; it has no bf16 and no float8, whose bits go into unsigned integers.
_NUMPY = {
    "f32": "float32",
    "f64": "float64",
    "f16": "float16",
    "bf16": "uint16",
    "f8_e4m3": "uint8",
    "f8_e5m2": "uint8",
}

#: What NumPy and torch call the types that are drawn.
_DRAWN = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

#: Types that DLPack's exporters do not name, and what to view them as.
_VIEWED = {
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
    """Fill `array` in place (or `out`, if it is given: the array is then only a pattern), and give it back.

    The array is NumPy's, torch's or anybody's who speaks DLPack, in the CPU's memory, of any strides. Of a tensor that
    requires grad the memory is filled, as torch.nn.init does, and autograd is told of any tensor. With `whole` and
    `start` it is that box of a larger tensor, and gets the values that filling the whole and slicing would give.

    bf16 in NumPy: an array of ml_dtypes' bfloat16, or one of uint16 with `dtype="bf16"`, which holds the bits. Likewise
    float8_e4m3fn and float8_e5m2, or uint8 with `dtype="f8_e4m3"` or `"f8_e5m2"`; torch's own tensors as they are.

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
        # Only now: to be asked for its type takes an array as long as a small fill.
        kind: Any = getattr(target, "dtype", None)
        foreign = getattr(kind, "kind", None) == "V" or (getattr(kind, "kind", None) == "f" and kind.itemsize == 1)
        viewed = _VIEWED.get(str(kind)) if foreign else None
        if viewed is None:
            raise
    # NumPy has no name for it in DLPack.
    memory: Any = target
    fill_array(memory.view(viewed[0]), spec, seed, name, dtype or viewed[1], whole, start)
    return target  # type: ignore[no-any-return]


def _shape(array: Any, name: str) -> tuple[int, ...]:
    shape = getattr(array, "shape", None)
    if shape is None:
        raise TypeError(f"{name}: a {type(array).__name__} has no shape: give an array or a tensor")
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
    """A new NumPy array of this shape. `dtype` is f32, f64, f16, bf16 (bits, in uint16), f8_e4m3
    or f8_e5m2 (bits, in uint8), or NumPy's. With a type of torch's it is a tensor.

    >>> filled((3, 2), "uniform(-1, 1)", seed=7).shape
    (3, 2)
    >>> filled(4, "zeros", dtype="bf16")
    array([0, 0, 0, 0], dtype=uint16)
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, torch.dtype):
        if str(dtype).removeprefix("torch.") not in _DRAWN:
            raise _wrong(dtype)
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
            raise _wrong(dtype) from None
        if str(kind.newbyteorder("=")) not in _DRAWN:
            raise _wrong(dtype)
        dtype = kind
    return fill(np.empty(shape, dtype), spec, seed=seed, name=name, dtype=bits, whole=whole, start=start)


def _wrong(dtype: Any) -> Exception:
    message = f"dtype = {dtype!r}: must be one of {', '.join(_NUMPY)}, or a type of NumPy's or torch's that is one of them"
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
    """A new NumPy array of `array`'s shape, and of its type unless `dtype` says another. With a type of torch's it is a
    tensor, in the CPU's memory.

    >>> import numpy as np
    >>> filled_like(np.zeros((2, 3), np.float64), "ones")
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    shape = _shape(array, "array")
    if dtype is None:
        dtype = array.dtype
    return filled(shape, spec, dtype=dtype, seed=seed, name=name)
