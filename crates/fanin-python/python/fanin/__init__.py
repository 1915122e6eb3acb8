"""Weight initialization for neural networks: any split, the same weights.

>>> import fanin
>>> import numpy as np
>>> w = fanin.fill(np.empty((256, 128), np.float32), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight")
>>> rows = fanin.fill(np.empty((2, 128), np.float32), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight",
...                   whole=(256, 128), start=(254, 0))
>>> bool((rows == w[254:]).all())
True

On the native stream the value at an index of the tensor called `name` under `seed` depends on these alone. `fanin.torch`
is torch.nn.init with torch's numbers; torch is imported by it alone, NumPy by the functions that make arrays.
"""

from ._beyond import (
    blocks,
    delta_orthogonal,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    idinit,
    lecun_normal,
    lecun_uniform,
    linear_default,
    linear_default_bias,
    siren,
    siren_first,
    spectral,
    stacked,
    trunc_normal_tf,
    variance_scaling,
    zero_hadamard,
)
from ._fanin import Initializer, Plan, Planned, Recipe, __version__, manifest, models, write_checkpoint
from ._explain import explain
from ._fill import fill, filled, filled_like
from ._module import init_module
from ._schemes import (
    constant,
    dirac,
    eye,
    kaiming_normal,
    kaiming_uniform,
    normal,
    ones,
    orthogonal,
    sparse,
    trunc_normal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)

__all__ = [
    "Initializer",
    "Plan",
    "Planned",
    "Recipe",
    "__version__",
    "blocks",
    "constant",
    "delta_orthogonal",
    "dirac",
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
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "linear_default",
    "linear_default_bias",
    "manifest",
    "models",
    "normal",
    "ones",
    "orthogonal",
    "siren",
    "siren_first",
    "sparse",
    "spectral",
    "stacked",
    "trunc_normal",
    "trunc_normal_tf",
    "uniform",
    "variance_scaling",
    "write_checkpoint",
    "xavier_normal",
    "xavier_uniform",
    "zero_hadamard",
    "zeros",
]
