"""JAX arrays with values of the native stream. The values do not depend on how an array is sharded.

A JAX array and a torch tensor with the same spec, seed, name, shape and type have the same values.

>>> import jax
>>> mesh = jax.make_mesh((1,), ("x",))
>>> sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
>>> w = fill_sharded((8, 4), sharding, "orthogonal", seed=0, name="w")
>>> import fanin
>>> bool((w == fanin.filled((8, 4), "orthogonal", seed=0, name="w")).all())
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._fanin import Initializer, Prepared, Recipe, canonical_name

__all__ = ["fill_sharded", "init_tree", "initializer", "names"]

#: The types of JAX arrays that fanin fills, and the names of these types in Rust.
_DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"}


def fill_sharded(
    shape: Sequence[int],
    sharding: jax.sharding.Sharding,
    spec: str | Initializer,
    *,
    seed: int = 0,
    name: str = "weight",
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Returns a new sharded array. Each process computes only the slices that its own devices hold.

    A value depends only on the spec, the seed, the name, the global shape, the type and the index. If several devices of a
    process hold the same slice, the process computes the slice once. `jax.make_array_from_callback` copies the slices to the
    devices.

    Parameters
    ----------
    shape
        The global shape.
    sharding
        The sharding of the array.
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    seed
        The seed of the native stream.
    name
        The name of the tensor. Tensors of different names have independent values.
    dtype
        The type of the values: float32, float64, float16 or bfloat16.
    """
    shape, dtype = tuple(shape), np.dtype(dtype)
    dtype_name = _dtype_name(name, dtype)
    # Every process resolves the spec, even if it holds no slice, so that an error is raised in all processes.
    (spec if isinstance(spec, Initializer) else Initializer(spec)).resolve(shape, dtype_name)
    prepared: list[Prepared] = []
    slices: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def slice_at(index: Any) -> Any:
        bounds = tuple(axis.indices(size)[:2] for axis, size in zip(index, shape))
        if bounds not in slices:
            if not prepared:
                prepared.append(Prepared(spec, shape, dtype_name, seed, name))
            array = np.empty(tuple(end - start for start, end in bounds), dtype)
            memory = array.view(np.uint16) if dtype_name == "bf16" else array
            bits = "bf16" if dtype_name == "bf16" else None
            prepared[0].fill_region(memory, tuple(start for start, _ in bounds), bits)
            slices[bounds] = array
        return slices[bounds]

    return jax.make_array_from_callback(shape, sharding, slice_at)


def init_tree(
    tree: Any,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
    separator: str = ".",
) -> Any:
    """Returns a pytree of new arrays, which are filled from a recipe. The rules match the names of the leaves.

    Raises ValueError if no rule matches a leaf, or if a rule matches no leaf. An integer leaf can only be filled with a
    constant.

    Parameters
    ----------
    tree
        A pytree whose leaves are arrays, or the `jax.ShapeDtypeStruct` objects that `jax.eval_shape` returns. Each new array
        has the shape and the type of its leaf. It also has the leaf's sharding. If the leaf has no sharding, the new array is
        on the first local device.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed of the native stream.
    settings
        The values of the recipe's variables, by name.
    separator
        The text between the keys of a path. The name of a leaf is its path, such as "params.dense.kernel".

    Examples
    --------
    >>> tree = {"dense": {"kernel": jax.ShapeDtypeStruct((4, 3), jnp.float32)}}
    >>> made = init_tree(tree, Recipe('[init]\\n"*.kernel" = "xavier_uniform(layout=kernel_in_out)"'), seed=1)
    >>> made["dense"]["kernel"].shape
    (4, 3)
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.read(fspath(recipe))
    named, structure = jax.tree_util.tree_flatten_with_path(tree)
    leaves = {jax.tree_util.keystr(path, simple=True, separator=separator): leaf for path, leaf in named}
    seen: dict[str, str] = {}
    for name in leaves:
        first = seen.setdefault(canonical_name(name), name)
        if first != name:
            raise ValueError(f"{first} and {name} are one name, {canonical_name(name)}: they would get the same values")
    if len(leaves) < len(named):
        raise ValueError(f"two paths are one name with the separator {separator!r}: choose another")
    rows = [(name, _stored_type(name, np.dtype(leaf.dtype)), list(leaf.shape)) for name, leaf in leaves.items()]
    made: dict[str, Any] = {}
    for one in recipe.plan(rows, dict(settings or {})):
        leaf = leaves[one.name]
        sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        if one.integer is not None:
            number = np.asarray(one.integer, leaf.dtype)

            def constant(index, leaf=leaf, number=number):
                bounds = [axis.indices(size)[:2] for axis, size in zip(index, leaf.shape)]
                return np.full([end - start for start, end in bounds], number)

            made[one.name] = jax.make_array_from_callback(tuple(leaf.shape), sharding, constant)
        elif one.spec is None:
            raise ValueError(f"{one.name}: the recipe says {one.scheme}, but init_tree can only fill arrays from schemes")
        else:
            made[one.name] = fill_sharded(
                leaf.shape, sharding, one.spec, seed=seed, name=one.name, dtype=leaf.dtype
            )
    return jax.tree_util.tree_unflatten(structure, [made[name] for name in leaves])


def names(tree: Any, separator: str = ".") -> list[str]:
    """Returns the names of a tree's leaves, in the order of the leaves. `init_tree` uses the same names.

    >>> names({"dense": {"kernel": 0, "bias": 0}})
    ['dense.bias', 'dense.kernel']
    """
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path, simple=True, separator=separator) for path, _ in paths]


def initializer(
    spec: str | Initializer, *, seed: int | None = None, name: str = "weight"
) -> Callable[..., jax.Array]:
    """Returns an initializer with the call signature of `jax.nn.initializers`: `(key, shape, dtype, out_sharding)`.

    Under `jax.jit`, a callback on the host computes the values. Every process computes the whole global array. For large
    sharded arrays, use `fill_sharded` instead.

    Parameters
    ----------
    spec
        The distribution: a spec, or an `Initializer`. The kernels of JAX have the shape [..., in, out], so a scheme that
        uses fans needs `layout=kernel_in_out`.
    seed
        The seed of the native stream. If a seed is given, the key is ignored. By default, the seed is derived from the key.
    name
        The name of the tensor.

    Examples
    --------
    >>> init = initializer("kaiming_normal(nonlinearity=relu, layout=kernel_in_out)")
    >>> init(jax.random.key(0), (16, 8)).shape
    (16, 8)
    """
    spec = spec if isinstance(spec, Initializer) else Initializer(spec)
    if spec.torch_axes is not None:
        part = spec.torch_axes
        remedy = (
            f"write {part}(kernel_in_out)"
            if part.startswith("fan_")
            else "use fanin.jax.fill_sharded for an array with these axes"
        )
        raise ValueError(f"{spec}: {part} is for the axes of torch, [out, in, kernel...], not for those of JAX: {remedy}")

    def init(key: Any, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
        shape, dtype = tuple(shape), np.dtype(dtype)
        dtype_name = _dtype_name(name, dtype)
        spec.resolve(shape, dtype_name)

        def draw(words: Any = None) -> np.ndarray:
            key_seed = seed
            if key_seed is None:
                key_seed = int.from_bytes(np.asarray(words, np.uint32).tobytes()[-8:].rjust(8, b"\0"), "little")
            array = np.empty(shape, dtype)
            memory = array.view(np.uint16) if dtype_name == "bf16" else array
            bits = "bf16" if dtype_name == "bf16" else None
            Prepared(spec, shape, dtype_name, key_seed, name).fill_region(memory, (0,) * len(shape), bits)
            return array

        if seed is None:
            typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
            words = jax.random.key_data(key) if typed else key
        else:
            words = None
        if out_sharding is not None and not isinstance(words, jax.core.Tracer):
            values = draw(words)
            return jax.make_array_from_callback(shape, out_sharding, lambda index: values[index])
        if isinstance(words, jax.core.Tracer):
            result = jax.ShapeDtypeStruct(shape, dtype)
            return jax.pure_callback(draw, result, words, vmap_method="sequential")
        return jnp.asarray(draw(words))

    return init


def _dtype_name(name: str, dtype: np.dtype) -> str:
    dtype_name = _DTYPES.get(dtype.name)
    if dtype_name is None:
        raise TypeError(f"{name}: an array of {dtype} cannot be drawn: float32, float64, float16 and bfloat16 can")
    return dtype_name


def _stored_type(name: str, dtype: np.dtype) -> str:
    if dtype.name in _DTYPES:
        return _DTYPES[dtype.name].upper()
    if dtype.name == "bool":
        return "BOOL"
    if dtype.kind in "iu":
        return f"{'U' if dtype.kind == 'u' else 'I'}{dtype.itemsize * 8}"
    raise TypeError(f"{name}: an array of {dtype} cannot be initialized here")
