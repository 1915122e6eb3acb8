"""Weight initialization for neural networks. The values do not depend on the number of threads or processes.

>>> import fanin
>>> import numpy as np
>>> w = fanin.fill(np.empty((256, 128), np.float32), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight")
>>> rows = fanin.fill(np.empty((2, 128), np.float32), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight",
...                   global_shape=(256, 128), start=(254, 0))
>>> bool((rows == w[254:]).all())
True

The functions that fill arrays use the *native stream*, a counter-based random stream. For a given spec, shape and dtype, a value
depends only on `seed`, on the `name` of the tensor, and on the index of the value in the tensor. The module `fanin.torch` replaces
torch.nn.init: its functions are faster and write the same values as torch. `import fanin` imports neither torch nor NumPy.

The functions `verify`, `audit`, `inspect` and `diff` check checkpoints and arrays, like the `fanin` commands of the same names.
"""

from ._analysis import audit, diff, inspect, verify
from ._fanin import Initializer, Plan, Planned, Recipe, __version__, manifest, models, write_checkpoint
from ._explain import explain
from ._fill import fill, filled, filled_like
from ._init_module import init_module
from ._schemes import (
    arange,
    blocks,
    constant,
    delta_orthogonal,
    dirac,
    exp,
    eye,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    idinit,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    linear_default,
    linear_default_bias,
    log,
    log_uniform,
    normal,
    ones,
    orthogonal,
    siren,
    siren_first,
    softplus_inverse,
    sparse,
    spectral,
    stacked,
    trunc_normal,
    trunc_normal_tf,
    uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zero_hadamard,
    zeros,
)

__all__ = [
    "Initializer",
    "Plan",
    "Planned",
    "Recipe",
    "__version__",
    "arange",
    "audit",
    "blocks",
    "constant",
    "delta_orthogonal",
    "diff",
    "dirac",
    "exp",
    "explain",
    "eye",
    "fill",
    "filled",
    "filled_like",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "idinit",
    "init_module",
    "inspect",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "linear_default",
    "linear_default_bias",
    "log",
    "log_uniform",
    "manifest",
    "models",
    "normal",
    "ones",
    "orthogonal",
    "siren",
    "siren_first",
    "softplus_inverse",
    "sparse",
    "spectral",
    "stacked",
    "trunc_normal",
    "trunc_normal_tf",
    "uniform",
    "variance_scaling",
    "verify",
    "write_checkpoint",
    "xavier_normal",
    "xavier_uniform",
    "zero_hadamard",
    "zeros",
]
