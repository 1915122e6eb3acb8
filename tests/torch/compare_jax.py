"""Compares the distributions of fanin's variance scaling schemes with those of JAX and Keras.

The libraries use other random generators than fanin, so only the distributions of the values can be compared. For each
scheme, shape and axis layout, fanin and the library each draw about 10^6 values. There are three comparisons:
- Both standard deviations must be within 0.5 % of `init.resolve(shape).std`, the planned standard deviation. The
  standard error is 0.07 %.
- The largest values must agree within 0.2 %, except for the normal and truncated normal cases of `variance_scaling`.
- A two-sample Kolmogorov-Smirnov test must pass. Its false-alarm rate is 10^-6.
"""

from __future__ import annotations

import math
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import keras
import numpy as np

import fanin

DENSE, CONV = (1000, 1000), (3, 3, 250, 450)
failures = 0


def compare(name: str, ours: np.ndarray, reference: np.ndarray, planned: float) -> None:
    """Compares the values of fanin with those of a library, and prints the result. `planned` is the planned standard deviation."""
    global failures
    ours, reference = np.sort(ours.ravel().astype(np.float64)), np.sort(np.asarray(reference, np.float64).ravel())
    wrong = []
    for side, values in (("fanin", ours), ("reference", reference)):
        std = math.sqrt(float((values**2).mean()))
        if abs(std / planned - 1) > 5e-3:
            wrong.append(f"std of {side} {std:.6g}, planned {planned:.6g}")
    grid = np.concatenate([ours, reference])
    distance = np.abs(
        np.searchsorted(ours, grid, "right") / len(ours) - np.searchsorted(reference, grid, "right") / len(reference)
    ).max()
    n = len(ours) * len(reference) / (len(ours) + len(reference))
    if distance > math.sqrt(math.log(2 / 1e-6) / 2 / n):
        wrong.append(f"Kolmogorov-Smirnov distance {distance:.5f}")
    # The largest values of a bounded distribution are near its bound. The largest values of an unbounded distribution
    # are random, so they are not compared.
    if abs(ours[-1] / reference[-1] - 1) > 2e-3 and "untruncated" not in name and "normal)" not in name:
        wrong.append(f"largest value {ours[-1]:.6g}, reference {reference[-1]:.6g}")
    failures += bool(wrong)
    print(f"{'WRONG' if wrong else 'good '} {name:60} {'; '.join(wrong)}")


def main() -> int:
    global failures
    jnn, kin = jax.nn.initializers, keras.initializers
    key = jax.random.key(7)
    for shape in (DENSE, CONV):
        for name in ("lecun_uniform", "lecun_normal", "he_uniform", "he_normal", "glorot_uniform", "glorot_normal"):
            init = fanin.Initializer(f"{name}(layout=kernel_in_out)")
            ours, planned = fanin.filled(shape, init, seed=1, name="w"), init.resolve(shape).std
            compare(f"jax {name} {shape}", ours, getattr(jnn, name)()(key, shape), planned)
            camel = "".join(part.capitalize() for part in name.split("_"))
            compare(f"keras {name} {shape}", ours, getattr(kin, camel)(seed=3)(shape), planned)
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"):
            for distribution in ("truncated_normal", "normal", "uniform"):
                spec = f"variance_scaling(0.7, {mode}, {distribution}, kernel_in_out)"
                init = fanin.Initializer(spec)
                ours, planned = fanin.filled(shape, init, seed=2, name="w"), init.resolve(shape).std
                reference = jnn.variance_scaling(0.7, mode, distribution)(key, shape)
                compare(f"jax {mode} {shape} ({distribution})", ours, reference, planned)
                if mode != "fan_geo_avg":
                    other = {"normal": "untruncated_normal"}.get(distribution, distribution)
                    reference = kin.VarianceScaling(0.7, mode, other, seed=5)(shape)
                    compare(f"keras {mode} {shape} ({other})", ours, reference, planned)
    # A stack of experts: the first axis must not count in the fans. JAX excludes this axis by `batch_axis`, and fanin
    # by the letter `e` of `layout`.
    shape = (4, 500, 500)
    init = fanin.Initializer("lecun_normal(layout=eio)")
    ours = fanin.filled(shape, init, seed=1, name="w")
    compare("jax batch axis", ours, jnn.lecun_normal(batch_axis=0)(key, shape), init.resolve(shape).std)
    compare("stacked", fanin.filled(shape, "stacked(lecun_normal(layout=in_out))", seed=1, name="w"), ours, init.resolve(shape).std)
    # Only `w[1, 1]`, the matrix at the middle kernel position, is non-zero. Its rows must be orthonormal, because its
    # shape is [in, out] with in < out.
    for side, w in (
        ("fanin", fanin.filled((3, 3, 40, 60), "delta_orthogonal(layout=kernel_in_out)", seed=1)),
        ("jax", np.asarray(jnn.delta_orthogonal()(key, (3, 3, 40, 60)))),
    ):
        gram = w[1, 1] @ w[1, 1].T
        good = np.count_nonzero(w) == 40 * 60 and abs(gram - np.eye(40)).max() < 1e-5
        print(f"{'good ' if good else 'WRONG'} delta_orthogonal, {side}")
        failures += not good
    print(f"{failures} wrong")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
