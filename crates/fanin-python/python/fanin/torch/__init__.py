"""Faster torch.nn.init: the same names, signatures, errors, warnings and values.

>>> import torch
>>> import fanin.torch as init
>>> conv = torch.nn.Conv2d(64, 128, 3)
>>> _ = init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

Every function draws from torch's own generator (the default one, or `generator=`) and leaves it in the state in which torch
would leave it. Any mix of calls of fanin and torch gives the same values as torch alone, bit for bit. Calls that fanin does
not speed up are passed to torch: tensors that are not dense CPU memory of float32, float64, float16 or bfloat16, subclasses
of Tensor, tracing, and modes.

On Linux, fills use the OpenMP threads of torch (GNU's libgomp), as many as `torch.set_num_threads` or OMP_NUM_THREADS
says; torchrun, for example, sets 1. Once this module is imported, `fanin.fill` and the functions that call it use them too.
On other systems, and for fills of 2^25 values or more, which Ctrl-C can interrupt, a pool with one thread for each core is
used.

Ctrl-C interrupts a long fill within some hundredths of a second. The generator then has the state from before the call, and
the tensor holds old and new values.
"""

from torch.nn import init as _torch

from ._fast_init import fast_init

# "as" marks the names as re-exported for type checkers, which cannot read torch's __all__.
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
from ._init_module import init_module
from ._manual_split import fill_flat, init_method
from ._sharded_init import sharded_init

__all__ = [*_torch.__all__, "fast_init", "fill_flat", "init_method", "init_module", "sharded_init"]


def __getattr__(name: str):
    """Returns torch's own function for a name that a newer torch.nn.init adds."""
    return getattr(_torch, name)
