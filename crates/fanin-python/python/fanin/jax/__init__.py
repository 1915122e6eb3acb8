"""Creates JAX arrays with values that do not depend on the sharding.

The values come from fanin's native stream. A JAX array and a torch tensor have the same values if they have the same
spec, seed, name, shape and dtype.

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

from .._fanin import Initializer, Prepared, Recipe, canonical_name
from .._kernel_axes import check_axes
from ._dtypes import DTYPES, bits_of, dtype_name_of
from ._initializer import NamedInitializer, canonical, concrete, letters, named_sharding, with_layout

__all__ = ["fill_sharded", "init_tree", "initializer", "initializers", "names"]


def fill_sharded(
    shape: Sequence[int],
    sharding: jax.sharding.Sharding | jax.sharding.PartitionSpec,
    spec: str | Initializer,
    *,
    seed: int = 0,
    name: str = "weight",
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Returns a new sharded array that is filled from a spec.

    A value depends only on the spec, the seed, the name, the global shape, the dtype and the index. The values are
    computed on the host. Each process computes only the slices that its devices hold. If several devices of a process
    hold the same slice, the slice is computed once.

    Parameters
    ----------
    shape
        The global shape of the array.
    sharding
        The sharding of the array, or a PartitionSpec for the mesh of `jax.set_mesh`.
    spec
        A spec, such as "normal(std=0.02)", or a `fanin.Initializer`.
    seed
        The seed of the native stream.
    name
        The name of the array. Arrays with different names have independent values.
    dtype
        The dtype of the array: float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2. Without `jax_enable_x64`,
        float64 becomes float32, with JAX's warning.

    Raises
    ------
    ValueError
        If the spec is invalid for the shape.
    TypeError
        If fanin cannot fill arrays of this dtype.
    """
    shape, dtype = canonical(shape, dtype)
    placed: Any = concrete(named_sharding(sharding))
    dtype_name = dtype_name_of(name, dtype)
    # An invalid spec must be an error in all processes, even in a process without a slice.
    (spec if isinstance(spec, Initializer) else Initializer(spec)).resolve(shape, dtype_name)
    prepared: list[Prepared] = []
    slices: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def slice_at(index: Any) -> Any:
        bounds = tuple(axis.indices(size)[:2] for axis, size in zip(index, shape))
        if bounds not in slices:
            if not prepared:
                prepared.append(Prepared(spec, shape, dtype_name, seed, name))
            array = np.empty(tuple(end - start for start, end in bounds), dtype)
            memory, bits = bits_of(array)
            prepared[0].fill_region(memory, tuple(start for start, _ in bounds), bits)
            slices[bounds] = array
        return slices[bounds]

    return jax.make_array_from_callback(shape, placed, slice_at)


def init_tree(
    tree: Any,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
    separator: str = ".",
) -> Any:
    """Returns a pytree of new arrays that are filled from a recipe.

    The rules of the recipe match the names of the leaves. If a rule copies or skips a leaf, the leaf is returned
    unchanged. An integer leaf can only be filled with a constant. A leaf of a dtype that fanin cannot fill, such as
    complex64 or a typed PRNG key, must be copied or skipped.

    Parameters
    ----------
    tree
        A pytree of arrays, or of the `jax.ShapeDtypeStruct` objects that `jax.eval_shape` returns. Each new array has
        the shape, the dtype and the sharding of its leaf. If the leaf has no sharding, the new array is on the first
        local device.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed of the native stream.
    settings
        The values of the recipe's variables, by name.
    separator
        The text between the keys in the name of a leaf. The name is the leaf's path, such as "params.dense.kernel".

    Raises
    ------
    ValueError
        If no rule matches a leaf, if a rule is never used, if the recipe fills an integer leaf with values other than a
        constant, or if two leaves have the same name.
    TypeError
        If a leaf is not an array, or if the recipe fills a leaf of a dtype that fanin cannot fill.

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
            raise ValueError(
                f"{first} and {name} both have the name {canonical_name(name)} (without the prefixes of wrappers), so they would get "
                "the same values"
            )
    if len(leaves) < len(named):
        raise ValueError(f"two leaves have the same name with the separator {separator!r}: choose another separator")
    rows = [(name, _stored_type(name, leaf, recipe), list(leaf.shape)) for name, leaf in leaves.items()]
    made: dict[str, Any] = {}
    for one in recipe.plan(rows, dict(settings or {})):
        leaf = leaves[one.name]
        if one.scheme in ("copy", "skip"):
            made[one.name] = leaf
            continue
        sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        if one.integer is not None:
            number = np.asarray(one.integer, leaf.dtype)

            def constant(index, leaf=leaf, number=number):
                bounds = [axis.indices(size)[:2] for axis, size in zip(index, leaf.shape)]
                return np.full([end - start for start, end in bounds], number)

            made[one.name] = jax.make_array_from_callback(tuple(leaf.shape), sharding, constant)
        elif one.spec is None:
            raise ValueError(f"{one.name}: init_tree cannot fill an array by the rule {one.scheme}: use a scheme, copy or skip")
        else:
            made[one.name] = fill_sharded(
                leaf.shape, sharding, one.spec, seed=seed, name=one.name, dtype=leaf.dtype
            )
    return jax.tree_util.tree_unflatten(structure, [made[name] for name in leaves])


def names(tree: Any, separator: str = ".") -> list[str]:
    """Returns the names of a pytree's leaves, in the order of the leaves. `init_tree` uses the same names.

    >>> names({"dense": {"kernel": 0, "bias": 0}})
    ['dense.bias', 'dense.kernel']
    """
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path, simple=True, separator=separator) for path, _ in paths]


def initializer(
    spec: str | Initializer,
    *,
    seed: int | None = None,
    name: str = "weight",
    dtype: Any = None,
    in_axis: int | Sequence[int] | None = None,
    out_axis: int | Sequence[int] | None = None,
    batch_axis: int | Sequence[int] | None = None,
) -> Callable[..., jax.Array]:
    """Returns an initializer with the call signature of `jax.nn.initializers`: `(key, shape, dtype, out_sharding)`.

    Shapes, dtypes and keys have the same defaults, warnings and errors as in JAX. `out_sharding` is a NamedSharding, or
    a PartitionSpec for the mesh of `jax.set_mesh`. With `out_sharding`, each process computes only the slices that its
    devices hold. Under `jax.jit`, callbacks on the host compute the values.

    Parameters
    ----------
    spec
        A spec, or a `fanin.Initializer`. JAX kernels have the shape [..., in, out]. A scheme that uses fans therefore
        needs `layout=kernel_in_out` or the arguments `in_axis` and `out_axis`.
    seed
        The seed of fanin's native stream. If it is given, the key is ignored. By default, it is derived from the key.
    name
        The name of the array. Arrays with different names have independent values.
    dtype
        The dtype if a call does not pass one. The default is JAX's default dtype.
    in_axis, out_axis, batch_axis
        The input axes, the output axes, and the axes along which independent weights are stacked, as in
        `jax.nn.initializers.variance_scaling`. If one of these arguments is given, the others default to `in_axis=-2`,
        `out_axis=-1` and `batch_axis=()`.

    Examples
    --------
    >>> init = initializer("kaiming_normal(nonlinearity=relu, layout=kernel_in_out)")
    >>> init(jax.random.key(0), (16, 8)).shape
    (16, 8)
    >>> experts = initializer("lecun_normal", in_axis=1, out_axis=2, batch_axis=0)
    >>> experts(jax.random.key(0), (4, 16, 8)).shape
    (4, 16, 8)
    """
    spec = spec if isinstance(spec, Initializer) else Initializer(spec)
    check_axes(spec, "JAX", "fanin.jax.fill_sharded")
    axes = (in_axis, out_axis, batch_axis)
    given = tuple(default if one is None else one for one, default in zip(axes, (-2, -1, ())))

    def spec_of(shape: tuple[int, ...]) -> Initializer:
        return spec if axes == (None, None, None) else with_layout(spec, letters(shape, *given))

    return NamedInitializer(spec_of, fill_sharded, seed=seed, name=name, dtype=dtype)


def _stored_type(name: str, leaf: Any, recipe: Recipe) -> str:
    """Returns the name of a leaf's dtype in safetensors, such as "BF16".

    If the recipe copies or skips the leaf, returns the name in JAX instead, such as "bfloat16".
    """
    if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
        raise TypeError(f"{name}: a leaf of type {type(leaf).__name__} is not an array")
    if recipe.keeps_values(name):
        # The recipe does not fill the leaf, so its dtype does not matter.
        return str(leaf.dtype)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise TypeError(f"{name} has PRNG keys of dtype {leaf.dtype}, which cannot be filled: the recipe must copy or skip it")
    dtype = np.dtype(leaf.dtype)
    if dtype.name in DTYPES:
        return DTYPES[dtype.name].upper()
    if dtype.name == "bool":
        return "BOOL"
    if dtype.kind in "iu":
        return f"{'U' if dtype.kind == 'u' else 'I'}{dtype.itemsize * 8}"
    raise TypeError(f"{name}: arrays of {dtype} cannot be filled: the recipe must copy or skip it")


from . import initializers as initializers  # noqa: E402  (initializers imports fill_sharded)
