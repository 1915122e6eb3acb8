"""fanin.torch has the same values, generator state, errors, warnings and signatures as torch.nn.init."""

import inspect
import itertools
import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import outcome, same

import fanin.torch as init

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]

#: Shapes whose numbers of values are near the sizes at which code paths change:
#:
#: - 16: torch draws groups of 16 normal values.
#: - 8192: torch itself fills smaller tensors.
#: - 65536: fills of at least this size release the GIL.
SHAPES = [(0,), (3,), (1, 15), (16, 16), (7, 293), (8192,), (2, 4096), (91, 92), (33, 4, 7, 7), (300, 251), (3, 2, 9, 50, 11)]


def plain(shape, dtype):
    return torch.full(shape, 7.0, dtype=dtype)


def transposed(shape, dtype):
    return torch.full(shape[::-1], 7.0, dtype=dtype).permute(*reversed(range(len(shape))))


def sliced(shape, dtype):
    """Returns every second column of a wider tensor, so the result is not contiguous."""
    return torch.full((*shape[:-1], 2 * shape[-1] + 1), 7.0, dtype=dtype)[..., 1::2]


def offset(shape, dtype):
    """Returns a row-major tensor at offset 3 of its storage, so its memory is not aligned for SIMD."""
    return torch.full((math.prod(shape) + 3,), 7.0, dtype=dtype)[3:].view(shape)


def channels_last(shape, dtype):
    tensor = torch.full(shape, 7.0, dtype=dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor


def parameter(shape, dtype):
    return torch.nn.Parameter(torch.full(shape, 7.0, dtype=dtype))


MEMORY_ORDERS = [plain, transposed, sliced, offset, channels_last, parameter]

#: Names of functions, and arguments for them. The test adds the argument `generator` to some calls.
CALLS = [
    ("uniform_", dict()),
    ("uniform_", dict(a=-0.3, b=0.7)),
    ("uniform_", dict(a=2, b=2)),
    ("normal_", dict()),
    ("normal_", dict(mean=0.5, std=0.02)),
    ("normal_", dict(std=0.0)),
    ("trunc_normal_", dict()),
    ("trunc_normal_", dict(std=0.02, a=-0.04, b=0.04)),
    ("trunc_normal_", dict(a=2.0, b=3.0)),
    # The mean is just far enough outside the bounds that torch warns. With a mean farther outside, rejection sampling is very slow.
    ("trunc_normal_", dict(mean=4.1, std=1.0)),
    ("xavier_uniform_", dict(gain=0.7)),
    ("xavier_normal_", dict()),
    ("kaiming_uniform_", dict(a=math.sqrt(5))),
    ("kaiming_uniform_", dict(mode="fan_out", nonlinearity="tanh")),
    ("kaiming_normal_", dict(mode="FAN_OUT", nonlinearity="relu")),
    ("orthogonal_", dict(gain=1.4)),
    ("sparse_", dict(sparsity=0.3)),
    ("sparse_", dict(sparsity=0.0, std=2)),
    ("constant_", dict(val=0.3)),
    ("ones_", dict()),
    ("zeros_", dict()),
    ("eye_", dict()),
    ("dirac_", dict()),
    ("dirac_", dict(groups=3)),
]
TAKES_GENERATOR = {"uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_",
             "kaiming_normal_", "orthogonal_", "sparse_"}


@pytest.mark.parametrize("name, arguments", CALLS, ids=lambda value: str(value))
@pytest.mark.parametrize("memory_order", MEMORY_ORDERS)
def test_values_state_errors_and_warnings_are_those_of_torch(name, arguments, memory_order):
    for shape, dtype, own in itertools.product(SHAPES, DTYPES, [False, True]):
        if own and name not in TAKES_GENERATOR:
            continue
        outcomes = []
        for module in (torch.nn.init, init):
            tensor = memory_order(shape, dtype)
            extra = dict(generator=torch.Generator().manual_seed(3)) if own else {}
            result, error, warned, state = outcome(lambda: getattr(module, name)(tensor, **arguments, **extra))
            own_state = extra["generator"].get_state() if own else state
            outcomes.append((tensor, result is tensor, error, warned, state, own_state))
        (ours, *found), (by_torch, *expected) = outcomes[1], outcomes[0]
        where = f"{name}({arguments}) {memory_order.__name__} {shape} {dtype} own={own}"
        assert same(ours, by_torch), where
        assert found[:3] == expected[:3], where
        assert torch.equal(found[3], expected[3]) and torch.equal(found[4], expected[4]), where
        assert ours.requires_grad == by_torch.requires_grad and ours.is_leaf, where
        # The version counters of the two tensors need not be equal, because torch may write to its tensor several times in one call.
        assert (ours._version > 0) == (by_torch._version > 0), where


@pytest.mark.parametrize("count", [(1 << 24) + 5, (1 << 24) + 16, (1 << 25) + 21])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_fills_in_chunks_are_the_same(count, dtype):
    for name in ("normal_", "uniform_"):
        expected, _, _, state = outcome(lambda: getattr(torch.nn.init, name)(torch.empty(count, dtype=dtype)))
        got, _, _, ours = outcome(lambda: getattr(init, name)(torch.empty(count, dtype=dtype)))
        assert same(got, expected) and torch.equal(ours, state), name


def test_any_mix_of_calls_gives_what_torch_alone_gives():
    def run(first, second):
        drawn = []
        for k, count in enumerate([5, 3000, 15, 2049, 1, 70000, 8192, 7]):
            module = (first, second)[k % 2]
            drawn.append(module.normal_(torch.empty(count)))
            drawn.append(torch.rand(k))
            drawn.append(module.uniform_(torch.empty(count + 1, dtype=torch.float64)))
            drawn.append(module.normal_(torch.empty(count, dtype=torch.float64).t(), std=3))
        return drawn

    expected, _, _, state = outcome(lambda: run(torch.nn.init, torch.nn.init), seed=-1)
    got, error, _, ours = outcome(lambda: run(init, torch.nn.init), seed=-1)
    assert error is None and all(map(same, got, expected)) and torch.equal(ours, state)


@pytest.mark.parametrize("size", [4, 8192])
@pytest.mark.parametrize(
    "name, args, kwargs",
    [
        ("normal_", (0.0, -1.0), {}),
        ("normal_", ("x",), {}),
        ("normal_", (), dict(std=float("nan"))),
        ("normal_", (float("inf"), 1.0), {}),
        ("normal_", (), dict(sdt=1)),
        ("uniform_", (2.0, 1.0), {}),
        ("uniform_", (float("-inf"), 1.0), {}),
        ("uniform_", (-3e38, 3e38), {}),
        ("uniform_", (None, 1.0), {}),
        ("trunc_normal_", (0.0, 0.0), {}),
        ("trunc_normal_", (0.0, 1.0, 3.0, 2.0), {}),
        ("trunc_normal_", ("x",), {}),
        ("xavier_normal_", ("x",), {}),
        ("kaiming_normal_", (0, "fan"), {}),
        ("kaiming_uniform_", (0, "fan_in", "swish"), {}),
        ("kaiming_uniform_", (True,), {}),
        ("kaiming_uniform_", (0, 3), {}),
        ("dirac_", (3,), {}),
        ("dirac_", (0,), {}),
        ("dirac_", (-1,), {}),
        ("eye_", (), {}),
        ("sparse_", (1.5,), {}),
        ("sparse_", (-0.5,), {}),
        ("sparse_", (float("nan"),), {}),
        ("orthogonal_", (float("inf"),), {}),
        ("normal_", (), dict(generator=5)),
        ("uniform_", (Fraction(1, 4), 1), {}),
        ("normal_", (0, Decimal("0.5")), {}),
        ("normal_", (torch.tensor([1.0]), 2), {}),
        ("normal_", (torch.tensor(1.0), np.float32(2)), {}),
        ("normal_", (np.array(1.0),), {}),
        ("uniform_", (True, np.int64(3)), {}),
        ("trunc_normal_", (Fraction(1, 4), 1), {}),
        ("trunc_normal_", (0.0, torch.tensor(1.0, requires_grad=True)), {}),
        ("sparse_", (Fraction(1, 4), Fraction(1, 4)), {}),
        ("calculate_gain", (), {}),
    ],
)
def test_bad_input_raises_the_error_of_torch(name, args, kwargs, size):
    for shape in [(size,), (size, 2), (size, 2, 3)]:
        outcomes = []
        for module in (torch.nn.init, init):
            tensor = torch.zeros(shape)
            outcomes.append((tensor, *outcome(lambda: getattr(module, name)(tensor, *args, **kwargs))[1:]))
        (expected, *errors, state), (got, *found, ours) = outcomes
        assert found == errors and torch.equal(ours, state) and same(got, expected), shape


@pytest.mark.parametrize("what", [[1.0], None, 3, "w"])
def test_an_argument_that_is_no_tensor_raises_the_error_of_torch(what):
    for name in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_", "orthogonal_",
                 "sparse_", "dirac_", "eye_", "zeros_"):
        arguments = (0.1,) if name == "sparse_" else ()
        expected = outcome(lambda: getattr(torch.nn.init, name)(what, *arguments))[1]
        assert outcome(lambda: getattr(init, name)(what, *arguments))[1] == expected, name


def test_signatures_and_names_are_those_of_torch():
    for name in [*torch.nn.init.__all__, "_calculate_fan_in_and_fan_out", "_calculate_correct_fan"]:
        ours, theirs = getattr(init, name), getattr(torch.nn.init, name)
        assert inspect.signature(ours) == inspect.signature(theirs), name
        assert ours.__name__ == theirs.__name__
        assert name in dir(init)
    assert set(torch.nn.init.__all__) <= set(init.__all__)


def test_deprecated_names_warn_and_do_the_same():
    for name in ("uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
                 "kaiming_normal", "orthogonal", "sparse"):
        shape = (60, 50, 3) if name == "dirac" else (60, 50)
        arguments = dict(constant=(0.5,), sparse=(0.2,)).get(name, ())
        expected = outcome(lambda: getattr(torch.nn.init, name)(torch.empty(shape), *arguments))
        got = outcome(lambda: getattr(init, name)(torch.empty(shape), *arguments))
        assert same(got[0], expected[0]) and got[1:3] == expected[1:3] and torch.equal(got[3], expected[3])
        assert got[2][0][0] is FutureWarning


class Subclass(torch.Tensor):
    seen = []

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen.append(function.__name__)
        return super().__torch_function__(function, types, args, kwargs or {})


def test_torch_fills_tensors_that_fanin_does_not_support():
    def meta():
        return init.normal_(torch.empty(9000, device="meta"))

    assert meta().is_meta
    integers = outcome(lambda: init.normal_(torch.zeros(9000, dtype=torch.int64)))
    assert integers[1] == outcome(lambda: torch.nn.init.normal_(torch.zeros(9000, dtype=torch.int64)))[1]
    complex_ = [outcome(lambda: m.normal_(torch.zeros(9000, dtype=torch.cfloat))) for m in (init, torch.nn.init)]
    assert torch.equal(complex_[0][0], complex_[1][0]) and torch.equal(complex_[0][3], complex_[1][3])
    expanded = [outcome(lambda: m.normal_(torch.zeros(1, 9000).expand(2, 9000)))[1] for m in (init, torch.nn.init)]
    assert expanded[0] == expanded[1] and expanded[0] is not None
    negated = [outcome(lambda: m.uniform_(torch.zeros(9000, dtype=torch.cfloat).conj().imag)) for m in (init, torch.nn.init)]
    assert torch.equal(negated[0][0], negated[1][0]) and negated[0][0].is_neg()
    Subclass.seen.clear()
    tensor = torch.empty(9000).as_subclass(Subclass)
    assert type(init.normal_(tensor)) is Subclass and "normal_" in Subclass.seen
    with torch.inference_mode():
        frozen = torch.empty(9000)
    assert outcome(lambda: init.normal_(frozen))[1] == outcome(lambda: torch.nn.init.normal_(frozen))[1]


def test_modes_and_transforms_receive_the_call():
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        seen = []

        def __torch_function__(self, function, types, args=(), kwargs=None):
            self.seen.append(function)
            return function(*args, **(kwargs or {}))

    class Operators(TorchDispatchMode):
        seen = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.seen.append(function)
            return function(*args, **(kwargs or {}))

    for mode in (Functions, Operators):
        for name in ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_normal_"):
            seen = []
            for module in (torch.nn.init, init):
                mode.seen.clear()
                with mode():
                    got = outcome(lambda: getattr(module, name)(torch.empty(50, 80)))
                seen.append((list(mode.seen), got))
            assert seen[0][0] == seen[1][0], (mode, name)
            assert same(seen[0][1][0], seen[1][1][0])

    batch = torch.zeros(3, 9000)
    for module in (torch.nn.init, init):
        got = outcome(lambda: torch.func.vmap(lambda x: module.normal_(x), randomness="different")(batch.clone()))
        if module is torch.nn.init:
            expected = got
    assert same(got[0], expected[0]) and torch.equal(got[3], expected[3])
    with torch.device("cpu"):
        got = outcome(lambda: init.normal_(torch.empty(9000)))
    assert same(got[0], outcome(lambda: torch.nn.init.normal_(torch.empty(9000)))[0])


def test_compiled_code_calls_torch():
    @torch.compile(backend="eager", fullgraph=True)
    def build(tensor):
        return init.normal_(tensor, 0.0, 2.0)

    for count in (16, 9000):
        got = outcome(lambda: build(torch.empty(count)))
        expected = outcome(lambda: torch.nn.init.normal_(torch.empty(count), 0.0, 2.0))
        assert got[1] is None and same(got[0], expected[0]) and torch.equal(got[3], expected[3])


def test_a_fill_increments_the_version_that_autograd_checks():
    weight = torch.ones(9000, requires_grad=True)
    loss = (weight * weight).sum()
    init.normal_(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_threads_on_one_generator_draw_different_values():
    """As in torch, threads that fill at the same time get different parts of the generator's stream."""
    import threading

    torch.manual_seed(0)
    tensors = [torch.empty(1 << 20) for _ in range(8)]
    threads = [threading.Thread(target=init.uniform_, args=(tensor,)) for tensor in tensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = {tuple(tensor[:4].tolist()) for tensor in tensors}
    assert len(first) == len(tensors)
    torch.manual_seed(0)
    assert {tuple(torch.rand(1 << 20)[:4].tolist()) for _ in tensors} == first


THREADS = """
import os, threading, time, torch
torch.set_num_threads({threads})
import fanin.torch as init

def tasks():
    return len(os.listdir("/proc/self/task"))

def fill(first):
    # If `first` is True, torch does the first operation, and starts its threads. Otherwise fanin does the first operation.
    if first:
        torch.ones(1 << 20).mul_(2.0)
        # The first fill of each distribution also compares fanin's values with torch's. The comparison and any threads
        # that it uses must end before `tasks` counts threads.
        for call in (init.normal_, init.uniform_, init.trunc_normal_):
            call(torch.empty(1 << 14))
        time.sleep(0.5)
    before = tasks()
    for call in (init.normal_, init.uniform_, init.trunc_normal_):
        torch.manual_seed(5)
        call(tensor := torch.empty(1 << 21))
        between = tasks()
        state = torch.get_rng_state()
        torch.manual_seed(5)
        getattr(torch.nn.init, call.__name__)(other := torch.empty(1 << 21))
        assert torch.equal(tensor, other) and torch.equal(state, torch.get_rng_state()), call
    torch.ones(1 << 20).mul_(2.0)
    return (before if first else between) == tasks()

outcomes = [fill(True)]
# The main thread has made these calls. Now a new thread, which has not used torch before, makes the same calls.
thread = threading.Thread(target=lambda: outcomes.append(fill(False)))
thread.start()
thread.join()
print(*outcomes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux fills use the threads of torch")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fills_use_the_threads_of_torch_and_start_none(threads):
    script = THREADS.format(threads=threads)
    output = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=200)
    assert output.split() == ["True", "True"]


FORKED = """
import os, signal, torch
{before}
torch.ones(1 << 20).mul_(2.0)
torch.manual_seed(5)
expected = torch.nn.init.normal_(torch.empty(1 << 21))
{between}
if os.fork() == 0:
    signal.alarm(60)
    import fanin.torch as init
    # NumPy compares the values, because an operation of torch would wait for threads that do not exist in the child.
    torch.manual_seed(5)
    os._exit(int((init.normal_(torch.empty(1 << 21)).numpy() != expected.numpy()).any()))
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    ("before", "between"),
    [("", ""), ("import fanin.torch", ""), ("import fanin.torch", "fanin.torch.normal_(torch.empty(1 << 21))")],
)
def test_a_forked_process_can_fill(before, between):
    """A forked child must not wait for threads of torch or of fanin's pool. These threads exist only in the parent.

    The parent runs the code `before` at its start, and the code `between` just before the fork.
    """
    script = FORKED.format(before=before, between=between)
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=120).returncode == 0


INTERRUPTED = """
import os, signal, threading, time, torch, fanin.torch as init

def interrupted(call, shape, generator):
    tensor = torch.empty(shape)
    for _ in range(9):
        threading.Timer(0.4, os.kill, [os.getpid(), signal.SIGINT]).start()
        begin = time.monotonic()
        try:
            while True:
                before = (generator or torch.default_generator).get_state()
                call(tensor, generator=generator)
        except KeyboardInterrupt:
            if time.monotonic() - begin > 30:
                return "late"
            now = (generator or torch.default_generator).get_state()
        if torch.equal(now, before):
            return True
        # The signal may have come just after a fill. The generator must then have the state after the whole fill.
        (generator or torch.default_generator).set_state(before)
        call(tensor, generator=generator)
        if not torch.equal((generator or torch.default_generator).get_state(), now):
            return "between"
    return "never"

def sparse(tensor, generator):
    init.sparse_(tensor, 0.5)

def tail(tensor, generator):
    # Rejection sampling accepts one proposal in about 10^12, so the fill does not end without Ctrl-C.
    init.trunc_normal_(tensor, a=5.0, b=5e12, generator=generator)

own = torch.Generator().manual_seed(1)
print(interrupted(init.trunc_normal_, (1 << 25,), None), interrupted(tail, (9000,), own),
      interrupted(sparse, (1 << 13, 1 << 13), None), interrupted(init.uniform_, (1 << 25,), own),
      interrupted(lambda t, generator: init.normal_(t.t()), (1 << 13, 1 << 13), None))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals need POSIX")
def test_ctrl_c_interrupts_a_long_fill_and_restores_the_generator():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["True"] * 5, done.stdout + done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals need POSIX")
def test_ctrl_c_interrupts_a_factorization_and_leaves_the_tensor_unchanged():
    script = """
import os, signal, sys, threading, time, torch, fanin.torch as init
tensor = torch.full((3000, 3000), 7.0)
factorizing = threading.Event()
def slow(matrix):
    factorizing.set()
    time.sleep(60)
torch.linalg.qr = slow
threading.Thread(target=lambda: (factorizing.wait(), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
try:
    init.orthogonal_(tensor)
except KeyboardInterrupt:
    print(bool((tensor == 7.0).all()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.stdout.split() == ["True"], done.stdout + done.stderr


def test_a_long_factorization_has_the_values_of_torch(monkeypatch):
    from fanin.torch import _init

    monkeypatch.setattr(_init, "_INTERRUPTIBLE", 0)
    for shape in [(60, 50), (300, 700), (900, 400)]:
        expected = outcome(lambda: torch.nn.init.orthogonal_(torch.empty(shape)))
        got = outcome(lambda: init.orthogonal_(torch.empty(shape)))
        assert same(got[0], expected[0]) and torch.equal(got[3], expected[3])
    half = [outcome(lambda: m.orthogonal_(torch.empty(60, 50, dtype=torch.float16)))[1] for m in (init, torch.nn.init)]
    assert half[0] == half[1] is not None
