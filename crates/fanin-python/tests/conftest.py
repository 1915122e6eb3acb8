"""Functions that several tests use, and a fixture for all tests."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

# Some tests start a program and interrupt it by SIGINT. If the tests run as a background job of a shell, SIGINT is
# ignored, also in the programs that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests build models from configurations, so model libraries must not try to download files.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# The module `model_configs` is in the folder `scripts`.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

import pytest
import torch


def bits(tensor):
    """Returns the bits of a tensor's values as integers, so that a comparison also distinguishes NaNs and signed zeros."""
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().contiguous().view(kinds[tensor.element_size()])


def same(a, b):
    """Returns whether two tensors are bitwise equal and have the same type, shape and strides."""
    if (a.dtype, a.shape, a.stride()) != (b.dtype, b.shape, b.stride()):
        return False
    return bool(torch.equal(bits(a), bits(b)))


def run_fanin(folder, *arguments):
    """Runs `python -m fanin` with these arguments in `folder`. Returns the `CompletedProcess`."""
    command = [sys.executable, "-m", "fanin", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")


def outcome(call, seed=0):
    """Seeds torch and calls `call`. Returns the result, the error, the warnings, and the default generator's final state."""
    torch.manual_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, error = call(), None
        except Exception as raised:
            result, error = None, (type(raised), str(raised))
    return result, error, [(w.category, str(w.message)) for w in caught], torch.get_rng_state()


@pytest.fixture(autouse=True)
def torch_is_unpatched():
    """Checks after each test that no method of torch is patched, that no dispatch mode is active, and that gradients are enabled."""
    yield
    assert "normal_" not in torch.Tensor.__dict__ and "uniform_" not in torch.Tensor.__dict__
    assert torch._C._len_torch_dispatch_stack() == 0 and torch.is_grad_enabled()
