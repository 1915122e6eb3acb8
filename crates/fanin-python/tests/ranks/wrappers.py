"""Fills models under DDP, FSDP1, FSDP2 with CPU offload, and an imitation of DeepSpeed ZeRO-3.

Compares the values with those of a single process. Prints the number of comparisons and the expected errors.
"""

import enum
import json
import os
import sys
from math import prod

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.fsdp import CPUOffloadPolicy, ShardingStrategy, fully_shard
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.nn.parallel import DistributedDataParallel

import fanin
import fanin.torch

rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
mesh = init_device_mesh("cpu", (count,))

RECIPE = fanin.Recipe(
    """
    [init]
    "norm.weight" = "ones"
    "*.bias"      = "zeros"
    "norm.steps"  = "constant(3)"
    "head.weight" = "orthogonal"
    "layers.1.*"  = "xavier_normal"
    "*"           = "normal"
    """
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.layers = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5, bias=False)])
        self.norm = nn.LayerNorm(5)
        self.norm.register_buffer("steps", torch.tensor(0))
        self.head = nn.Linear(5, 11)
        self.tied = nn.Linear(5, 11, bias=False)
        self.tied.weight = self.embed.weight

    def reset_parameters(self):
        for module in (self.embed, *self.layers, self.norm, self.head):
            module.reset_parameters()

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)) + self.tied(x)


def recipe_state():
    net = Net()
    fanin.torch.init_module(net, RECIPE, seed=7)
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def own_state():
    net = Net()
    with fanin.torch.sharded_init(net, seed=7):
        net.reset_parameters()
    return {name: tensor.detach().clone() for name, tensor in net.named_parameters()}


compared = 0
errors = {}


def check(found, expected, case):
    global compared
    for name, tensor in found.items():
        name = fanin._fanin.canonical_name(name)
        assert torch.equal(tensor.detach(), expected[name]), (case, name)
        compared += 1
    assert len(found) >= len(expected) - 2, (case, list(found), list(expected))


def error(case, call):
    try:
        call()
    except ValueError as raised:
        errors[case] = str(raised)


def verify_own_part(net, case, change):
    """Checks that each rank compares its own values with the recipe. `change()` changes embed.weight, and is called on rank 0."""
    assert fanin.torch.verify(net, RECIPE, seed=7).ok, case
    if rank == 0:
        with torch.no_grad():
            change()
    wrong = [tensor.name for tensor in fanin.torch.verify(net, RECIPE, seed=7).failed]
    assert wrong == ["embed.weight"] * (rank == 0), (case, wrong)
    error(f"verify of {case}", lambda: fanin.torch.verify(net, RECIPE))


recipe, own = recipe_state(), own_state()
tokens = torch.arange(6).view(2, 3)

net = DistributedDataParallel(Net())
planned = fanin.torch.init_module(net, RECIPE, seed=7)
assert [one.name for one in planned][:2] == ["embed.weight", "layers.0.weight"]
check(net.state_dict(), recipe, "DDP")
with fanin.torch.sharded_init(net, seed=7):
    net.module.reset_parameters()
check(dict(net.named_parameters()), own, "DDP")

STRATEGIES = (ShardingStrategy.NO_SHARD, ShardingStrategy.FULL_SHARD, ShardingStrategy.SHARD_GRAD_OP)
for strategy in STRATEGIES:
    for use_orig_params in (False, True):
        for wrapped in (False, True):
            case = f"{strategy.name} use_orig_params={use_orig_params} nested={wrapped}"
            net = Net()
            options = dict(sharding_strategy=strategy, use_orig_params=use_orig_params, device_id=torch.device("cpu"))
            if wrapped:
                net.layers[1] = FSDP(net.layers[1], **options)
                net.head = FSDP(net.head, **options)
            net = FSDP(net, **options)
            planned = fanin.torch.init_module(net, RECIPE, seed=7)
            assert sorted(one.name for one in planned) == sorted(set(recipe) - {"tied.weight"}), (case, planned)
            with FSDP.summon_full_params(net):
                check({**dict(net.named_parameters()), **dict(net.named_buffers())}, recipe, case)
            net(tokens).sum().backward()
            with FSDP.summon_full_params(net):
                check({**dict(net.named_parameters()), **dict(net.named_buffers())}, recipe, case)
                error("gathered", lambda: fanin.torch.init_module(net, RECIPE))
            if strategy != ShardingStrategy.NO_SHARD and count > 1:
                before = [parameter.detach().clone() for parameter in net.parameters()]
                error("sharded_init of FSDP1", lambda: fanin.torch.sharded_init(net).__enter__())
                assert all(torch.equal(a, b.detach()) for a, b in zip(before, net.parameters()))
                if strategy == ShardingStrategy.FULL_SHARD and use_orig_params and not wrapped:
                    fanin.torch.init_module(net, RECIPE, seed=7)
                    verify_own_part(net, "FSDP1", lambda: net.embed.weight[0].add_(1))
            with FSDP.summon_full_params(net):
                with fanin.torch.sharded_init(net, seed=7):
                    for module in net.modules():
                        if type(module) in (nn.Embedding, nn.Linear, nn.LayerNorm) and module is not net.tied:
                            module.reset_parameters()
            with FSDP.summon_full_params(net):
                check(dict(net.named_parameters()), own, case)


def nested_wrapper():
    """FSDP1 inside the wrapper for activation checkpointing. The outer wrapper forwards attributes of the wrapped module."""
    net = Net()
    net.head = checkpoint_wrapper(FSDP(net.head, device_id=torch.device("cpu")))
    return FSDP(net, device_id=torch.device("cpu"))


for make in (nested_wrapper, lambda: torch.compile(nested_wrapper())):
    net = make()
    fanin.torch.init_module(net, RECIPE, seed=7)
    with FSDP.summon_full_params(net):
        check({**dict(net.named_parameters()), **dict(net.named_buffers())}, recipe, "FSDP1 in another wrapper")

net = fully_shard(Net(), mesh=mesh)
net.unshard()
fanin.torch.init_module(net, RECIPE, seed=7)
for name, parameter in net.named_parameters():
    check({name: parameter.full_tensor()}, {name: recipe[name]}, "FSDP2, unsharded before")


def offloaded():
    with torch.device("meta"):
        net = Net()
    for layer in net.layers:
        fully_shard(layer, mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=False))
    fully_shard(net, mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=False))
    return net.to_empty(device="cpu")


net = offloaded()
fanin.torch.init_module(net, RECIPE, seed=7)
net.norm.steps.fill_(3)
for name, parameter in net.named_parameters():
    check({name: parameter.full_tensor()}, {name: recipe[name]}, "CPUOffloadPolicy")
net = offloaded()
with fanin.torch.sharded_init(net, seed=7):
    net.reset_parameters()
    net.norm.steps.zero_()
for name, parameter in net.named_parameters():
    check({name: parameter.full_tensor()}, {name: own[name]}, "CPUOffloadPolicy")


def by_parts(weight):
    """Writes to parts of a tensor that `zeros_like` returned for a parameter, and copies the tensor to the parameter."""
    made = torch.zeros_like(weight)
    made[:2] = 3.0
    made[2:, 1:] = torch.arange(4.0)
    made[3].normal_()
    with torch.no_grad():
        weight.copy_(made)


plain, split = nn.Linear(5, 5, bias=False), fully_shard(nn.Linear(5, 5, bias=False, device="meta"), mesh=mesh).to_empty(device="cpu")
for layer in (plain, split):
    with fanin.torch.sharded_init(layer, seed=7):
        by_parts(layer.weight)
check({"weight": split.weight.full_tensor()}, {"weight": plain.weight.detach()}, "parts of a tensor like a parameter")


def assign_to_a_result(layer):
    with fanin.torch.sharded_init(layer, partial=True):
        result = layer.weight.detach() * 0
        result[:2] = 1.0


error("a part of a result", lambda: assign_to_a_result(split))


class Status(enum.Enum):
    AVAILABLE = 1
    NOT_AVAILABLE = 2
    INFLIGHT = 3


def placeholder(parameter):
    """Makes a parameter empty, and stores this rank's partition of the parameter as `ds_tensor`, as DeepSpeed ZeRO-3 does."""
    shape, size = parameter.shape, -(-parameter.numel() // count)
    parameter.ds_shape, parameter.ds_numel = shape, parameter.numel()
    parameter.ds_tensor = torch.full((size,), torch.nan, dtype=parameter.dtype)
    parameter.ds_tensor.status = Status.AVAILABLE
    parameter.ds_status, parameter.ds_secondary_tensor = Status.NOT_AVAILABLE, None
    parameter.ds_process_group = dist.group.WORLD
    parameter.data = torch.empty(0, dtype=parameter.dtype)


def gathered(parameter):
    parts = [torch.empty_like(parameter.ds_tensor) for _ in range(count)]
    dist.all_gather(parts, parameter.ds_tensor)
    return torch.cat(parts)[: parameter.ds_numel].view(parameter.ds_shape)


net = Net()
for parameter in net.parameters():
    placeholder(parameter)
fanin.torch.init_module(net, RECIPE, seed=7)
for name, parameter in net.named_parameters():
    assert parameter.numel() == 0
    check({name: gathered(parameter)}, {name: recipe[name]}, "ZeRO-3")
verify_own_part(net, "ZeRO-3", lambda: net.embed.weight.ds_tensor[0].add_(1))
error("sharded_init of ZeRO-3", lambda: fanin.torch.sharded_init(net).__enter__())
for attribute, value in {
    "ds_status": Status.INFLIGHT,
    "ds_tensor": None,
    "ds_secondary_tensor": torch.zeros(3),
    "ds_shape": torch.Size((77, 5)),
}.items():
    before = getattr(net.head.weight, attribute)
    setattr(net.head.weight, attribute, value)
    error(attribute, lambda: fanin.torch.init_module(net, RECIPE))
    setattr(net.head.weight, attribute, before)
# If a parameter is gathered, init_module fills the whole parameter and this rank's partition. ZeRO-3 later frees the
# whole parameter and keeps the partition.
net.head.weight.data = torch.zeros(net.head.weight.ds_shape)
net.head.weight.ds_status = Status.AVAILABLE
net.head.weight.ds_tensor.fill_(0)
fanin.torch.init_module(net, RECIPE, seed=7)
check({"head.weight": gathered(net.head.weight)}, {"head.weight": recipe["head.weight"]}, "ZeRO-3, gathered")
check({"head.weight": net.head.weight}, {"head.weight": recipe["head.weight"]}, "ZeRO-3, gathered")

dist.barrier()
print(json.dumps({"compared": compared, "errors": errors}), flush=True)
os._exit(0)
