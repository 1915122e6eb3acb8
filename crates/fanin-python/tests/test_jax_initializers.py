"""The initializers of fanin.jax accept the same arguments as jax.nn.initializers, and have the same distributions."""

import itertools
import warnings

import numpy as np
import pytest

import fanin
import processes

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

import fanin.jax  # noqa: E402
from fanin.jax import initializers as ours  # noqa: E402

theirs = jax.nn.initializers
KEY = jax.random.key(7)
RANDOM = {
    "uniform": lambda lib: lib.uniform(0.5),
    "normal": lambda lib: lib.normal(0.3),
    "truncated_normal": lambda lib: lib.truncated_normal(0.3, lower=-1.0, upper=1.5),
    "orthogonal": lambda lib: lib.orthogonal(2.0),
    **{
        name: lambda lib, name=name: getattr(lib, name)()
        for name in ("glorot_uniform glorot_normal xavier_uniform xavier_normal lecun_uniform lecun_normal he_uniform he_normal "
        "kaiming_uniform kaiming_normal").split()
    },
}
ALL = {**RANDOM, "zeros": lambda lib: lib.zeros, "ones": lambda lib: lib.ones, "constant": lambda lib: lib.constant(-7)}


def outcome(call):
    """Calls `call` and returns a pair.

    The first item is the dtype and shape of the result, or the class of the error. The second is True after a warning.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
            found = (str(result.dtype), result.shape)
        except Exception as raised:
            found = next(kind for kind in (IndexError, ValueError, TypeError, Exception) if isinstance(raised, kind))
    return found, bool(caught)


@pytest.mark.parametrize("name", ALL)
def test_types_and_warnings_are_those_of_jax(name):
    """The functions of JAX are only traced by `jax.eval_shape`, because compiling all of them takes long."""
    for dtype in (None, "float16", "float32", "float64", "bfloat16", "float8_e4m3fn", float, np.float64, jnp.float64):
        if name == "orthogonal" and str(dtype) in ("float16", "bfloat16", "float8_e4m3fn"):
            continue  # JAX factorizes no matrices of this type.
        for shape in ((4, 3), (2, 3, 4)):
            expected = outcome(lambda: jax.eval_shape(lambda key: ALL[name](theirs)(key, shape, dtype), KEY))
            assert outcome(lambda: ALL[name](ours)(KEY, shape, dtype)) == expected
            assert outcome(lambda: jax.eval_shape(lambda key: ALL[name](ours)(key, shape, dtype), KEY)) == expected


def test_the_default_type_follows_x64():
    init = fanin.jax.initializer("normal")
    assert init(KEY, (3,)).dtype == jnp.float32
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert init(KEY, (3,), jnp.float64).dtype == jnp.float32
    assert any("float64" in str(one.message) for one in caught)
    with jax.enable_x64(True):
        assert init(KEY, (3,)).dtype == init(KEY, (3,), jnp.float64).dtype == jnp.float64
        assert jax.eval_shape(lambda key: init(key, (3,)), KEY).dtype == jnp.float64
        np.testing.assert_array_equal(
            fanin.jax.initializer("normal", seed=3, name="w")(None, (5,)), fanin.filled(5, "normal", seed=3, name="w", dtype="f64")
        )
    assert fanin.jax.initializer("normal", dtype=jnp.bfloat16)(KEY, (3,)).dtype == jnp.bfloat16


def test_sharded_arrays_of_float64_follow_x64():
    mesh = jax.make_mesh((1,), ("x",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    expected = fanin.filled((4, 3), "normal", name="w")
    leaf = jax.ShapeDtypeStruct((4, 3), np.float64, sharding=rows)
    for fill in (
        lambda: fanin.jax.fill_sharded((4, 3), rows, "normal", name="w", dtype=np.float64),
        lambda: fanin.jax.init_tree({"w": leaf}, fanin.Recipe('[init]\n"*" = "normal"'))["w"],
    ):
        with pytest.warns(UserWarning, match="float64"):
            array = fill()
        assert array.dtype == jnp.float32 and (np.asarray(array) == expected).all()
    with jax.set_mesh(mesh):
        array = fanin.jax.fill_sharded((4, 3), jax.sharding.PartitionSpec("x"), "normal", name="w")
    assert array.sharding.is_equivalent_to(rows, 2) and (np.asarray(array) == expected).all()


BAD = {
    "an integer type": lambda lib: lib.normal()(KEY, (3,), jnp.int32),
    "a boolean type": lambda lib: lib.lecun_normal()(KEY, (3, 4), bool),
    "an unknown type": lambda lib: lib.normal()(KEY, (3,), "nope"),
    "no key": lambda lib: lib.normal()(None, (3,)),
    "a number as the key": lambda lib: lib.normal()(3, (3,)),
    "several keys": lambda lib: lib.normal()(jax.random.split(KEY, 2), (3,)),
    "raw data of several keys": lambda lib: lib.normal()(jnp.zeros((2, 2), jnp.uint32), (3,)),
    "a key of another length": lambda lib: lib.normal()(jnp.zeros(3, jnp.uint32), (3,)),
    "sizes that are no integers": lambda lib: lib.normal()(KEY, (3.0,)),
    "a vector": lambda lib: lib.lecun_normal()(KEY, (3,)),
    "no dimension": lambda lib: lib.he_uniform()(KEY, ()),
    "an orthogonal vector": lambda lib: lib.orthogonal()(KEY, (3,)),
    "delta_orthogonal of a matrix": lambda lib: lib.delta_orthogonal()(KEY, (3, 4)),
    "delta_orthogonal with few outputs": lambda lib: lib.delta_orthogonal()(KEY, (3, 4, 2)),
    "an unknown mode": lambda lib: lib.variance_scaling(1.0, "fan", "normal")(KEY, (3, 4)),
    "an unknown distribution": lambda lib: lib.variance_scaling(1.0, "fan_in", "gauss")(KEY, (3, 4)),
    "an axis out of range": lambda lib: lib.lecun_normal(in_axis=4)(KEY, (3, 4)),
    "a batch axis out of range": lambda lib: lib.lecun_normal(batch_axis=(0, 5))(KEY, (3, 4, 5)),
    "a column axis out of range": lambda lib: lib.orthogonal(column_axis=2)(KEY, (3, 4)),
    "a sharding of another type": lambda lib: lib.normal()(KEY, (3, 4), out_sharding="x"),
    "a PartitionSpec without a mesh": lambda lib: lib.normal()(KEY, (3, 4), out_sharding=jax.sharding.PartitionSpec("x")),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_arguments_raise_the_same_class_of_error_as_in_jax(case):
    found, expected = outcome(lambda: BAD[case](ours)), outcome(lambda: BAD[case](theirs))
    assert isinstance(expected[0], type), "JAX accepts this"
    assert found[0] is expected[0], (found, expected)


@pytest.mark.parametrize("name", ["normal", "uniform", "zeros", "orthogonal"])
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0, 3)])
def test_arrays_without_elements_are_returned(name, shape):
    assert outcome(lambda: ALL[name](ours)(KEY, shape)) == outcome(lambda: ALL[name](theirs)(KEY, shape)) == (("float32", shape), False)


def test_every_form_of_shapes_and_keys_that_jax_accepts_is_accepted():
    init = ours.normal()
    assert init(KEY, 3).shape == (3,) and init(KEY, [3, np.int64(2)]).shape == (3, 2) and init(KEY, ()).shape == ()
    assert (init(jax.random.key_data(KEY), (3,)) == init(KEY, (3,))).all()
    assert init(jax.random.key(1, impl="rbg"), (3,)).shape == (3,)


AXES = [
    dict(),
    dict(in_axis=0, out_axis=1),
    dict(in_axis=(0, 1), out_axis=2),
    dict(in_axis=1, out_axis=2, batch_axis=0),
    dict(in_axis=-3, out_axis=(-2, -1)),
    dict(in_axis=2, out_axis=3, batch_axis=(0, 1)),
    dict(in_axis=0, out_axis=1, batch_axis=2),
]


@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_axes_determine_the_fans_as_in_jax(distribution):
    shape = (6, 10, 14, 26)
    for axes, mode in itertools.product(AXES, ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")):
        expected = np.asarray(theirs.variance_scaling(2.0, mode, distribution, **axes)(KEY, shape), np.float64)
        found = np.asarray(ours.variance_scaling(2.0, mode, distribution, **axes)(KEY, shape), np.float64)
        assert abs(found.std() / expected.std() - 1) < 0.03, (axes, mode)
        if distribution != "normal":
            assert abs(found.max() / expected.max() - 1) < 0.01, (axes, mode)
        if axes:
            also = fanin.jax.initializer(f"variance_scaling(2.0, mode={mode}, distribution={distribution})", **axes)
            assert (np.asarray(also(KEY, shape)) == found).all()


def test_axes_of_a_scheme_without_fans_are_an_error():
    with pytest.raises(ValueError, match="no argument layout"):
        fanin.jax.initializer("normal", in_axis=0)(KEY, (3, 4))
    with pytest.raises(ValueError, match="has two roles"):
        fanin.jax.initializer("lecun_normal", in_axis=1)(KEY, (3, 4))


@pytest.mark.parametrize("column_axis", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (3, 5, 4)])
def test_the_column_axis_of_orthogonal_is_that_of_jax(shape, column_axis):
    for lib in (ours, theirs):
        matrix = np.moveaxis(np.asarray(lib.orthogonal(2.0, column_axis)(KEY, shape), np.float64), column_axis, -1)
        matrix = matrix.reshape(-1, matrix.shape[-1])
        gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    kernel = np.asarray(ours.delta_orthogonal(2.0)(KEY, (3, 3, 4, 6)))
    np.testing.assert_allclose(kernel[1, 1] @ kernel[1, 1].T, 4 * np.eye(4), atol=1e-5)
    assert not np.delete(kernel.reshape(9, 4, 6), 4, 0).any()


@pytest.mark.parametrize("name", RANDOM)
def test_distributions_are_those_of_jax(name):
    shape = (200, 300)
    found, expected = (np.asarray(RANDOM[name](lib)(KEY, shape), np.float64) for lib in (ours, theirs))
    assert abs(found.std() / expected.std() - 1) < 0.02 and abs(found.mean() - expected.mean()) < 0.02 * expected.std()
    if name not in ("normal", "orthogonal"):
        assert abs(found.max() / expected.max() - 1) < 0.01 and abs(found.min() - expected.min()) < 0.01 * found.max()


def test_names_and_signatures_are_those_of_jax():
    import inspect

    for name in dir(theirs):
        if name.startswith("_") or name in ("Initializer",):
            continue
        wanted = list(inspect.signature(getattr(theirs, name)).parameters)
        assert list(inspect.signature(getattr(ours, name)).parameters)[: len(wanted)] == wanted, name
        assert name in ours.__all__


def test_each_device_gets_its_region_of_a_sharded_array(tmp_path):
    found = processes.run("jax_out_sharding.py", 1, tmp_path)[0]
    assert found["wrong"] == [] and found["compared"] == 2 * 2 * 4 * 4 + 4
    assert found["largest"] == 24, "no callback draws the whole array"
    errors = found["errors"]
    assert "divides axis 0 into 4 parts" in errors["uneven"] and "needs a mesh" in errors["no mesh"]
    assert "must be a NamedSharding" in errors["type"] and "has 2 axes" in errors["too many axes"]


def test_leaves_that_a_recipe_copies_or_skips_are_returned_unchanged():
    recipe = fanin.Recipe('[init]\n"rng" = "skip"\n"mask" = "copy"\n"*" = "normal"')
    tree = {"rng": jax.random.key(3), "mask": jnp.zeros(3, jnp.complex64), "w": jax.ShapeDtypeStruct((4, 3), jnp.float8_e4m3fn)}
    made = fanin.jax.init_tree(tree, recipe, seed=1)
    assert made["rng"] is tree["rng"] and made["mask"] is tree["mask"]
    bits = fanin.filled((4, 3), "normal", seed=1, name="w", dtype="f8_e4m3")
    assert made["w"].dtype == jnp.float8_e4m3fn and (np.asarray(made["w"]).view(np.uint8) == bits).all()
    shapes = jax.eval_shape(lambda: tree | {"w": jnp.zeros((4, 3), jnp.float8_e5m2)})
    made = fanin.jax.init_tree(shapes, recipe, seed=1)
    assert made["rng"].dtype == tree["rng"].dtype and made["w"].dtype == jnp.float8_e5m2


def test_errors_name_the_leaf_that_cannot_be_filled():
    for leaf, needle in (
        (jax.random.key(3), "a.rng has PRNG keys"),
        (jax.random.split(jax.random.key(3), 4), "a.rng has PRNG keys"),
        (jnp.zeros(3, jnp.complex64), "a.rng: arrays of complex64"),
        (3.0, "a.rng: a leaf of type float"),
    ):
        with pytest.raises(TypeError, match=needle):
            fanin.jax.init_tree({"a": {"rng": leaf}}, fanin.Recipe('[init]\n"*" = "normal"'))
