"""Fits the power law rms = c * width^a, and computes a confidence interval for the exponent a. rms is a root mean square."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from .._probe.fit import student_t


@dataclasses.dataclass(frozen=True)
class Slope:
    """The exponent a of the power law rms = c * width^a, with a confidence interval. rms is a root mean square."""

    value: float
    #: The lower end of the 95 % confidence interval. With several seeds, the interval is computed from the spread of
    #: their slopes. With one seed, it is computed from the residuals of the fit. With one seed and two widths, the
    #: interval is infinite.
    low: float
    #: The upper end of the interval.
    high: float


def slope(widths: Sequence[int], sizes: Sequence[Sequence[float]]) -> Slope | None:
    """Returns the exponent a of the power law rms = c * width^a, with a confidence interval.

    For each seed, the slope of ln(rms) against ln(width) is fitted by least squares. The exponent is the mean of the
    slopes. Returns None if an rms is 0. If an rms is not finite, the exponent is infinite.

    Parameters
    ----------
    widths
        At least two different widths.
    sizes
        `sizes[w][s]` is the rms (root mean square) for the width `widths[w]` and the seed of index s.
    """
    flat = [one for row in sizes for one in row]
    if not all(map(math.isfinite, flat)):
        return Slope(math.inf, math.inf, math.inf)
    if not all(flat):
        return None
    x = [math.log(one) for one in widths]
    curves = [[math.log(row[seed]) for row in sizes] for seed in range(len(sizes[0]))]
    lines = [statistics.linear_regression(x, curve) for curve in curves]
    values = [line.slope for line in lines]
    mean = statistics.fmean(values)
    if len(values) > 1:
        half = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    elif len(x) > 2:
        errors = [y - (lines[0].intercept + lines[0].slope * one) for one, y in zip(x, curves[0])]
        spread = math.sqrt(sum(one * one for one in errors) / (len(x) - 2))
        half = student_t(len(x) - 2) * spread / math.sqrt(sum((one - statistics.fmean(x)) ** 2 for one in x))
    else:
        half = math.inf
    return Slope(mean, mean - half, mean + half)
