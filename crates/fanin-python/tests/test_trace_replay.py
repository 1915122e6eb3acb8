"""`fanin init` with the text of `trace.replay()` computes the weights that torch built.

`fanin init` with the text of `trace.recipe()` draws weights from the distributions that torch used.
"""

import copy
import json
import subprocess
import sys

import pytest
import torch
from model_configs import SMALL, EveryLayer, EveryScheme, small_gpt2, timm_model
from safetensors.torch import load_file
from torch import nn

import fanin
from fanin.torch import trace_init


def build(make, seed=7):
    def run():
        torch.manual_seed(seed)
        return make()

    return run


def written(text, folder, **options):
    (folder / "replay.toml").write_text(text)
    fanin.write_checkpoint(folder / "replay.toml", folder / "w.safetensors", stream="torch", force=True, **options)
    return load_file(folder / "w.safetensors")


def bits(tensor):
    return tensor.detach().contiguous().view(torch.uint8) if tensor.ndim else tensor.detach().reshape(1).view(torch.uint8)


def assert_replayed(make, folder, seed=7, **options):
    """Checks that the replay reproduces the weights that `make` builds, bit for bit. Returns the text of the replay."""
    text = trace_init(build(make, seed)).replay(**options)
    expected = build(make, seed)().state_dict()
    got = written(text, folder)
    assert list(got) == sorted(expected) or set(got) == set(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype and got[name].shape == tensor.shape, name
        assert torch.equal(bits(got[name]), bits(tensor)), name
    return text


def vision_transformer():
    from torchvision.models import vision_transformer

    return vision_transformer.VisionTransformer(32, 8, 2, 4, 64, 128, num_classes=10)


def swin():
    from torchvision.models import SwinTransformer

    return SwinTransformer([4, 4], 24, [1, 1], [2, 4], [7, 7], num_classes=10)


def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(T5Config(vocab_size=120, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4))


MODELS = {
    "gpt2": SMALL["gpt2"],
    "resnet50": SMALL["resnet50"],
    "vit": vision_transformer,
    "vit of transformers": SMALL["vit of transformers"],
    "llama": SMALL["llama"],
    "llama bf16": SMALL["llama bf16"],
    "swin": swin,
    "t5": t5,
    "bert": SMALL["bert"],
    "lstm": lambda: nn.LSTM(20, 30, 2, bidirectional=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_are_replayed_bit_for_bit(name, tmp_path):
    assert_replayed(MODELS[name], tmp_path)


class Writes(nn.Module):
    """A module with every kind of write that a replay can express."""

    def __init__(self):
        super().__init__()
        for number, size in enumerate((3, 5, 15, 16, 17, 40)):
            setattr(self, f"small{number}", nn.Parameter(torch.randn(size)))
        self.f16 = nn.Parameter(torch.empty(37, dtype=torch.float16).normal_(std=0.1))
        self.f64 = nn.Parameter(torch.empty(6, 7, dtype=torch.float64).uniform_(-1, 3))
        self.scaled = nn.Parameter(torch.randn(10, 6) * 0.02)
        self.shifted = nn.Parameter(torch.rand(50) / 3 - 0.25)
        self.brain = nn.Parameter(torch.randn(40, dtype=torch.bfloat16).mul_(0.3).add_(1.1).div_(0.7))
        self.transposed = nn.Parameter(torch.empty(6, 8).t())
        nn.init.normal_(self.transposed)
        nn.init.trunc_normal_(self.transposed.data[2:5], std=0.1, a=-0.1, b=0.3)
        self.parts = nn.Parameter(torch.empty(12, 5))
        for part in self.parts.chunk(3):
            nn.init.xavier_uniform_(part)
        self.parts.data[:, 2] = 4
        self.narrow = nn.Parameter(torch.empty(30))
        nn.init.trunc_normal_(self.narrow, a=1.5, b=2)
        self.thin = nn.Parameter(torch.empty(9, 4))
        nn.init.sparse_(self.thin, 0.4)
        self.conv = nn.Conv1d(4, 6, 3)
        nn.init.dirac_(self.conv.weight, groups=2)
        self.eye = nn.Parameter(nn.init.eye_(torch.empty(3, 4)))
        flat = torch.empty(64).normal_()
        self.left, self.right = nn.Parameter(flat[:20]), nn.Parameter(flat[20:].view(4, 11))
        self.other = nn.Parameter(torch.empty(25).normal_(generator=torch.Generator().manual_seed(-3)))
        torch.randperm(31)
        torch.empty(70).exponential_()
        torch.bernoulli(torch.full((9,), 0.5))
        self.after = nn.Linear(4, 3)
        self.layers = nn.ModuleList(copy.deepcopy(nn.Linear(5, 4)) for _ in range(2))
        self.low = nn.Linear(5, 4).to(torch.bfloat16)
        torch.manual_seed(11)
        self.seeded = nn.Parameter(torch.randn(9))
        self.register_buffer("mask", torch.ones(4, 4, dtype=torch.bool).tril())
        self.register_buffer("frequencies", 1 / 10000 ** (torch.arange(0, 8, 2) / 8))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("minus", torch.full((3,), -float("inf")))
        self.register_buffer("hidden", torch.randn(3).exp(), persistent=False)
        self.tied = self.left


def test_every_kind_of_write_is_replayed_bit_for_bit(tmp_path):
    text = assert_replayed(Writes, tmp_path)
    assert '"tied" = { shape = [20], copy = "left" }' in text and "hidden" not in text


@pytest.mark.parametrize("seed", [0, -1, 2**63])
def test_a_build_that_continues_a_generator_is_replayed(seed, tmp_path):
    def make():
        return nn.Linear(20, 3)

    torch.manual_seed(seed)
    torch.randn(1000)
    torch.randn(3)
    state = torch.get_rng_state()
    text = trace_init(make).replay()
    torch.set_rng_state(state)
    assert all(torch.equal(tensor, written(text, tmp_path)[name]) for name, tensor in make().state_dict().items())


def test_a_large_tensor_with_equal_computed_values_is_replayed_as_a_constant(tmp_path):
    text = assert_replayed(lambda: nn.ParameterList([nn.Parameter(nn.functional.pad(torch.zeros(5000), (0, 3)))]), tmp_path)
    assert 'fill = "zeros"' in text


def test_a_write_that_a_replay_cannot_express_is_an_error_that_names_tensor_and_line():
    def make():
        module = nn.Linear(90, 80)
        nn.init.orthogonal_(module.weight)
        return module

    where = r"\(at .*test_trace_replay.py:\d+\)"
    with pytest.raises(ValueError, match=f"  weight: the last bits of orthogonal_ {where} differ between CPUs"):
        trace_init(build(make)).replay()
    with pytest.raises(ValueError, match=rf"  weight: aten\.\w+ {where} cannot be written in a replay, and its 4900 values"):
        trace_init(build(lambda: nn.ParameterDict({"weight": torch.rand(70, 70).exp()}))).replay()
    assert "values = [" in trace_init(build(make)).replay(max_values=7200)
    with pytest.raises(ValueError, match=r"  blocks\.0\.attn\.qkv\.weight: the last bits of trunc_normal_ \(at .*\) differ"):
        trace_init(build(lambda: timm_model("vit_tiny_patch16_224", depth=1))).replay()
    with pytest.raises(ValueError, match="gates: 60 elements are not written"):
        trace_init(EveryScheme).replay()


@pytest.mark.parametrize(
    "values, rule",
    [(torch.polar(torch.ones(6), torch.arange(6.0)), "copy"), (torch.full((3,), 1 + 1j), "copy"), (torch.zeros(3, dtype=torch.complex64), "zeros")],
)
def test_a_recipe_copies_complex_values_and_a_replay_refuses_them(values, rule):
    def make():
        module = nn.Linear(4, 4)
        module.register_buffer("frequencies", values.clone())
        return module

    trace = trace_init(build(make))
    assert f'"frequencies" = "{rule}"' in trace.recipe()
    with pytest.raises(ValueError, match=r"  frequencies: a replay has no tensors of type torch\.complex64"):
        trace.replay()


def test_a_tensor_that_was_changed_without_a_recorded_write_is_an_error():
    trace = trace_init(build(lambda: nn.Linear(9, 8)))
    trace.module.bias.data.numpy()[3] = 2
    with pytest.raises(ValueError, match="  bias: its values differ from the recorded writes"):
        trace.replay()


def test_the_command_line_writes_a_replay_and_refuses_options_that_contradict_it(tmp_path):
    trace = trace_init(build(lambda: nn.Linear(300, 200)))
    (tmp_path / "replay.toml").write_text(trace.replay())

    def init(*options):
        command = [sys.executable, "-m", "fanin", "init", "replay.toml", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert init("--stream", "torch", "-o", "one.safetensors").returncode == 0
    expected = trace.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(tmp_path / "one.safetensors").items())
    assert init("--stream", "torch", "-o", "shards", "--max-shard-size", "100kB").returncode == 0
    for part in ("1/2", "2/2"):
        assert init("--stream", "torch", "-o", "two.safetensors", "--part", part).returncode == 0
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    plan = json.loads(init("--stream", "torch", "--dry-run", "--json").stdout)
    assert all(tensor["scheme"].startswith("uniform(a=-0.05773502691896") for tensor in plan["tensors"])
    for options, message in (
        ([], "add --stream torch"),
        (["--stream", "torch", "--seed", "3"], "the replay, which has seed 7"),
        (["--stream", "torch", "--seed", "0"], "the replay, which has seed 7"),
        (["--stream", "torch", "--dtype", "bf16"], "--dtype cannot be used with a replay"),
        (["--stream", "torch", "--like", "gpt2"], "--like cannot be used with a replay"),
    ):
        done = init("-o", "no.safetensors", *options)
        assert done.returncode == 2 and message in done.stderr, done.stderr


def test_the_command_prints_table_json_recipe_and_replay(tmp_path):
    text = "import torch\ndef build():\n    torch.manual_seed(1)\n    return torch.nn.Linear(3, 2)\n"
    (tmp_path / "model.py").write_text(text)

    def trace(*options):
        command = [sys.executable, "-m", "fanin", "trace", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for option, expected in (
        ((), "kaiming_uniform(a=sqrt(5))"),
        (("--json",), '"is_persistent": true'),
        (("--recipe",), '"bias" = "linear_default_bias(weight_fan_in)"'),
        (("--replay",), '"bias" = { shape = [2], fill = "uniform(a=-1/sqrt(3), b=1/sqrt(3))", at = 6 }'),
    ):
        done = trace("model.py:build", *option)
        assert done.returncode == 0 and expected in done.stdout, done
    done = trace("model.py:bild")
    assert done.returncode == 2 and "Traceback" not in done.stderr


def rows(module):
    types = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL"}
    return [(name, types[tensor.dtype], list(tensor.shape)) for name, tensor in module.state_dict().items()]


@pytest.mark.parametrize("name", [*MODELS, "every layer", "every scheme"])
def test_a_recipe_has_the_recorded_distributions(name):
    make = {**MODELS, "every layer": EveryLayer, "every scheme": EveryScheme}[name]
    trace = trace_init(build(make))
    planned = fanin.Recipe(trace.recipe()).plan(rows(trace.module))
    assert [tensor.name for tensor in planned] == list(trace.module.state_dict())
    for tensor in planned:
        spec = trace[tensor.name].writer and trace[tensor.name].initializer
        if tensor.spec is not None and fanin_spec(spec) and trace[tensor.name].tied_to is None:
            dtype = {"F32": "f32", "BF16": "bf16"}.get(tensor.dtype)
            if dtype is not None:
                expected = fanin.Initializer(spec).resolve(tensor.shape, dtype)
                assert tensor.std == pytest.approx(expected.std, rel=1e-12), tensor.name


def fanin_spec(text):
    try:
        return text is not None and fanin.Initializer(text)
    except ValueError:
        return None


def test_a_recipe_has_formulas_patterns_and_checks():
    trace = trace_init(build(lambda: small_gpt2(layers=3)))
    text = trace.recipe()
    assert '"*.c_proj.weight" = "normal(std=0.02/sqrt(2*n_layer))"' in text and "n_layer = { count = " in text
    assert '"lm_head.weight" = "transformer.wte.weight"' in text and "CHECK" not in text
    text = trace_init(build(EveryScheme)).recipe()
    assert "# CHECK no code wrote 60 elements" in text and '= "skip"' in text
    assert "# CHECK later writes changed the tensor: zeros" in text
