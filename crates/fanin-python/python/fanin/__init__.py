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

from ._fanin import Initializer, Plan, Planned, Recipe, __version__, manifest, models, write_checkpoint
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
    "constant",
    "dirac",
    "eye",
    "fill",
    "filled",
    "filled_like",
    "init_module",
    "kaiming_normal",
    "kaiming_uniform",
    "manifest",
    "models",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "write_checkpoint",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
