"""Calls initializers with out_sharding, eagerly and under jit, on explicit and automatic meshes of four devices.

Compares the shards with the unsharded array. Prints the number of comparisons, and the size of the largest region that was drawn.
"""

import json
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import fanin.jax  # noqa: E402
from fanin.jax import _initializer  # noqa: E402

drawn = []


class Counted:
    def __init__(self, *arguments):
        self.prepared = fanin._fanin.Prepared(*arguments)

    def fill_region(self, memory, start, bits=None):
        drawn.append(memory.size)
        self.prepared.fill_region(memory, start, bits)


#: Specs and seeds. If the seed is None, the initializer derives it from the JAX key.
CASES = (("lecun_normal(layout=kernel_in_out)", None), ("orthogonal", 5))
SHARDINGS = (P("x", "y"), P(None, ("y", "x")), P(), P("y"))
key, shape = jax.random.key(3), (8, 12)
compared, wrong = 0, []
unsharded = {}
for spec, seed in CASES:
    unsharded[spec, seed] = np.asarray(fanin.jax.initializer(spec, seed=seed, name="w")(key, shape))
fanin.jax.Prepared = _initializer.Prepared = Counted


def check(case, array, expected, sharding):
    global compared
    compared += 1
    same = all(np.array_equal(np.asarray(one.data), expected[one.index]) for one in array.addressable_shards)
    if not same or not array.sharding.is_equivalent_to(sharding, 2) or len(array.addressable_shards) != 4:
        wrong.append(f"{case}: {array.sharding}")


for kind in (AxisType.Explicit, AxisType.Auto):
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(kind, kind))
    for spec, seed in CASES:
        init = fanin.jax.initializer(spec, seed=seed, name="w")
        for partition in SHARDINGS:
            named = NamedSharding(mesh, partition)
            expected = unsharded[spec, seed]
            case = f"{kind} {spec} {partition}"

            def call(key, out_sharding, init=init):
                return init(key, shape, jnp.float32, out_sharding=out_sharding)

            check(f"eager {case}", call(key, named), expected, named)
            check(f"jit {case}", jax.jit(lambda key: call(key, named))(key), expected, named)
            with jax.set_mesh(mesh):
                check(f"eager, mesh {case}", call(key, partition), expected, named)
                check(f"jit, mesh {case}", jax.jit(lambda key: call(key, partition))(key), expected, named)
                if kind == AxisType.Explicit and seed is None:
                    theirs = jax.nn.initializers.normal()(key, shape, out_sharding=partition)
                    assert jax.typeof(call(key, partition)).sharding.spec == jax.typeof(theirs).sharding.spec
mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
drawn.clear()
sharding = NamedSharding(mesh, P("x"))
for dtype in (jnp.bfloat16, jnp.float8_e4m3fn):
    init = fanin.jax.initializer("normal", name="w")
    for array in (init(key, shape, dtype, sharding), jax.jit(lambda key: init(key, shape, dtype, sharding))(key)):
        check(f"{dtype}", array, np.asarray(init(key, shape, dtype)), sharding)
        drawn.remove(96)  # the unsharded array
errors = {}
for case, call in {
    "uneven": lambda: jax.jit(lambda key: init(key, (6, 4), jnp.float32, sharding))(key),
    "no mesh": lambda: init(key, (8, 4), jnp.float32, P("x")),
    "type": lambda: init(key, (8, 4), jnp.float32, "x"),
    "too many axes": lambda: jax.jit(lambda key: init(key, (8,), jnp.float32, NamedSharding(mesh, P("x", None))))(key),
}.items():
    try:
        call()
    except (TypeError, ValueError) as raised:
        errors[case] = str(raised)
print(json.dumps({"compared": compared, "wrong": wrong[:5], "largest": max(drawn), "errors": errors}), flush=True)
os._exit(0)
