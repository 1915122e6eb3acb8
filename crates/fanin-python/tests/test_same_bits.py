"""fanin fills a tensor only if it reproduces torch's values bit for bit on this CPU. Otherwise torch fills it."""

import ctypes
import json
import os
import subprocess
import sys
import warnings

import pytest
import torch

import fanin.torch
from conftest import same
from fanin.torch import _same_bits, _torch_stream
from fanin.torch._requests import DTYPES, NORMAL, SPARSE, TRUNC_NORMAL, UNIFORM

PROGRAM = """
import json, sys, warnings
import torch
import fanin.torch as init

CALLS = {
    "uniform": lambda init, t: init.uniform_(t, -0.3, 0.9),
    "kaiming": lambda init, t: init.kaiming_uniform_(t, a=5**0.5),
    "normal": lambda init, t: init.normal_(t, 0.1, 0.02),
    "truncated": lambda init, t: init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04),
    "tail": lambda init, t: init.trunc_normal_(t, 0.0, 1.0, 1.0, 3.0),
    "sparse": lambda init, t: init.sparse_(t, 0.3),
    "orthogonal": lambda init, t: init.orthogonal_(t.float()),
}

def deferred(call, like):
    with init.fast_init(defer=True):
        tensor = torch.empty_like(like)
        return call(torch.nn.init, tensor)

differing = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, call in CALLS.items():
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
            # At least 2^20 values, so that fast_init(defer=True) defers fills.
            shape = (1024, 1025) if name in ("uniform", "normal") else (150, 130)
            made = torch.empty(shape, dtype=dtype)
            for way, fill in {"call": lambda: call(init, made.clone()), "deferred": lambda: deferred(call, made)}.items():
                torch.manual_seed(1)
                expected = call(torch.nn.init, made.clone())
                state = torch.get_rng_state()
                torch.manual_seed(1)
                values = fill()
                if not torch.equal(values, expected) or not torch.equal(torch.get_rng_state(), state):
                    differing.append(f"{name} {dtype} {way}")
texts = [str(one.message) for one in caught if "other bits than fanin" in str(one.message)]
print(json.dumps([torch.backends.cpu.get_cpu_capability(), differing, texts]))
"""


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_values_are_those_of_torch_at_each_capability(capability):
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found, differing, texts = json.loads(done.stdout.splitlines()[-1])
    assert differing == []
    if found == "DEFAULT" and sys.platform == "linux":
        assert len(texts) == 1 and "normal (float32" in texts[0] and "uniform (float32" in texts[0]
    elif found in ("AVX2", "AVX512"):
        assert texts == []


@pytest.fixture
def fresh():
    """Clears the cache of comparisons between fanin and torch before the test, and restores it after the test."""
    before = dict(_same_bits._same)
    _same_bits._same.clear()
    yield
    _same_bits._same.clear()
    _same_bits._same.update(before)


def planted(monkeypatch, kind, dtype):
    """In the comparison with torch, flips one bit of the first value that fanin computes for this distribution and dtype."""
    original, equal = _same_bits.torch_fill, _same_bits._equal
    current = []

    def traced(case, dtype):
        current[:] = [case.make_request, dtype]
        return equal(case, dtype)

    def wrong(request, address, *arguments):
        done = original(request, address, *arguments)
        if current == [kind, dtype]:
            ctypes.c_uint8.from_address(address).value ^= 1
        return done

    monkeypatch.setattr(_same_bits, "torch_fill", wrong)
    monkeypatch.setattr(_same_bits, "_equal", traced)


CALLS = {
    UNIFORM: lambda init, tensor: init.uniform_(tensor),
    NORMAL: lambda init, tensor: init.normal_(tensor),
    TRUNC_NORMAL: lambda init, tensor: init.trunc_normal_(tensor),
    SPARSE: lambda init, tensor: init.sparse_(tensor, 0.5),
}


@pytest.mark.parametrize(
    "kind, dtype, left",
    [
        (SPARSE, torch.float64, {(SPARSE, torch.float64)}),
        (NORMAL, torch.bfloat16, {(kind, torch.bfloat16) for kind in (NORMAL, TRUNC_NORMAL, SPARSE)}),
        (UNIFORM, torch.float32, {(k, d) for k in (UNIFORM, TRUNC_NORMAL) for d in DTYPES if d != torch.float64}),
    ],
)
def test_fills_that_differ_from_torch_are_left_to_torch_with_one_warning(kind, dtype, left, monkeypatch, fresh):
    planted(monkeypatch, kind, dtype)
    filled = []
    original = _torch_stream.torch_fill
    monkeypatch.setattr(_torch_stream, "torch_fill", lambda *arguments: filled.append(1) or original(*arguments))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for one, call in CALLS.items():
            for type_ in DTYPES:
                values, expected = torch.empty(100, 90, dtype=type_), torch.empty(100, 90, dtype=type_)
                torch.manual_seed(3)
                call(torch.nn.init, expected)
                state = torch.get_rng_state()
                torch.manual_seed(3)
                filled.clear()
                call(fanin.torch, values)
                assert bool(filled) == ((one, type_) not in left), (one, type_)
                assert same(values, expected) and torch.equal(torch.get_rng_state(), state)
    texts = [str(one.message) for one in caught if "other bits than fanin" in str(one.message)]
    assert len(texts) == 1
    names = {UNIFORM: "uniform", NORMAL: "normal", TRUNC_NORMAL: "truncated normal", SPARSE: "sparse"}
    assert all(names[one] in texts[0] for one, _ in left) and str(dtype).removeprefix("torch.") in texts[0]


def test_the_comparison_changes_no_generator_and_no_mode(fresh):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.device("meta"), torch.inference_mode():
        assert all(_same_bits.is_same(kind, dtype) for kind in CALLS for dtype in DTYPES) or len(_same_bits._same) == 16
    assert torch.equal(torch.get_rng_state(), before)
    assert not _same_bits.is_same(NORMAL, torch.float8_e4m3fn)


def test_the_result_of_a_comparison_is_cached(fresh, monkeypatch):
    _same_bits.is_same(NORMAL, torch.float32)
    monkeypatch.setattr(_same_bits, "_compare", None)
    assert isinstance(_same_bits.is_same(NORMAL, torch.float32), bool)
