"""Functions that several tests use: `outcome` of a call, and `same` for a bitwise comparison of tensors."""

import os
import signal
import sys
import warnings
from pathlib import Path

# If these tests run as a background job of a shell, they ignore SIGINT. The programs that a test starts and interrupts would
# inherit this and ignore SIGINT too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests build models from configurations, without files. Model libraries must not try to download any.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Makes `import model_configs` work.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

import pytest
import torch


def bits(tensor):
    """Returns the bits of a tensor's values as integers, so that NaNs and signed zeros can be compared."""
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().contiguous().view(kinds[tensor.element_size()])


def same(a, b):
    """Returns whether two tensors are bitwise equal and have the same type, shape and strides."""
    if (a.dtype, a.shape, a.stride()) != (b.dtype, b.shape, b.stride()):
        return False
    return bool(torch.equal(bits(a), bits(b)))


def outcome(call, seed=0):
    """Calls `call` after seeding torch. Returns its result, its error, its warnings, and the state of the default generator."""
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
    """Checks, after each test, that no method of torch is still patched and that no mode is still on."""
    yield
    assert "normal_" not in torch.Tensor.__dict__ and "uniform_" not in torch.Tensor.__dict__
    assert torch._C._len_torch_dispatch_stack() == 0 and torch.is_grad_enabled()
