"""Compares the distributions of two tensors by statistical tests."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The greatest number of values in `Moments.sample`.
_SAMPLE = 4096

#: The number of standard errors by which a statistic of two tensors may differ. The probability of a false alarm is
#: less than 1e-9 for each statistic.
_DEVIATIONS = 6.5

#: Geary's statistic is compared only for at least this many values. With fewer, its variance is too uncertain.
_MIN_GEARY = 256


#: The kurtosis and Geary's statistic of a large tensor are computed from a sample of about `_DETAILED` values. The
#: sample consists of `_RUNS` runs of consecutive values.
_DETAILED, _RUNS = 1 << 17, 64

#: The variance is computed in chunks of this number of values.
_CHUNK = 1 << 16


class Moments:
    """Statistics of a tensor's values, and a sample of the values."""

    def __init__(self, values: Tensor):
        values = values.reshape(-1)
        self.count = values.numel()
        wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
        self.low, self.high = (float(one) for one in torch.aminmax(wide)) if self.count else (0.0, 0.0)
        self.mean, self.variance, self.kurtosis = self.low, 0.0, 0.0
        #: Geary's statistic: the mean absolute deviation divided by the standard deviation. `geary_variance` is
        #: `detailed` times the variance of this statistic.
        self.geary, self.geary_variance = 0.0, 0.0
        #: The number of values from which the kurtosis and Geary's statistic were computed.
        self.detailed = self.count
        if self.is_constant:
            return
        self.mean = float(wide.mean())
        self.zeros = self.count - int(torch.count_nonzero(wide))
        self.sample = wide[:: max(1, self.count // _SAMPLE)][:_SAMPLE].sort().values
        # The chunks are so small that the differences from the mean stay in the cache of the CPU.
        self.variance = sum(_sum_of_squares(chunk - self.mean) for chunk in wide.split(_CHUNK)) / self.count
        if not self.variance**2:
            return
        part, variance = wide, self.variance
        if self.count > 2 * _DETAILED:
            runs = wide[: self.count // _RUNS * _RUNS].view(_RUNS, -1)[:, : _DETAILED // _RUNS].reshape(-1)
            found = float(runs.var(correction=0))
            # The sample `runs` is used only if its variance is close to the variance of the whole tensor. The variances
            # can differ, for example if most values are 0.
            if abs(found / variance - 1) < 0.02:
                part, variance = runs, found
        standardized = (part - float(part.mean())) / math.sqrt(variance)
        self.detailed = part.numel()
        # A lower bound of the kurtosis: the contribution of the farthest value. `part` may lack this value.
        farthest = max(self.high - self.mean, self.mean - self.low) ** 4 / self.variance**2 / self.count
        self.kurtosis = max(_sum_of_squares(standardized * standardized) / self.detailed, farthest)
        self.geary, self.geary_variance = _geary(standardized)

    @property
    def is_constant(self) -> bool:
        return self.low == self.high

    def __str__(self) -> str:
        if self.is_constant:
            return f"{self.low:.6g}"
        return f"mean {self.mean:.3g}, std {math.sqrt(self.variance):.4g}, range {self.low:.3g} to {self.high:.3g}"


def difference(a: Moments, b: Moments) -> str | None:
    """Returns the name of a statistic that differs between two tensors, such as "mean", or None if their distributions agree.

    Both tensors must have the same number of values.
    """
    if a.is_constant or b.is_constant:
        return None if (a.low, a.high) == (b.low, b.high) else "values"
    n = a.count
    pooled = (a.variance + b.variance) / 2
    if abs(a.mean - b.mean) > _DEVIATIONS * math.sqrt(2 * pooled / n):
        return "mean"
    # The logarithm of a sample variance has the variance (kurtosis - 1) / n. For n < 1000, the estimate of the kurtosis
    # is poor, so at least 3 is used, the kurtosis of a normal distribution.
    kurtosis = max(a.kurtosis, b.kurtosis, 3.0 if n < 1000 else 1.2)
    error = math.sqrt(2 * (kurtosis - 1) / n)
    if n >= 16 and abs(math.log(a.variance / b.variance)) > _DEVIATIONS * error:
        return "standard deviation"
    # Geary's statistic does not depend on the variance. It is 0.80 for a normal and 0.87 for a uniform distribution.
    error = math.sqrt(a.geary_variance / a.detailed + b.geary_variance / b.detailed)
    if n >= _MIN_GEARY and abs(a.geary - b.geary) > _DEVIATIONS * error:
        return "distribution"
    zeros = a.zeros + b.zeros
    if abs(a.zeros - b.zeros) > 5 * math.sqrt(zeros):
        return "number of zeros"
    if n >= 16 and _kolmogorov_smirnov(a.sample, b.sample):
        return "distribution"
    return None


def _sum_of_squares(values: Tensor) -> float:
    return float((values * values).sum())


def _geary(standardized: Tensor) -> tuple[float, float]:
    """Returns Geary's statistic of values with mean 0 and variance 1, and the statistic's variance times the number of values."""
    sizes = standardized.abs()
    result = float(sizes.mean())
    # The influence function of the statistic, up to a constant. A value x affects the statistic in three ways: by |x|,
    # through the standard deviation, and through the mean.
    influence = sizes - result / 2 * standardized.square() - float(standardized.sign().mean()) * standardized
    # The variance is 0 if all values are x or -x, so at least 0.02 is returned. A uniform distribution has 0.025.
    return result, max(float(influence.var(correction=0)), 0.02)


def _kolmogorov_smirnov(a: Tensor, b: Tensor) -> bool:
    """Returns whether a two-sample Kolmogorov-Smirnov test finds different distributions. Both samples must be sorted."""
    both = torch.cat([a, b])
    below_a = torch.searchsorted(a, both, right=True) / len(a)
    below_b = torch.searchsorted(b, both, right=True) / len(b)
    distance = float((below_a - below_b).abs().max())
    # For large samples of one distribution, the probability of a distance of at least d is about 2 exp(-2 d^2 m).
    m = len(a) * len(b) / (len(a) + len(b))
    return 2 * math.exp(-2 * distance**2 * m) < 1e-9
