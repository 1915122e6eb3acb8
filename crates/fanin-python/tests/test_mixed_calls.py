"""Random sequences of calls have the same results with torch alone and with a random mix of torch and fanin.

Each sequence draws from several generators. It runs once with torch alone and once with the mix. The results must be
bitwise equal. A seed determines the sequence. The tests run a few fixed seeds.
`python test_mixed_calls.py 1000 2000` runs the seeds 1000..2000 (end exclusive).
"""

import contextlib
import math
import random
import sys
import warnings

import pytest
import torch
from conftest import bits

import fanin.torch as init
from fanin.torch import fast_init
from fanin.torch._deferred import mode

DTYPES = [torch.float32] * 4 + [torch.float64, torch.float16, torch.bfloat16]

#: Lengths of tensors near the sizes at which code paths change:
#:
#: - Multiples of 16: torch draws groups of 16 normal values.
#: - 624: the generator produces blocks of 624 words of 32 bits.
#: - 8192: torch itself fills smaller tensors.
LENGTHS = [1, 2, 3, 15, 16, 17, 31, 33, 623, 625, 2047, 2048, 2049, 2063, 2065, 4097, 8191, 8192, 8193, 8207, 8209]


def a_shape(r):
    kind = r.random()
    if kind < 0.03:
        return r.choice([(), (0, 4)])
    if kind < 0.25:
        return (r.choice([*LENGTHS, r.randrange(1, 9000), r.randrange(60_000, 150_000)]),)
    if kind < 0.75:
        return (r.choice([1, 2, 3, 16, 40, 65, r.randrange(1, 300)]), r.choice([1, 2, 5, 31, 64, 130, r.randrange(1, 300)]))
    if kind < 0.9:
        return tuple(r.choice([1, 2, 3, 4, 5, 8, 9, 16]) for _ in range(r.choice([3, 4, 5])))
    return (r.randrange(20, 90), r.randrange(20, 90), 3, 3)


def a_tensor(r, shape, dtype):
    """Returns a tensor that is filled with 7 and has random strides and a random storage offset."""

    def sevens(*shape):
        return torch.full(shape, 7.0, dtype=dtype)

    kind = r.choice(["plain", "plain", "parameter", "permuted", "columns", "rows", "offset", "channels last"])
    if kind == "permuted":
        order = r.sample(range(len(shape)), len(shape))
        return sevens(*(shape[axis] for axis in order)).permute([order.index(axis) for axis in range(len(shape))])
    if kind == "columns" and shape and shape[-1]:
        step, first = r.randrange(1, 4), r.randrange(3)
        end = first + (shape[-1] - 1) * step + 1
        return sevens(*shape[:-1], end + r.randrange(3))[..., first:end:step]
    if kind == "rows" and shape:
        first = r.randrange(1, 4)
        return sevens(shape[0] + first, *shape[1:])[first:]
    if kind == "offset":
        first = r.randrange(1, 5)
        return sevens(math.prod(shape) + first)[first:].view(shape)
    if kind == "channels last" and len(shape) == 4:
        return sevens(*shape).contiguous(memory_format=torch.channels_last)
    return torch.nn.Parameter(sevens(*shape)) if kind == "parameter" else sevens(*shape)


def a_call(r):
    """Returns the name of a random function of torch.nn.init, and random arguments for it."""
    name = r.choice(["uniform_", "normal_", "trunc_normal_", "sparse_", "orthogonal_", *init.__all__])
    while not name.endswith("_") or not hasattr(torch.nn.init, name):
        name = r.choice(init.__all__)
    mean, std = r.choice([0, 0.0, r.uniform(-2, 2)]), r.choice([1, 0.02, r.uniform(0.01, 2)])
    if name == "uniform_":
        low = r.choice([0, -0.3, 1e4, r.uniform(-5, 5)])
        return name, r.choice([{}, dict(a=low, b=low + r.choice([0, 0.6, 1e-5, r.uniform(0, 9)]))])
    if name == "normal_":
        return name, r.choice([{}, dict(mean=mean, std=r.choice([0, 300.0, std]))])
    if name == "trunc_normal_":
        low = mean + std * r.uniform(-4, 3)
        high = r.choice([mean + 4 * std, low + std * r.uniform(0.05, 2)])
        return name, r.choice([{}, dict(mean=mean, std=std, a=low, b=high)])
    if name.startswith("kaiming"):
        modes, gains = ["fan_in", "fan_out", "FAN_IN"], ["linear", "tanh", "relu", "leaky_relu", "selu"]
        slope = r.choice([0, math.sqrt(5), r.uniform(0, 3)])
        return name, dict(a=slope, mode=r.choice(modes), nonlinearity=r.choice(gains))
    if name.startswith("xavier") or name == "orthogonal_":
        return name, r.choice([{}, dict(gain=r.uniform(0.1, 3))])
    if name == "sparse_":
        return name, dict(sparsity=r.choice([0, 0.1, 0.5, 0.9, 1.0, r.random()]), std=std)
    if name == "dirac_":
        return name, dict(groups=r.choice([1, 2, 3]))
    return name, dict(val=r.uniform(-2, 2)) if name == "constant_" else {}


#: Functions outside torch.nn.init that draw from a generator.
OTHERS = [
    lambda r, g: torch.rand(r.randrange(1, 40), generator=g),
    lambda r, g: torch.randn(r.randrange(1, 40), generator=g),
    lambda r, g: torch.randn(r.randrange(1, 9), dtype=torch.float64, generator=g),
    lambda r, g: torch.randperm(r.randrange(1, 50), generator=g),
    lambda r, g: torch.empty(r.randrange(1, 5000)).exponential_(generator=g),
    lambda r, g: torch.randint(0, 1 << 40, (r.randrange(1, 20),), generator=g),
    lambda r, g: torch.bernoulli(torch.full((r.randrange(1, 50),), 0.3), generator=g),
]

DRAWS = {"uniform_", "normal_", "trunc_normal_", "sparse_", "orthogonal_", "xavier_uniform_", "xavier_normal_",
         "kaiming_uniform_", "kaiming_normal_"}  # fmt: skip


def play(seed, calls, modules):
    """Runs a random sequence of `calls` calls. Each call uses one of the two `modules`, chosen at random.

    Returns the tensor, the error and the warnings of each call, and the final states of the generators.
    """
    r = random.Random(seed)
    torch.manual_seed(r.randrange(-9, 1 << 40))
    generators = [torch.Generator().manual_seed(r.randrange(1 << 33)), torch.Generator().manual_seed(5)]
    left, kept = [], []
    for _ in range(calls):
        generator = r.choice([None, None, *generators])
        if r.random() < 0.2:
            left.append(("other", r.choice(OTHERS)(r, generator), None, []))
            continue
        (name, arguments), shape, dtype = a_call(r), a_shape(r), r.choice(DTYPES)
        tensor, again, module = a_tensor(r, shape, dtype), r.random(), modules[r.randrange(2)]
        if again < 0.3 and kept:
            tensor = r.choice(kept)
        text, error = f"{name}({arguments}) on {dtype} {tuple(tensor.shape)} {tensor.stride()}", None
        if name in DRAWS and r.random() < 0.7:
            arguments["generator"] = generator
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if r.random() < 0.2 and name in ("uniform_", "normal_"):
                    with torch.no_grad():
                        getattr(tensor, name)(*(v for k, v in arguments.items() if k != "generator"), generator=generator)
                else:
                    getattr(module, name)(tensor, **arguments)
            except Exception as raised:
                error = type(raised), str(raised)
        kept = [*kept, tensor][-5:]
        # The clone reads the tensor. Most tensors are not read here, so that their fills stay deferred.
        seen = tensor.detach().clone() if r.random() < 0.3 else tensor
        left.append((text, seen, error, [(w.category, str(w.message)) for w in caught]))
    return left, [torch.get_rng_state(), *(generator.get_state() for generator in generators)]


@contextlib.contextmanager
def deferring():
    with fast_init(defer=True):
        mode.wake(torch.empty(0))
        yield


CONTEXTS = {"drop-in": contextlib.nullcontext, "fast_init": fast_init, "deferring": deferring}


def compare(seed, calls, context):
    expected, states = play(seed, calls, (torch.nn.init, torch.nn.init))
    with CONTEXTS[context]():
        got, ours = play(seed, calls, (torch.nn.init, init))
    for k, (one, other) in enumerate(zip(got, expected, strict=True)):
        where = f"seed {seed}, {context}, call {k}: {one[0]}"
        assert (one[0], one[2:]) == (other[0], other[2:]), where
        assert one[1].stride() == other[1].stride(), where
        a, b = (t[1] if t[0] == "other" else bits(t[1]) for t in (one, other))
        assert torch.equal(a, b), where
    assert all(map(torch.equal, ours, states)), f"seed {seed}, {context}: the generators' states"


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", range(3))
def test_mixed_calls_have_the_results_of_torch_alone(seed, context):
    compare(seed, 120, context)


if __name__ == "__main__":
    failed = 0
    for number in range(*map(int, sys.argv[1:3])):
        for name in CONTEXTS:
            try:
                compare(number, 100, name)
            except AssertionError as error:
                failed += 1
                print(error, flush=True)
    sys.exit(failed > 0)
