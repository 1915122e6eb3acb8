"""fanin.jax: the weights do not depend on the sharding, in one process or in several processes."""

import socket

import numpy as np
import pytest

import fanin
import processes

jax = pytest.importorskip("jax")


def test_any_sharding_has_the_weights_of_an_unsharded_array(tmp_path):
    assert processes.run("jax_shardings.py", 1, tmp_path, 0)[0] == 7 * (1 + 2 + 4 * 5)


def test_two_processes_with_two_devices_each_have_the_weights_of_an_unsharded_array(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert processes.run("jax_shardings.py", 2, tmp_path, port) == [7 * 2 * 5] * 2


def test_initializers_have_the_signature_of_jax():
    import fanin.jax
    import jax.numpy as jnp

    init = fanin.jax.initializer("normal(std=0.02)")
    a, b = (init(jax.random.key(seed), (8, 4), jnp.float32) for seed in (0, 1))
    assert a.shape == (8, 4) and (a != b).all()
    assert (init(jax.random.PRNGKey(1), (8, 4)) == b).all()
    # The initializer returns the same values under jit and vmap as in a direct call.
    jitted = jax.jit(lambda key: init(key, (8, 4), jnp.float32))
    assert (jitted(jax.random.key(1)) == b).all()
    both = jax.vmap(lambda key: init(key, (8, 4)))(jnp.stack([jax.random.PRNGKey(0), jax.random.PRNGKey(1)]))
    assert (both == jnp.stack([a, b])).all()
    assert jax.eval_shape(lambda key: init(key, (8, 4)), jax.random.key(0)).shape == (8, 4)
    named = fanin.jax.initializer("orthogonal", seed=3, name="w")
    np.testing.assert_array_equal(named(None, (6, 6)), fanin.filled((6, 6), "orthogonal", seed=3, name="w"))
    half = fanin.jax.initializer("normal", seed=3)(None, (5,), jnp.bfloat16)
    np.testing.assert_array_equal(half, fanin.filled(5, "normal", seed=3).astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="fewer than 2"):
        fanin.jax.initializer("xavier_normal")(jax.random.key(0), (3,))
    with pytest.raises(TypeError, match="cannot be filled"):
        init(jax.random.key(0), (3,), jnp.int32)


def test_a_slice_that_several_devices_hold_is_computed_once(monkeypatch):
    import fanin.jax

    made = []

    class Counted:
        def __init__(self, *arguments):
            self.prepared = fanin._fanin.Prepared(*arguments)

        def fill_region(self, memory, start, dtype=None):
            made.append(start)
            self.prepared.fill_region(memory, start, dtype)

    monkeypatch.setattr(fanin.jax, "Prepared", Counted)
    sharding = jax.sharding.NamedSharding(jax.make_mesh((1,), ("x",)), jax.sharding.PartitionSpec())
    fanin.jax.fill_sharded((4, 4), sharding, "normal")
    assert made == [(0, 0)]


def test_schemes_that_need_the_axis_order_of_torch_are_errors():
    import fanin.jax

    for spec in ["sparse(0.5)", "dirac", "idinit", "zero_hadamard", "normal(std=1/sqrt(fan_in))", "stacked(sparse(0.5))"]:
        with pytest.raises(ValueError, match="for the axes of torch"):
            fanin.jax.initializer(spec)
    key = jax.random.key(0)
    w = fanin.jax.initializer("normal(std=1/sqrt(fan_in(kernel_in_out)))")(key, (4096, 64))
    assert abs(float(w.std()) * 64 - 1) < 0.01
    bound = float(abs(fanin.jax.initializer("siren_first(layout=kernel_in_out)")(key, (4, 1000))).max())
    assert 0.249 < bound <= 0.25
