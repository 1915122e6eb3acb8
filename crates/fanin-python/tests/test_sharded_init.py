"""Tests of sharded_init in one process: the regions of a DTensor on each rank, and weights split without DTensor."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import fanin
import fanin.torch
from fanin.torch._regions import intervals_of

placement_types = pytest.importorskip("torch.distributed.tensor.placement_types")
Shard, StridedShard = placement_types.Shard, placement_types._StridedShard
Replicate, Partial = placement_types.Replicate, placement_types.Partial


def chunk(rows, count, index):
    """Returns the rows on one rank (number `index`) if DTensor or FSDP2 splits `rows` between `count` ranks."""
    chunks = list(torch.chunk(rows, count))
    return chunks[index] if index < len(chunks) else rows[:0]


def indices(size, mesh, coordinate, placements):
    """Returns the indices of those elements of a vector that are on the rank at `coordinate` of a mesh."""
    along = intervals_of((size,), mesh, coordinate, placements)[0]
    return [index for start, end in along for index in range(start, end)]


def test_regions_of_a_vector_that_is_split_several_times_are_those_of_repeated_chunks():
    for size, a, b in itertools.product((0, 1, 5, 7, 12, 23), range(1, 5), range(1, 5)):
        rows = torch.arange(size)
        for i, j in itertools.product(range(a), range(b)):
            plain = indices(size, (a, b), (i, j), (Shard(0), Shard(0)))
            assert plain == chunk(chunk(rows, a, i), b, j).tolist()
            # FSDP2 with tensor parallelism: tensor parallelism splits the vector first, and FSDP2 splits the chunk of each rank.
            strided = indices(size, (a, b), (i, j), (StridedShard(0, split_factor=b), Shard(0)))
            assert strided == chunk(chunk(rows, b, j), a, i).tolist()
            # A mesh of three dimensions: the last two split the vector first, and FSDP2 then splits each chunk.
            three = (StridedShard(0, split_factor=a * b), Shard(0), Shard(0))
            for k in range(3):
                expected = chunk(chunk(chunk(rows, a, i), b, j), 3, k).tolist()
                assert indices(size, (3, a, b), (k, i, j), three) == expected
            # FSDP2 with replicas, and tensor parallelism: all replicas have the same regions.
            copies = (Replicate(), StridedShard(0, split_factor=b), Shard(0))
            assert indices(size, (2, a, b), (1, i, j), copies) == strided


def test_torch_computes_wrong_offsets_for_sizes_that_do_not_divide_evenly():
    """fanin computes offsets itself, because `_compute_local_shape_and_global_offset` of torch returns wrong offsets.

    This test fails if torch fixes the function. fanin can then use the function of torch.
    """
    from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset

    placements = (StridedShard(0, split_factor=2), Shard(0))
    differ = 0
    for coordinate in itertools.product(range(3), range(2)):
        shape, offset = _compute_local_shape_and_global_offset((50257,), (3, 2), list(coordinate), placements)
        (start, end), *_ = intervals_of((50257,), (3, 2), coordinate, placements)[0]
        differ += (shape, offset) != ((end - start,), (start,))
    assert differ > 0


def test_a_strided_shard_without_a_later_shard_has_several_regions():
    assert intervals_of((9,), (2,), (1,), (StridedShard(0, split_factor=3),)) == [[(2, 3), (5, 6), (8, 9)]]


@pytest.mark.parametrize(
    "placements, needle",
    [
        ((Partial(), Shard(0)), "is not Shard, Replicate"),
        ((StridedShard(0, split_factor=3), Shard(0)), "order of the splits is unknown"),
        ((Shard(1), Shard(0)), "a tensor of 1 dimensions does not have"),
    ],
)
def test_unknown_placements_are_errors(placements, needle):
    with pytest.raises(ValueError, match=needle):
        intervals_of((8,), (2, 2), (0, 0), placements)


def initialized(module, work, seed=5, **options):
    with fanin.torch.sharded_init(module, seed=seed, **options):
        work(module)
    return module


def named(shape, spec, name, seed=5):
    return torch.from_numpy(fanin.filled(shape, spec, seed=seed, name=name))


def test_layers_are_filled_by_their_own_reset_parameters():
    """sharded_init also intercepts functions that were imported before it began, and restores the generator's state at its end."""
    net = nn.Sequential(nn.Linear(30, 20), nn.MultiheadAttention(8, 2), nn.Embedding(9, 4, padding_idx=2), nn.GRU(3, 4))
    before = torch.get_rng_state()

    def work(net):
        for module in net.modules():
            for method in ("reset_parameters", "_reset_parameters"):
                getattr(module, method, lambda: None)()
        nn.init.zeros_(net[1].out_proj.weight)

    net = initialized(net, work)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(net[0].weight, named((20, 30), "kaiming_uniform(a=sqrt(5))", "0.weight"))
    assert torch.equal(net[1].in_proj_weight, named((24, 8), "xavier_uniform", "1.in_proj_weight"))
    assert torch.equal(net[3].weight_hh_l0, named((12, 4), "uniform(-0.5, 0.5)", "3.weight_hh_l0"))
    embedding = named((9, 4), "normal", "2.weight")
    embedding[2] = 0
    assert torch.equal(net[2].weight, embedding)
    torch.manual_seed(0)
    plain = nn.init.orthogonal_(torch.empty(4, 4))
    torch.manual_seed(0)
    assert torch.equal(nn.init.orthogonal_(torch.empty(4, 4)), plain), "the functions of torch are restored"


def test_views_of_a_parameter_are_filled():
    net = nn.Linear(6, 12, bias=False)
    all_normal = named((12, 6), "normal(std=2)", "weight")

    def views(net):
        weight = net.weight
        for chunk in weight.data.chunk(3):
            chunk.normal_(0.0, 2.0)

    assert torch.equal(initialized(net, views).weight, all_normal)
    flat = initialized(net, lambda net: nn.init.normal_(net.weight.view(3, 24), std=2.0))
    assert torch.equal(flat.weight, all_normal)
    turned = initialized(net, lambda net: nn.init.normal_(net.weight.t(), std=2.0))
    assert torch.equal(turned.weight, all_normal)
    gates = initialized(net, lambda net: [nn.init.orthogonal_(gate) for gate in net.weight.chunk(2)])
    for at in (0, 6):
        gate = gates.weight.detach()[at : at + 6]
        assert torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5)
        assert torch.equal(gate, named((6, 6), "orthogonal", f"weight[{at}:{at + 6}]"))
    with pytest.raises(ValueError, match="another shape"):
        initialized(net, lambda net: nn.init.sparse_(net.weight.view(3, 24), 0.5))


def test_bf16_values_are_f32_values_rounded_once():
    net = nn.Linear(40, 30, bias=False).to(torch.bfloat16)

    def like(net):
        wide = torch.empty_like(net.weight, dtype=torch.float32)
        nn.init.orthogonal_(wide)
        with torch.no_grad():
            net.weight.copy_(wide)

    assert torch.equal(initialized(net, like).weight, named((30, 40), "orthogonal", "weight").bfloat16())


def test_a_parameter_that_is_not_written_is_an_error():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="nothing was written to 1.weight, 1.bias"):
        initialized(net, lambda net: net[0].reset_parameters())
    initialized(net, lambda net: net[0].reset_parameters(), partial=True)
    with pytest.raises(ValueError, match="to_empty"):
        initialized(nn.Linear(2, 2, device="meta"), lambda net: net.reset_parameters())
    with pytest.raises(RuntimeError, match="inside"):
        with fanin.torch.sharded_init(net):
            initialized(net, lambda net: None)
    with pytest.raises(KeyError):
        with fanin.torch.sharded_init(net):
            raise KeyError("an error of the caller passes through")
    assert getattr(torch.nn.init.normal_, "__code__").co_name == "normal_" and torch.nn.init.normal_.__code__.co_argcount > 0


def test_names_are_without_the_prefixes_of_wrappers():
    net = initialized(nn.Linear(5, 4), lambda net: net.reset_parameters())
    wrapped = initialized(nn.DataParallel(nn.Linear(5, 4)), lambda net: net.module.reset_parameters())
    assert torch.equal(net.weight, wrapped.module.weight)
    net = nn.Module()
    net.a = nn.Parameter(torch.empty(2))
    net._orig_mod = nn.Module()
    net._orig_mod.a = nn.Parameter(torch.empty(2))
    with pytest.raises(ValueError, match="both have the name"):
        initialized(net, lambda net: None)


@pytest.mark.parametrize("spec", ["normal", "orthogonal", "sparse(0.3)", "xavier_uniform", "eye"])
@pytest.mark.parametrize("dim, stride", [(0, 1), (0, 3), (1, 1), (1, 2), (-1, 2)])
def test_weights_are_split_as_in_megatron(spec, dim, stride):
    whole = named((12, 24), spec, "w")
    for count in (1, 2):
        shape = [12, 24]
        shape[dim] //= count
        length = shape[dim] // stride
        blocks = torch.split(whole, length, dim=dim)
        for rank in range(count):
            method = fanin.torch.init_method(
                spec, seed=5, name="w", rank=rank, world_size=count, dim=dim, stride=stride
            )
            part = method(nn.Parameter(torch.empty(shape)))
            assert torch.equal(part, torch.cat(blocks[rank::count], dim=dim))


@pytest.mark.parametrize("spec", ["normal", "orthogonal", "sparse(0.3)", "trunc_normal", "kaiming_normal"])
def test_flat_ranges_of_all_ranks_join_to_the_whole_parameter(spec):
    shape = (7, 5, 3) if spec not in ("sparse(0.3)",) else (21, 5)
    whole = named(shape, spec, "w").flatten()
    for count in (1, 2, 3, 4):
        size = -(-whole.numel() // count)
        parts = [
            fanin.torch.fill_flat(torch.empty(size), spec, shape=shape, start=rank * size, seed=5, name="w")
            for rank in range(count)
        ]
        joined = torch.cat(parts)
        assert torch.equal(joined[: whole.numel()], whole) and not joined[whole.numel() :].any()


@pytest.mark.parametrize(
    "call, needle",
    [
        (lambda: fanin.torch.init_method("normal", name="w", rank=2, world_size=2)(torch.empty(2, 2)), "rank = 2"),
        (lambda: fanin.torch.init_method("normal", name="w", rank=0), "rank and world_size"),
        (lambda: fanin.torch.init_method("normal", name="w")(torch.empty(2, 2)), "not initialized"),
        (lambda: fanin.torch.init_method("normal", name="w", rank=0, world_size=1, stride=3)(torch.empty(2, 2)), "stride = 3"),
        (lambda: fanin.torch.init_method("normal", name="w", rank=0, world_size=1, dim=2)(torch.empty(2, 2)), "dim = 2"),
        (lambda: fanin.torch.fill_flat(torch.empty(2, 2), "normal", shape=(4,), start=0, name="w"), "contiguous vector"),
        (lambda: fanin.torch.fill_flat(torch.empty(2), "normal", shape=(4,), start=-1, name="w"), "start = -1"),
    ],
)
def test_errors_of_splits_name_the_argument(call, needle):
    with pytest.raises(ValueError, match=needle):
        call()


def test_regions_outside_of_a_prepared_tensor_are_errors():
    prepared = fanin._fanin.Prepared("normal", (4, 3), "f32", 0, "w")
    for call, kind in [
        (lambda: prepared.fill_flat(np.empty(5, np.float32), 8), ValueError),
        (lambda: prepared.fill_flat(np.empty((2, 2), np.float32), 0), ValueError),
        (lambda: prepared.fill_region(np.empty((2, 3), np.float32), (3, 0)), ValueError),
        (lambda: prepared.fill_region(np.empty((2, 3), np.float64), (0, 0)), TypeError),
    ]:
        with pytest.raises(kind):
            call()
