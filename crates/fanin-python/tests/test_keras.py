"""fanin.keras: the initializer for Keras 3."""

import os
import subprocess
import sys

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

import fanin  # noqa: E402
import fanin.keras  # noqa: E402
from fanin.keras import Initializer  # noqa: E402

SPEC = "he_normal(layout=kernel_in_out)"


def model(init):
    return keras.Sequential(
        [
            keras.layers.Input((8, 6)),
            keras.layers.LSTM(5, kernel_initializer=init, recurrent_initializer=init, name="lstm"),
            keras.layers.Dense(4, kernel_initializer=init, bias_initializer="zeros", name="one"),
            keras.layers.Dense(4, kernel_initializer=init, name="two"),
        ],
        name="model",
    )


def arrays(model):
    return [np.asarray(weight) for weight in model.weights]


def test_each_weight_has_its_own_values():
    init = Initializer(SPEC, seed=3)
    one, two = (keras.layers.Dense(4, kernel_initializer=init, name=name) for name in ("one", "two"))
    for layer in (one, two):
        layer.build((None, 4))
    np.testing.assert_array_equal(one.kernel, fanin.filled((4, 4), SPEC, seed=3, name="one/kernel"))
    np.testing.assert_array_equal(two.kernel, fanin.filled((4, 4), SPEC, seed=3, name="two/kernel"))
    weights = [array.ravel()[:16] for array in arrays(model(Initializer(SPEC))) if array.any()]
    firsts = [array[:8].tobytes() for array in weights]
    assert len(set(firsts)) == len(firsts)


def test_parts_of_one_variable_have_their_own_values():
    """An LSTM calls the initializer of its bias twice: for the part before the forget gate, and for the part after it."""
    layer = keras.layers.LSTM(5, bias_initializer=Initializer("normal", seed=3), name="lstm")
    layer.build((None, 8, 6))
    path = layer.cell.bias.path
    bias = np.asarray(layer.cell.bias)
    np.testing.assert_array_equal(bias[:5], fanin.filled(5, "normal", seed=3, name=path))
    np.testing.assert_array_equal(bias[10:], fanin.filled(10, "normal", seed=3, name=f"{path}:1"))


def test_a_variable_that_is_created_in_a_stateless_scope_has_the_values_of_its_name():
    init = Initializer("normal", seed=3)
    layer = keras.layers.Dense(4, kernel_initializer=init, name="one")
    with keras.StatelessScope():
        layer.build((None, 3))
    # Keras calls the initializers when the StatelessScope ends.
    np.testing.assert_array_equal(layer.kernel, fanin.filled((3, 4), "normal", seed=3, name="one/kernel"))


def test_each_call_outside_of_layers_has_its_own_values():
    init = Initializer("normal", seed=3)
    first, second = np.asarray(init((5,))), np.asarray(init((5,)))
    np.testing.assert_array_equal(first, fanin.filled(5, "normal", seed=3, name="weight"))
    np.testing.assert_array_equal(second, fanin.filled(5, "normal", seed=3, name="weight:1"))


def test_a_model_that_is_cloned_or_loaded_is_built_with_the_same_values(tmp_path):
    net = model(Initializer(SPEC, seed=3))
    for other in (model(Initializer(SPEC, seed=3)), keras.models.clone_model(net)):
        assert all(np.array_equal(a, b) for a, b in zip(arrays(net), arrays(other), strict=True))
    net.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.layers[1].kernel_initializer.get_config() == {"spec": str(fanin.Initializer(SPEC)), "seed": 3, "name": None}
    assert all(np.array_equal(a, b) for a, b in zip(arrays(net), arrays(loaded), strict=True))


def test_the_initializer_is_serializable():
    init = Initializer(fanin.normal(std=0.02), seed=2**40, name="w")
    config = keras.saving.serialize_keras_object(init)
    assert config["registered_name"] == "fanin>Initializer"
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == init.get_config() == {"spec": "normal(std=0.02)", "seed": 2**40, "name": "w"}
    assert isinstance(keras.initializers.get(init), Initializer) and init.clone().get_config() == init.get_config()
    np.testing.assert_array_equal(again((3,)), init((3,)))


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float32"])
def test_types_are_those_of_keras(dtype):
    values = Initializer("normal", name="w")((4, 3), dtype)
    assert keras.backend.standardize_dtype(values.dtype) == (dtype or keras.config.floatx())
    expected = fanin.filled((4, 3), "normal", name="w", dtype=np.asarray(values).dtype)
    assert np.asarray(values).tobytes() == expected.tobytes()


def test_wrong_arguments_are_errors():
    for call, kind, needle in (
        (lambda: Initializer("nromal"), ValueError, "normal"),
        (lambda: Initializer("dirac"), ValueError, "axes of torch.*not for those of Keras"),
        (lambda: Initializer("normal", seed=1.5), TypeError, "seed = 1.5"),
        (lambda: Initializer("normal", name=3), TypeError, "name = 3"),
        (lambda: Initializer("normal")((3,), "int32"), TypeError, "cannot be filled"),
        (lambda: Initializer("xavier_normal")((3,)), ValueError, "fewer than 2"),
    ):
        with pytest.raises(kind, match=needle):
            call()


TORCH = """
import numpy as np, keras, fanin
from fanin.keras import Initializer
layer = keras.layers.Dense(4, kernel_initializer=Initializer("normal", seed=3), name="one", dtype="{dtype}")
layer.build((None, 3))
expected = fanin.filled((3, 4), "normal", seed=3, name="one/kernel")
values = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32"))
assert np.abs(values - expected).max() <= {error}
print(keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_other_backends_have_the_same_values(backend):
    for dtype, error in (("float32", 0), ("bfloat16", 0.02)):
        done = subprocess.run(
            [sys.executable, "-c", TORCH.format(dtype=dtype, error=error)],
            env={**os.environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stdout.split()[-1] == backend, done.stderr


DISTRIBUTED = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
import jax, keras, numpy as np, fanin
from fanin.keras import Initializer
mesh = keras.distribution.DeviceMesh((4,), ["model"], jax.devices())
layouts = keras.distribution.LayoutMap(mesh)
layouts[".*kernel"] = (None, "model")
with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="model").scope():
    layer = keras.layers.Dense(8, kernel_initializer=Initializer("orthogonal", seed=3), name="one")
    layer.build((None, 6))
value = layer.kernel.value
assert len(value.addressable_shards) == 4 and value.addressable_shards[1].data.shape == (6, 2), value.sharding
assert (np.asarray(value) == fanin.filled((6, 8), "orthogonal", seed=3, name="one/kernel")).all()
print("same")
"""


def test_a_distribution_of_keras_yields_sharded_weights():
    done = subprocess.run([sys.executable, "-c", DISTRIBUTED], env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert done.returncode == 0 and "same" in done.stdout, done.stderr
