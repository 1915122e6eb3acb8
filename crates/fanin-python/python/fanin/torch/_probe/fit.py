"""Fits the slope of a curve along a model's depth.

The slope is the mean change of the curve's logarithm from one layer or block to the next.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

#: The 97.5 % quantiles of Student's t distribution for 1, 2, ... degrees of freedom.
_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def student_t(degrees: int) -> float:
    """Returns the 97.5 % quantile of Student's t distribution with this number of degrees of freedom."""
    return _QUANTILES[degrees - 1] if degrees <= len(_QUANTILES) else 1.96 + 2.55 / degrees


@dataclasses.dataclass
class Fit:
    """The slope of the signal or of the gradient along the depth of a model.

    The slope is the mean change of a logarithm from one layer or block to the next. For the signal, this is the
    logarithm of q, the mean square of a layer's output. For the gradient, it is the logarithm of P, the sum of squares
    of the gradient with respect to a layer's output. The changes of ln P are counted backwards, from each layer to the
    layer before it.

    The mean square p of the gradient is not used, because p also changes where feature maps become smaller. Between
    layers with equally many output values, P and p change by the same factor.

    If the changes are independent and have the same normal distribution, their mean is the maximum likelihood estimate.
    """

    slope: float
    #: The lower end of the 95 % confidence interval of the slope.
    low: float
    #: The upper end of the interval.
    high: float
    #: "seeds" if the confidence interval comes from the slopes of several seeds. "steps" if it comes from the changes between
    #: neighbouring layers or blocks.
    interval: str
    #: The number of layers or blocks.
    depth: int
    #: The smallest and the largest slope fitted to a single input of the batch. None if the inputs were not measured separately.
    inputs: tuple[float, float] | None = None
    #: The slope that mean-field theory predicts, or None.
    theory: float | None = None

    @property
    def total(self) -> float:
        """The change of the curve's logarithm over the whole depth: the slope times (depth - 1)."""
        return self.slope * (self.depth - 1)


def fit(curves: Sequence[Sequence[float]]) -> Fit | None:
    """Returns the slope of the logarithm of a curve, averaged over seeds. `curves` has one curve for each seed.

    Returns None if any value is 0, negative or not finite, or if each curve has fewer than two values.
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

