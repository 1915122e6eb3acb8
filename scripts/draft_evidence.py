"""Summarizes the initial values of a tensor under several seeds, and compares two such summaries, for `draft_sweep.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: A list in a summary has at most this many values. From a longer list, a random sample is taken.
KEPT = 20_000

#: In a random tensor, up to this many elements may, by chance, have the same value under all seeds.
CHANCE = 3

#: A summary of a tensor uses at most about this many elements.
LARGEST = 200_000

#: The rows and the columns of a tensor form at most this many groups each. The std of each group is compared.
GROUPS = 8

#: The singular values of a matrix are compared only if its shorter side is at most this long.
LARGEST_SPECTRUM = 600


def evidence(samples: list[np.ndarray]) -> dict[str, Any]:
    """Returns a summary of a tensor. Elements that are the same under all seeds count as fixed.

    `samples` has the values of the tensor under each seed. `thinned` removes rows and columns of a large tensor.
    """
    samples = [thinned(np.asarray(one)).astype(np.float64) for one in samples]
    stack = np.stack([one.reshape(-1) for one in samples])
    shape = samples[0].shape
    fixed = (stack == stack[0]).all(axis=0)
    places = _places(stack.shape[1])
    found: dict[str, Any] = {"count": stack.shape[1], "fixed": int(fixed.sum())}
    found["places"] = places
    found["at_places"] = np.where(fixed[places], stack[0][places], np.nan)
    rows = fixed.reshape(shape[0], -1).all(axis=1) if shape and fixed.size else fixed
    found["fixed_rows"] = np.flatnonzero(rows)[:1000]
    if fixed.all():
        return found
    drawn = stack[:, ~fixed]
    found |= {"values": drawn.size, "mean": drawn.mean(), "std": drawn.std()}
    pooled = drawn.reshape(-1)
    found["sample"] = np.sort(pooled[_places(pooled.size)])
    found["extremes"] = (pooled.min(), pooled.max())
    if len(shape) >= 2:
        cube = stack.reshape(len(samples), shape[0], shape[1], -1)
        found["groups"] = [[_spread(part) for part in np.array_split(cube, min(GROUPS, shape[axis - 1]), axis=axis)] for axis in (1, 2)]
    if len(shape) == 2 and 2 <= min(shape) <= LARGEST_SPECTRUM and max(shape) <= 8 * LARGEST_SPECTRUM:
        singular = np.linalg.svd(stack[0].reshape(shape), compute_uv=False)
        found["condition"] = float(singular[0] / max(singular[-1], 1e-12))
    return found


def thinned(array: np.ndarray) -> np.ndarray:
    """Returns `array`, reduced to evenly spaced rows if it has more than `LARGEST` elements.

    If these rows still have more than `LARGEST` elements, they are reduced to evenly spaced columns.
    """
    for axis in range(min(array.ndim, 2)):
        step = min(-(-array.size // LARGEST), array.shape[axis])
        array = np.take(array, range(0, array.shape[axis], step), axis=axis) if step > 1 else array
    return array


def _places(count: int) -> np.ndarray:
    """Returns the indices of a sample from `count` elements: all indices, or `KEPT` random indices in ascending order."""
    if count <= KEPT:
        return np.arange(count)
    return np.sort(np.random.default_rng(count).choice(count, KEPT, replace=False))


def _spread(part: np.ndarray) -> tuple[float, int]:
    """Returns the standard deviation and the number of elements of an array."""
    return float(part.std()), part.size


def difference(real: dict[str, Any], draft: dict[str, Any]) -> str | None:
    """Compares two summaries from `evidence`. Returns a text that says how the tensors differ, or None.

    `real` summarizes the values that the model's code produces, and `draft` the values that the draft produces.
    """
    if real["count"] != draft["count"]:
        return f"{real['count']} values, not {draft['count']}"
    both = ~np.isnan(real["at_places"]) & ~np.isnan(draft["at_places"])
    # A random value may be the same under all seeds by chance.
    allowed = CHANCE if max(real["fixed"], draft["fixed"]) < real["count"] else 0
    unlike = int((np.isnan(real["at_places"]) != np.isnan(draft["at_places"])).sum())
    if max(unlike, abs(real["fixed"] - draft["fixed"])) > allowed:
        return f"{real['fixed']} of {real['count']} values do not depend on the seed, the draft has {draft['fixed']}"
    apart = both & ~np.isclose(real["at_places"], draft["at_places"], rtol=1e-5, atol=1e-9)
    if apart.sum() > allowed:
        first = np.flatnonzero(apart)[0]
        return f"{real['at_places'][first]:.6g}, the draft has {draft['at_places'][first]:.6g}"
    if not np.array_equal(real["fixed_rows"], draft["fixed_rows"]):
        return f"rows {list(real['fixed_rows'][:3])} do not depend on the seed, the draft has {list(draft['fixed_rows'][:3])}"
    if "std" not in real:
        return None
    return _drawn(real, draft)


def _without_outlier(one: dict[str, Any]) -> tuple[float, bool]:
    """Returns the standard deviation without outliers, and whether there are outliers.

    The smallest or the largest value is an outlier if it is more than 20 standard deviations from the mean. For
    example, timm's trunc_normal_(std=0.02) draws the bound -2 about once in 10 million values. The bound -2 is 100
    standard deviations from the mean.
    """
    variance, count = one["std"] ** 2, one["values"]
    far = [extreme - one["mean"] for extreme in one["extremes"] if abs(extreme - one["mean"]) > 20 * one["std"]]
    for distance in far:
        variance -= distance**2 / count
    return math.sqrt(max(variance, 0)), bool(far)


def _drawn(real: dict[str, Any], draft: dict[str, Any]) -> str | None:
    """Compares the random elements of two summaries of a tensor. Returns a text that says what differs, or None.

    These are compared: std, mean, distribution function, the std of groups of rows and columns, orthogonality.
    """
    (std, has_outlier), (drawn_std, _) = _without_outlier(real), _without_outlier(draft)
    if has_outlier:
        real = {**real, "std": std, "groups": ()}
    draft = {**draft, "std": drawn_std}
    if not _close(real["std"], real["values"], draft["std"], draft["values"]):
        return f"std {real['std']:.5g}, the draft has {draft['std']:.5g}"
    error = math.sqrt(real["std"] ** 2 / real["values"] + draft["std"] ** 2 / draft["values"])
    if abs(real["mean"] - draft["mean"]) > 6 * error:
        return f"mean {real['mean']:.5g}, the draft has {draft['mean']:.5g}"
    a, b = real["sample"], draft["sample"]
    points = np.concatenate([a, b])
    gap = np.abs(np.searchsorted(a, points, "right") / a.size - np.searchsorted(b, points, "right") / b.size).max()
    # For two samples of the same distribution, the Kolmogorov-Smirnov distance exceeds this bound with a probability of 3e-7.
    if gap > 2.8 * math.sqrt(1 / a.size + 1 / b.size):
        return f"the same std {real['std']:.5g}, another distribution: {gap:.3f} between the distribution functions"
    for axis, (left, right) in enumerate(zip(real.get("groups", ()), draft.get("groups", ()))):
        for number, ((std, count), (other, other_count)) in enumerate(zip(left, right)):
            if not _close(std, count, other, other_count):
                name = "rows" if axis == 0 else "columns"
                return f"std {std:.5g} in group {number} of the {name}, the draft has {other:.5g}"
    conditions = [one.get("condition", math.inf) < 1.001 for one in (real, draft)]
    if conditions[0] != conditions[1]:
        return "orthogonal" if conditions[0] else "not orthogonal, the draft is"
    return None


def _close(std: float, count: int, other: float, other_count: int) -> bool:
    """Returns whether two standard deviations differ by less than 6 standard errors, computed as for normal values."""
    if std == 0 or other == 0:
        return std == other
    return abs(math.log(std / other)) < 6 * math.sqrt(0.5 / count + 0.5 / other_count)
