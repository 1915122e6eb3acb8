"""Small models with one initialization bug each, and the same models without the bug. Most of the bugs are from public projects."""

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import init

MODELS: list["Bug"] = []


@dataclass
class Bug:
    """A model with a bug, and the findings that `check_init` must report."""

    name: str
    #: Builds the model with the bug.
    build: Callable[[], Any]
    #: The findings that check_init must report: maps names of tensors to kinds of findings.
    found: dict[str, str]
    via: str = "eager"
    checkpoint: dict[str, torch.Tensor] | None = None
    #: For some of the tensors, the fraction of their elements that are wrong.
    shares: dict[str, float] = field(default_factory=dict)
    #: Builds the model without the bug.
    fixed: Callable[[], Any] | None = None


def bug(found, **options):
    """Returns a decorator that adds a bug to MODELS.

    The decorated function builds the model. If its argument is True, the model has the bug.
    """

    def add(function):
        name = function.__name__
        MODELS.append(Bug(name, lambda: function(True), found, fixed=lambda: function(False), **options))
        return function

    return add


class Model(nn.Module):
    """A linear layer with an initialization function, as in torchtitan and nanochat."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def init_weights(self):
        self.linear.reset_parameters()


# A parameter that the constructor initializes, and init_weights does not (transformers#44575, Tapas).
@bug({"scale": "unwritten"}, via="meta")
def constructor_only(broken):
    class Tapas(Model):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(3))

        def init_weights(self):
            super().init_weights()
            if not broken:
                init.zeros_(self.scale)

    return Tapas()


# Scalars and a whole layer that init_weights forgets (nanochat#686).
@bug({"smear_lambda": "unwritten", "backout_lambda": "unwritten", "smear_gate.weight": "unwritten"}, via="eager,meta")
def forgotten_scalars(broken):
    class GPT(Model):
        def __init__(self):
            super().__init__()
            self.smear_gate = nn.Linear(24, 1, bias=False)
            self.smear_lambda = nn.Parameter(torch.zeros(1))
            self.backout_lambda = nn.Parameter(0.2 * torch.ones(1))

        @torch.no_grad()
        def init_weights(self):
            super().init_weights()
            if not broken:
                self.smear_gate.reset_parameters()
                self.smear_lambda.fill_(0.0)
                self.backout_lambda.fill_(0.2)

    return GPT()


# A non-persistent buffer, whose values are computed in the constructor only (transformers#45902, Qwen3.5 MoE).
@bug({"inv_freq": "unwritten"}, via="meta")
def rotary_buffer(broken):
    class Rotary(Model):
        def __init__(self):
            super().__init__()
            self.register_buffer("inv_freq", self.compute(), persistent=False)

        def compute(self):
            return 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))

        def init_weights(self):
            super().init_weights()
            if not broken:
                self.inv_freq.copy_(self.compute())

    return Rotary()


# A loader replaces a buffer by `torch.empty_like` if the checkpoint does not have the buffer (transformers#48892).
@bug({"table": "unwritten"})
def emptied_buffer(broken):
    model = Model()
    model.register_buffer("table", torch.arange(6.0), persistent=False)
    if broken:
        model.table = torch.empty_like(model.table)
    return model


# A parameter is created by `torch.empty`, and is not in the checkpoint (sglang#26772).
@bug({"gate": "unwritten"})
def missing_in_the_checkpoint(broken):
    model = Model()
    model.gate = nn.Parameter(torch.empty(16))
    loaded = {"linear.weight": torch.ones(8, 8), "linear.bias": torch.zeros(8)}
    model.load_state_dict(loaded if broken else loaded | {"gate": torch.ones(16)}, strict=False)
    return model


LOADED = {"linear.weight": torch.arange(64.0).view(8, 8), "linear.bias": torch.arange(8.0)}


def loaded():
    model = Model()
    model.load_state_dict(LOADED)
    return model


# The initialization function runs again after loading, and writes to parameter.data (transformers#46620).
@bug({"linear.weight": "drawn", "linear.bias": "changed"}, checkpoint=LOADED)
def drawn_after_loading(broken):
    model = loaded()
    if broken:
        model.linear.weight.data.normal_(0, 0.02)
        model.linear.bias.data.zero_()
    return model


# One of several parameters is drawn again after loading (transformers#45591, NemotronH).
@bug({"linear.bias": "drawn"}, checkpoint=LOADED, shares={"linear.bias": 1.0})
def one_drawn_after_loading(broken):
    model = loaded()
    if broken:
        step = torch.exp(torch.rand(8) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        model.linear.bias.data.copy_(step + torch.log(-torch.expm1(-step)))
    return model


# When an embedding gets new rows, some rows that were loaded from a checkpoint are drawn again too (unsloth#4112).
@bug({"embedding.weight": "drawn"}, checkpoint={"embedding.weight": torch.ones(8, 4)}, shares={"embedding.weight": 0.25})
def rows_drawn_after_loading(broken):
    model = nn.ModuleDict({"embedding": nn.Embedding(8, 4)})
    model.load_state_dict({"embedding.weight": torch.ones(8, 4)})
    if broken:
        model["embedding"].weight.data[6:].normal_()
    return model


# Loaded values are multiplied by a factor that the values of the checkpoint already include.
@bug({"linear.weight": "changed"}, checkpoint=LOADED, shares={"linear.weight": 63 / 64})
def changed_after_loading(broken):
    model = loaded()
    if broken:
        model.linear.weight.data.mul_(0.5)
    return model


# Only some blocks of a fused parameter are written.
@bug({"experts": "unwritten"}, shares={"experts": 0.75})
def some_experts(broken):
    model = Model()
    model.experts = nn.Parameter(torch.empty(4, 8, 8))
    for number in range(1 if broken else 4):
        init.normal_(model.experts[number], std=0.02)
    return model


# A bfloat16 parameter is computed from float32 memory that no code wrote (flash-linear-attention: A_log).
@bug({"A_log": "unwritten"})
def computed_from_empty(broken):
    class Mixer(Model):
        def __init__(self):
            super().__init__()
            heads = torch.empty(16)
            if not broken:
                heads.uniform_(1, 16)
            self.A_log = nn.Parameter(torch.log(heads.abs() + 1).to(torch.bfloat16))

    return Mixer()


# The legacy constructor torch.Tensor(n) returns unwritten memory.
@bug({"weight": "unwritten"})
def legacy_constructor(broken):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.Tensor(8, 4))
            if not broken:
                init.xavier_uniform_(self.weight)

    return Attention()


# Uninitialized integers are used as indices while the module is built.
@bug({"position_ids": "unwritten", "positions": "unwritten"})
def integer_indices(broken):
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            table = torch.arange(32.0).view(16, 2)
            self.register_buffer("position_ids", torch.empty(1, 16, dtype=torch.int64))
            if not broken:
                self.position_ids.copy_(torch.arange(16))
            self.register_buffer("positions", table[self.position_ids[0]])

    return Positions()


# to_empty is called after the initialization instead of before.
@bug({"weight": "unwritten", "bias": "unwritten"})
def emptied_after_initialization(broken):
    model = nn.Linear(4, 4)
    return model.to_empty(device="cpu") if broken else model


# to_empty breaks a tie, because it gives each of the two names its own memory (Modalities#357).
@bug({"head.weight": "tie"}, via="meta")
def broken_tie(broken):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(12, 4)
            self.head = nn.Linear(4, 12, bias=False)
            self.head.weight = self.embedding.weight

        def init_weights(self):
            self.embedding.reset_parameters()
            if broken:
                self.head.reset_parameters()
            else:
                self.head.weight = self.embedding.weight

    return Tied()


# A trainable parameter is replaced by one with requires_grad=False.
@bug({"linear.weight": "requires_grad"}, via="eager,meta")
def lost_gradient(broken):
    class Replaced(Model):
        def init_weights(self):
            super().init_weights()
            if broken:
                self.linear.weight = nn.Parameter(self.linear.weight.detach(), requires_grad=False)

    return Replaced()


# The constructor divides the standard deviation by the square root of the depth. init_weights does not (llm-foundry).
@bug({"linear.weight": "distribution"}, via="eager,meta")
def another_scale(broken):
    class Scaled(Model):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 64, bias=False)
            init.normal_(self.linear.weight, std=0.02 / math.sqrt(8))

        def init_weights(self):
            init.normal_(self.linear.weight, std=0.02 if broken else 0.02 / math.sqrt(8))

    return Scaled()


# The constructor of an embedding sets the padding row to zero. init_weights does not.
@bug({"embedding.weight": "distribution"}, via="eager,meta")
def padding_row(broken):
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(50, 64, padding_idx=0)

        @torch.no_grad()
        def init_weights(self):
            self.embedding.weight.normal_()
            if not broken:
                self.embedding.weight[0].zero_()

    return Padded()


# The constructor does not add a submodule if it runs on the meta device.
@bug({"extra.weight": "missing"}, via="eager,meta")
def missing_on_meta(broken):
    class Conditional(Model):
        def __init__(self):
            super().__init__()
            if not broken or self.linear.weight.device.type != "meta":
                self.extra = nn.Linear(3, 3, bias=False)

        def init_weights(self):
            super().init_weights()
            if hasattr(self, "extra"):
                self.extra.reset_parameters()

    return Conditional()


# A tensor is a plain attribute, not a buffer, so to_empty leaves it on the meta device.
@bug({"mask": "meta"}, via="meta")
def tensor_attribute(broken):
    class Masked(Model):
        def __init__(self):
            super().__init__()
            mask = torch.ones(4, 4).tril()
            if broken:
                self.mask = mask
            else:
                self.register_buffer("mask", mask)

        def init_weights(self):
            super().init_weights()
            if not broken:
                self.mask.copy_(torch.ones(4, 4).tril())

    return Masked()


# A layer is a copy of another layer, and is not initialized again.
@bug({"1.weight": "same_draws"})
def copied_layers(broken):
    layer = nn.Linear(8, 8, bias=False)
    other = copy.deepcopy(layer)
    if not broken:
        other.reset_parameters()
    return nn.Sequential(layer, other)


# Each layer calls torch.manual_seed with the same seed.
@bug({"1.weight": "same_draws", "2.weight": "same_draws"})
def same_seed(broken):
    def layer(seed):
        torch.manual_seed(0 if broken else seed)
        return nn.Linear(8, 8, bias=False)

    return nn.Sequential(*map(layer, range(3)))


# Random values come from os.urandom, which no seed controls.
@bug({"noise": "nondeterministic"})
def hidden_generator(broken):
    model = nn.Module()
    random = bytearray(os.urandom(64) if broken else bytes(64))
    model.register_buffer("noise", torch.frombuffer(random, dtype=torch.uint8).float())
    return model


# A parameter is the logarithm of 0.
@bug({"bias": "non_finite"})
def infinite_values(broken):
    model = nn.Module()
    prior = torch.tensor([0.0, 0.5, 0.9]) if broken else torch.tensor([0.1, 0.5, 0.9])
    model.bias = nn.Parameter(torch.log(prior))
    return model


# `build` returns a module and a function that initializes it, and the function forgets a layer.
@bug({"1.weight": "unwritten"}, via="eager")
def module_and_function(broken):
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model.to_empty(device="cpu")
    return model, (model[0].reset_parameters if broken else lambda: [layer.reset_parameters() for layer in model])


# An embedding gets new rows, so that the size of the vocabulary is a round number. No code writes these rows.
@bug({"embedding.weight": "unwritten"}, shares={"embedding.weight": 0.2})
def padded_vocabulary(broken):
    model = nn.ModuleDict({"embedding": nn.Embedding(8, 4)})
    rows = torch.empty(2, 4) if broken else torch.zeros(2, 4)
    model["embedding"].weight = nn.Parameter(torch.cat([model["embedding"].weight.detach(), rows]))
    return model


# One block of a fused weight is written twice, and another block never.
@bug({"qkv": "unwritten"}, shares={"qkv": 1 / 3})
def wrong_offset(broken):
    model = Model()
    model.qkv = nn.Parameter(torch.empty(24, 8))
    for block in (0, 1, 1 if broken else 2):
        init.xavier_uniform_(model.qkv[8 * block : 8 * block + 8])
    return model


# The rows are filled in 4 equal blocks, and the number of rows is not a multiple of 4.
@bug({"table": "unwritten"}, shares={"table": 1 / 33})
def remaining_rows(broken):
    model = Model()
    model.table = nn.Parameter(torch.empty(33, 4))
    size = len(model.table) // 4
    for part in range(4):
        init.normal_(model.table[part * size : (part + 1) * size])
    if not broken:
        init.normal_(model.table[4 * size :])
    return model


# A copy of the parameter is initialized instead of the parameter.
@bug({"weight": "unwritten"})
def initialized_copy(broken):
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(6, 4))
    init.kaiming_normal_(model.weight.t().contiguous() if broken else model.weight.t())
    return model


# No code writes the imaginary part of a complex parameter.
@bug({"filter": "unwritten"}, shares={"filter": 1.0})
def real_part(broken):
    model = Model()
    model.filter = nn.Parameter(torch.empty(5, 3, dtype=torch.complex64))
    parts = torch.view_as_real(model.filter.data)
    parts[..., 0].normal_()
    if not broken:
        parts[..., 1].normal_()
    return model


# A buffer is enlarged by resize_, and no code writes the new elements.
@bug({"table": "unwritten"}, shares={"table": 0.5})
def enlarged_buffer(broken):
    model = Model()
    model.register_buffer("table", torch.ones(8))
    model.table.resize_(16)
    if not broken:
        model.table.fill_(1)
    return model


# init_weights multiplies a parameter in place. The constructor has set its values, but to_empty has discarded these values.
@bug({"gamma": "unwritten"}, via="eager,meta")
def multiplied_in_place(broken):
    class LayerScale(Model):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.full((8,), 1e-5))

        @torch.no_grad()
        def init_weights(self):
            super().init_weights()
            if not broken:
                self.gamma.fill_(1.0)
            self.gamma.mul_(1e-5)

    return LayerScale()


# With weight_norm, `conv.weight` is computed from two parameters. The initializer fills the result, not the parameters (pytorch#180968).
@bug({f"conv.parametrizations.weight.original{n}": "unwritten" for n in (0, 1)}, via="meta")
def weight_normalized(broken):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3, bias=False))

        @torch.no_grad()
        def init_weights(self):
            if broken:
                init.kaiming_normal_(self.conv.weight)
            else:
                self.conv.weight = init.kaiming_normal_(torch.empty(4, 4, 3))

    return Encoder()


# Both parameters are drawn with the same seed, so one parameter is a multiple of the other.
@bug({"out": "same_draws"})
def same_seed_other_scale(broken):
    def weight(std, seed):
        return nn.Parameter(torch.empty(32, 32).normal_(0, std, generator=torch.Generator().manual_seed(seed)))

    return nn.ParameterDict({"in": weight(0.02, 0), "out": weight(0.02 / math.sqrt(8), 0 if broken else 1)})


# torch.manual_seed is called with the same seed before each parameter. The parameters have different shapes.
@bug({"up": "same_draws"})
def same_seed_other_shape(broken):
    def weight(shape, seed):
        torch.manual_seed(seed)
        return nn.Parameter(torch.rand(shape, dtype=torch.bfloat16))

    return nn.ParameterDict({"down": weight((16, 64), 0), "up": weight((64, 32), 0 if broken else 1)})


# init_weights draws uniform values, but the constructor draws normal values with the same mean and standard deviation.
@bug({"linear.weight": "distribution"}, via="eager,meta")
def same_variance_other_distribution(broken):
    class Uniform(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 64, bias=False)
            init.normal_(self.linear.weight, std=0.02)

        def init_weights(self):
            if broken:
                init.uniform_(self.linear.weight, -0.02 * math.sqrt(3), 0.02 * math.sqrt(3))
            else:
                init.normal_(self.linear.weight, std=0.02)

    return Uniform()
