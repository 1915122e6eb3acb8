"""Measures the signal and its gradient at the layers of a network before training."""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor, nn

from experiments import Experiment
from fanin.torch._measure import Call, moments, observed

#: Ratios of two mean squares are clamped to these bounds. They are inside the range of f32.
LEAST, GREATEST = 1e-30, 1e30


def curves(experiment: Experiment, model: nn.Module, inputs: Tensor, seed: int) -> tuple[list[float], list[float]]:
    """Returns the signal and the gradient at each layer of `experiment.points`.

    The signal is the mean square of a layer's output, divided by its value at the first layer. The gradient is the mean
    square of the gradient with respect to this output, divided by its value at the last layer. The backward pass starts
    with random gradients at the output of the network.
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
