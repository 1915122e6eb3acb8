"""JAX arrays on the native stream: sharded in any way, the same weights, and the same as torch's of the same names.

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

#: JAX's types as specs call them, and as recipes do.
_DRAWN = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"}


def fill_sharded(
    shape: Sequence[int],
    sharding: jax.sharding.Sharding,
    spec: str | Initializer,
    *,
    seed: int = 0,
    name: str = "weight",
    dtype: Any = jnp.float32,
) -> jax.Array:
    """A new array of this shape, laid out by `sharding`: each process computes its devices' slices, and nothing else.

    Slices that several devices hold are computed once. The values depend on the seed, the name, the global shape and the
    index alone. It is `jax.make_array_from_callback` that puts them on the devices.

    A type that fanin does not draw is a TypeError, what is wrong with the spec a ValueError.
    """
    shape, dtype = tuple(shape), np.dtype(dtype)
    drawn = _drawn(name, dtype)
    # Here, so that what is wrong is wrong in every process, whatever it holds.
    (spec if isinstance(spec, Initializer) else Initializer(spec)).resolve(shape, drawn)
    prepared: list[Prepared] = []
    slices: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def part(index: Any) -> Any:
        place = tuple(axis.indices(size)[:2] for axis, size in zip(index, shape))
        if place not in slices:
            if not prepared:
                prepared.append(Prepared(spec, shape, drawn, seed, name))
            array = np.empty(tuple(end - start for start, end in place), dtype)
            memory = array.view(np.uint16) if drawn == "bf16" else array
            prepared[0].fill_box(memory, tuple(start for start, _ in place), "bf16" if drawn == "bf16" else None)
            slices[place] = array
        return slices[place]

    return jax.make_array_from_callback(shape, sharding, part)


def init_tree(
    tree: Any,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
    separator: str = ".",
) -> Any:
    """A pytree of new arrays from a recipe, by path.

    The leaves of `tree` have a shape, a type and, if they have one, a sharding: arrays, or what `jax.eval_shape` gives. A
    leaf's name is its path, `params.dense.kernel`. A leaf that no rule matches is an error, and so is a rule that matches
    nothing. Integer leaves take the number that their rule says.

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
    rows = [(name, _stored(name, np.dtype(leaf.dtype)), list(leaf.shape)) for name, leaf in leaves.items()]
    made: dict[str, Any] = {}
    for one in recipe.plan(rows, dict(settings or {})):
        leaf = leaves[one.name]
        sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        if one.integer is not None:
            number = np.asarray(one.integer, leaf.dtype)

            def same(index, leaf=leaf, number=number):
                place = [axis.indices(size)[:2] for axis, size in zip(index, leaf.shape)]
                return np.full([end - start for start, end in place], number)

            made[one.name] = jax.make_array_from_callback(tuple(leaf.shape), sharding, same)
        elif one.spec is None:
            raise ValueError(f"{one.name}: the recipe has no scheme for it, and a tree of arrays is drawn by schemes alone")
        else:
            made[one.name] = fill_sharded(
                leaf.shape, sharding, one.spec, seed=seed, name=one.name, dtype=leaf.dtype
            )
    return jax.tree_util.tree_unflatten(structure, [made[name] for name in leaves])


def names(tree: Any, separator: str = ".") -> list[str]:
    """The names that `init_tree` gives the leaves of a tree.

    >>> names({"dense": {"kernel": 0, "bias": 0}})
    ['dense.bias', 'dense.kernel']
    """
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path, simple=True, separator=separator) for path, _ in paths]


def initializer(
    spec: str | Initializer, *, seed: int | None = None, name: str = "weight"
) -> Callable[..., jax.Array]:
    """An initializer with the call signature of those in `jax.nn.initializers`: `(key, shape, dtype, out_sharding)`.

    Each key is another seed; with `seed` given the key is not looked at, and the values are those that the tensor called
    `name` has everywhere. It works under `jax.jit`, where the values are made by a callback to the host; arrays laid
    out by a sharding are `fill_sharded`'s.

    JAX's kernels are [..., in, out]: a spec that has fans says `layout=kernel_in_out`.

    >>> init = initializer("kaiming_normal(nonlinearity=relu, layout=kernel_in_out)")
    >>> init(jax.random.key(0), (16, 8)).shape
    (16, 8)
    """
    spec = spec if isinstance(spec, Initializer) else Initializer(spec)

    def init(key: Any, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
        shape, dtype = tuple(shape), np.dtype(dtype)
        drawn = _drawn(name, dtype)
        spec.resolve(shape, drawn)

        def fill(words: Any = None) -> np.ndarray:
            chosen = seed
            if chosen is None:
                chosen = int.from_bytes(np.asarray(words, np.uint32).tobytes()[-8:].rjust(8, b"\0"), "little")
            array = np.empty(shape, dtype)
            memory = array.view(np.uint16) if drawn == "bf16" else array
            bf16 = "bf16" if drawn == "bf16" else None
            Prepared(spec, shape, drawn, chosen, name).fill_box(memory, (0,) * len(shape), bf16)
            return array

        if seed is None:
            typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
            words = jax.random.key_data(key) if typed else key
        else:
            words = None
        if out_sharding is not None and not isinstance(words, jax.core.Tracer):
            values = fill(words)
            return jax.make_array_from_callback(shape, out_sharding, lambda index: values[index])
        if isinstance(words, jax.core.Tracer):
            form = jax.ShapeDtypeStruct(shape, dtype)
            return jax.pure_callback(fill, form, words, vmap_method="sequential")
        return jnp.asarray(fill(words))

    return init


def _drawn(name: str, dtype: np.dtype) -> str:
    drawn = _DRAWN.get(dtype.name)
    if drawn is None:
        raise TypeError(f"{name}: an array of {dtype} cannot be drawn: float32, float64, float16 and bfloat16 can")
    return drawn


def _stored(name: str, dtype: np.dtype) -> str:
    if dtype.name in _DRAWN:
        return _DRAWN[dtype.name].upper()
    if dtype.name == "bool":
        return "BOOL"
    if dtype.kind in "iu":
        return f"{'U' if dtype.kind == 'u' else 'I'}{dtype.itemsize * 8}"
    raise TypeError(f"{name}: an array of {dtype} cannot be initialized here")
