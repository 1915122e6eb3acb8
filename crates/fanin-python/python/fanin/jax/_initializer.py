"""Initializers with the call signature of `jax.nn.initializers`, for `fanin.jax.initializer` and `fanin.jax.initializers`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._fanin import Initializer, Prepared
from ._dtypes import bits_of, dtype_name_of


class NamedInitializer:
    """An initializer of JAX: a callable with the parameters `key`, `shape`, `dtype` and `out_sharding`.

    `spec_of` returns the fanin initializer for a shape. `fill_sharded` is `fanin.jax.fill_sharded`.
    """

    def __init__(
        self,
        spec_of: Callable[[tuple[int, ...]], Initializer],
        fill_sharded: Callable[..., jax.Array],
        *,
        seed: int | None,
        name: str,
        dtype: Any = None,
    ):
        self._spec_of, self._fill_sharded = spec_of, fill_sharded
        self._seed, self._name, self._dtype = seed, name, dtype

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        dtype = self._dtype if dtype is None else dtype
        shape, dtype = canonical(shape, dtype)
        spec = self._spec_of(shape)
        text = str(spec)
        if not jnp.issubdtype(dtype, jnp.floating) and text.split("(")[0] in ("zeros", "ones", "constant"):
            # JAX's constants may have any type.
            return jnp.full(shape, spec.resolve(shape, "f64").mean, dtype, device=named_sharding(out_sharding))
        dtype_name = dtype_name_of(self._name, dtype)
        words = self._words(key)
        is_traced = isinstance(words, jax.core.Tracer) or isinstance(key, jax.core.Tracer)
        sharding = named_sharding(out_sharding)
        if text.split("(")[0] == "orthogonal" and len(shape) > 1 and 0 in shape:
            return jnp.zeros(shape, dtype, device=sharding)
        # Errors of the spec are raised now, not in a callback.
        spec.resolve(shape, dtype_name)
        if not is_traced:
            seed = self._seed_of(words)
            if sharding is not None:
                return self._fill_sharded(shape, concrete(sharding), spec, seed=seed, name=self._name, dtype=dtype)
            return jnp.asarray(self._region(spec, shape, dtype, seed, (0,) * len(shape), shape))
        if sharding is None:
            return self._callback(spec, shape, dtype, words, shape, None)
        return self._sharded_callback(spec, shape, dtype, words, sharding)

    def _words(self, key: Any) -> Any:
        """Returns the data of a key, or None if the seed does not depend on the key."""
        if self._seed is not None:
            return None
        words = jax.random.key_data(key)
        # A key has one dimension of data. JAX's random functions reject arrays of keys in the same way.
        if words.ndim != 1:
            raise ValueError(
                f"{self._name}: accepts a single key, but was given a key array of shape {words.shape[:-1]}: use jax.vmap"
            )
        return words

    def _seed_of(self, words: Any) -> int:
        """Returns the seed: the one that was given, or else the last 8 bytes of the key."""
        if self._seed is not None:
            return self._seed
        return int.from_bytes(np.asarray(words, np.uint32).tobytes()[-8:].rjust(8, b"\0"), "little")

    def _region(self, spec, shape, dtype, seed, start, size) -> np.ndarray:
        """Returns the region of the array that begins at the index `start`."""
        array = np.empty(size, dtype)
        if array.size:
            memory, bits = bits_of(array)
            Prepared(spec, shape, dtype_name_of(self._name, dtype), seed, self._name).fill_region(memory, start, bits)
        return array

    def _callback(self, spec, shape, dtype, words, size, start):
        """Returns a traced array whose values a callback on the host computes when the program runs."""

        def draw(start, *words):
            at = tuple(int(one) for one in np.asarray(start))
            return self._region(spec, shape, dtype, self._seed_of(*words or (None,)), at, size)

        start = np.zeros(len(shape), np.int32) if start is None else start
        given = () if words is None else (words,)
        return jax.pure_callback(draw, jax.ShapeDtypeStruct(size, dtype), start, *given, vmap_method="sequential")

    def _sharded_callback(self, spec, shape, dtype, words, sharding: jax.sharding.NamedSharding):
        """Returns a traced sharded array. Each device has a callback that computes the device's own region."""
        mesh, names = sharding.mesh, _axis_names(sharding.spec, len(shape))
        counts = [prod(mesh.shape[one] for one in along) for along in names]
        for axis, (size, count) in enumerate(zip(shape, counts)):
            if size % count:
                raise ValueError(
                    f"{self._name}: out_sharding {sharding.spec} divides axis {axis} into {count} parts, but its size is {size}"
                )
        local = tuple(size // count for size, count in zip(shape, counts))

        def region(*words):
            start = []
            for along, size in zip(names, local):
                index = jnp.int32(0)
                for one in along:
                    index = index * mesh.shape[one] + jax.lax.axis_index(one)
                start.append(index * size)
            at = jnp.stack(start) if start else np.zeros(0, np.int32)
            return self._callback(spec, shape, dtype, words[0] if words else None, local, at)

        given = () if words is None else (words,)
        replicated = jax.sharding.PartitionSpec()
        parts = jax.shard_map(
            region, mesh=mesh, in_specs=(replicated,) * len(given), out_specs=sharding.spec, check_vma=False
        )
        return parts(*given)


def canonical(shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Returns a shape and a type as JAX reads them, with the defaults, warnings and errors of JAX."""
    result = jax.eval_shape(lambda: jnp.zeros(shape, dtype))
    return tuple(result.shape), np.dtype(result.dtype)


def _axis_names(spec: jax.sharding.PartitionSpec, ndim: int) -> list[tuple[str, ...]]:
    """Returns the names of the mesh axes that shard each axis of an array."""
    if len(spec) > ndim:
        raise ValueError(f"out_sharding {spec} has {len(spec)} axes, but the shape has {ndim}")
    names = [() if one is None else (one,) if isinstance(one, str) else tuple(one) for one in spec]
    return names + [()] * (ndim - len(names))


def named_sharding(out_sharding: Any) -> Any:
    """Returns the sharding that an argument `out_sharding` describes. A PartitionSpec applies to the mesh of the context."""
    if out_sharding is None or isinstance(out_sharding, jax.sharding.Sharding):
        mesh = getattr(out_sharding, "mesh", None)
        return None if mesh is not None and mesh.empty else out_sharding
    if not isinstance(out_sharding, jax.sharding.PartitionSpec):
        raise TypeError(
            f"out_sharding must be a NamedSharding or a PartitionSpec, got {out_sharding!r} of type {type(out_sharding).__name__}"
        )
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise ValueError(
            f"out_sharding = {out_sharding}: a PartitionSpec needs a mesh: enter one with jax.set_mesh, or give a NamedSharding"
        )
    return jax.sharding.NamedSharding(mesh, out_sharding)


def concrete(sharding: Any) -> Any:
    """Returns a sharding with the devices of the mesh of the context, if the sharding has a mesh without devices."""
    if isinstance(sharding, jax.sharding.NamedSharding) and not isinstance(sharding.mesh, jax.sharding.Mesh):
        return jax.sharding.NamedSharding(jax.sharding.get_mesh(), sharding.spec)
    return sharding


def letters(shape: tuple[int, ...], in_axis: Any, out_axis: Any, batch_axis: Any) -> str:
    """Returns the axis layout in letters for the arguments of JAX's `variance_scaling`.

    >>> letters((3, 3, 8, 16), -2, -1, ())
    'kkio'
    """
    if isinstance(in_axis, int) and in_axis == -2 and len(shape) <= 1:
        raise ValueError(
            f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor with default in_axis. Must be at "
            "least 2D or specify in_axis explicitly."
        )
    roles = ["k"] * len(shape)
    for letter, axes in (("i", in_axis), ("o", out_axis), ("e", batch_axis)):
        for axis in (axes,) if isinstance(axes, int) else axes:
            if not -len(shape) <= axis < len(shape):
                raise IndexError(f"axis {axis} is out of range for the shape {shape}")
            if roles[axis] != "k":
                raise ValueError(f"axis {axis} of the shape {shape} has two roles: in_axis, out_axis and batch_axis must differ")
            roles[axis] = letter
    return "".join(roles)


def with_layout(spec: Initializer, layout: str) -> Initializer:
    """Returns an initializer with an axis layout. Raises ValueError if the scheme has no argument `layout`."""
    text = str(spec)
    return Initializer(f"{text[:-1]}, layout={layout})" if text.endswith(")") else f"{text}(layout={layout})")
