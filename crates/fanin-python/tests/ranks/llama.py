"""Runs init_weights of transformers' Llama on one, two and three ranks, and on a mesh of 2 x 2. Prints digests and losses."""

import json
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.debug import CommDebugMode
from digests import digest, local_regions
from model_configs import odd_llama

import fanin.torch

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
tokens = torch.arange(30).view(2, 15)


def initialized(mesh):
    with torch.device("meta"):
        model = odd_llama()
    if mesh is not None:
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    with CommDebugMode() as communication, fanin.torch.sharded_init(model, seed=3):
        model.init_weights()
    assert communication.get_total_counts() == 0
    parts = local_regions(model)
    loss = model(input_ids=tokens, labels=tokens).loss
    return parts, loss.detach().view(torch.int32).item()


found = {}
if count == 1:
    parts, loss = initialized(None)
    found["one"] = [digest([parts]), loss]
else:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    for case, shape in {"1": (1,), "2": (2,), "3": (3,), "2x2": (2, 2)}.items():
        ranks = torch.arange(torch.tensor(shape).prod()).view(shape)
        mesh = DeviceMesh("cpu", ranks, mesh_dim_names=("copies", "fsdp")[-len(shape) :])
        mine = initialized(mesh) if rank < ranks.numel() else ({}, None)
        of_ranks = [None] * count
        dist.all_gather_object(of_ranks, mine)
        losses = {loss for _, loss in of_ranks if loss is not None}
        assert len(losses) == 1, losses
        found[case] = [digest([parts for parts, _ in of_ranks]), losses.pop()]
    dist.barrier()
print(json.dumps(found), flush=True)
os._exit(0)
