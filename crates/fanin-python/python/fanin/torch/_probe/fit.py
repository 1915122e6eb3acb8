"""Fits along the depth: the slope of ln q and of ln P, with an interval."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

#: The 97.5 % quantiles of Student's t distribution for 1, 2, ... degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def student_t(degrees: int) -> float:
    """Returns the 97.5 % quantile of Student's t distribution."""
    return _T[degrees - 1] if degrees <= len(_T) else 1.96 + 2.55 / degrees


@dataclasses.dataclass
class Fit:
    """The change of ln q, or of ln P, in one step of depth. Steps are in the direction of the signal, or of the gradient.

    q is the mean square of the signal. P is the sum of squares of the gradient over the values of a layer: unlike the mean p, it
    does not change where feature maps become smaller. Between layers of equal size, both change by the same factor.

    The slope is the mean of the changes between neighbours. For a product of independent factors, this is the estimate of
    maximum likelihood.
    """

    slope: float
    #: A 95 % interval of the slope.
    low: float
    high: float
    #: What the interval is over: "seeds" or "steps".
    interval: str
    #: The number of layers or blocks.
    depth: int
    #: The least and the greatest slope of a single input, or None if they were not measured.
    inputs: tuple[float, float] | None = None
    #: The slope that theory predicts, or None.
    theory: float | None = None

    @property
    def total(self) -> float:
        """The change of the logarithm over the whole depth."""
        return self.slope * self.depth


def fit(curves: Sequence[Sequence[float]]) -> Fit | None:
    """Returns the slope of ln(curve), or None if a value is not positive and finite, or if there are fewer than two points.

    There is one curve for each seed.
    """
    depth = len(curves[0])
    if depth < 2 or not all(0 < value < math.inf for curve in curves for value in curve):
        return None
    changes = [[math.log(after) - math.log(before) for before, after in zip(curve, curve[1:])] for curve in curves]
    if len(curves) > 1:
        slopes = [statistics.fmean(one) for one in changes]
        return _interval(slopes, "seeds", depth)
    return _interval(changes[0], "steps", depth)


def _interval(values: list[float], over: str, depth: int) -> Fit:
    slope = statistics.fmean(values)
    if len(values) < 2:
        return Fit(slope, -math.inf, math.inf, over, depth)
    half = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Fit(slope, slope - half, slope + half, over, depth)

