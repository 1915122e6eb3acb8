"""An initializer for Keras 3 that takes its values from fanin's native stream. It works with every backend.

>>> import keras
>>> init = Initializer("he_normal(layout=kernel_in_out)", seed=0)
>>> layers = [keras.layers.Dense(4, kernel_initializer=init, name=name) for name in ("first", "second")]
>>> for layer in layers:
...     layer.build((None, 3))
>>> bool((layers[0].kernel == layers[1].kernel).any())
False
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras  # type: ignore[import-untyped, import-not-found, unused-ignore]
import numpy as np

from ._fanin import Initializer as _Spec
from ._fill import filled
from ._kernel_axes import check_axes

__all__ = ["Initializer"]


@keras.saving.register_keras_serializable(package="fanin", name="Initializer")
class Initializer(keras.initializers.Initializer):  # type: ignore[misc]
    """A Keras initializer that takes its values from fanin's native stream.

    The values depend on the spec, the seed, the shape, the dtype, and a name. By default, the name is the path of the
    variable, such as "sequential/dense/kernel". Each weight therefore has its own values, even if several layers share
    the initializer. A model that is cloned, or built again with the same layer names, has the same values again.

    Without explicit names, Keras calls layers "dense", "dense_1", and so on, in the order of their creation. Name the
    layers if the values must not depend on this order. If the initializer is called while Keras creates no variable,
    there is no path. Such calls use the names "weight", "weight:1", "weight:2", and so on.

    Parameters
    ----------
    spec
        A spec, or a `fanin.Initializer`. Keras kernels have the shape [..., in, out]. A scheme that uses fans therefore
        needs `layout=kernel_in_out`.
    seed
        The seed of the native stream.
    name
        The name to use instead of the variable's path. The first call uses this name. Further calls use `name:1`,
        `name:2`, and so on.

    Examples
    --------
    >>> init = Initializer("normal(std=0.02)", seed=1, name="w")
    >>> init.get_config()
    {'spec': 'normal(std=0.02)', 'seed': 1, 'name': 'w'}
    >>> import fanin
    >>> bool((np.asarray(init((3, 2))) == fanin.filled((3, 2), "normal(std=0.02)", seed=1, name="w")).all())
    True
    """

    def __init__(self, spec: str | _Spec, seed: int = 0, name: str | None = None):
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed = {seed!r}: must be an integer")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name = {name!r}: must be a text or None")
        self.spec = spec if isinstance(spec, _Spec) else _Spec(spec)
        check_axes(self.spec, "Keras", "fanin.filled")
        self.seed = seed
        self.name = name
        #: For each name: the variable of the last call, and the number of calls for this variable.
        self._calls: dict[str, tuple[Any, int]] = {}

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        """Returns a new tensor of the Keras backend with the shape and the dtype.

        `layout` is a `keras.distribution.TensorLayout` or, with the JAX backend, a sharding.
        """
        shape, dtype = tuple(shape), keras.backend.standardize_dtype(dtype)
        name = self._next_name()
        backend = keras.backend.backend()
        if backend == "jax":
            from .jax import initializer

            sharding = getattr(layout, "backend_layout", layout)
            return initializer(self.spec, seed=self.seed, name=name)(None, shape, dtype, out_sharding=sharding)
        if backend == "torch":
            import torch

            values: Any = filled(shape, self.spec, seed=self.seed, name=name, dtype=getattr(torch, dtype))
        else:
            kind = np.dtype(_ml_dtype(dtype)) if dtype.startswith(("bfloat", "float8")) else np.dtype(dtype)
            values = filled(shape, self.spec, seed=self.seed, name=name, dtype=kind)
        values = keras.ops.convert_to_tensor(values, dtype=dtype)
        return values if layout is None else keras.distribution.distribute_tensor(values, layout)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the initializer as a dict of JSON values."""
        return {"spec": str(self.spec), "seed": self.seed, "name": self.name}

    def _next_name(self) -> str:
        """Returns the tensor name for the current call. Each call for the same variable gets a different name."""
        variable = _variable() if self.name is None else None
        name = self.name or str(getattr(variable, "path", "weight"))
        # Keras may call an initializer several times for one variable, for example for the parts of a bias.
        last, count = self._calls.get(name, (variable, 0))
        count = count if last is variable else 0
        self._calls[name] = variable, count + 1
        return f"{name}:{count}" if count else name


def _variable() -> keras.Variable | None:
    """Returns the variable that Keras is creating, or None.

    Keras does not pass the variable to the initializer. This function finds the variable in the callers' stack frames.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.Variable):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _ml_dtype(name: str) -> Any:
    """Returns a dtype that NumPy itself does not have, such as bfloat16, from the package ml_dtypes."""
    import ml_dtypes

    return getattr(ml_dtypes, name)
