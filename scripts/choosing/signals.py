"""Measures the signal and its gradient at the layers of a network before training."""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor, nn

from experiments import Experiment
from fanin.torch._measure import Call, moments, observed

#: The bounds to which the ratio of two mean squares is clamped. The bounds are inside the range of f32, which ends at about 3e38.
LEAST, GREATEST = 1e-30, 1e30


def curves(experiment: Experiment, model: nn.Module, inputs: Tensor, seed: int) -> tuple[list[float], list[float]]:
    """Returns the mean squares of the outputs of the layers `experiment.points`, and of the gradients with respect to these outputs.

    The network's output is multiplied by random numbers and summed. The gradient is the gradient of this sum. The mean squares of
    the outputs are divided by the one at the first layer of `experiment.points`, and those of the gradients by the one at the last
    layer.
    """
    wanted = set(experiment.points)
    q: dict[str, float] = {}
    p: dict[str, float] = {}

    def see(call: Call, _: list[Tensor], outputs: list[Tensor]) -> None:
        if call.label in wanted:
            # `nn.LSTMCell` returns the hidden state and the cell state. The cell state is measured.
            output = outputs[-1]
            q[call.label] = moments(output).q
            output.register_hook(lambda gradient: p.__setitem__(call.label, moments(gradient).q))

    with observed(model, see):
        output = model(inputs)
    numbers = torch.Generator().manual_seed(seed)
    (output * torch.randn(output.shape, generator=numbers)).sum().backward()
    signal, gradient = ([one[label] for label in experiment.points] for one in (q, p))
    return [_ratio(one, signal[0]) for one in signal], [_ratio(one, gradient[-1]) for one in gradient]


def _ratio(value: float, start: float) -> float:
    if not math.isfinite(value):
        return GREATEST
    return min(max(value / start, LEAST), GREATEST) if start else LEAST


def mean_curve(curves: list[list[float]]) -> list[float]:
    """Returns the geometric mean of curves at each point, rounded to three digits."""
    return [float(f"{statistics.geometric_mean(one):.3g}") for one in zip(*curves)]
