"""`param_init`, with modules that have the interface of torchtitan's `Module` (torchtitan 0.3, protocols/module.py)."""

import pytest
import torch
from torch import nn
from torch.distributed.tensor import Shard, distribute_tensor

import fanin
import fanin.torch

RECIPE = """
[vars]
n_layer = { count = "layers.*.norm.weight" }
[init]
"*norm.weight"  = "ones"
"*.wo.weight"   = "trunc_normal(std=0.02/sqrt(2*n_layer), a=-0.06, b=0.06)"
"rope.freqs"    = "skip"
"*"             = "normal(std=0.02)"
[tie]
"tok_embeddings.weight" = "lm_head.weight"
"""


class Module(nn.Module):
    """A module as in torchtitan. `init_states` initializes submodules, and then the parameters by functions in `_param_init`."""

    _param_init = None

    def init_states(self):
        for child in self.children():
            child.init_states() if isinstance(child, Module) else [one.init_states() for one in child.children()]
        for name, parameter in self.named_parameters(recurse=False):
            if self._param_init is None or name not in self._param_init:
                raise ValueError(f"no function for {name}")
            self._param_init[name](parameter)


class Linear(nn.Linear, Module):
    pass


class Embedding(nn.Embedding, Module):
    pass


class Norm(nn.RMSNorm, Module):
    pass


class Layer(Module):
    def __init__(self):
        super().__init__()
        self.norm = Norm(16)
        self.wq = Linear(16, 32, bias=False)
        self.wo = Linear(32, 16, bias=False)


class Rope(Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("freqs", torch.arange(4.0))


class Decoder(Module):
    def __init__(self, tied=False):
        super().__init__()
        self.tok_embeddings = Embedding(40, 16)
        self.layers = nn.ModuleDict({str(number): Layer() for number in range(3)})
        self.norm = Norm(16)
        self.rope = Rope()
        self.lm_head = Linear(16, 40, bias=False)
        if tied:
            self.tok_embeddings.weight = self.lm_head.weight


def attach(model, functions):
    for name, one in functions.items():
        model.get_submodule(name)._param_init = one


def built(tied=False, seed=7):
    with torch.device("meta"):
        model = Decoder(tied)
    functions = fanin.torch.param_init(model, fanin.Recipe(RECIPE), seed=seed)
    model.to_empty(device="cpu")
    if tied:
        model.tok_embeddings.weight = model.lm_head.weight
    attach(model, functions)
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_init_states_writes_the_same_values_as_init_module(tied):
    model = built(tied)
    model.init_states()
    expected = Decoder(tied)
    fanin.init_module(expected, fanin.Recipe(RECIPE), seed=7)
    fanin.torch.assert_same_weights(model, expected, allow="rope.freqs")
    assert fanin.torch.verify(expected, fanin.Recipe(RECIPE), seed=7)


def test_each_rank_fills_its_own_region():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    whole = built()
    whole.init_states()
    torch.distributed.init_process_group("fake", rank=1, world_size=2, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (2,))
        model = built()
        for module in list(model.modules()):
            for name, parameter in list(module.named_parameters(recurse=False)):
                module.register_parameter(name, nn.Parameter(distribute_tensor(parameter.detach(), mesh, [Shard(0)])))
        model.init_states()
        for name, parameter in model.named_parameters():
            full = whole.get_parameter(name)
            assert torch.equal(parameter.to_local(), full[len(full) // 2 :]), name
    finally:
        torch.distributed.destroy_process_group()


def test_every_module_with_parameters_has_a_function_for_each():
    with torch.device("meta"):
        model = Decoder()
    functions = fanin.torch.param_init(model, fanin.Recipe(RECIPE))
    assert {f"{name}.{local}" for name, one in functions.items() for local in one} == {name for name, _ in model.named_parameters()}
    assert repr(functions["layers.0.wo"]["weight"]).startswith("ParamInit(Planned(layers.0.wo.weight: F32 [16, 32] = trunc_normal(std=")


def test_another_shape_or_a_parameter_without_memory_is_an_error():
    with torch.device("meta"):
        functions = fanin.torch.param_init(Decoder(), fanin.Recipe(RECIPE))
    fill = functions["layers.1.wq"]["weight"]
    with pytest.raises(ValueError, match=r"layers.1.wq.weight: expected a parameter of shape \(32, 16\).*got \(3, 16\)"):
        fill(torch.empty(3, 16))
    with pytest.raises((ValueError, TypeError), match="layers.1.wq.weight"):
        fill(torch.empty(32, 16, device="meta"))


def test_a_parameter_that_no_rule_matches_is_an_error():
    with torch.device("meta"):
        model = Decoder()
    with pytest.raises(ValueError, match="lm_head.weight"):
        fanin.torch.param_init(model, fanin.Recipe('[init]\n"layers.*" = "zeros"\n"norm.weight" = "ones"'))


def test_a_function_increments_the_version_and_needs_no_grad_mode():
    with torch.device("meta"):
        functions = fanin.torch.param_init(nn.Linear(3, 2), fanin.Recipe('[init]\n"*" = "normal"'))
    weight = nn.Parameter(torch.empty(2, 3))
    version = weight._version
    functions[""]["weight"](weight)
    assert weight._version > version and weight.requires_grad and weight.isfinite().all()


class Fused(Module):
    """A module like the fused projection of torchtitan: `state_dict()` has three blocks of the parameter `wqkv` instead of `wqkv`."""

    def __init__(self):
        super().__init__()
        self.wqkv = nn.Parameter(torch.empty(12, 4))
        self.register_state_dict_post_hook(self._split)

    @staticmethod
    def _split(module, state, prefix, metadata):
        for name, part in zip(("wq", "wk", "wv"), state.pop(f"{prefix}wqkv").chunk(3)):
            state[f"{prefix}{name}"] = part.clone()


def test_a_fused_parameter_that_state_dict_splits_has_one_function():
    with torch.device("meta"):
        model = nn.Sequential(Fused())
    functions = fanin.torch.param_init(model, fanin.Recipe('[init]\n"*.wqkv" = "blocks(xavier_uniform, count=3)"'), seed=1)
    weight = torch.empty(12, 4)
    functions["0"]["wqkv"](weight)
    expected = fanin.filled((12, 4), "blocks(xavier_uniform, count=3)", seed=1, name="0.wqkv")
    assert torch.equal(weight, torch.from_numpy(expected))
