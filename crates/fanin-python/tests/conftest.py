"""What the tests share: torch's answer to a call, and the comparison of two answers to the bit."""

import os
import signal
import warnings

# A shell's job in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Model libraries are to build from configurations, not to look for files.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch


def bits(tensor):
    """The values of a tensor as integers, in index order: NaNs and signed zeros count."""
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().contiguous().view(kinds[tensor.element_size()])


def same(a, b):
    """Whether two tensors are equal to the bit, in type, shape and strides too."""
    if (a.dtype, a.shape, a.stride()) != (b.dtype, b.shape, b.stride()):
        return False
    return bool(torch.equal(bits(a), bits(b)))


def outcome(call, seed=0):
    """What `call` does from a seed: its result or error, the warnings, the state of the default generator after."""
    torch.manual_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, error = call(), None
        except Exception as raised:
            result, error = None, (type(raised), str(raised))
    return result, error, [(w.category, str(w.message)) for w in caught], torch.get_rng_state()


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Each test leaves torch without doors and modes."""
    yield
    assert "normal_" not in torch.Tensor.__dict__ and "uniform_" not in torch.Tensor.__dict__
    assert torch._C._len_torch_dispatch_stack() == 0 and torch.is_grad_enabled()
