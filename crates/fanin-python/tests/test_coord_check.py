"""The exponents that coord_check measures agree with theory. coord_check names a module with a wrong multiplier."""

import json
import math
import random
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import run_fanin
from torch import nn

import fanin.torch
from fanin.torch._coord_check.attention import AttentionMode

WIDTHS = [64, 128, 256, 512]
NARROW = [32, 64, 128, 256]
#: The width at which muP and the standard parametrization have the same learning rates.
BASE = 32


class MLP(nn.Module):
    """A network with three hidden layers. The std of the last layer's weights is 1 / width in muP, and 1 / sqrt(width)
    in the standard parametrization. All other stds are the same in both."""

    def __init__(self, width, is_mup=True, stds=()):
        super().__init__()
        self.first = nn.Linear(32, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, 10)
        for name, parameter in self.named_parameters():
            std = math.sqrt(2 / parameter.shape[1]) if parameter.dim() == 2 else 0.0
            if name == "last.weight":
                std = 1 / width if is_mup else 1 / math.sqrt(width)
            nn.init.normal_(parameter, std=dict(stds)[name](width) if name in dict(stds) else std)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.last(x)


class Attention(nn.Module):
    def __init__(self, width, scale):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.scale = scale

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale(q.shape[-1]))
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, scale):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, scale)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, width, is_mup=True, scale=None, stds=()):
        super().__init__()
        self.embed, self.position = nn.Embedding(50, width), nn.Parameter(torch.zeros(16, width))
        scale = scale or ((lambda size: 4 / size) if is_mup else (lambda size: 1 / math.sqrt(size)))
        self.blocks = nn.ModuleList(Block(width, scale) for _ in range(2))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, 50, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                std = 0.1 if name in ("embed.weight", "position") else 1 / math.sqrt(parameter.shape[1])
                if name == "last.weight" and is_mup:
                    std = 1 / width
                nn.init.normal_(parameter, std=dict(stds)[name](width) if name in dict(stds) else std)

    def forward(self, ids):
        x = self.embed(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x)).transpose(1, 2)


INPUTS = ("first", "embed", "position")


def adam(is_mup=True, rates=(), lr=0.002):
    """Returns a function that creates Adam for a model. In muP, the learning rates of all matrices except the input
    matrices are proportional to 1 / width (Yang et al. 2022, table 3)."""

    def make(model):
        width, groups = model.last.weight.shape[1], []
        for name, parameter in model.named_parameters():
            factor = BASE / width if is_mup and parameter.dim() == 2 and not name.startswith(INPUTS) else 1
            groups.append({"params": [parameter], "lr": lr * (dict(rates)[name](width) if name in dict(rates) else factor)})
        return torch.optim.Adam(groups)

    return make


def sgd(is_mup, lr=0.05):
    def make(model):
        width, groups = model.last.weight.shape[1], []
        for name, parameter in model.named_parameters():
            factor = 1.0
            if is_mup and name == "last.weight":
                factor = BASE / width
            elif is_mup and (name.startswith("first") or parameter.dim() == 1 and not name.startswith("last")):
                factor = width / BASE
            groups.append({"params": [parameter], "lr": lr * factor})
        return torch.optim.SGD(groups)

    return make


NUMBERS = torch.Generator().manual_seed(0)
IMAGES = torch.randn(64, 32, generator=NUMBERS), torch.randint(10, (64,), generator=NUMBERS)
IDS = torch.randint(50, (4, 17), generator=NUMBERS)
TEXT = IDS[:, :-1], IDS[:, 1:]


def check_mlp(optimizer, seeds=2, steps=2, **changes):
    build = lambda width: MLP(width, **changes)
    return fanin.torch.coord_check(build, widths=WIDTHS, batch=IMAGES, loss=F.cross_entropy, optimizer=optimizer, seeds=seeds, steps=steps)


def check_transformer(optimizer, steps=2, **changes):
    build = lambda width: Transformer(width, **changes)
    return fanin.torch.coord_check(build, widths=NARROW, batch=TEXT, loss=F.cross_entropy, optimizer=optimizer, seeds=2, steps=steps)


def named(check):
    return {one.name: one for one in check.modules}


@pytest.mark.parametrize("optimizer", [adam(), sgd(True)], ids=["adam", "sgd"])
def test_mup_has_exponent_0_in_an_mlp(optimizer):
    check = check_mlp(optimizer)
    assert check.ok and check.parametrization == "muP", str(check)
    for module in check.modules:
        for slope in [*module.change_slopes[1:], *module.own_slopes[1:]]:
            assert slope is None or abs(slope.value) < 0.2, (module.name, slope)
        if not module.has_fixed_shape:
            assert abs(module.size_slopes[0].value) < 0.1, module.name
    # The std of the last layer's weights is 1 / width, so the logits before training are proportional to 1 / sqrt(width).
    assert named(check)["last"].size_slopes[0].value == pytest.approx(-0.5, abs=0.1)


def test_the_standard_parametrization_grows_with_the_width_under_adam():
    check = check_mlp(adam(False), is_mup=False)
    assert check.parametrization == "standard"
    assert [one.module for one in check.findings] == ["hidden.0", "hidden.1", "hidden.2", "last"]
    own = {name: module.own_slopes[1].value for name, module in named(check).items()}
    assert own["first"] == pytest.approx(0, abs=0.05)
    for name in ("hidden.0", "hidden.1", "hidden.2", "last"):
        # An Adam step changes all weights by about the same amount. The signs of the changes correlate with the layer's
        # inputs, so the output changes in proportion to the width.
        assert own[name] == pytest.approx(1, abs=0.15), name


def test_the_standard_parametrization_has_the_exponents_of_theory_under_sgd():
    """An SGD step on a layer's weights changes the layer's output in proportion to a power of the width. The exponent
    is -1/2 in the first layer, 1/2 in the hidden layers and 1 in the last layer. The reason is that the gradients of
    hidden outputs are proportional to width^(-1/2)."""
    check = check_mlp(sgd(False), is_mup=False, seeds=3, steps=1)
    assert check.parametrization == "standard"
    own = {name: module.own_slopes[1].value for name, module in named(check).items()}
    assert own["first"] == pytest.approx(-0.5, abs=0.15)
    assert all(own[f"hidden.{one}"] == pytest.approx(0.5, abs=0.25) for one in range(3))
    assert own["last"] == pytest.approx(1, abs=0.15)


def test_a_small_transformer_passes_in_mup_and_grows_in_the_standard_parametrization():
    check = check_transformer(adam())
    assert check.ok and check.parametrization == "muP", str(check)
    check = check_transformer(adam(False), is_mup=False)
    assert check.parametrization == "standard"
    found = {one.module for one in check.findings}
    assert {"blocks.0.attention.q", "blocks.0.attention.out", "blocks.0.down", "last"} <= found
    assert named(check)["blocks.0.attention.out"].own_slopes[1].value == pytest.approx(1, abs=0.2)


#: For each wrong multiplier: the changed learning rates, the changed model, and the expected finding (module and quantity).
WRONG_MLP = {
    "a hidden learning rate that is not divided by the width": (
        {"rates": {"hidden.1.weight": lambda width: 1}}, {}, "hidden.1", "own change"),
    "a hidden learning rate that is divided twice": (
        {"rates": {"hidden.1.weight": lambda width: (BASE / width) ** 2}}, {}, "hidden.1", "own change"),
    "an input learning rate that is divided by the width": (
        {"rates": {"first.weight": lambda width: BASE / width, "first.bias": lambda width: BASE / width}}, {}, "first", "own change"),
    "an output learning rate that is not divided by the width": (
        {"rates": {"last.weight": lambda width: 1}}, {}, "last", "own change"),
    "an output std of 1 / sqrt(width)": ({}, {"stds": {"last.weight": lambda width: width**-0.5}}, "last", "change"),
    "a hidden std that does not depend on the width": (
        {}, {"stds": {"hidden.1.weight": lambda width: 0.1}}, "hidden.1", "initial size"),
    "a hidden std of 1 / width": ({}, {"stds": {"hidden.2.weight": lambda width: 8 / width}}, "hidden.2", "initial size"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_MLP)
def test_a_wrong_multiplier_is_named_in_an_mlp(case):
    rates, changes, module, what = WRONG_MLP[case]
    check = check_mlp(adam(**rates), **changes)
    assert not check.ok
    assert (check.findings[0].module, check.findings[0].what) == (module, what), str(check)
    assert {one.module for one in check.findings} == {module}
    assert f"x {module}: " in str(check)


WRONG_TRANSFORMER = {
    "an embedding learning rate that is divided by the width": (
        {"rates": {"embed.weight": lambda width: BASE / width}}, {}, "embed", "own change"),
    "a std of 1 / width in a branch": ({}, {"stds": {"blocks.1.up.weight": lambda width: 6 / width}}, "blocks.1.up", "initial size"),
    "one learning rate that is not divided": ({"rates": {"blocks.1.attention.v.weight": lambda width: 1}}, {}, "blocks.1.attention.v",
        "own change"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_TRANSFORMER)
def test_a_wrong_multiplier_is_named_in_a_transformer(case):
    rates, changes, module, what = WRONG_TRANSFORMER[case]
    check = check_transformer(adam(**rates), **changes)
    assert [(one.module, one.what) for one in check.findings] == [(module, what)], str(check)


class WrittenOut(Attention):
    """The module `Attention`, written with a softmax instead of scaled_dot_product_attention."""

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        logits = q @ k.transpose(-1, -2) * self.scale(q.shape[-1])
        future = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
        mixed = logits.masked_fill(future, -torch.inf).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("kind", [Attention, WrittenOut])
@pytest.mark.parametrize("query", ["random", "zero"])
def test_attention_logits_that_are_divided_by_the_square_root_of_the_head_size_are_named(kind, query, monkeypatch):
    """In muP, attention logits are divided by the head size. If they are divided by its square root, training steps on
    the attention module's weights change the logits in proportion to sqrt(width)."""
    monkeypatch.setitem(globals(), "Attention", kind)
    stds = {f"blocks.{block}.attention.q.weight": lambda width: 0.0 for block in range(2)} if query == "zero" else {}
    check = check_transformer(adam(), scale=lambda size: 1 / math.sqrt(size), stds=stds, steps=2)
    assert [(one.module, one.what) for one in check.findings] == [(f"blocks.{block}.attention:logits", "own change") for block in range(2)]
    assert all(one.slope == pytest.approx(0.5, abs=0.15) and one.text.endswith("by 1/sqrt(width)") for one in check.findings)
    check = check_transformer(adam(), stds=stds, steps=2)
    assert check.ok, str(check)
    own = [one.own_slopes[1].value for one in check.modules if one.kind == "attention logits"]
    assert len(own) == 2 and all(abs(one) < 0.2 for one in own)


def test_the_gradient_of_logits_is_that_of_autograd():
    torch.manual_seed(0)
    for mask in (None, torch.rand(5, 6) > 0.3, torch.randn(5, 6)):
        query, key, value = (torch.randn(2, heads, count, 8, requires_grad=True) for heads, count in ((4, 5), (2, 6), (2, 6)))
        found = []
        with AttentionMode(lambda logits: found.append):
            F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True).square().sum().backward()
        logits = query @ key.repeat_interleave(2, 1).mT / math.sqrt(8)
        logits.retain_grad()
        masked = logits if mask is None else logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        (masked.softmax(-1) @ value.repeat_interleave(2, 1)).square().sum().backward()
        assert torch.allclose(found[0], logits.grad, atol=1e-5)


def test_a_kernel_parametrization_is_recognized():
    """The learning rates of all layers but the last are divided by width^2, so these layers do not learn at infinite width."""
    slow = lambda width: (BASE / width) ** 2
    rates = {f"hidden.{one}.weight": slow for one in range(3)} | {"first.weight": slow, "first.bias": slow}
    check = check_mlp(adam(rates=rates))
    assert check.parametrization == "kernel", str(check)


def build_small(width):
    return nn.Sequential(nn.Linear(32, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(width, 10))


def make_sgd(model):
    return torch.optim.SGD(model.parameters(), 0.01)


def test_dropout_and_batch_norm_change_nothing_by_themselves():
    """With learning rate 0, the outputs of all steps are equal: dropout masks repeat, and running statistics do not change."""
    check = fanin.torch.coord_check(
        build_small, widths=[8, 16], batch=IMAGES, loss=F.cross_entropy, seeds=1, optimizer=lambda model: torch.optim.SGD(model.parameters(), 0.0)
    )
    assert all(value == 0 for one in check.modules for step in one.change for row in step for value in row)
    assert all(one.change_slopes == [None] * 5 for one in check.modules)


def test_the_model_after_the_last_step_equals_one_that_was_trained_without_coord_check():
    trained = []

    def build(width):
        trained.append(build_small(width))
        return trained[-1]

    fanin.torch.coord_check(build, widths=[8, 16], batch=IMAGES, loss=F.cross_entropy, optimizer=make_sgd, seeds=1, steps=3)
    torch.manual_seed(0)
    model = build_small(8)
    optimizer = make_sgd(model)
    for _ in range(3):
        torch.manual_seed(0)
        loss = F.cross_entropy(model(IMAGES[0]), IMAGES[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained[0].parameters()))


def test_generators_and_batch_do_not_change():
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate(), IMAGES[0].clone()
    check_mlp(adam(), seeds=1, steps=1)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate() and torch.equal(before[2], IMAGES[0])


def test_a_model_that_returns_its_loss_needs_no_loss():
    class Model(MLP):
        def forward(self, x, labels):
            return {"loss": F.cross_entropy(super().forward(x), labels)}

    batch = {"x": IMAGES[0], "labels": IMAGES[1]}
    check = fanin.torch.coord_check(lambda width: Model(width), widths=[32, 128], batch=batch, optimizer=adam(), seeds=1, steps=1)
    assert check.ok, str(check)


def test_infinite_outputs_are_findings():
    optimizer = lambda model: torch.optim.SGD(model.parameters(), 1e20)
    check = check_mlp(optimizer, seeds=1)
    assert not check.ok and "inf" in str(check) and check._repr_html_()


def test_the_result_is_shown_and_stored():
    check = check_mlp(adam(False), is_mup=False, seeds=1, steps=1)
    text = str(check)
    assert text.startswith("MLP: widths 64, 128, 256, 512; 1 seed, 1 step\n") and "hidden.1" in text
    stored = json.loads(json.dumps(check.to_json(), allow_nan=False))
    assert stored["parametrization"] == "standard" and len(stored["modules"]) == len(check.modules)
    assert "<code>hidden.1</code>" in check._repr_html_()
    assert repr(check).startswith("CoordCheck(MLP, ")
    pytest.importorskip("matplotlib").use("Agg")
    axes = check.plot()
    assert len(axes) == 3 and len(axes[0].get_lines()) == len(check.modules)
    with pytest.raises(ValueError, match="axes"):
        check.plot(axes[:1])


def test_json_matches_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[3] / "docs" / "coord_check.schema.json").read_text())
    infinite = check_mlp(lambda model: torch.optim.SGD(model.parameters(), 1e20), seeds=1, steps=1)
    attention = fanin.torch.coord_check(Transformer, widths=[16, 32], batch=TEXT, loss=F.cross_entropy, optimizer=adam(), seeds=1, steps=1)
    for check in (infinite, attention):
        jsonschema.validate(json.loads(json.dumps(check.to_json(), allow_nan=False)), schema)


PROGRAM = """
import torch

def build(width):
    return torch.nn.Sequential(torch.nn.Linear(16, width), torch.nn.ReLU(), torch.nn.Linear(width, 4, bias=False))

def mup(model):
    width = model[2].weight.shape[1]
    torch.nn.init.normal_(model[2].weight, std=1 / width)
    return torch.optim.Adam([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.1 / width}], lr=0.001)

def pair():
    return torch.randn(16, 16), torch.randint(0, 4, (16,))
"""


def test_the_command_exits_with_1_if_a_size_depends_on_the_width(tmp_path):
    (tmp_path / "mine.py").write_text(PROGRAM)

    run = partial(run_fanin, tmp_path, "coord-check")

    common = ("mine:build", "--batch", "mine:pair", "--loss", "torch.nn.functional:cross_entropy", "--seeds", "2", "--steps", "2")
    good = run(*common, "--widths", "64,128,256", "--optimizer", "mine:mup", "--json", "--html", "page.html")
    assert good.returncode == 0 and json.loads(good.stdout)["parametrization"] == "muP", good.stdout + good.stderr
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    wide = run(*common, "--widths", "64,128,256")
    assert wide.returncode == 1 and "x 2: the effect of its own update grows" in wide.stdout, wide.stderr
    wrong = run(*common, "--widths", "64;128")
    assert wrong.returncode == 2 and "--widths 64;128: expected widths separated by commas" in wrong.stderr


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"widths": [64]}, ValueError, "at least two different positive widths"),
        ({"widths": [0, 64]}, ValueError, "widths = "),
        ({"steps": 0}, ValueError, "steps = 0"),
        ({"seeds": True}, ValueError, "seeds = True"),
        ({"batch": IMAGES[0]}, ValueError, "pair"),
        ({"build": lambda width: None}, TypeError, r"build\(32\) returned NoneType"),
        ({"build": lambda width: nn.Sequential(*[nn.Linear(32, 32) for _ in range(width // 32)])}, ValueError, "different modules: 1"),
        ({"optimizer": lambda model: None}, TypeError, "optimizer"),
    ],
)
def test_wrong_arguments_are_errors(change, error, words):
    arguments = {"build": MLP, "widths": [32, 64], "batch": IMAGES, "loss": F.cross_entropy, "optimizer": make_sgd, "seeds": 1}
    arguments |= change
    with pytest.raises(error, match=words):
        fanin.torch.coord_check(arguments.pop("build"), **arguments)
