"""init_module writes to the memory of every parameter, or fails and names the parameter that it cannot fill."""

import pytest
import torch
from torch import nn

import fanin
import fanin.torch

NORMAL = fanin.Recipe('[init]\n"*" = "normal"')


def named(shape, name, seed=5):
    return torch.from_numpy(fanin.filled(shape, "normal", seed=seed, name=name))


class Fused(nn.Module):
    """A module with the fused parameter `wqk`.

    A hook removes `wqk` from the state dict, and calls `show` to add other tensors, such as the halves of `wqk`.
    """

    def __init__(self, show):
        super().__init__()
        self.wqk = nn.Parameter(torch.full((6, 4), torch.nan))

        def hook(module, state, prefix, metadata):
            show(state, prefix, state.pop(prefix + "wqk"))

        self.register_state_dict_post_hook(hook)


def split(change):
    def show(state, prefix, tensor):
        for name, part in zip(("wq", "wk"), tensor.chunk(2)):
            state[prefix + name] = change(part)

    return show


@pytest.mark.parametrize("change", [torch.clone, lambda part: part.half().float(), lambda part: part.t().contiguous()])
def test_a_parameter_that_a_hook_replaces_by_copies_in_state_dict_is_an_error(change):
    net = nn.Sequential(nn.Linear(3, 3), Fused(split(change)))
    before = net[0].weight.clone()
    with pytest.raises(ValueError, match="1.wqk is not among the tensors of state_dict.*1.wq, 1.wk"):
        fanin.init_module(net, NORMAL)
    assert torch.equal(net[0].weight, before) and net[1].wqk.isnan().all()


def test_parameters_that_a_hook_renames_or_splits_into_views_are_filled():
    net = Fused(split(lambda part: part))
    assert [p.name for p in fanin.init_module(net, NORMAL, seed=5)] == ["wq", "wk"]
    assert torch.equal(net.wqk, torch.cat([named((3, 4), "wq"), named((3, 4), "wk")]))

    def rename(state, prefix, tensor):
        state[prefix + "new"] = tensor.detach()

    net = Fused(rename)
    assert [p.name for p in fanin.init_module(net, NORMAL, seed=5)] == ["new"]
    assert torch.equal(net.wqk, named((6, 4), "new"))


def test_views_that_miss_a_part_of_a_parameter_are_an_error():
    def half(state, prefix, tensor):
        state[prefix + "wq"] = tensor[:3]

    def twice(state, prefix, tensor):
        state[prefix + "wq"], state[prefix + "wk"] = tensor[:4], tensor[2:]

    for show in (half, twice):
        with pytest.raises(ValueError, match="wqk: the views"):
            fanin.init_module(Fused(show), NORMAL)


def test_a_parameter_that_a_hook_removes_from_state_dict_is_filled_under_its_own_name():
    net = Fused(lambda state, prefix, tensor: None)
    fanin.init_module(net, NORMAL, seed=5)
    assert torch.equal(net.wqk, named((6, 4), "wqk"))


def test_extra_state_is_not_filled():
    net = nn.Linear(3, 2, bias=False)
    net.get_extra_state = lambda: torch.zeros(4)
    assert [p.name for p in fanin.init_module(net, NORMAL)] == ["weight"]


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, torch.compile, lambda net: torch.compile(nn.DataParallel(net)), lambda net: compiled_layer(net)]
)
def test_patterns_match_the_names_without_wrappers(wrap):
    recipe = fanin.Recipe('[init]\n"0.weight" = "normal"\n"0.bias" = "zeros"\n"1.*" = "ones"')
    net = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    planned = fanin.init_module(wrap(net), recipe, seed=5)
    assert [p.name for p in planned] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert torch.equal(net.state_dict()[list(net.state_dict())[0]], named((3, 4), "0.weight"))


def compiled_layer(net):
    net[0] = torch.compile(net[0])
    return net


@pytest.mark.parametrize(
    "layer", [nn.Linear(4, 3), nn.Conv2d(4, 2, 3), nn.Embedding(5, 2), nn.LayerNorm(3), nn.BatchNorm1d(3), nn.GroupNorm(1, 3)]
)
def test_an_empty_parameter_whose_module_declares_another_shape_is_an_error(layer):
    layer.weight = nn.Parameter(torch.empty(0))
    net = nn.Sequential(nn.Linear(2, 2), layer)
    before = net[0].weight.clone()
    for fill in (lambda: fanin.init_module(net, NORMAL), lambda: fanin.torch.sharded_init(net).__enter__()):
        with pytest.raises(ValueError, match="1.weight has no elements, but its module declares the shape"):
            fill()
    assert torch.equal(net[0].weight, before)
    fanin.init_module(nn.Sequential(nn.Linear(0, 3, bias=False), nn.Embedding(0, 3)), NORMAL)


def test_parameters_without_memory_of_their_own_are_errors():
    net = nn.Linear(4, 3, bias=False)
    net.weight.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="weight has no memory"):
        fanin.init_module(net, NORMAL)
    from torch.testing._internal.two_tensor import TwoTensor

    net.weight = nn.Parameter(TwoTensor(torch.zeros(3, 4), torch.zeros(3, 4)))
    with pytest.raises(TypeError, match="weight is a TwoTensor"):
        fanin.init_module(net, NORMAL)


    net.weight = nn.Parameter(torch.zeros(1, 4).expand(3, 4))
    with pytest.raises(ValueError, match="weight: several of its elements have the same memory"):
        fanin.init_module(net, NORMAL)


class Pair(nn.Module):
    """A module with two parameters that are different objects, but share memory."""

    def __init__(self, share):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(4))
        self.first = nn.Parameter(torch.ones(4, 4))
        self.second = nn.Parameter(share(self.first.data))


def test_two_parameters_that_share_all_of_their_memory_are_filled_once():
    net = Pair(lambda data: data)
    assert [p.name for p in fanin.init_module(net, NORMAL, seed=5)] == ["bias", "first"]
    assert torch.equal(net.second, named((4, 4), "first"))
    with fanin.torch.sharded_init(net, seed=5):
        for parameter in net.parameters():
            nn.init.normal_(parameter)
    assert torch.equal(net.second, named((4, 4), "first"))


@pytest.mark.parametrize(
    "share",
    [torch.t, lambda data: data[1:], lambda data: data[:, :3], torch.flatten, lambda data: torch.from_numpy(data.numpy())[2:]],
)
def test_parameters_that_share_some_elements_are_an_error(share):
    net = Pair(share)
    with pytest.raises(ValueError, match="share some of their elements"):
        fanin.init_module(net, NORMAL)
    assert all((parameter == 1).all() for parameter in net.parameters())
    fanin.init_module(net, fanin.Recipe('[init]\n"second" = "skip"\n"*" = "normal"'))


def test_columns_of_one_matrix_are_filled_separately():
    net = Pair(lambda data: data[:, 2:])
    net.first = nn.Parameter(net.first.data[:, :2])
    fanin.init_module(net, NORMAL, seed=5)
    assert torch.equal(net.first, named((4, 2), "first")) and torch.equal(net.second, named((4, 2), "second"))


def test_swapped_parameters_are_filled():
    net, other = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
    torch.utils.swap_tensors(net.weight, other.weight)
    fanin.init_module(net, NORMAL, seed=5)
    assert torch.equal(net.weight, named((3, 4), "weight"))
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        net = nn.Linear(4, 3, bias=False, device="meta").to_empty(device="cpu").to(torch.float64)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    fanin.init_module(net, NORMAL, seed=5)
    assert torch.equal(net.weight.float(), torch.from_numpy(fanin.filled((3, 4), "normal", seed=5, name="weight", dtype="f64")).float())
