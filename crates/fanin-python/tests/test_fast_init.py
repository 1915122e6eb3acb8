"""With and without fast_init, models have the same weights, and the generator has the same state."""

import contextlib
import threading
from torch.nn.init import normal_ as imported_before, trunc_normal_ as truncated_before

import pytest
import torch
from conftest import outcome, same
from model_configs import BUILT_IN, SMALL
from torch import nn

from fanin.torch import fast_init


def build(make, context=contextlib.nullcontext):
    def run():
        with context():
            return make()

    return outcome(run, seed=7)


def assert_same_models(got, expected):
    assert got[1] is None and expected[1] is None, (got[1], expected[1])
    found, by_torch = got[0].state_dict(), expected[0].state_dict()
    assert list(found) == list(by_torch)
    for name in found:
        assert same(found[name], by_torch[name]), name
    assert torch.equal(got[3], expected[3]), "the generator's state"
    assert [p.requires_grad for p in got[0].parameters()] == [p.requires_grad for p in expected[0].parameters()]


@pytest.mark.parametrize("name", SMALL)
def test_models_are_the_same_with_and_without_fast_init(name):
    assert_same_models(build(SMALL[name], fast_init), build(SMALL[name]))


@pytest.mark.slow
def test_gpt2_in_its_real_size_is_the_same():
    make = BUILT_IN["gpt2"].build
    assert_same_models(build(make, fast_init), build(make))


def test_fills_are_done_by_fanin(monkeypatch):
    """Counts the calls of `torch_fill`, because the values do not show whether fanin or torch has performed a fill."""
    from fanin.torch import _torch_stream

    calls = []
    torch_fill = _torch_stream.torch_fill
    monkeypatch.setattr(_torch_stream, "torch_fill", lambda *args: calls.append(args[0]) or torch_fill(*args))
    weight = torch.empty(100, 90)
    fills = [
        lambda: imported_before(weight),
        lambda: truncated_before(weight),
        lambda: weight.uniform_(),
        lambda: nn.init.kaiming_uniform_(weight),
        lambda: nn.init.orthogonal_(weight),
    ]
    for fill in fills:
        fill()
        assert not calls
        with fast_init():
            fill()
        assert len(calls) == 1
        calls.clear()


def test_the_context_nests_and_restores_torch():
    original = torch.Tensor.normal_
    context = fast_init()
    with pytest.raises(KeyError):
        with context, context, fast_init():
            assert torch.Tensor.normal_ is not original
            raise KeyError
    assert torch.Tensor.normal_ is original and "_no_grad_trunc_normal_" in vars(nn.init)
    assert "fanin" not in nn.init._no_grad_trunc_normal_.__module__

    @fast_init()
    def inside(depth):
        assert torch.Tensor.normal_ is not original
        return depth and inside(depth - 1)

    inside(2)
    assert torch.Tensor.normal_ is original


def test_a_method_that_other_code_has_patched_stays_patched():
    original = torch.Tensor.normal_
    try:
        with fast_init():
            torch.Tensor.normal_ = lambda self, *args, **kwargs: self.fill_(4)
            assert torch.empty(9000).normal_()[0] == 4
        assert torch.empty(9000).normal_()[0] == 4
        with fast_init():
            assert torch.empty(9000).normal_()[0] == 4
    finally:
        del torch.Tensor.normal_
    assert torch.Tensor.normal_ == original


def test_threads_may_enter_and_leave_at_any_time():
    expected = [build(lambda: nn.Linear(300, 200))[0].weight]
    gate = threading.Barrier(3)
    results = []

    def work():
        gate.wait()
        for _ in range(20):
            with fast_init():
                weight = torch.empty(200, 300)
                nn.init.kaiming_uniform_(weight, a=5**0.5, generator=torch.Generator().manual_seed(7))
                results.append(weight)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 60 and all(same(result, expected[0].data) for result in results)


@pytest.mark.parametrize("count", [10, 9000])
def test_autograd_and_errors_are_those_of_torch(count):
    def leaf():
        return torch.zeros(count, requires_grad=True).normal_()

    def recorded():
        weight = torch.ones(count, requires_grad=True)
        (weight * 2).uniform_().sum().backward()
        return weight.grad

    for call in (leaf, recorded, lambda: torch.zeros(count).normal_(1, 2, 3), lambda: torch.zeros(count).normal_(sdt=1),
                 lambda: torch.zeros(count).normal_(0, -1), lambda: torch.zeros(count).uniform_(1, 0),
                 lambda: torch.zeros(count).uniform_(fram=1), lambda: torch.zeros(count).uniform_(a=1),
                 lambda: torch.zeros(count).uniform_(0, **{"from": -1}), lambda: torch.zeros(count).normal_(1, mean=1),
                 lambda: torch.zeros(count).normal_(std=3, mean=1), lambda: torch.zeros(count).uniform_(**{"from": -1}),
                 lambda: torch.zeros(count).normal_("x"), lambda: torch.zeros(count).normal_(scale=1),
                 lambda: torch.zeros(count).normal_(torch.tensor(1.0), torch.tensor(2.0)), lambda: torch.zeros(count, dtype=torch.int8).normal_(),
                 lambda: torch.zeros(count).uniform_(generator=torch.Generator().manual_seed(1), to=3)):
        expected = outcome(call)
        with fast_init():
            got = outcome(call)
        assert got[1:3] == expected[1:3] and torch.equal(got[3], expected[3])
        if expected[0] is not None:
            assert same(got[0], expected[0])


def test_torch_function_of_a_subclass_gets_the_method_of_torch():
    class Named(torch.Tensor):
        seen = []

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            cls.seen.append(function)
            return super().__torch_function__(function, types, args, kwargs or {})

    for count in (10, 9000):
        expected = torch.empty(count).as_subclass(Named)
        got = torch.empty(count).as_subclass(Named)
        first = outcome(lambda: expected.normal_())
        seen = list(Named.seen)
        Named.seen.clear()
        with fast_init():
            second = outcome(lambda: got.normal_())
        assert Named.seen == seen and type(second[0]) is Named
        assert torch.equal(second[3], first[3])
        Named.seen.clear()


def test_compiled_code_calls_torch():
    @torch.compile(backend="eager", fullgraph=True)
    def make(tensor):
        return tensor.normal_(0.0, 2.0)

    for count in (10, 9000):
        with fast_init():
            got = outcome(lambda: make(torch.empty(count)))
        expected = outcome(lambda: torch.empty(count).normal_(0.0, 2.0))
        assert got[1] is None and same(got[0], expected[0]) and torch.equal(got[3], expected[3])


def test_meta_models_draw_nothing():
    def make():
        with torch.device("meta"):
            return nn.Linear(3000, 2000)

    got = build(make, fast_init)
    assert got[0].weight.is_meta and torch.equal(got[3], build(lambda: None)[3])
    with torch.device("cpu"), fast_init():
        got = outcome(lambda: nn.Linear(300, 200), seed=7)
    assert_same_models(got, build(lambda: nn.Linear(300, 200)))


def test_a_decorator_needs_no_parentheses_and_defer_must_be_a_bool():
    @fast_init
    def made(count):
        """Some values."""
        assert "normal_" in torch.Tensor.__dict__
        return torch.empty(count).normal_()

    torch.manual_seed(0)
    values = made(9000)
    assert torch.equal(values, torch.randn(9000, generator=torch.Generator().manual_seed(0)))
    assert made.__doc__ == "Some values." and "normal_" not in torch.Tensor.__dict__
    with pytest.raises(TypeError, match="defer = 'yes': must be True or False"):
        fast_init(defer="yes")
