"""Verifies DTensors on several ranks, and prints the results.

With a seed, each rank verifies only its own region, without communication.
"""

import json
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import fanin
import fanin.torch

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
mesh = init_device_mesh("cpu", (count,))
recipe = fanin.Recipe('[init]\n"bias" = "zeros"\n"square" = "orthogonal"\n"*" = "kaiming_normal"')


def distributed(shape, placement):
    return nn.Parameter(distribute_tensor(torch.empty(shape), mesh, [placement]))


module = nn.Module()
module.rows, module.columns = distributed((65, 48), Shard(0)), distributed((64, 48), Shard(1))
module.square, module.copied = distributed((32, 32), Shard(0)), distributed((64, 64), Replicate())
module.bias = nn.Parameter(torch.empty(8))
fanin.init_module(module, recipe, seed=5)

found = {"gathered": fanin.torch.verify(module, recipe).ok, "audited": len(fanin.torch.audit(module).failed)}
if rank == 0:
    # With a seed, verify does not communicate, so one rank may verify alone.
    found["good"] = fanin.torch.verify(module, recipe, seed=5).ok
    found["other_seed"] = [tensor.name for tensor in fanin.torch.verify(module, recipe, seed=6).failed]
dist.barrier()
if rank == 1:
    with torch.no_grad():
        module.columns.detach().to_local()[3, 0] += 1e-3
local = fanin.torch.verify(module, recipe, seed=5)
found["wrong"] = [(tensor.name, tensor.bits) for tensor in local.failed]
dist.barrier()
print(json.dumps(found))
dist.destroy_process_group()
