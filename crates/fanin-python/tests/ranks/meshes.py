"""Fills `EveryScheme` by sharded_init and by init_module, on several meshes of up to six ranks.

Prints the digests of the weights. Also asserts that the regions that fanin computes agree with torch's sharding.
"""

import json
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from digests import digest, local_regions
from model_configs import EVERY_SCHEME_RECIPE, EveryScheme

import fanin
import fanin.torch
from fanin.torch._regions import local_of, regions_of, view_of

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)

#: The dimensions of each mesh (name -> size). A mesh of n ranks consists of the ranks 0..n (n exclusive).
MESHES = {
    "fsdp 2": {"fsdp": 2},
    "fsdp 3": {"fsdp": 3},
    "fsdp 4": {"fsdp": 4},
    "hsdp 2x2": {"copies": 2, "fsdp": 2},
    "hsdp 2x3": {"copies": 2, "fsdp": 3},
    "tp 2": {"tp": 2},
    "fsdp+tp 2x2": {"fsdp": 2, "tp": 2},
    "fsdp+tp 3x2": {"fsdp": 3, "tp": 2},
}


def split(model, mesh, names):
    if "tp" in names:
        plan = {
            "embed": RowwiseParallel(),
            "up": ColwiseParallel(),
            "down": RowwiseParallel(),
            "cut": ColwiseParallel(),
            "few": ColwiseParallel(),
        }
        parallelize_module(model, mesh["tp"], plan)
    data = [name for name in names if name != "tp"]
    if data:
        submesh = mesh[tuple(data)] if len(data) > 1 else mesh[data[0]]
        # The mesh "fsdp 2" tests Shard(1). FSDP2 then requires that dimension 1 is divisible by the number of ranks.
        fully_shard(model.thin, mesh=submesh, shard_placement_fn=lambda p: Shard(1) if "fsdp 2" in case else Shard(0))
        fully_shard(model.embed, mesh=submesh)
        fully_shard(model, mesh=submesh)
    return model


def without_communication(work):
    """Calls `work`, and asserts that the ranks do not communicate during the call."""
    with CommDebugMode() as communication:
        work()
    assert communication.get_total_counts() == 0, communication.get_comm_counts()


dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
found = {}
for case, dims in MESHES.items():
    sizes, names = tuple(dims.values()), tuple(dims)
    ranks = torch.arange(torch.tensor(sizes).prod()).view(sizes)
    mesh = DeviceMesh("cpu", ranks, mesh_dim_names=names)
    mine = {"recipe": {}, "own": {}, "meta": {}}
    if rank < ranks.numel():
        # Each element of a parameter has its own row-major index as its value. Then torch shards the parameters.
        model = EveryScheme()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape))
        split(model, mesh, names)
        for name, parameter in model.named_parameters():
            rows = torch.arange(parameter.numel(), dtype=torch.float32).view(parameter.shape)
            local, seen = local_of(parameter).detach(), 0
            for region in regions_of(parameter, name):
                expected = rows[tuple(slice(at, at + size) for at, size in zip(region.start, region.size))]
                assert torch.equal(view_of(local, region), expected), (case, name, region)
                seen += expected.numel()
            assert seen == local.numel(), (case, name)
        recipe = fanin.Recipe(EVERY_SCHEME_RECIPE)
        without_communication(lambda: fanin.torch.init_module(model, recipe, seed=7))
        mine["recipe"] = local_regions(model)
        before = torch.get_rng_state()

        def own(model=model):
            with fanin.torch.sharded_init(model, seed=7):
                model.init_weights()

        without_communication(own)
        assert torch.equal(torch.get_rng_state(), before)
        mine["own"] = local_regions(model)
        model = split(EveryScheme(device="meta"), mesh, names).to_empty(device="cpu")
        without_communication(lambda: own(model))
        mine["meta"] = local_regions(model)
    of_ranks = [None] * count
    dist.all_gather_object(of_ranks, mine)
    if rank == 0:
        found[case] = {way: digest([parts[way] for parts in of_ranks]) for way in mine}
dist.barrier()
print(json.dumps(found), flush=True)
os._exit(0)
