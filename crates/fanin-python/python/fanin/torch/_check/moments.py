"""Compares the distributions of a tensor that was built in two ways."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The largest number of values of which a sample has copies.
_SAMPLE = 4096

#: The number of standard errors by which two statistics must differ. The rate of false alarms is below 1e-9 for each test.
_DEVIATIONS = 6.5


class Moments:
    """Statistics of a tensor's values, and a sample of them."""

    def __init__(self, values: Tensor):
        values = values.reshape(-1)
        self.count = values.numel()
        wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
        self.low, self.high = (float(one) for one in torch.aminmax(wide)) if self.count else (0.0, 0.0)
        self.mean = float(wide.mean()) if self.count else 0.0
        centred = wide - self.mean
        self.variance = float((centred * centred).mean()) if self.count else 0.0
        fourth = float((centred**4).mean()) if self.variance else 0.0
        self.kurtosis = fourth / self.variance**2 if self.variance**2 else 0.0
        self.zeros = int((wide == 0).sum())
        self.sample = wide[:: max(1, self.count // _SAMPLE)][:_SAMPLE].sort().values.clone()

    @property
    def is_constant(self) -> bool:
        return self.low == self.high

    def __str__(self) -> str:
        if self.is_constant:
            return f"{self.low:.6g}"
        return f"mean {self.mean:.3g}, std {math.sqrt(self.variance):.4g}, range {self.low:.3g} to {self.high:.3g}"


def difference(a: Moments, b: Moments) -> str | None:
    """Returns what differs between two distributions, or None if they agree. Both have the same number of values."""
    if a.is_constant or b.is_constant:
        return None if (a.low, a.high) == (b.low, b.high) else "values"
    n = a.count
    pooled = (a.variance + b.variance) / 2
    if abs(a.mean - b.mean) > _DEVIATIONS * math.sqrt(2 * pooled / n):
        return "mean"
    # The variance of the logarithm of a sample variance is (kurtosis - 1) / n. Few values estimate the kurtosis badly.
    kurtosis = max(a.kurtosis, b.kurtosis, 3.0 if n < 1000 else 1.2)
    error = math.sqrt(2 * (kurtosis - 1) / n)
    if n >= 16 and abs(math.log(a.variance / b.variance)) > _DEVIATIONS * error:
        return "standard deviation"
    zeros = a.zeros + b.zeros
    if abs(a.zeros - b.zeros) > 5 * math.sqrt(zeros):
        return "number of zeros"
    if n >= 16 and _kolmogorov_smirnov(a.sample, b.sample):
        return "distribution"
    return None


def _kolmogorov_smirnov(a: Tensor, b: Tensor) -> bool:
    """Returns whether a two-sample test finds different distributions. Both samples are sorted."""
    both = torch.cat([a, b])
    below_a = torch.searchsorted(a, both, right=True) / len(a)
    below_b = torch.searchsorted(b, both, right=True) / len(b)
    distance = float((below_a - below_b).abs().max())
    # The limit of the Kolmogorov distribution gives 2 exp(-2 d^2 m) for the rate of false alarms, which is 1e-9 here.
    m = len(a) * len(b) / (len(a) + len(b))
    return 2 * math.exp(-2 * distance**2 * m) < 1e-9
