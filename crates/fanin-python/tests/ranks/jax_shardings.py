"""Fills sharded JAX arrays, in one process with four devices, or in two processes with two devices each.

Compares the shards of this process with the global array, and prints the number of shards.
"""

import json
import os
import sys

rank, count, folder, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={4 // count}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import Mesh, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import fanin  # noqa: E402
import fanin.jax  # noqa: E402

if count > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
SPECS = {
    "a.normal": ("normal(std=0.02)", (24, 8)),
    "b.orthogonal": ("orthogonal(gain=2)", (24, 8)),
    "c.sparse": ("sparse(0.4)", (24, 8)),
    "d.dirac": ("dirac", (8, 4, 3)),
    "e.xavier": ("xavier_uniform(layout=kernel_in_out)", (24, 8)),
    "f.trunc": ("trunc_normal(std=0.02, a=-0.04, b=0.04)", (24, 8)),
    "g.eye": ("eye", (24, 8)),
}


def shardings():
    devices = np.array(jax.devices())
    if count == 1:
        yield "1", NamedSharding(Mesh(devices[:1], ("x",)), P())
        yield "2 by rows", NamedSharding(Mesh(devices[:2], ("x",)), P("x"))
    line, square = Mesh(devices, ("x",)), Mesh(devices.reshape(2, 2), ("x", "y"))
    yield "4 by rows", NamedSharding(line, P("x"))
    yield "4 by columns", NamedSharding(line, P(None, "x"))
    yield "2-D", NamedSharding(square, P("y", "x"))
    yield "half replicated", NamedSharding(square, P("x"))
    yield "replicated", NamedSharding(line, P())


compared = 0
for case, sharding in shardings():
    for name, (spec, shape) in SPECS.items():
        array = fanin.jax.fill_sharded(shape, sharding, spec, seed=7, name=name)
        expected = fanin.filled(shape, spec, seed=7, name=name)
        assert array.shape == shape and array.sharding == sharding
        for shard in array.addressable_shards:
            np.testing.assert_array_equal(np.asarray(shard.data), expected[shard.index], err_msg=f"{case} {name}")
            compared += 1
tree = {
    name: jax.ShapeDtypeStruct(shape, jnp.bfloat16 if name == "a.normal" else jnp.float32, sharding=sharding)
    for name, (_, shape) in SPECS.items()
}
tree = {"params": tree, "steps": jax.ShapeDtypeStruct((4,), jnp.int32)}
recipe = "[init]\n" + "\n".join(f'"params.{name}" = "{spec}"' for name, (spec, _) in SPECS.items()) + '\n"steps" = "constant(3)"'
filled = fanin.jax.init_tree(tree, fanin.Recipe(recipe), seed=7)
assert (np.asarray(filled["steps"]) == 3).all()
for name, (spec, shape) in SPECS.items():
    array = filled["params"][name]
    expected = fanin.filled(shape, spec, seed=7, name=f"params.{name}").astype(array.dtype)
    for shard in array.addressable_shards:
        assert (np.asarray(shard.data) == expected[shard.index]).all(), name
print(json.dumps(compared), flush=True)
os._exit(0)
