"""torch.nn.init, sooner: the same names, signatures, errors, warnings and numbers.

>>> import torch
>>> import fanin.torch as init
>>> conv = torch.nn.Conv2d(64, 128, 3)
>>> _ = init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

Every function draws from torch's own generator (the default one, or `generator=`) and leaves it where torch would: any
mix of fanin's and torch's calls gives what torch alone gives, bit for bit. What fanin does not do better goes to torch
itself: tensors that are not dense CPU memory of float32, float64, float16 or bfloat16, subclasses, tracing, modes.

Fills take the threads that torch keeps for its own operations, where these are OpenMP's by GNU's names (Linux), and so as
many as `torch.set_num_threads` or OMP_NUM_THREADS says; torchrun, for one, says 1. Once this module is imported, so do
`fanin.fill` and what stands on it. Elsewhere, and for fills of 2^25 values and more, which Ctrl-C can end, there is a pool
with a thread for each core.

Ctrl-C ends a long fill within some hundredths of a second. The generator is then where it was before the call, and the
tensor holds old values and new ones.
"""

from torch.nn import init as _torch

from ._callables import fill_flat, init_method
from ._fast import fast_init
# "as" says to type checkers that a name is handed on: they do not follow torch's list.
from ._init import (
    _calculate_correct_fan as _calculate_correct_fan,
    _calculate_fan_in_and_fan_out as _calculate_fan_in_and_fan_out,
    calculate_gain as calculate_gain,
    constant as constant,
    constant_ as constant_,
    dirac as dirac,
    dirac_ as dirac_,
    eye as eye,
    eye_ as eye_,
    kaiming_normal as kaiming_normal,
    kaiming_normal_ as kaiming_normal_,
    kaiming_uniform as kaiming_uniform,
    kaiming_uniform_ as kaiming_uniform_,
    normal as normal,
    normal_ as normal_,
    ones_ as ones_,
    orthogonal as orthogonal,
    orthogonal_ as orthogonal_,
    sparse as sparse,
    sparse_ as sparse_,
    trunc_normal_ as trunc_normal_,
    uniform as uniform,
    uniform_ as uniform_,
    xavier_normal as xavier_normal,
    xavier_normal_ as xavier_normal_,
    xavier_uniform as xavier_uniform,
    xavier_uniform_ as xavier_uniform_,
    zeros_ as zeros_,
)
from ._module import init_module
from ._sharded import sharded_init

__all__ = [*_torch.__all__, "fast_init", "fill_flat", "init_method", "init_module", "sharded_init"]


def __getattr__(name: str):
    """What a newer torch.nn.init has beside these is torch's."""
    return getattr(_torch, name)
