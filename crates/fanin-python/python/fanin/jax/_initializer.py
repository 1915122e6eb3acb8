"""The class `NamedInitializer`. `fanin.jax.initializer` and the functions of `fanin.jax.initializers` return its instances."""

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
    """An initializer for JAX: a callable with the parameters `key`, `shape`, `dtype` and `out_sharding`.

    Parameters
    ----------
    spec_of
        A function that returns the `fanin.Initializer` for a shape.
    fill_sharded
        The function `fanin.jax.fill_sharded`. An import of `fanin.jax` in this module would be circular.
    seed
        The seed of the native stream. If it is None, the seed is derived from the key of each call.
    name
        The name of the array.
    dtype
        The dtype if a call does not pass one.
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
            # JAX's initializers of constants accept any dtype.
            return jnp.full(shape, spec.resolve(shape, "f64").mean, dtype, device=named_sharding(out_sharding))
        dtype_name = dtype_name_of(self._name, dtype)
        words = self._words(key)
        is_traced = isinstance(words, jax.core.Tracer) or isinstance(key, jax.core.Tracer)
        sharding = named_sharding(out_sharding)
        if text.split("(")[0] == "orthogonal" and len(shape) > 1 and 0 in shape:
            return jnp.zeros(shape, dtype, device=sharding)
        # An invalid spec raises its error here, and not later in a callback.
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
        """Returns the data of a JAX key, an array of uint32 words. Returns None if the initializer has a seed."""
        if self._seed is not None:
            return None
        words = jax.random.key_data(key)
        # The data of a single key has one dimension. Arrays of keys are an error, as in `jax.random`.
        if words.ndim != 1:
            raise ValueError(
                f"{self._name}: accepts a single key, but was given a key array of shape {words.shape[:-1]}: use jax.vmap"
            )
        return words

    def _seed_of(self, words: Any) -> int:
        """Returns the seed that was given. If there is none, returns the last 8 bytes of the key as an integer."""
        if self._seed is not None:
            return self._seed
        return int.from_bytes(np.asarray(words, np.uint32).tobytes()[-8:].rjust(8, b"\0"), "little")

    def _region(self, spec, shape, dtype, seed, start, size) -> np.ndarray:
        """Returns a region of an array of shape `shape`: the region of shape `size` that begins at the index `start`."""
        array = np.empty(size, dtype)
        if array.size:
            memory, bits = bits_of(array)
            Prepared(spec, shape, dtype_name_of(self._name, dtype), seed, self._name).fill_region(memory, start, bits)
        return array

    def _callback(self, spec, shape, dtype, words, size, start):
        """Returns a region of the parameter as a traced array. A callback computes the values on the host.

        The region has the shape `size` and begins at the index `start`. None means 0 on each axis.
        """

        def draw(start, *words):
            at = tuple(int(one) for one in np.asarray(start))
            return self._region(spec, shape, dtype, self._seed_of(*words or (None,)), at, size)

        start = np.zeros(len(shape), np.int32) if start is None else start
        given = () if words is None else (words,)
        return jax.pure_callback(draw, jax.ShapeDtypeStruct(size, dtype), start, *given, vmap_method="sequential")

    def _sharded_callback(self, spec, shape, dtype, words, sharding: jax.sharding.NamedSharding):
        """Returns a traced sharded array. For each device, a callback on the host computes the part that the device holds."""
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
    """Returns the shape as a tuple and the dtype as a NumPy dtype. Defaults, warnings and errors are those of JAX."""
    result = jax.eval_shape(lambda: jnp.zeros(shape, dtype))
    return tuple(result.shape), np.dtype(result.dtype)


def _axis_names(spec: jax.sharding.PartitionSpec, ndim: int) -> list[tuple[str, ...]]:
    """Returns, for each of the `ndim` axes of an array, the names of the mesh axes along which it is sharded."""
    if len(spec) > ndim:
        raise ValueError(f"out_sharding {spec} has {len(spec)} axes, but the shape has {ndim}")
    names = [() if one is None else (one,) if isinstance(one, str) else tuple(one) for one in spec]
    return names + [()] * (ndim - len(names))


def named_sharding(out_sharding: Any) -> Any:
    """Converts `out_sharding` to a sharding. A PartitionSpec gets the mesh of `jax.set_mesh`.

    Returns None for None and for a sharding with an empty mesh.
    """
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
    """Returns `sharding`. If its mesh is abstract (has no devices), the mesh is replaced by the mesh of `jax.set_mesh`."""
    if isinstance(sharding, jax.sharding.NamedSharding) and not isinstance(sharding.mesh, jax.sharding.Mesh):
        return jax.sharding.NamedSharding(jax.sharding.get_mesh(), sharding.spec)
    return sharding


def letters(shape: tuple[int, ...], in_axis: Any, out_axis: Any, batch_axis: Any) -> str:
    """Returns fanin's axis layout for the arguments `in_axis`, `out_axis` and `batch_axis` of JAX's `variance_scaling`.

    The layout has one letter for each axis of the shape: i (input), o (output), e (independent weights) or k (kernel).

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
    """Adds the argument `layout` to an initializer. Raises ValueError if its scheme has no such argument."""
    text = str(spec)
    return Initializer(f"{text[:-1]}, layout={layout})" if text.endswith(")") else f"{text}(layout={layout})")
