"""Fills DTensors with torch.nn.init, without fanin. Prints what is wrong with the values."""

import json
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
mesh = DeviceMesh("cpu", list(range(count)))
weight = distribute_tensor(torch.empty(8, 4), mesh, [Shard(0)])
torch.manual_seed(0)
torch.nn.init.normal_(weight)
normal = weight.full_tensor()
kernel = distribute_tensor(torch.empty(8, 8, 3), mesh, [Shard(0)])
torch.nn.init.dirac_(kernel)
square = distribute_tensor(torch.empty(8, 8), mesh, [Shard(0)])
torch.nn.init.orthogonal_(square)
q = square.full_tensor()


def raises(call):
    try:
        call()
    except Exception:
        return True
    return False


found = {
    "repeated": all(torch.equal(normal[:2], normal[at : at + 2]) for at in (2, 4, 6)),
    "dirac_is_zero": not bool(kernel.full_tensor().any()),
    "orthogonal_is_off_by": float((q @ q.T - torch.eye(8)).abs().max()),
    "eye_raises": raises(lambda: torch.nn.init.eye_(square)),
    "sparse_raises": raises(lambda: torch.nn.init.sparse_(square, 0.5)),
}
dist.barrier()
print(json.dumps(found), flush=True)
os._exit(0)
