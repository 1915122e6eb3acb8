"""check_init finds each bug in `init_bugs` and nothing else, and has no findings in correct models."""

import copy
import json
from functools import partial

import pytest
import torch
from conftest import run_fanin
from init_bugs import MODELS, Model
from torch import nn

import fanin.torch
from fanin.torch import InitError, assert_initialized, check_init


def found(report):
    return {finding.name: finding.kind for finding in report.findings}


@pytest.mark.parametrize("bug", MODELS, ids=lambda bug: bug.name)
def test_a_bug_is_found_and_nothing_else(bug):
    report = check_init(bug.build, bug.checkpoint, via=bug.via)
    assert found(report) == bug.found, report
    shares = {finding.name: finding.share for finding in report.findings}
    assert bug.shares.items() <= shares.items()
    assert report.builds <= 3 * (1 + bug.via.count(","))


@pytest.mark.parametrize("bug", MODELS, ids=lambda bug: bug.name)
def test_the_model_without_the_bug_has_no_findings(bug):
    report = check_init(bug.fixed, bug.checkpoint, via=bug.via)
    assert report.ok, report
    assert report.builds <= 3 * (1 + bug.via.count(","))


def test_a_module_without_findings_is_built_twice():
    calls = []

    def build():
        calls.append(1)
        return nn.Linear(3, 3)

    report = check_init(build)
    assert report.ok and report.builds == len(calls) == 2


def test_the_generators_and_modes_are_restored():
    import random

    import numpy as np

    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    expected = torch.rand(3), random.random(), np.random.random()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    check_init(lambda: nn.Linear(3, 3), via="eager,meta")
    with pytest.raises(ZeroDivisionError):
        check_init(lambda: 1 / 0)
    assert torch.equal(torch.rand(3), expected[0]) and (random.random(), np.random.random()) == expected[1:]


def test_a_finding_names_the_last_writer_and_the_line():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(4, 4))
            nn.init.normal_(self.weight[:2], std=0.02)

    (finding,) = check_init(Half).findings
    first = Half.__init__.__code__.co_firstlineno
    assert (finding.elements, finding.share) == (8, 0.5)
    assert finding.last_writer.initializer == "normal(std=0.02)"
    assert (finding.last_writer.file, finding.last_writer.line) == (__file__, first + 3)
    assert (finding.allocated.file, finding.allocated.line) == (__file__, first + 2)


def test_a_finding_on_both_paths_names_a_line_that_is_known_on_one_of_them():
    (finding,) = check_init(lambda: nn.ParameterDict({"weight": torch.empty(4)}), via="eager,meta").findings
    assert finding.via == ("eager", "meta") and finding.allocated is not None and finding.allocated.file == __file__


def test_the_line_that_allocated_memory_is_a_line_of_the_user():
    from fanin.torch._deferred import mode

    def build():
        with fanin.torch.fast_init(defer=True):
            mode.wake(torch.empty(0))
            return nn.ParameterDict({"weight": torch.empty(4)})

    (finding,) = check_init(build).findings
    assert (finding.allocated.file, finding.allocated.line) == (__file__, build.__code__.co_firstlineno + 3)


def test_allowed_findings_do_not_count_and_an_unused_pattern_is_noted():
    class Cache(Model):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", torch.empty(7), persistent=False)

    assert found(check_init(Cache)) == {"cache": "unwritten"}
    report = check_init(Cache, allow=["*.cache", "cach?"])
    assert report.ok and [one.name for one in report.allowed] == ["cache"]
    assert report.notes == ['allow: "*.cache" matches no finding']
    assert check_init(Cache, allow="cache").ok


EMPTY = {
    "empty_like": lambda: torch.empty_like(torch.ones(20)),
    "empty_strided": lambda: torch.empty_strided((4, 5), (1, 4)),
    "new_empty": lambda: torch.ones(1).new_empty(20),
    "new_empty_strided": lambda: torch.ones(1).new_empty_strided((4, 5), (5, 1)),
    "new": lambda: torch.ones(1).new(20),
    "resize_": lambda: torch.ones(1).resize_(20),
    "sum": lambda: torch.ones(20) + torch.empty(20),
    "softmax": lambda: torch.softmax(torch.empty(20), 0),
    "centred": lambda: (lambda values: values - values.mean())(torch.empty(20)),
    "transposed": lambda: torch.empty(4, 5).t(),
    "view": lambda: torch.empty(40)[::2],
    "bfloat16": lambda: torch.empty(20, dtype=torch.bfloat16),
    "float64 to float16": lambda: torch.empty(20, dtype=torch.float64).half(),
    "float8": lambda: torch.empty(20).to(torch.float8_e4m3fn),
    "complex": lambda: torch.empty(20, dtype=torch.complex64),
    "conjugate": lambda: torch.empty(20, dtype=torch.complex64).conj(),
    "bool": lambda: torch.empty(20, dtype=torch.bool),
    "quantized": lambda: torch.quantize_per_tensor(torch.empty(20), 0.1, 0, torch.qint8),
    "sparse": lambda: torch.sparse_coo_tensor(torch.arange(20)[None], torch.empty(20), (20,)),
    "scalar": lambda: torch.empty(()),
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.filterwarnings("ignore")
def test_unwritten_memory_is_found_after_every_operation_on_it(name):
    def build():
        module = nn.Module()
        module.register_buffer("buffer", EMPTY[name]())
        return module

    report = check_init(build)
    assert found(report) == {"buffer": "unwritten"} and not report.skipped, report


def test_unwritten_memory_is_finite_in_every_float_type():
    from fanin.torch._check.fresh_memory import PATTERNS

    types = [one for one in vars(torch).values() if isinstance(one, torch.dtype) and one.is_floating_point]
    for pattern in PATTERNS:
        tile = pattern.tile(torch.float32)
        for dtype in types:
            if dtype.itemsize == 1 and "float4" in str(dtype):
                continue
            for offset in range(min(dtype.itemsize, 4)):
                values = tile[offset : offset + 4096 - 8].clone()[: 4096 // 16 * 8].view(dtype).float()
                assert torch.isfinite(values).all(), dtype


def test_the_two_patterns_differ_in_every_element_of_a_large_tensor():
    from fanin.torch._check.fresh_memory import PATTERNS, PERIOD, FreshMemory

    for dtype in (torch.float32, torch.int64, torch.uint8):
        built = []
        for pattern in PATTERNS:
            with FreshMemory(pattern):
                built.append(torch.empty(PERIOD + 100, dtype=dtype))
            size = built[-1].nbytes - 64
            assert torch.equal(built[-1].view(torch.uint8)[64:], pattern.expected(dtype, 64, size))
        assert (built[0] != built[1]).all()


def test_ties_and_views_are_reported_once_with_all_names():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.empty(5, 5))
            self.b = self.a
            self.register_buffer("c", self.a.detach())

    (finding,) = check_init(Tied).findings
    assert finding.names == ("a", "b", "c")


def test_unwritten_elements_of_a_large_tensor_are_counted_exactly():
    def build():
        module = nn.Module()
        module.weight = nn.Parameter(torch.empty(1000, 1000, dtype=torch.bfloat16))
        nn.init.normal_(module.weight[:777])
        return module

    (finding,) = check_init(build).findings
    assert finding.elements == 223_000


def test_parametrizations_and_correct_layers_have_no_findings():
    def build():
        layers = nn.ModuleList(
            [
                nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)),
                nn.utils.parametrizations.orthogonal(nn.Linear(6, 6)),
                nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
                nn.LSTM(4, 5, num_layers=2, bidirectional=True),
                nn.MultiheadAttention(8, 2),
                nn.BatchNorm2d(4),
                nn.EmbeddingBag(5, 3, padding_idx=0),
            ]
        )
        return layers

    report = check_init(build)
    assert report.ok and not report.skipped, report


def test_a_lazy_module_is_not_examined_until_it_has_a_shape():
    report = check_init(lambda: nn.LazyLinear(3))
    assert report.ok and set(report.skipped) == {"weight", "bias"}

    def build():
        module = nn.LazyLinear(3)
        module(torch.ones(1, 2))
        return module

    report = check_init(build)
    assert report.ok and not report.skipped


def test_infinite_values_in_a_buffer_are_not_a_finding():
    def build():
        module = nn.Module()
        module.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
        return module

    assert check_init(build).ok


def test_parameters_with_equal_draws_are_a_finding_and_equal_tables_are_not():
    def build():
        module = nn.ParameterDict({name: nn.Parameter(torch.arange(64.0).sin()) for name in "ab"})
        module["c"] = nn.Parameter(torch.randn(64))
        module["d"] = nn.Parameter(module["c"].detach().clone())
        module["e"] = nn.Parameter(module["c"].detach().clone(), requires_grad=False)
        return module

    assert found(check_init(build)) == {"d": "same_draws"}


def test_different_draws_from_the_same_distribution_are_not_a_finding():
    """The constructor and init_weights draw the parameters in different orders. `few` has 4 drawn values, and `scalar` has one."""

    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(30, 40), nn.Linear(30, 40)
            self.few = nn.Parameter(torch.rand(4, 1).expand(4, 500).clone())
            self.scalar = nn.Parameter(torch.rand(()))

        @torch.no_grad()
        def init_weights(self):
            self.scalar.copy_(torch.rand(()))
            self.few.copy_(torch.rand(4, 1))
            self.b.reset_parameters(), self.a.reset_parameters()

    report = check_init(Shuffled, via="eager,meta")
    assert report.ok, report


@pytest.mark.parametrize(
    ("draw", "other"),
    [
        (lambda n: torch.randn(n), lambda n: (torch.rand(n) - 0.5) * 12**0.5),
        (lambda n: torch.randn(n), lambda n: torch.where(torch.rand(n) < 0.5, 0.2, 1.4) * torch.randn(n)),
        (lambda n: torch.randn(n) * (torch.rand(n) < 1e-3), lambda n: torch.randn(n) * (torch.rand(n) < 5e-3)),
        (lambda n: torch.where(torch.rand(n) < 1e-5, 100.0, torch.randn(n)), None),
        (lambda n: torch.cat([torch.randn(n // 2), 0.1 * torch.randn(n // 2)]), None),
    ],
    ids=["uniform", "mixture", "sparse", "spikes", "halves"],
)
def test_distributions_of_large_tensors_differ_only_if_they_are_not_the_same(draw, other):
    from fanin.torch._check.moments import Moments, difference

    torch.manual_seed(0)
    first, second = Moments(draw(400_000)), Moments(draw(400_000))
    assert difference(first, second) is None
    assert other is None or difference(first, Moments(other(400_000))) is not None


def test_a_constant_that_differs_on_the_meta_path_is_found():
    class Gain(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(2.5))

        def init_weights(self):
            nn.init.ones_(self.gain)

    (finding,) = check_init(Gain, via=["eager", "meta"]).findings
    assert finding.kind == "distribution" and "eager: 2.5; meta: 1" in finding.detail


def test_an_unwritten_index_that_is_out_of_range_is_a_finding():
    def build():
        module = nn.Module()
        module.register_buffer("row", torch.arange(1.0)[torch.empty(3, dtype=torch.int64)])
        return module

    (finding,) = check_init(build).findings
    assert (finding.kind, finding.name) == ("unwritten", "(build)") and "IndexError" in finding.detail


def test_a_module_whose_shapes_differ_between_builds_is_nondeterministic():
    sizes = iter((3, 4, 5, 6))
    assert set(found(check_init(lambda: nn.Linear(2, next(sizes)))).values()) == {"nondeterministic"}


def test_checkpoints_are_read_from_files_folders_and_mappings(tmp_path):
    from safetensors.torch import save_file

    values = {"weight": torch.ones(2, 3), "bias": torch.zeros(2), "unused": torch.ones(1)}
    save_file(values, tmp_path / "model.safetensors")
    torch.save({"state_dict": values}, tmp_path / "model.pt")
    torch.save(values, tmp_path / "old.pt", _use_new_zipfile_serialization=False)

    def build():
        module = nn.Linear(3, 2)
        module.load_state_dict({name: value for name, value in values.items() if name != "unused"})
        module.bias.data[1] = 5.0
        return module

    for checkpoint in (tmp_path, tmp_path / "model.safetensors", str(tmp_path / "model.pt"), tmp_path / "old.pt", values):
        report = check_init(build, checkpoint)
        (finding,) = report.findings
        assert (finding.name, finding.kind, finding.elements) == ("bias", "changed", 1)
        assert any("unused" in note for note in report.notes)
    with pytest.raises(ValueError, match="no name in the checkpoint .*: the checkpoint has module.weight, the module has weight, bias"):
        check_init(build, {"module.weight": values["weight"]})
    with pytest.raises(FileNotFoundError, match="no such file"):
        check_init(build, tmp_path / "other")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(FileNotFoundError, match="has no safetensors file"):
        check_init(build, tmp_path / "nothing")
    (tmp_path / "model.safetensors").write_bytes(b"no checkpoint")
    torch.save([1, 2], tmp_path / "model.pt")
    for name in ("model.safetensors", "model.pt"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as a checkpoint: "):
            check_init(build, tmp_path / name)


def test_wrong_arguments_are_errors():
    with pytest.raises(TypeError, match="must be a function"):
        check_init(nn.Linear(2, 2).weight)
    with pytest.raises(TypeError, match="must return a torch.nn.Module"):
        check_init(lambda: 3)
    with pytest.raises(TypeError, match="is built already: pass the function"):
        check_init(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="seed = 'a': must be an integer"):
        check_init(lambda: nn.Linear(2, 2), seed="a")
    with pytest.raises(TypeError, match="allow = 3: must be a pattern"):
        check_init(lambda: nn.Linear(2, 2), allow=3)
    for empty in ({}, {"optimizer": {"state": {}}}):
        with pytest.raises(ValueError, match="the mapping has no tensors"):
            check_init(lambda: nn.Linear(2, 2), empty)
    with pytest.raises(ValueError, match='must be "eager", "meta"'):
        check_init(lambda: nn.Linear(2, 2), via="cuda")
    with pytest.raises(ValueError, match="must be one of"):
        check_init(lambda: nn.Linear(2, 2)).of_kind("wrong")


def test_the_report_is_text_html_and_json_and_raises():
    report = check_init(lambda: nn.Linear(2, 2).to_empty(device="cpu"))
    assert "depends on unwritten memory: 2 tensors" in str(report) and not report
    page = report._repr_html_()
    assert page.count("<tr>") == 3 and "weight [2, 2] float32" in page
    parsed = json.loads(report.to_json())
    assert not parsed["ok"] and parsed["findings"][0]["kind"] == "unwritten" and parsed["findings"][0]["share"] == 1
    with pytest.raises(InitError, match="weight"):
        report.raise_if_failed()
    with pytest.raises(AssertionError):
        assert_initialized(lambda: nn.Linear(2, 2).to_empty(device="cpu"))
    assert_initialized(lambda: nn.Linear(2, 2), via="eager,meta")


def test_the_tensors_inside_of_a_tensor_subclass_are_examined():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.nested.nested_tensor([torch.empty(2), torch.ones(3)], layout=torch.jagged))

    (finding,) = check_init(Wrapped).findings
    assert finding.name == "weight" and finding.elements == 2


COMMAND = """
import torch
def good():
    return torch.nn.Linear(2, 2)
def bad():
    return torch.nn.Linear(2, 2).to_empty(device="cpu")
"""


def test_the_command_exits_with_1_on_findings(tmp_path):
    (tmp_path / "models.py").write_text(COMMAND)

    run = partial(run_fanin, tmp_path, "check-init")

    good = run("models:good", "--via", "eager,meta")
    assert good.returncode == 0 and "no findings" in good.stdout, good.stderr
    bad = run("models.py:bad", "--json")
    assert bad.returncode == 1 and len(json.loads(bad.stdout)["findings"]) == 2, bad.stderr
    missing = run("models:other")
    assert missing.returncode == 2 and "models has no 'other'" in missing.stderr and "raised at" not in missing.stderr
    (tmp_path / "broken.py").write_text("def build():\n    return open('no_data')\n")
    broken = run("broken.py:build")
    assert broken.returncode == 2 and f"raised at {tmp_path / 'broken.py'}:2, in build" in broken.stderr, broken.stderr


def test_a_correct_model_has_the_same_weights_inside_and_outside_of_a_check():
    built = []

    def build():
        built.append(nn.Sequential(nn.Linear(5, 5), nn.LSTM(3, 3)))
        return built[-1]

    check_init(build, seed=3)
    torch.manual_seed(3)
    expected = copy.deepcopy(nn.Sequential(nn.Linear(5, 5), nn.LSTM(3, 3))).state_dict()
    for module in built:
        assert all(torch.equal(value, expected[name]) for name, value in module.state_dict().items())
    assert fanin.torch.check_init is check_init
