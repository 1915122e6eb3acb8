"""A faster replacement for torch.nn.init, with the same names, signatures, errors, warnings and values.

>>> import torch
>>> import fanin.torch as init
>>> conv = torch.nn.Conv2d(64, 128, 3)
>>> _ = init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

Every random function draws from the torch generator that is passed as `generator`, or else from torch's default
generator. The values are bit-identical to the values of torch alone. After a call, the generator has the same state as
after the same call of torch. Calls of fanin and torch can therefore be mixed in any order.

torch's values depend on torch's release and on the CPU. When a distribution is first used with a dtype, fanin compares
some values with torch's. If they differ, torch performs all fills with this distribution and dtype. A warning then
names the distribution and the dtype.

fanin fills dense CPU tensors of float32, float64, float16 and bfloat16 whose class is Tensor or Parameter. All other
calls are passed to torch. So is every call that torch traces or compiles, and every call inside a torch mode other than
`with torch.device(...)`.

On Linux, fills use torch's OpenMP threads (GNU's libgomp). `torch.set_num_threads` or OMP_NUM_THREADS sets the number
of these threads. torchrun, for example, sets OMP_NUM_THREADS to 1. After the import of this module, `fanin.fill` and
the functions that call `fanin.fill` use these threads too. On other systems, fanin uses its own thread pool, with one
thread for each core. Fills of 2^25 values or more use fanin's own pool on Linux too, so that Ctrl-C can interrupt them.

- `trace_init` shows which initializer wrote each parameter of a model, and the line and the arguments of the call.
- `check_init` finds weights that no code has initialized, and loaded weights that random values have overwritten.
- `assert_initialized` raises an error if `check_init` finds such weights, for use in tests.
- `assert_same_weights` compares the weights of two models bit for bit.
- `param_init` converts a recipe to the form that torchtitan uses.
- `probe` measures how signals and gradients pass through a model, and says what to change.
- `lsuv_` scales weights so that each layer's measured output has variance 1.
- `verify`, `audit` and `inspect` check a module in memory. The `fanin` commands of the same names check a file.
- `manifest` lists the names, dtypes and shapes of a module's tensors, also on the meta device.
- `coord_check` tests whether the magnitude of outputs and updates depends on the width of a model.
- `Monitor` measures activations, gradients and updates during training.

Ctrl-C interrupts a long fill within a few hundredths of a second. Some elements of the tensor then have new values, and
the others keep their old values. The generator has its state from before the call. There are two exceptions. If Ctrl-C
interrupts the matrix factorization of `orthogonal_`, the tensor is unchanged, and the generator has advanced. If Ctrl-C
interrupts deferred fills (see `fast_init`), the generator has its state from after all of these fills.
"""

from torch.nn import init as _torch

from ._fast_init import fast_init

# `import x as x` makes `x` public for type checkers. They cannot evaluate `__all__`, which contains torch's `__all__`.
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
from ._manifest import manifest
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
    "manifest",
    "param_init",
    "probe",
    "inspect",
    "sharded_init",
    "trace_init",
    "verify",
]


def __getattr__(name: str):
    """Returns the attribute `name` of torch.nn.init. Later releases of torch may have functions that this module lacks."""
    return getattr(_torch, name)
