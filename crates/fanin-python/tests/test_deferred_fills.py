"""fast_init(defer=True) fills a tensor when the tensor is first read. If the tensor is overwritten first, the fill is dropped."""

import contextlib
import copy
import io
import os
import pickle
import threading

import numpy as np
import pytest
import torch
from conftest import outcome, same
from model_configs import BUILT_IN, SMALL
from test_fast_init import assert_same_models, build
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.dlpack import to_dlpack

from fanin.torch import _torch_stream, fast_init
from fanin.torch._deferred import mode, patches, queued_fill


@contextlib.contextmanager
def deferring():
    """Like `fast_init(defer=True)`, but with the dispatch mode on from the beginning, so that fills of any size are deferred."""
    with fast_init(defer=True):
        mode.wake(torch.empty(0))
        yield


@pytest.fixture
def performed(monkeypatch):
    """The number of values in each fill, as one list per call of a Rust function.

    For example, `[[500, 300], [900]]` is a call with two fills, and then a call with one fill.
    """
    calls = []
    torch_flush, fill_plain = queued_fill.torch_flush, _torch_stream.fill_plain

    def counted_flush(fills):
        calls.append([fill.count for fill in fills])
        return torch_flush(fills)

    def counted_fill(request, tensor, generator):
        calls.append([tensor.numel()])
        return fill_plain(request, tensor, generator)

    monkeypatch.setattr(queued_fill, "torch_flush", counted_flush)
    monkeypatch.setattr(_torch_stream, "fill_plain", counted_fill)
    return calls


@pytest.mark.parametrize("name", SMALL)
def test_models_are_the_same_with_deferred_fills(name):
    assert_same_models(build(SMALL[name], deferring), build(SMALL[name]))


@pytest.mark.parametrize("name", SMALL)
def test_models_are_the_same_with_the_default_threshold_for_deferring(name):
    def context():
        return fast_init(defer=True)

    assert_same_models(build(SMALL[name], context), build(SMALL[name]))


LARGE = _torch_stream.MIN_DEFERRED_VALUES


def test_the_mode_is_off_until_a_large_fill(performed):
    with fast_init(defer=True):
        torch.empty(LARGE - 1).normal_()
        assert torch._C._len_torch_dispatch_stack() == 0 and performed == [[LARGE - 1]]
        torch.empty(LARGE + 1).normal_()
        assert torch._C._len_torch_dispatch_stack() == 1
    assert torch._C._len_torch_dispatch_stack() == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="only Linux says which pages were written")
def test_the_fill_that_turns_the_mode_on_is_deferred_if_its_memory_is_new(performed):
    count = 1 << 25

    def run():
        new = torch.empty(count)  # So large that the system allocates new pages.
        new.uniform_()
        new.normal_()
        return new

    expected = outcome(run)
    performed.clear()
    with fast_init(defer=True):
        got = outcome(run)
        assert performed == []
    assert same(got[0], expected[0]) and performed == [[count]] and torch.equal(torch.get_rng_state(), expected[3])


def test_the_fill_that_turns_the_mode_on_is_performed_at_once_if_its_memory_may_be_exposed(performed):
    count = 1 << 24
    for make in (lambda: torch.zeros(count).add_(1), lambda: torch.from_numpy(np.empty(count, np.float32))):
        performed.clear()
        with fast_init(defer=True):
            make().normal_()
            assert performed == [[count]]
    performed.clear()
    with fast_init(defer=True):
        new = torch.empty(count)
        view = new.numpy()
        new.normal_()
        assert view[:5].any() and performed == [[count]]


@pytest.mark.slow
def test_gpt2_in_its_real_size_is_the_same_and_draws_each_value_once(performed):
    make = BUILT_IN["gpt2"].build
    got = build(make, deferring)
    assert_same_models(got, build(make))
    drawn = sum(map(sum, performed))
    assert drawn <= sum(p.numel() for p in got[0].parameters())


def test_a_fill_that_is_overwritten_is_not_drawn(performed):
    def make():
        weight = torch.empty(300, 200)
        nn.init.kaiming_uniform_(weight)
        nn.init.normal_(weight)
        weight.uniform_()
        other, third, fourth = (torch.empty(5000).normal_() for _ in range(3))
        other.zero_()
        nn.init.constant_(third, 2.0)
        fourth.copy_(torch.ones(5000))
        torch.empty(6000).normal_()  # Nothing refers to this tensor afterwards.
        return weight, other, third, fourth

    expected = outcome(make)
    with deferring():
        got = outcome(make)
        assert performed == []
    assert all(map(same, got[0], expected[0])) and performed == [[60000]]
    assert torch.equal(torch.get_rng_state(), expected[3])


READERS = {
    "sum": lambda t: t.sum(),
    "item": lambda t: t[3, 3].item(),
    "float": lambda t: float(t[0, 1]),
    "numpy": lambda t: t.numpy().copy(),
    "np.asarray": lambda t: np.asarray(t).copy(),
    "np.from_dlpack": lambda t: np.from_dlpack(t).copy(),
    "from_dlpack": lambda t: torch.from_dlpack(t).clone(),
    "tolist": lambda t: t.tolist(),
    "view tolist": lambda t: t.t()[3].tolist(),
    "repr": repr,
    "clone": lambda t: t.clone(),
    "storage": lambda t: bytes(t.untyped_storage()),
    "typed storage": lambda t: t.storage().tolist(),
    "pickle": pickle.dumps,
    "deepcopy": copy.deepcopy,
    "bool": lambda t: bool((t > 0).any()),
    "equal": lambda t: torch.equal(t, t.clone()),
    "out": lambda t: torch.add(t, 1, out=torch.empty(50, 60)),
    "cat": lambda t: torch.cat([torch.ones(1, 60), t]),
    "slice write": lambda t: t[3].zero_(),
    "slice fill": lambda t: t[3:].normal_(),
    "in place": lambda t: t.mul_(3),
    "setitem": lambda t: t.__setitem__((0, 0), 5.0),
    "assign": lambda t: torch.zeros(50, 60).copy_(t),
    "self copy": lambda t: t.copy_(t.flip(0)),
    "failed copy": lambda t: pytest.raises(RuntimeError, t.copy_, torch.ones(7)) and None,
    "failed fill": lambda t: pytest.raises(RuntimeError, t.normal_, 0, -1) and None,
    "failed truncation": lambda t: pytest.raises(ZeroDivisionError, nn.init.trunc_normal_, t, 0, 0) and None,
    "data": lambda t: t.data.numpy().copy(),
    "detach": lambda t: t.detach().numpy().copy(),
    "parameter": lambda t: nn.Parameter(t).tolist(),
    "reinterpreted": lambda t: t.view(torch.int32).sum(),
    "reshape": lambda t: t.t().reshape(-1).tolist(),
    "apply": lambda t: t.apply_(lambda x: x + 1),
    "erfinv": lambda t: t.clamp_(-0.5, 0.5).erfinv_(),
    "matmul": lambda t: nn.functional.linear(torch.ones(2, 60), t),
    "script": lambda t: torch.jit.script(scripted)(t),
    "save": lambda t: torch.load(saved(t)),
    "share": lambda t: t.share_memory_().clone(),
    "data_ptr": lambda t: np.ctypeslib.as_array((__import__("ctypes").c_float * 3000).from_address(t.data_ptr())).copy(),
    "set data": lambda t: moved(t),
    "set_": lambda t: torch.empty(0).set_(t.untyped_storage()).clone(),
    "resize": lambda t: t.resize_(30, 60).clone(),
    "vmap": lambda t: torch.func.vmap(torch.sum)(t),
    "grad": lambda t: (torch.ones(60, requires_grad=True) * t).sum().backward(),
    "state dict": lambda t: nn.ParameterDict({"a": t}).state_dict()["a"].tolist(),
    "iteration": lambda t: [row.tolist() for row in t],
    "new_tensor": lambda t: t.new_tensor(t),
    "Tensor of elements": lambda t: torch.Tensor([t[0, 0], t[1, 1]]),
    "elements of a row": lambda t: torch.Tensor(list(t[3])),
    "one element": lambda t: torch.tensor([torch.empty(1).uniform_(), t[3:4, 3:4]]),
    "modes off": lambda t: undispatched(t),
    "inside a subclass": lambda t: (TwoTensor(t, torch.ones(50, 60)) + 1).a.clone(),
    "written in a subclass": lambda t: TwoTensor(t, torch.ones(50, 60)).mul_(0).a.clone(),
    "masked": lambda t: torch.masked.masked_tensor(t, torch.ones(50, 60, dtype=torch.bool)).sum().get_data(),
    "scripted and saved": lambda t: torch.jit.load(script_saved(t)).weight.clone(),
    "a branch": lambda t: torch.cond(t[0, 0] > -9, lambda x: x + 1, lambda x: x - 1, (t,)),
    "nested lists": lambda t: nested(t).clone(),
    "split": lambda t: torch.tensor([0.0, t.view(-1).split([2999, 1])[1]]),
    "sparse": lambda t: t.to_sparse().to_dense(),
    "sparse product": lambda t: torch.sparse.mm(torch.eye(50).to_sparse(), t),
    "mkldnn": lambda t: t.to_mkldnn().to_dense(),
    "by its imported name": lambda t: torch.from_dlpack(to_dlpack(t)).clone(),
    "export": lambda t: torch.export.export(nn.Linear(3, 3), (torch.ones(1, 3),)).module()(torch.ones(1, 3)).shape,
    "fake": lambda t: faked(t),
    "tensor of parts": lambda t: torch.tensor([t[0, 0], t[1, 1]]),
}


def script_saved(tensor):
    module = nn.Linear(60, 50)
    module.weight.data = tensor
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return file


@torch.library.custom_op("fanin_tests::nested", mutates_args=())
def nested(tensor: torch.Tensor) -> torch.Tensor:
    """A custom operator. The dispatch mode that performs deferred fills does not know the effects of the operator."""
    return torch.from_numpy(tensor.numpy() + 1)


def faked(tensor):
    with FakeTensorMode():
        torch.manual_seed(3)
        shape = torch.empty(5).normal_().shape
    assert torch._C._len_torch_dispatch_stack() <= 1
    return shape


def undispatched(tensor):
    from torch.utils._mode_utils import no_dispatch

    with no_dispatch():
        return tensor.sum()


def scripted(x):
    return x * 2


def saved(tensor):
    file = io.BytesIO()
    torch.save(tensor, file)
    file.seek(0)
    return file


def moved(tensor):
    parameter = nn.Parameter(tensor)
    parameter.data = torch.ones(3)
    return parameter.tolist() + tensor.tolist()


def plain(value):
    """Converts a tensor or an array to bytes, so that `==` compares it bitwise. Returns any other value unchanged."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().numpy().tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", READERS)
def test_every_way_to_read_a_tensor_sees_its_values(name):
    def run():
        torch.empty(4000).uniform_()
        tensor = torch.empty(50, 60).normal_()
        result = plain(READERS[name](tensor))
        return result, tensor, torch.rand(3)

    expected = outcome(run)
    with deferring():
        got = outcome(run)
        first = plain(got[0][1]) if got[0] else None
    assert got[1] == expected[1] is None
    if name != "pickle":
        assert got[0][0] == expected[0][0]
    assert first == plain(expected[0][1]) and same(got[0][1], expected[0][1]) and same(got[0][2], expected[0][2])
    assert torch.equal(torch.get_rng_state(), expected[3])


GENERATORS = {
    "rand": lambda: torch.rand(5),
    "randperm": lambda: torch.randperm(50),
    "dropout": lambda: nn.functional.dropout(torch.ones(50)),
    "bernoulli": lambda: torch.empty(50).bernoulli_(),
    "get_rng_state": lambda: torch.get_rng_state(),
    "set_rng_state": lambda: torch.set_rng_state(torch.Generator().manual_seed(3).get_state()),
    "manual_seed": lambda: torch.manual_seed(9) and None,
    "direct seed": lambda: torch.default_generator.manual_seed(9) and None,
    "fork_rng": lambda: forked(),
    "small normal": lambda: torch.empty(5).normal_(),
    "strided normal": lambda: torch.empty(50, 60).t().normal_(),
    "own generator": lambda: torch.empty(5000).normal_(generator=torch.Generator().manual_seed(2)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(5000)),
    "sparse": lambda: nn.init.sparse_(torch.empty(50, 60), 0.4),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(50, 60)),
    "f64": lambda: torch.empty(5000, dtype=torch.float64).normal_(),
    "bf16": lambda: torch.empty(5001, dtype=torch.bfloat16).normal_(),
    "large": lambda: torch.empty((1 << 20) + 21).normal_(),
    "larger": lambda: torch.empty((1 << 21) + 3, dtype=torch.float64).uniform_(),
    "half": lambda: torch.empty((1 << 20) + 17, dtype=torch.float16).normal_(),
    "another thread": lambda: in_another_thread(lambda: torch.rand(5)),
    "another thread's fill": lambda: in_another_thread(lambda: torch.empty(5000).normal_()),
    "the object in torch.random": lambda: torch.rand(5, generator=torch.random.default_generator),
    "the object": lambda: torch.default_generator.get_state(),
    "nothing": lambda: None,
}


def in_another_thread(work):
    """Calls `work` in another thread, and returns the result of `work`."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def forked():
    with torch.random.fork_rng():
        torch.empty(5000).normal_()
    return torch.rand(2)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_generator_has_the_state_that_torch_leaves(name):
    def run():
        first = torch.empty(4001).normal_()
        result = GENERATORS[name]()
        return first, result, torch.empty(4002).normal_()

    expected = outcome(run)
    with deferring():
        got = outcome(run)
    for found, by_torch in zip(got[0], expected[0]):
        assert found is None or same(found, by_torch)
    assert torch.equal(torch.get_rng_state(), expected[3])


def test_fills_of_memory_that_was_not_allocated_in_the_context_are_not_deferred(performed):
    array = np.zeros(5000, np.float32)
    before = torch.zeros(5000)
    with deferring():
        torch.from_numpy(array).normal_()
        assert array.any()
        before.normal_()
        assert before.tolist() and performed == [[5000], [5000]]
        exposed = torch.zeros(5000)
        view = exposed.numpy()
        exposed.normal_()
        assert view.any()
        part = torch.empty(5000)[10:]
        part.normal_()
        assert performed == [[5000], [5000], [5000], [4990]]
        deferred = torch.empty(5001).normal_()
        assert len(performed) == 4
        deferred.sum()
        assert performed[4:] == [[5001]]


def test_all_deferred_fills_are_performed_after_an_exception():
    def run():
        kept = torch.empty(4000)
        with pytest.raises(KeyError):
            with fast_init() if not defer else deferring(), deferring() if defer else fast_init():
                kept.uniform_()
                raise KeyError
        return kept

    defer = False
    expected = outcome(run)
    defer = True
    got = outcome(run)
    assert same(got[0], expected[0]) and torch.equal(got[3], expected[3])
    assert not patches.queues and not patches.patches and "numpy" not in torch.Tensor.__dict__


def test_a_write_from_another_thread_to_a_deferred_tensor_is_an_error():
    weight = None
    with pytest.raises(RuntimeError, match="leave out defer=True"):
        with deferring():
            weight = torch.empty(5000).normal_()

            def write():
                with torch.no_grad():
                    weight.zero_()
                    weight.add_(1)

            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
    assert weight.sum() == 5000


def test_fills_of_other_tensors_are_performed_when_another_thread_has_written_to_one():
    with pytest.raises(RuntimeError, match="leave out defer=True"):
        with deferring():
            kept, overwritten = torch.empty(5000).normal_(), torch.empty(5000).normal_()
            in_another_thread(lambda: overwritten.zero_().add_(1))
    assert kept.std() > 0.9 and overwritten.sum() == 5000


def test_an_element_that_was_indexed_before_the_fill_has_the_value_of_the_fill():
    def run():
        weight = torch.empty(50, 60)
        element = weight[0, 0]
        weight.normal_()
        return torch.tensor([element]), torch.Tensor([element]), weight

    expected = outcome(run)
    with deferring():
        got = outcome(run)
    assert all(map(same, got[0], expected[0]))


def test_fills_of_memory_mapped_files_are_not_deferred(tmp_path):
    file = tmp_path / "shared"
    file.write_bytes(bytes(4 * 5000))
    with deferring():
        torch.from_file(str(file), shared=True, size=5000).normal_()
        assert np.fromfile(file, np.float32).any()


def test_fills_of_memory_that_nothing_refers_to_are_dropped():
    with deferring():
        for _ in range(40):
            torch.ones(5000).normal_()
        queue = patches.queues[0]
        assert len(queue.fills) <= 2
        kept = [torch.ones(5000).normal_() for _ in range(40)]
        assert len(queue.fills) >= 40
    assert all(tensor.std() > 0.9 for tensor in kept)


def test_the_mode_does_not_turn_on_in_a_backward_pass():
    x = torch.ones(3, requires_grad=True)
    with fast_init(defer=True):
        x.register_hook(lambda grad: torch.empty(LARGE * 32).normal_()[:3])
        torch.manual_seed(0)
        x.sum().backward()
        assert torch._C._len_torch_dispatch_stack() == 0
    torch.manual_seed(0)
    assert torch.equal(x.grad, torch.empty(LARGE * 32).normal_()[:3])


def test_sparse_gradients_work_in_the_context():
    with deferring():
        module = nn.Embedding(100, 50, sparse=True)
        module(torch.tensor([1])).sum().backward()
        torch.optim.SparseAdam(module.parameters()).step()
    assert module.weight.grad.is_sparse


def test_another_thread_cannot_leave_the_context():
    context = fast_init(defer=True)
    with context:
        error = in_another_thread(lambda: pytest.raises(RuntimeError, context.__exit__, None, None, None).value)
        assert "entered in another thread" in str(error)
    assert not patches.queues and "normal_" not in torch.Tensor.__dict__


def test_each_thread_defers_its_own_fills():
    results = {}

    def work(k):
        with deferring():
            results[k] = torch.empty(30000).uniform_()

    torch.manual_seed(0)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.manual_seed(0)
    assert {t[0].item() for t in results.values()} == {torch.rand(30000)[0].item() for _ in range(8)}
