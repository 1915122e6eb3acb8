"""probe names the module in which a fault was planted, and finds no problem in the same models without the fault."""

import math

import pytest
import torch
from torch import nn

from fanin.torch import probe

WIDTH = 64


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    tokens = dict(bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, n_embd=WIDTH, n_head=4, vocab_size=200, n_positions=64, **tokens))
    ids = torch.randint(0, 200, (4, 32))
    return model, dict(input_ids=ids, labels=ids)


def mlp(activation=nn.ReLU, sizes=(40, 96, 72, 120, 80, 104, 10), spec=nn.init.kaiming_normal_):
    """A stack of linear layers. With the default `sizes`, no weight has peers of its own shape."""
    layers = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        layer = nn.Linear(fan_in, fan_out)
        spec(layer.weight)
        nn.init.zeros_(layer.bias)
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]), torch.randn(32, sizes[0])


def tanh_mlp():
    return mlp(nn.Tanh, spec=nn.init.xavier_normal_)


def deep(gain):
    """A stack of 30 relu layers. Their weights have the standard deviation of kaiming_normal_ times `gain`."""
    model, batch = mlp(sizes=[128] * 31, spec=nn.init.kaiming_normal_)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(gain)
    return model, batch


class Widening(nn.Module):
    """A residual block whose hidden layer is 4 times as wide as its input."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        nn.init.kaiming_normal_(self.up.weight)
        nn.init.kaiming_normal_(self.down.weight)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


def widening():
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), *[Widening() for _ in range(5)], nn.Linear(WIDTH, 10)), torch.randn(16, WIDTH)


class Unscaled(nn.Module):
    """A residual block without a normalization layer and without a factor that scales down the output of its branch."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.kaiming_normal_(self.a.weight)
        nn.init.kaiming_normal_(self.b.weight)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(torch.relu(x))))


def cnn():
    def block(channels_in, channels_out):
        return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU())

    channels = [3, 16, 16, 16, 16, 16]
    blocks = [block(*pair) for pair in zip(channels, channels[1:])]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)), torch.randn(8, 3, 16, 16)


class Averages(nn.Module):
    """A layer that replaces each token by the mean of all tokens."""

    def forward(self, x):
        return x.mean(1, keepdim=True) + 0 * x


class Divides(nn.Module):
    def forward(self, x):
        return x / (x - x)


def scaled(name, factor):
    def plant(model, batch):
        model.get_parameter(name).mul_(factor)

    return plant


def filled(name, call):
    def plant(model, batch):
        call(model.get_parameter(name))

    return plant


def replaced(position, module):
    def plant(model, batch):
        model[position] = module

    return plant


H = "transformer.h"
#: For each fault: a function that builds the model, a function that plants the fault, and the expected finding (module and kind).
FAULTS = {
    "a weight 4 times too large": (gpt2, scaled(f"{H}.3.mlp.c_fc.weight", 4), f"{H}.3.mlp.c_fc", "peers"),
    "a weight 10 times too small": (gpt2, scaled(f"{H}.2.attn.c_proj.weight", 0.1), f"{H}.2.attn.c_proj", "peers"),
    "a branch without its factor 1/sqrt(2 n)": (gpt2, scaled(f"{H}.4.mlp.c_proj.weight", 12**0.5), f"{H}.4.mlp.c_proj", "peers"),
    "a norm weight of 10": (gpt2, scaled(f"{H}.1.ln_2.weight", 10), f"{H}.1.ln_2", "peers"),
    "a norm weight of 0": (gpt2, scaled(f"{H}.5.ln_1.weight", 0), f"{H}.5.ln_1", "peers"),
    "a random norm bias": (gpt2, filled(f"{H}.2.ln_1.bias", nn.init.normal_), f"{H}.2.ln_1", "peers"),
    "a saturated softmax": (gpt2, lambda m, b: [one.attn.c_attn.weight.mul_(30) for one in m.transformer.h], f"{H}.2.attn", "attention"),
    "equal units": (gpt2, filled(f"{H}.3.mlp.c_fc.weight", lambda w: w.fill_(0.02)), f"{H}.3.mlp.c_fc", "symmetric"),
    "a NaN": (gpt2, filled(f"{H}.2.mlp.c_fc.weight", lambda w: w[0, :1].fill_(math.nan)), f"{H}.2.mlp.c_fc", "nonfinite"),
    "logits that are too large": (gpt2, scaled("transformer.wte.weight", 100), "lm_head", "loss"),
    "swapped fans": (widening, filled("3.up.weight", lambda w: nn.init.kaiming_normal_(w, mode="fan_out")), "3.up", "peers"),
    "a random bias": (widening, filled("2.down.bias", nn.init.normal_), "2.down", "peers"),
    "units that never fire": (mlp, filled("4.bias", lambda b: b.fill_(-30)), "4", "dead"),
    "a layer of zeros": (mlp, scaled("6.weight", 0), "6", "blocked"),
    "a layer with std 2": (mlp, filled("8.weight", lambda w: nn.init.normal_(w, std=2)), "8", "gain"),
    "rows that are all equal": (mlp, filled("2.weight", lambda w: w.copy_(w[:1].expand_as(w).clone())), "2", "symmetric"),
    "a division by 0": (mlp, replaced(3, Divides()), "3", "nonfinite"),
    "a saturated tanh": (tanh_mlp, scaled("4.weight", 60), "4", "saturated"),
    "inputs of 0 to 255": (mlp, lambda m, b: b.mul_(100).add_(127), "(input)", "inputs"),
    "a gain that is too small": (lambda: deep(0.8), lambda m, b: None, "0 to 58", "backward"),
    "a gain that is too large": (lambda: deep(1.3), lambda m, b: None, "0 to 58", "forward"),
    "branches without norm and factor": (
        lambda: (nn.Sequential(*[Unscaled() for _ in range(24)]), torch.randn(16, WIDTH)),
        lambda m, b: None,
        "0 to 23",
        "forward",
    ),
    "a dead channel norm": (cnn, scaled("2.1.weight", 0), "2.1", "peers"),
    "a convolution 5 times too large": (cnn, scaled("3.0.weight", 5), "3.0", "peers"),
    "tokens that collapse": (
        lambda: (nn.Sequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(6)]), torch.randn(4, 12, WIDTH)),
        replaced(2, Averages()),
        "3",
        "collapse",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_module_of_a_fault_is_named(fault):
    build, plant, module, kind = FAULTS[fault]
    torch.manual_seed(0)
    model, batch = build()
    with torch.no_grad():
        plant(model, batch)
    result = probe(model, batch, advise=False)
    found = [(one.kind, one.module) for one in result.findings if one.level == "problem"]
    assert (kind, module) in found, found
    # In later layers, the fault may cause findings of other kinds. No other module may have a finding of kind "peers".
    others = {one.module for one in result.findings if one.kind == "peers"} - {module}
    assert not others, others


@pytest.mark.parametrize("build", [gpt2, mlp, tanh_mlp, widening, cnn, lambda: deep(1.0)])
def test_models_without_faults_have_no_problem(build):
    torch.manual_seed(1)
    model, batch = build()
    result = probe(model, batch)
    assert result.ok, result.findings


ADVISED = [name for name in FAULTS if name not in ("a division by 0", "inputs of 0 to 255", "tokens that collapse")]


@pytest.mark.parametrize("fault", ADVISED)
def test_advice_solves_the_fault(fault):
    build, plant, _, _ = FAULTS[fault]
    torch.manual_seed(0)
    model, batch = build()
    with torch.no_grad():
        plant(model, batch)
    before = len([one for one in probe(model, batch, advise=False).findings if one.level == "problem"])
    result = probe(model, batch)
    assert result.advice and result.advice[0].problems[0] == before
    assert result.advice[-1].problems[1] == 0, (result.advice, result.findings)


def test_parameters_before_a_detached_tensor_are_noted():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.last(self.first(x).detach())

    (finding,) = probe(Detached(), torch.randn(3, 4)).findings
    assert finding.kind == "unused" and finding.module == "first" and "first.weight, first.bias" in finding.text
