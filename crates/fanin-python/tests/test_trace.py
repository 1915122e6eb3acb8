"""trace_init finds the initializer of each parameter, with its line and its arguments. It also finds unwritten tensors."""

import copy
import inspect
import json

import pytest
import torch
from conftest import same
from model_configs import SMALL, EveryLayer, EveryScheme
from torch import nn
from torch.nn.init import kaiming_normal_ as imported_before

from fanin.torch import fast_init, trace_init


class Module(nn.Module):
    """A module whose constructor calls `fill(self)`."""

    def __init__(self, fill):
        super().__init__()
        fill(self)


def traced(fill):
    return trace_init(lambda: Module(fill))


def parameter(*shape, **options):
    return nn.Parameter(torch.empty(*shape, **options))


def test_a_writer_has_initializer_file_and_line():
    def fill(module):
        module.weight = parameter(4, 3)
        imported_before(module.weight, mode="fan_out", nonlinearity="relu")  # the line that is found

    writer = traced(fill)["weight"].writer
    lines, first = inspect.getsourcelines(fill)
    found = next(n for n, line in enumerate(lines) if "the line that is found" in line)
    assert writer.initializer == "kaiming_normal(mode=fan_out, nonlinearity=relu)"
    assert writer.file == __file__ and writer.line == first + found
    assert [line.function.split(".")[-1] for line in writer.stack] == ["fill", "__init__", "<lambda>"]


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda w: nn.init.normal_(w, std=0.02), "normal(std=0.02)"),
        (lambda w: nn.init.kaiming_uniform_(w, a=5**0.5), "kaiming_uniform(a=sqrt(5))"),
        (lambda w: nn.init.xavier_normal_(w, gain=nn.init.calculate_gain("tanh")), "xavier_normal(gain=5/3)"),
        (lambda w: nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04), "trunc_normal(std=0.02, a=-0.04, b=0.04)"),
        (lambda w: nn.init.orthogonal_(w, gain=2), "orthogonal(gain=2)"),
        (lambda w: nn.init.sparse_(w, 0.5), "sparse(sparsity=0.5)"),
        (lambda w: nn.init.eye_(w), "eye"),
        (lambda w: nn.init.constant_(w, 0.5), "constant(0.5)"),
        (lambda w: nn.init.kaiming_normal(w), "kaiming_normal"),
        (lambda w: w.data.normal_(mean=0.5, std=2), "normal(mean=0.5, std=2)"),
        (lambda w: w.data.uniform_(-0.1, 0.1), "uniform(a=-0.1, b=0.1)"),
        (lambda w: w.data.zero_(), "zeros"),
        (lambda w: w.data.fill_(1), "ones"),
        (lambda w: w.data.copy_(torch.randn(4, 6)), "normal"),
        (lambda w: setattr(w, "data", torch.full((3, 3), 7.0)), "constant(7)"),
        (lambda w: w.data.normal_().mul_(0.1), "normal, then aten.mul_"),
        (lambda w: w.data.copy_(torch.ones(4, 6) + 1), "aten.add of a temporary tensor"),
        (lambda w: setattr(w, "data", torch.tensor([[1.0]])), "torch.tensor"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_every_kind_of_write_is_described(write, expected):
    def fill(module):
        module.w = parameter(4, 6)
        nn.init.uniform_(module.w)
        write(module.w)

    trace = traced(fill)
    assert trace["w"].initializer == expected and not trace.unwritten


def test_elements_that_no_code_wrote_are_counted():
    def fill(module):
        module.a, module.b, module.c, module.d = parameter(3), parameter(4, 5), parameter(6), parameter(7)
        module.flat = torch.empty(30)
        module.e = nn.Parameter(module.flat[10:])
        module.f = parameter(4, dtype=torch.bfloat16)
        nn.init.zeros_(module.a)
        module.b.data[1:3].fill_(1)
        module.c.data.mul_(0)
        module.d.data[torch.arange(7)] = 1.0
        module.flat[:12].normal_()

    trace = traced(fill)
    assert trace.unwritten == ["b", "c", "e", "f"]
    assert [trace[name].unwritten for name in "abcdef"] == [0, 10, 6, 0, 18, 4]
    assert trace["f"].writer is None and trace["f"].allocated[0].function.endswith("parameter")
    assert "\nnot written: b, c, e, f" in str(trace)


def test_writes_of_operators_with_lists_of_tensors_are_recorded():
    def fill(module):
        module.a, module.b, module.c = parameter(3), parameter(4), parameter(5)
        tensors = [module.a.data, module.b.data]
        torch._foreach_zero_(tensors)
        torch._foreach_add_(tensors, 2.0)
        torch._foreach_copy_([module.c.data], [torch.ones(5)])

    trace = traced(fill)
    assert not trace.unwritten
    assert [trace[name].initializer for name in "abc"] == ["zeros, then aten.add_", "zeros, then aten.add_", "ones"]
    assert '"c" = { shape = [5], fill = "ones" }' in trace.replay()


def test_the_function_that_initializes_a_module_is_traced():
    module = EveryScheme()
    with torch.no_grad():
        module.gates.fill_(3)
    partial = trace_init(module, module.up.reset_parameters)
    assert partial["up.bias"].unwritten == 0 and partial["gates"].unwritten == 60
    for trace in (trace_init(module, module.init_weights), trace_init(lambda: (module, module.init_weights))):
        assert trace["embed.weight"].initializer == "normal(std=0.02), then zeros"
        assert trace["same.weight"].writer.function == "EveryScheme.init_weights"


def test_copies_have_the_initializer_of_the_original():
    def fill(module):
        layer = nn.Linear(5, 4)
        module.layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(2)])
        module.half = nn.Linear(3, 3).to(torch.bfloat16)

    trace = traced(fill)
    for name in ("layers.0.weight", "layers.1.weight", "half.weight"):
        writer = trace[name].writer
        assert writer.initializer == "kaiming_uniform(a=sqrt(5))" and writer.function == "Linear.reset_parameters"
        assert writer.copied_by


def test_ties_and_overwritten_draws_are_found():
    def fill(module):
        module.embed, module.head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
        nn.init.normal_(module.embed.weight, std=0.02)
        module.head.weight = module.embed.weight

    trace = traced(fill)
    assert trace["head.weight"].tied_to == "embed.weight" and trace["embed.weight"].tied_to is None
    assert sorted((write.initializer, write.drawn) for write in trace.overwritten) == [
        ("kaiming_uniform(a=sqrt(5))", 400),
        ("normal", 400),
    ]


@pytest.mark.parametrize("name", SMALL)
def test_tracing_does_not_change_a_model_and_finds_a_writer_for_every_parameter(name):
    torch.manual_seed(3)
    expected, after = SMALL[name]().state_dict(), torch.get_rng_state()
    for context in (torch.enable_grad, fast_init):
        torch.manual_seed(3)
        with context():
            trace = trace_init(SMALL[name])
        assert torch.equal(after, torch.get_rng_state())
        assert all(same(tensor, expected[key]) for key, tensor in trace.module.state_dict().items())
        assert not trace.unwritten
        assert all(tensor.writer is not None for tensor in trace.values())


def test_a_trace_is_shown_as_table_html_and_json():
    trace = trace_init(EveryLayer)
    assert len(str(trace).splitlines()) >= len(trace) and "sparse(sparsity=0.4)" in str(trace)
    assert trace._repr_html_().count("<tr") == len(trace) + 1
    found = json.loads(trace.to_json())
    assert [tensor["name"] for tensor in found["tensors"]] == list(trace)


def test_wrong_arguments_are_errors():
    for call, message in (
        (lambda: trace_init(3), "a function that returns a module, got int"),
        (lambda: trace_init(lambda: 3), "it returned int"),
        (lambda: trace_init(nn.Linear(2, 2)), "also give a function"),
        (lambda: trace_init(EveryLayer, print), "only be given if build is a module"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(ZeroDivisionError):
        trace_init(lambda: 1 / 0)
