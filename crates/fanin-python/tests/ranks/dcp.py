"""Saves or loads a model with torch.distributed.checkpoint. Prints the digest of the model's tensors."""

import json
import os
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from digests import digest, local_regions
from model_configs import EVERY_SCHEME_RECIPE, EveryScheme

import fanin
import fanin.torch

rank, count, folder, store, action = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/store-{action}-{count}", rank=rank, world_size=count)
mesh = init_device_mesh("cpu", (count,))
model = fully_shard(EveryScheme(device="meta"), mesh=mesh).to_empty(device="cpu")
if action == "save":
    fanin.torch.init_module(model, fanin.Recipe(EVERY_SCHEME_RECIPE), seed=7)
    dcp.save(model.state_dict(), checkpoint_id=store)
else:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(9.0)
    state = model.state_dict()
    if action == "load":
        dcp.load(state, checkpoint_id=store)
    else:
        dcp.load(state, storage_reader=dcp.HuggingFaceStorageReader(store))
    model.load_state_dict(state)
of_ranks = [None] * count
dist.all_gather_object(of_ranks, local_regions(model))
found = digest(of_ranks) if rank == 0 else None
dist.barrier()
print(json.dumps(found), flush=True)
os._exit(0)
