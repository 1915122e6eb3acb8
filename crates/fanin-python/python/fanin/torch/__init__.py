"""torch.nn.init, sooner: the same names, signatures, errors, warnings and numbers.

>>> import torch
>>> import fanin.torch as init
>>> conv = torch.nn.Conv2d(64, 128, 3)
>>> _ = init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

Every function draws from torch's own generator (the default one, or `generator=`) and leaves it where torch would: any
mix of fanin's and torch's calls gives what torch alone gives, bit for bit. What fanin does not do better goes to torch
itself: tensors that are not dense CPU memory of float32, float64, float16 or bfloat16, subclasses, tracing, modes.

Ctrl-C ends a long fill within some hundredths of a second. The generator is then where it was before the call, and the
tensor holds old values and new ones.
"""

from torch.nn import init as _torch

from ._callables import fill_flat, init_method
from ._fast import fast_init
from ._init import (
    _calculate_correct_fan,
    _calculate_fan_in_and_fan_out,
    calculate_gain,
    constant,
    constant_,
    dirac,
    dirac_,
    eye,
    eye_,
    kaiming_normal,
    kaiming_normal_,
    kaiming_uniform,
    kaiming_uniform_,
    normal,
    normal_,
    ones_,
    orthogonal,
    orthogonal_,
    sparse,
    sparse_,
    trunc_normal_,
    uniform,
    uniform_,
    xavier_normal,
    xavier_normal_,
    xavier_uniform,
    xavier_uniform_,
    zeros_,
)
from ._module import init_module
from ._sharded import sharded_init

__all__ = ["fast_init", "fill_flat", "init_method", "init_module", "sharded_init"]
# So written, type checkers see the names that come from torch's list.
__all__ += _torch.__all__


def __getattr__(name: str):
    """What a newer torch.nn.init has beside these is torch's."""
    return getattr(_torch, name)
