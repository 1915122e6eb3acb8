"""The initializers of `jax.nn.initializers`, with the same names, arguments, defaults, errors and distributions.

The values come from fanin's native stream, not from `jax.random`. For a given initializer, a value depends only on the
seed, the name, the shape, the dtype and the index. The seed is derived from the key. The sharding has no effect on the
values.

The functions that return random initializers have two more arguments. `seed` is used instead of the key. `name` is the
name of the array. Arrays with different names have independent values.

>>> import jax
>>> import fanin.jax.initializers as init
>>> init.lecun_normal()(jax.random.key(0), (16, 8)).shape
(16, 8)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from .._fanin import Initializer
from . import fill_sharded
from ._initializer import NamedInitializer, letters

__all__ = [
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def _made(text_of: Callable[[tuple[int, ...]], str], dtype: Any, seed: int | None, name: str) -> NamedInitializer:
    """Returns an initializer whose spec for a shape is `text_of(shape)`."""
    return NamedInitializer(lambda shape: Initializer(text_of(shape)), fill_sharded, seed=seed, name=name, dtype=dtype)


def zeros(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
    """Returns an array of zeros. The key is ignored."""
    return _made(lambda shape: "zeros", None, 0, "zeros")(key, shape, dtype, out_sharding)


def ones(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
    """Returns an array of ones. The key is ignored."""
    return _made(lambda shape: "ones", None, 0, "ones")(key, shape, dtype, out_sharding)


def constant(value: float, dtype: Any = None) -> NamedInitializer:
    """Returns an initializer that sets every element to `value`."""
    return _made(lambda shape: f"constant({float(value)!r})", dtype, 0, "constant")


def uniform(scale: float = 1e-2, dtype: Any = None, *, seed: int | None = None, name: str = "weight") -> NamedInitializer:
    """Returns an initializer for the uniform distribution between 0 and `scale` (exclusive)."""
    return _made(lambda shape: f"uniform(0, {float(scale)!r})", dtype, seed, name)


def normal(stddev: float = 1e-2, dtype: Any = None, *, seed: int | None = None, name: str = "weight") -> NamedInitializer:
    """Returns an initializer for the normal distribution with mean 0 and standard deviation `stddev`."""
    return _made(lambda shape: f"normal(std={float(stddev)!r})", dtype, seed, name)


def truncated_normal(
    stddev: float = 1e-2,
    dtype: Any = None,
    lower: float = -2.0,
    upper: float = 2.0,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> NamedInitializer:
    """Returns an initializer for a truncated normal distribution.

    Before truncation, the mean is 0 and the standard deviation is `stddev`. The values are in
    [lower * stddev, upper * stddev].
    """
    bounds = f"a={float(lower)!r}, b={float(upper)!r}"
    return _made(lambda shape: f"trunc_normal_tf(std={float(stddev)!r}, {bounds})", dtype, seed, name)


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: Any = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> NamedInitializer:
    """Returns an initializer for a distribution with mean 0 and variance scale / n.

    Parameters
    ----------
    scale
        The numerator of the variance, a positive number.
    mode
        The fan n: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
    distribution
        "truncated_normal", "normal" or "uniform".
    in_axis, out_axis, batch_axis
        The input axes, the output axes, and the axes along which independent weights are stacked. All other axes are
        kernel positions.
    dtype
        The dtype if a call does not pass one.
    seed
        The seed of fanin's native stream. If it is given, the key is ignored. By default, it is derived from the key.
    name
        The name of the array. Arrays with different names have independent values.
    """

    def text(shape: tuple[int, ...]) -> str:
        layout = letters(shape, in_axis, out_axis, batch_axis)
        return f"variance_scaling({float(scale)!r}, mode={mode}, distribution={distribution}, layout={layout})"

    return _made(text, dtype, seed, name)


def _scaled(scale: float, mode: str, distribution: str, title: str) -> Callable[..., NamedInitializer]:
    """Returns a function called `title` that calls `variance_scaling` with these arguments."""

    def make(
        in_axis: int | Sequence[int] = -2,
        out_axis: int | Sequence[int] = -1,
        batch_axis: int | Sequence[int] = (),
        dtype: Any = None,
        *,
        seed: int | None = None,
        name: str = "weight",
    ) -> NamedInitializer:
        return variance_scaling(
            scale, mode, distribution, in_axis, out_axis, batch_axis, dtype, seed=seed, name=name
        )

    make.__name__ = make.__qualname__ = title
    make.__doc__ = f'Returns `variance_scaling({scale}, "{mode}", "{distribution}", ...)`.'
    return make


glorot_uniform = xavier_uniform = _scaled(1.0, "fan_avg", "uniform", "glorot_uniform")
glorot_normal = xavier_normal = _scaled(1.0, "fan_avg", "truncated_normal", "glorot_normal")
lecun_uniform = _scaled(1.0, "fan_in", "uniform", "lecun_uniform")
lecun_normal = _scaled(1.0, "fan_in", "truncated_normal", "lecun_normal")
he_uniform = kaiming_uniform = _scaled(2.0, "fan_in", "uniform", "he_uniform")
he_normal = kaiming_normal = _scaled(2.0, "fan_in", "truncated_normal", "he_normal")


def orthogonal(
    scale: float = 1.0, column_axis: int = -1, dtype: Any = None, *, seed: int | None = None, name: str = "weight"
) -> NamedInitializer:
    """Returns an initializer for `scale` times a matrix with orthonormal columns or rows.

    The array is treated as a matrix. `column_axis` is the axis of the columns, and all other axes are flattened to the
    rows. If the matrix has more columns than rows, the rows are orthonormal. Otherwise the columns are orthonormal.
    """

    def text(shape: tuple[int, ...]) -> str:
        if len(shape) < 2:
            raise ValueError("orthogonal initializer requires at least a 2D shape")
        rows = [axis for axis in range(len(shape)) if axis != range(len(shape))[column_axis]]
        return f"orthogonal({float(scale)!r}, layout={letters(shape, rows, column_axis, ())})"

    return _made(text, dtype, seed, name)


def delta_orthogonal(
    scale: float = 1.0, column_axis: int = -1, dtype: Any = None, *, seed: int | None = None, name: str = "weight"
) -> NamedInitializer:
    """Returns an initializer for delta-orthogonal convolution kernels (Xiao et al. 2018).

    The center of the kernel is `scale` times an orthogonal matrix. All other elements are 0. The shape has 3, 4 or 5
    axes, and the last two are the inputs and the outputs. ValueError is raised if there are more inputs than outputs.
    `column_axis` is accepted as in JAX, and has no effect on the distribution.
    """

    def text(shape: tuple[int, ...]) -> str:
        if len(shape) not in (3, 4, 5):
            raise ValueError("Delta orthogonal initializer requires a 3D, 4D or 5D shape.")
        if shape[-1] < shape[-2]:
            raise ValueError("`fan_in` must be less or equal than `fan_out`. ")
        return f"delta_orthogonal({float(scale)!r}, layout=kernel_in_out)"

    return _made(text, dtype, seed, name)
