"""Draws values with the libraries that `bench.py` measures in addition to torch, NumPy and JAX."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable

#: The Rust libraries that `benches/peers/` calls. Maps the prefix of a function's name to the names of the crates.
CRATES = {"rand": "rand, rand_distr", "ndarray": "ndarray-rand", "candle": "candle-nn", "burn": "burn-nn"}

#: The names of the libraries that this module measures, in the order of the table of results.
PEERS = [*CRATES.values(), "torch.func._random", "Keras"]


def peers(distribution: str, array: Any) -> dict[str, Callable[[], Any]]:
    """Returns a dict from library names to functions. Each function draws `array.size` f32 values.

    `distribution` is "uniform" (on [0, 1)) or "normal" (standard normal). `rand` writes to `array`. The other libraries allocate new
    memory. A library that is not installed is left out.
    """
    calls: dict[str, Callable[[], Any]] = {}
    path = os.environ.get("FANIN_PEERS")
    if path:
        library = ctypes.CDLL(path)
        for name, crate in CRATES.items():
            function = getattr(library, f"{name}_{distribution}")
            function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_size_t], None
            calls[crate] = lambda function=function: function(array.ctypes.data, array.size)
    try:
        import torch.func._random as random

        key, fill = random.key(0), getattr(random, distribution)
        fill(key, 1)
        calls["torch.func._random"] = lambda: fill(key, array.size)
    except (ImportError, AttributeError, RuntimeError):
        pass
    try:
        import keras

        class_of = {"uniform": keras.initializers.RandomUniform, "normal": keras.initializers.RandomNormal}[distribution]
        initializer = class_of(0.0, 1.0, seed=0)

        def keras_fill() -> None:
            value = initializer((array.size,))
            getattr(value, "block_until_ready", lambda: None)()

        calls["Keras"] = keras_fill
    except ImportError:
        pass
    return calls
