"""Defines the fills that `bench.py` measures, and the speedups over torch that fanin should reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

#: A shape with 2^24 values, which take 64 MiB as f32.
LARGE = (1 << 24,)


@dataclass(frozen=True)
class Case:
    """A fill that is measured: its name, shape, dtype and spec, and a function for each library."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    spec: str
    #: A function that fills a tensor. Its arguments are a module and the tensor. The module is torch.nn.init or
    #: fanin.torch.
    torch: Callable[[Any, Any], Any]
    #: The goals: the speedups over torch of the torch stream and of the native stream. None if there is no goal.
    goals: tuple[float | None, float | None] = (None, None)
    #: A function that returns a filled array. Its arguments are the module jax and a key. `bench.py` compiles the function with
    #: jax.jit. None if JAX does not have the distribution.
    jax: Callable[[Any, Any], Any] | None = None
    #: A function that fills an array. Its arguments are a generator and the array. None if NumPy does not have the distribution.
    numpy: Callable[[Any, Any], Any] | None = None
    #: The name of the distribution ("uniform" or "normal") if the other libraries of `peers.py` are also measured.
    peers: str | None = None
    #: The tolerance: the maximum absolute difference between torch and fanin. None means that values must be bitwise equal.
    tolerance: float | None = None

    @property
    def values(self) -> int:
        return math.prod(self.shape)


def uniform(dtype: str, shape=LARGE, goals=(None, None)) -> Case:
    return Case(
        f"uniform {dtype}",
        shape,
        dtype,
        "uniform",
        lambda init, w: init.uniform_(w),
        goals,
        jax=lambda jax, key: jax.random.uniform(key, shape, JAX[dtype](jax)),
        numpy=(lambda rng, w: rng.random(out=w, dtype=w.dtype)) if dtype in ("f32", "f64") else None,
        peers="uniform" if dtype == "f32" and shape == LARGE else None,
    )


def normal(dtype: str, shape=LARGE, goals=(None, None), name: str | None = None) -> Case:
    return Case(
        name or f"normal {dtype}",
        shape,
        dtype,
        "normal",
        lambda init, w: init.normal_(w),
        goals,
        jax=lambda jax, key: jax.random.normal(key, shape, JAX[dtype](jax)),
        numpy=(lambda rng, w: rng.standard_normal(out=w, dtype=w.dtype)) if dtype in ("f32", "f64") else None,
        peers="normal" if dtype == "f32" and shape == LARGE else None,
    )


def truncated(low: float, high: float, goals, dtype: str = "f32") -> Case:
    return Case(
        f"trunc_normal [{low:g}, {high:g}] {dtype}",
        LARGE,
        dtype,
        f"trunc_normal(a={low:g}, b={high:g})",
        lambda init, w: init.trunc_normal_(w, 0.0, 1.0, low, high),
        goals,
        jax=lambda jax, key: jax.random.truncated_normal(key, low, high, LARGE, JAX[dtype](jax)),
    )


JAX = {
    "f32": lambda jax: jax.numpy.float32,
    "f64": lambda jax: jax.numpy.float64,
    "f16": lambda jax: jax.numpy.float16,
    "bf16": lambda jax: jax.numpy.bfloat16,
}

SQUARE = (4096, 4096)

CASES = [
    uniform("f32", goals=(10, 15)),
    Case(
        "kaiming_uniform f32",
        SQUARE,
        "f32",
        "kaiming_uniform(a=sqrt(5))",
        lambda init, w: init.kaiming_uniform_(w, a=math.sqrt(5)),
        (10, 15),
        jax=lambda jax, key: jax.nn.initializers.he_uniform()(key, SQUARE),
    ),
    normal("f32", goals=(7, 10)),
    Case(
        "kaiming_normal f32",
        SQUARE,
        "f32",
        "kaiming_normal(nonlinearity=relu)",
        lambda init, w: init.kaiming_normal_(w, nonlinearity="relu"),
        (7, 10),
        jax=lambda jax, key: jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")(key, SQUARE),
    ),
    truncated(-2, 2, (50, 120)),
    truncated(2, 3, (40, 900)),
    uniform("bf16"),
    normal("bf16", goals=(8, 14)),
    uniform("f16"),
    normal("f16"),
    uniform("f64"),
    normal("f64", goals=(2, 8)),
    Case(
        "orthogonal 4096 x 4096 f32",
        SQUARE,
        "f32",
        "orthogonal",
        lambda init, w: init.orthogonal_(w),
        (1, 3),
        jax=lambda jax, key: jax.random.orthogonal(key, SQUARE[0]),
        tolerance=2e-5,
    ),
    Case(
        "sparse(0.9) 2048 x 2048 f32",
        (2048, 2048),
        "f32",
        "sparse(0.9)",
        lambda init, w: init.sparse_(w, 0.9),
        (10, 30),
    ),
    normal("f32", (16, 16), (1, 3), "normal 16 x 16 f32, one call"),
    Case("constant f32", LARGE, "f32", "constant(0.5)", lambda init, w: init.constant_(w, 0.5)),
    Case("eye 4096 x 4096 f32", SQUARE, "f32", "eye", lambda init, w: init.eye_(w)),
]

#: The numbers of values for the chart of speed by size, from 16 to 2^28 (1 GiB of f32).
SIZES = [1 << exponent for exponent in range(4, 29, 2)]


def sized(distribution: str, size: int) -> Case:
    return {"uniform": uniform, "normal": normal}[distribution]("f32", (size,))


#: The sizes that are measured with --quick.
QUICK = {"values": 1 << 18, "sizes": SIZES[:7], "square": 256}


def quick(case: Case) -> Case:
    """Returns the same fill with fewer values."""
    if case.values <= QUICK["values"]:
        return case
    side = QUICK["square"]
    shape = (QUICK["values"],) if len(case.shape) == 1 else (side, side)
    return Case(**{**case.__dict__, "shape": shape, "jax": None})
