"""The measurements of probe agree with theory and with other tools, and do not change the model."""

import copy
import dataclasses
import gc
import math
import re
import weakref

import pytest
import torch
from conftest import same
from torch import nn

from fanin.torch import probe


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def stack(activation, gain, depth=50, width=512):
    """Returns a function that builds a stack of linear layers with std gain / sqrt(width)."""

    def build():
        layers = []
        for _ in range(depth):
            layer = nn.Linear(width, width, bias=False)
            nn.init.normal_(layer.weight, std=gain / math.sqrt(width))
            layers += [layer, activation()]
        return nn.Sequential(*layers)

    return build


# Theory ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_relu_slopes_are_those_of_theory_within_2_percent(gain):
    result = probe(stack(nn.ReLU, gain, width=800), torch.randn(4, 800), seeds=3, advise=False)
    expected = math.log(gain**2 / 2)
    assert result.forward.slope == pytest.approx(expected, rel=0.02)
    assert result.backward.slope == pytest.approx(expected, rel=0.02)
    assert result.forward.theory == pytest.approx(expected, rel=0.002)
    assert result.forward.low <= expected <= result.forward.high and result.forward.interval == "seeds"
    assert [one.kind for one in result.findings if one.level == "problem"][:2] == ["forward", "backward"]
    assert result.mean_field.chi == pytest.approx(gain**2 / 2, rel=0.002)


def test_relu_at_the_critical_gain_is_healthy():
    result = probe(stack(nn.ReLU, math.sqrt(2)), torch.randn(4, 512))
    assert result.ok and abs(result.forward.slope) < 0.04 and abs(result.backward.slope) < 0.04 and not result.advice


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.5])
def test_tanh_slopes_are_those_of_theory_below_at_and_above_chi_1(gain):
    result = probe(stack(nn.Tanh, gain), torch.randn(4, 512), seeds=2, advise=False)
    assert result.forward.slope == pytest.approx(result.forward.theory, abs=0.01)
    assert result.backward.slope == pytest.approx(result.backward.theory, abs=0.015)
    chi = result.mean_field.chi
    # q is the mean square of a linear layer's outputs. Each layer multiplies the gradient's sum of squares by chi.
    # gain <= 1: q falls to 0, so chi approaches sigma_w^2 = gain^2.
    # gain > 1: q approaches a fixed point greater than 0, where chi is greater than 1.
    assert chi == pytest.approx(gain**2, rel=0.01) if gain <= 1 else 1.1 < chi < gain**2
    assert (result.mean_field.fixed_point is None) == (gain <= 1)


def test_linear_slopes_are_the_logarithm_of_the_variance():
    for gain in (0.9, 1.1):
        result = probe(stack(nn.Identity, gain), torch.randn(4, 512), advise=False)
        assert result.forward.slope == pytest.approx(2 * math.log(gain), abs=0.008)
        assert result.backward.slope == pytest.approx(2 * math.log(gain), abs=0.008)


class PreNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.a = nn.Linear(width, 2 * width, bias=False)
        self.b = nn.Linear(2 * width, width, bias=False)
        nn.init.kaiming_normal_(self.a.weight)
        nn.init.normal_(self.b.weight, std=(2 * width) ** -0.5)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(self.norm(x))))


def test_the_stream_of_a_pre_norm_model_grows_linearly():
    model = nn.Sequential(*[PreNorm(128) for _ in range(16)])
    result = probe(model, torch.randn(16, 128))
    assert result.unit == "block" and len(result.trunk) == 16 and len(result.residuals) == 16
    # The mean square in a branch is 1 after LayerNorm, 2 after `a`, 1 after relu and 1 after `b`. So each block adds 1.
    for number, layer in enumerate(result.trunk, 1):
        assert layer.q == pytest.approx(1 + number, rel=0.25)
        assert layer.theory_q == pytest.approx(1 + number, rel=0.05)
    assert result.ok


def test_channel_statistics_are_those_of_timm():
    timm = pytest.importorskip("timm")
    from timm.utils.model import avg_ch_var, avg_sq_ch_mean, extract_spp_stats

    model = timm.create_model("resnet18", num_classes=10)
    torch.manual_seed(3)
    images = torch.normal(0.0, 1.0, [4, 3, 96, 96])
    result = probe(model, images, advise=False)
    torch.manual_seed(3)
    expected = extract_spp_stats(model, ["layer?.?"] * 2, [avg_sq_ch_mean, avg_ch_var], [4, 3, 96, 96])
    blocks = [layer for layer in result.layers if re.fullmatch(r"layer\d\.\d", layer.name)]
    assert len(blocks) == 8 == len(expected["avg_ch_var"])
    assert [one.forward.channel_square_mean for one in blocks] == pytest.approx(expected["avg_sq_ch_mean"], rel=1e-4)
    assert [one.forward.channel_variance for one in blocks] == pytest.approx(expected["avg_ch_var"], rel=1e-4)


def test_gradients_are_those_of_autograd():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    inputs, targets = torch.randn(5, 6), torch.randint(0, 3, (5,))
    result = probe(model, (inputs, targets), loss=nn.functional.cross_entropy)
    hidden = model[0](inputs).detach().requires_grad_()
    active = torch.relu(hidden)
    active.retain_grad()
    output = model[2](active)
    output.retain_grad()
    loss = nn.functional.cross_entropy(output, targets)
    loss.backward()
    found = {layer.name: layer.p for layer in result.layers}
    for name, tensor in (("0", hidden), ("1", active), ("2", output)):
        assert found[name] == pytest.approx(float(tensor.grad.double().square().mean()), rel=1e-5)
    weight = next(one for one in result.parameters if one.name == "2.weight")
    assert weight.gradient_rms == pytest.approx(float(model[2].weight.grad.square().mean().sqrt()), rel=1e-5)
    assert weight.ratio == pytest.approx(weight.gradient_rms / weight.rms)
    assert result.loss == pytest.approx(float(loss.detach())) and result.classes == 3


# Unusual models ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Output:
    hidden: torch.Tensor
    loss: torch.Tensor


class Unusual(nn.Module):
    """A model with a shared module, in-place operations, a compiled block, dropout, buffers, and a dataclass as its output."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.shared = nn.Linear(16, 16)
        self.compiled = torch.compile(nn.Sequential(nn.Linear(16, 16), nn.GELU()))
        self.again = self.shared
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.1)
        self.frozen = nn.Linear(16, 16).requires_grad_(False)
        self.calls = 0

    def forward(self, ids, scale):
        self.calls += 1
        x = self.embed(ids)
        x = torch.relu_(self.shared(x))
        x = self.again(x)
        y = self.compiled(x)
        y += x
        x = self.norm(y.transpose(1, 2)).transpose(1, 2)
        x = self.frozen(self.drop(x)) * scale
        return Output(x, x.square().mean())


def test_an_unusual_model_is_measured_and_does_not_change():
    torch.manual_seed(0)
    model = Unusual()
    model.norm.eval()
    model.shared.weight.grad = torch.ones(16, 16)
    hook = model.shared.register_forward_hook(lambda *_: None)
    batch = dict(ids=torch.randint(0, 20, (4, 7)), scale=torch.tensor(2.0))
    state = copy.deepcopy(model.state_dict())
    attributes = {name: dict(module.__dict__) for name, module in model.named_modules()}
    generator, gradient = torch.get_rng_state(), model.shared.weight.grad
    result = probe(model, batch)
    names = [layer.name for layer in result.layers]
    assert {"shared", "shared#2", "compiled.0", "norm", "drop", "frozen", ":relu_", "(model)"} - {":relu_"} <= set(names)
    assert ":relu" in names and ":add" in names and result.residuals
    assert result.loss is not None and all(layer.p is not None for layer in result.layers if layer.role == "weight")
    assert all(same(tensor, state[name]) for name, tensor in model.state_dict().items())
    for name, module in model.named_modules():
        assert module.__dict__.keys() == attributes[name].keys()
        assert all(value is attributes[name][key] for key, value in module.__dict__.items())
    assert list(model.shared._forward_hooks) == [hook.id] and not model.norm._forward_hooks
    assert model.shared.weight.grad is gradient and bool((gradient == 1).all()) and model.embed.weight.grad is None
    assert torch.equal(generator, torch.get_rng_state()) and torch.is_grad_enabled()


def test_a_compiled_block_is_measured_like_one_that_is_not_and_stays_compiled():
    """Needs no C++ compiler, because the backend of torch.compile only counts its calls and returns the captured graph."""
    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph.forward

    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
    plain = nn.Sequential(nn.Linear(8, 8), copy.deepcopy(block), nn.Linear(8, 4))
    compiled = nn.Sequential(plain[0], torch.compile(block, backend=backend), plain[2])
    batch = torch.randn(6, 8)
    expected = compiled(batch)
    assert len(compilations) == 1
    ours, theirs = probe(compiled, batch), probe(plain, batch)
    assert [(one.name, one.q, one.p) for one in ours.layers] == [(one.name, one.q, one.p) for one in theirs.layers]
    assert torch.equal(compiled(batch), expected) and len(compilations) == 1 and compiled[1]._orig_mod is block


def test_a_model_that_raises_an_error_does_not_change():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            self.norm(x)
            raise RuntimeError("on purpose")

    model, batch = Fails(), torch.randn(4, 3)
    generator = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="on purpose"):
        probe(model, batch)
    assert int(model.norm.num_batches_tracked) == 0 and not model.norm._forward_hooks
    assert torch.equal(generator, torch.get_rng_state())


class Calls(nn.Module):
    """A module that has a linear layer. The module's forward pass calls `function(module, x)`."""

    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(8, 8)

    def forward(self, x):
        return self.function(self, x)


def in_inference_mode(model, x):
    with torch.inference_mode():
        first = model.layer(x)
    return model.layer(first.clone())


def test_reentrant_checkpoints_and_inference_mode_are_measured():
    checkpoint = torch.utils.checkpoint.checkpoint
    outside = torch.ones(8, requires_grad=True)
    model = Calls(lambda model, x: checkpoint(model.layer, model.layer(x), use_reentrant=True) * outside)
    result = probe(model, torch.randn(4, 8))
    assert result.ok and all(one.gradient_rms > 0 for one in result.parameters) and outside.grad is None
    assert probe(Calls(in_inference_mode), torch.randn(4, 8)).ok


@pytest.mark.parametrize("write", [lambda weight: weight.data.mul_(2), lambda weight: weight.detach().mul_(2)])
def test_a_write_to_a_parameter_is_an_error(write):
    model = Calls(lambda model, x: (write(model.layer.weight), model.layer(x))[1])
    with pytest.raises(RuntimeError, match="writes to its parameter layer.weight"):
        probe(model, torch.randn(4, 8))


def test_a_loss_without_gradient_is_a_problem():
    result = probe(Calls(lambda model, x: model.layer(x).detach()), torch.randn(4, 8))
    assert not result.ok and "no parameter gets a gradient" in result.findings[0].text
    frozen = nn.Linear(8, 8).requires_grad_(False)
    (note,) = probe(frozen, torch.randn(4, 8)).findings
    assert note.level == "note" and "only the signal was measured" in note.text


def test_masked_values_are_not_saturated():
    chosen = torch.full((4, 8), -torch.inf).index_fill_(1, torch.tensor([3]), 0.0)
    assert probe(Calls(lambda model, x: torch.sigmoid(model.layer(x) + chosen)), torch.randn(4, 8)).ok


def test_models_with_mixed_precision_and_in_bfloat16_are_measured():
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(4) for layer in (nn.Linear(64, 64), nn.GELU())])
    exact = probe(model, torch.randn(8, 64), advise=False)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = probe(model, torch.randn(8, 64), advise=False)
    half = probe(copy.deepcopy(model).bfloat16(), torch.randn(8, 64).bfloat16(), advise=False)
    for other in (mixed, half):
        assert other.backward.slope == pytest.approx(exact.backward.slope, abs=0.15)
        assert all(layer.q > 0 and layer.p > 0 for layer in other.layers if layer.role == "weight")


def test_no_activation_is_kept_in_memory():
    alive = []

    class Watched(nn.Module):
        def forward(self, x):
            y = x * 2
            alive.append(weakref.ref(y))
            return y

    model = nn.Sequential(*[layer for _ in range(5) for layer in (nn.Linear(8, 8), Watched())])
    result = probe(model, torch.randn(4, 8))
    gc.collect()
    assert len(alive) >= 5 and not any(one() is not None for one in alive)
    assert not any(isinstance(value, torch.Tensor) and value.numel() > 8 for layer in result.layers for value in vars(layer).values())


def test_checkpointed_blocks_are_counted_once():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)) for _ in range(3)])

        def forward(self, x):
            for block in self.blocks:
                x = checkpoint(block, x, use_reentrant=False)
            return x

    result = probe(Checkpointed(), torch.randn(4, 8), advise=False)
    assert [layer.name for layer in result.layers].count("blocks.1.0") == 1 and result.backward is not None


def test_the_calls_of_a_recurrent_cell_are_the_trunk():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.RNNCell(8, 64), nn.Linear(64, 4)

        def forward(self, x):
            state = None
            for step in range(x.shape[1]):
                state = self.cell(x[:, step], state)
            return self.head(state)

    torch.manual_seed(0)
    model = Recurrent()
    result = probe(model, torch.randn(8, 30, 8))
    assert len(result.trunk) == 30 and result.trunk[1].name == "cell#2"
    assert result.findings[0].kind == "backward" and result.backward.slope < -1
    assert result.rules == {"cell.weight_hh": "orthogonal"} and "gradient -1." in result.advice[0].result


def test_blocks_are_the_trunk_although_the_model_has_a_tower_that_does_not_run():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 64), nn.Linear(64, 16)

        def forward(self, x):
            return x + self.down(nn.functional.gelu(self.up(self.norm(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = nn.Sequential(*[nn.Linear(16, 16) for _ in range(20)])
            self.blocks, self.head = nn.Sequential(*[Block() for _ in range(4)]), nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.blocks(x))

    torch.manual_seed(0)
    result = probe(Model(), torch.randn(8, 16), advise=False)
    assert result.ok and [layer.name for layer in result.trunk] == [f"blocks.{n}" for n in range(4)]


def test_scripted_modules_are_run_without_hooks():
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 4))
    names = [layer.name for layer in probe(model, torch.randn(3, 4)).layers]
    assert names == ["(input)", "0", "2", "(model)"]


@pytest.mark.parametrize("kind", ["sdpa", "eager", "module"])
def test_attention_is_recorded_however_it_is_written(kind):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(32, 96, bias=False)
            self.module = nn.MultiheadAttention(32, 1, bias=False, batch_first=True)
            with torch.no_grad():
                self.module.in_proj_weight.copy_(self.qkv.weight)

        def forward(self, x):
            if kind == "module":
                return self.module(x, x, x, need_weights=False)[0]
            q, k, v = self.qkv(x).chunk(3, -1)
            if kind == "sdpa":
                return nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
            return torch.softmax(q @ k.mT / 32**0.5, -1) @ v

    torch.manual_seed(0)
    model, x = Attends(), torch.randn(3, 10, 32)
    (found,) = probe(model, x).attention
    q, k, _ = model.qkv(x).chunk(3, -1)
    logits = (q @ k.mT / 32**0.5).double()
    probabilities = torch.softmax(logits, -1)
    entropy = -(probabilities * probabilities.log()).sum(-1).mean() / math.log(10)
    assert found.entropy == pytest.approx(entropy.item(), rel=1e-5)
    assert found.logits == pytest.approx(logits.std(-1, correction=0).mean().item(), rel=1e-5)


def test_wrong_arguments_are_errors():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="seeds = 2: with more than one seed, `model` must be a function"):
        probe(model, torch.randn(3, 2), seeds=2)
    with pytest.raises(ValueError, match="seeds = 0: must be a positive integer"):
        probe(model, torch.randn(3, 2), seeds=0)
    with pytest.raises(ValueError, match=r"batch must be a pair \(inputs, targets\)"):
        probe(model, torch.randn(3, 2), loss=nn.functional.mse_loss)
    with pytest.raises(TypeError, match="loss = 3: must be a function"):
        probe(model, (torch.randn(3, 2), None), loss=3)
    with pytest.raises(ValueError, match=r"loss returned a tensor of shape \(3, 2\)"):
        probe(model, (torch.randn(3, 2), None), loss=lambda output, _: output)
    with pytest.raises(ValueError, match="batch must have at least one input"):
        probe(model, torch.randn(0, 2))
    with pytest.raises(TypeError, match=r"model\(\) returned int"):
        probe(lambda: 3, torch.randn(3, 2))
    with pytest.raises(TypeError, match="must be a torch.nn.Module or a function"):
        probe(3, torch.randn(3, 2))
    with pytest.raises(TypeError, match="model = None"):
        probe(None, torch.randn(3, 2))
    with pytest.raises(TypeError, match="batch is a DataLoader: pass one batch"):
        probe(model, torch.utils.data.DataLoader(torch.randn(3, 2)))
    with pytest.raises(TypeError, match="batch is a numpy.ndarray"):
        probe(model, torch.randn(3, 2).numpy())
    with pytest.raises(ValueError, match="weight is on the meta device"):
        probe(nn.Linear(2, 2, device="meta"), torch.randn(3, 2))


# Weights and batches -----------------------------------------------------------------------------------------------------


def test_equal_units_of_a_transposed_convolution_are_found_along_its_output_axis():
    def symmetric(change):
        model = nn.Sequential(nn.ConvTranspose1d(6, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 12, 4))
        with torch.no_grad():
            change(model[0].weight)
        found = probe(model, torch.randn(16, 6, 10), advise=False).findings
        return [one.module for one in found if one.kind == "symmetric"]

    assert symmetric(lambda weight: weight.copy_(weight[:, :1].expand_as(weight).clone())) == ["0"]
    assert symmetric(lambda weight: weight.copy_(weight[:1].expand_as(weight).clone())) == []


def test_named_tuples_in_a_batch_and_the_generators_of_python_and_numpy_do_not_change():
    import collections
    import random

    import numpy as np

    Pair = collections.namedtuple("Pair", "x y")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, pair):
            return self.linear(pair.x.mul_(2.0) + pair.y)

    def build():
        random.random()
        np.random.rand()
        return Model()

    batch = (Pair(torch.ones(4, 8), torch.ones(4, 8)),)
    states = random.getstate(), np.random.get_state()[1].copy()
    probe(build, batch, seeds=2)
    assert (batch[0].x == 1.0).all()
    assert random.getstate() == states[0] and (np.random.get_state()[1] == states[1]).all()
