"""A faster torch.nn.init with the same names, signatures, errors, warnings and values.

>>> import torch
>>> import fanin.torch as init
>>> conv = torch.nn.Conv2d(64, 128, 3)
>>> _ = init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

Every function draws from a generator of torch: the argument `generator` if it is given, else the default generator. After the
call, the generator has the same state as after the same call of torch. Any mix of calls of fanin and torch therefore gives the
same values as calls of torch alone, bit for bit.

torch's bits depend on its release and on the CPU. At the first fill of a distribution and a type, fanin compares some values with
torch's. What differs is left to torch, and one warning lists it.

fanin passes calls that it does not support to torch. These include calls with a tensor that is not dense CPU memory of float32,
float64, float16 or bfloat16, or whose class is a subclass of Tensor other than Parameter. They also include calls that are
traced, and calls inside a mode of torch other than `with torch.device(...)`.

On Linux, fills use the OpenMP threads of torch (GNU's libgomp). `torch.set_num_threads` or OMP_NUM_THREADS sets the number of
these threads. torchrun, for example, sets OMP_NUM_THREADS to 1. After the import of this module, `fanin.fill` and the functions
that call `fanin.fill` use these threads too. On other systems, fanin uses its own pool, which has one thread for each core. It
also uses this pool for fills of 2^25 values or more, because Ctrl-C must be able to interrupt such long fills.

`trace_init` shows which initializer wrote each parameter of a model, from which line, and with which numbers.
`check_init` finds weights that nobody wrote, or that were drawn again after they were loaded; `assert_initialized` is for tests.
`assert_same_weights` compares two models bit for bit. `param_init` gives a recipe the form that torchtitan uses.
`probe` measures how signals and gradients pass through a model, and says what to change. `lsuv_` scales weights by measurement.
`verify`, `audit` and `inspect` check a module in memory, as the commands of these names check a file.
`coord_check` says whether outputs and updates keep their size when a model gets wider. `Monitor` measures during training.

Ctrl-C interrupts a long fill within some hundredths of a second. The generator then has the state that it had before the call.
Some elements of the tensor have new values, and the others keep their old values.
"""

from torch.nn import init as _torch

from ._fast_init import fast_init

# Type checkers treat a name that is imported "as" itself as part of this module. They cannot evaluate `__all__` below, because
# it is computed from torch's `__all__`.
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
from ._coord_check import CoordCheck, coord_check
from ._init_module import init_module
from ._lsuv import lsuv_
from ._manual_split import fill_flat, init_method
from ._module_analysis import audit, inspect, verify
from ._monitor import Monitor, MonitorRecord
from ._param_init import param_init
from ._probe import Probe, probe
from ._sharded import sharded_init
from ._same_weights import assert_same_weights
from .check import InitError, InitReport, assert_initialized, check_init
from .trace import InitTrace, trace_init

__all__ = [
    *_torch.__all__,
    "CoordCheck",
    "InitError",
    "InitReport",
    "InitTrace",
    "Monitor",
    "MonitorRecord",
    "Probe",
    "assert_initialized",
    "assert_same_weights",
    "audit",
    "check_init",
    "coord_check",
    "fast_init",
    "fill_flat",
    "init_method",
    "init_module",
    "lsuv_",
    "param_init",
    "probe",
    "inspect",
    "sharded_init",
    "trace_init",
    "verify",
]


def __getattr__(name: str):
    """Returns the attribute `name` of torch.nn.init, because later releases of torch may have functions that fanin lacks."""
    return getattr(_torch, name)
