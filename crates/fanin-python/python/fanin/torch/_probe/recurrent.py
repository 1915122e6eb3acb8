"""Measures how the gradient changes along the time steps of torch.nn.RNN, LSTM and GRU.

These modules compute all time steps in one call, so hooks cannot observe a single step. The steps are computed again here, in f64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .records import Recurrence

#: `measure` uses at most the first STEPS time steps, and the first INPUTS inputs of the batch.
STEPS, INPUTS = 64, 8


def measure(module: nn.RNNBase, name: str, inputs: list[Tensor]) -> list[Recurrence]:
    """Measures how the gradient changes along the time steps of each layer of a recurrent module.

    In a bidirectional module, only the forward direction of the first layer is measured. For each layer, autograd
    differentiates a random projection of the layer's last hidden state with respect to the states of all time steps. So
    the gradient does not depend on the loss or on later layers. Packed or unbatched sequences, fewer than 3 steps, and
    modules with `proj_size` are not measured.
    """
    if not inputs or inputs[0].dim() != 3 or module.proj_size:
        return []
    signal = inputs[0].detach().double()
    signal = (signal.transpose(0, 1) if module.batch_first else signal)[:STEPS, :INPUTS]
    if len(signal) < 3 or not signal.shape[1]:
        return []
    found = []
    for layer in range(module.num_layers):
        signal, gradients = _steps(module, layer, signal)
        first, last = gradients[0], gradients[-1]
        if not (last > 0 and math.isfinite(last) and math.isfinite(first)):
            break
        slope = math.log(max(first, 1e-300) / last) / (len(gradients) - 1)
        found.append(Recurrence(name, layer, len(gradients), slope))
        signal = signal.detach()
        # The next layer of a bidirectional module also reads the backward direction, which is not computed here.
        if module.bidirectional:
            break
    return found


def _steps(module: nn.RNNBase, layer: int, signal: Tensor) -> tuple[Tensor, list[float]]:
    """Returns the hidden states of all time steps, and the mean square of each state's gradient.

    For an LSTM, the mean squares for the hidden state and the cell state are added.
    """
    names = (f"{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    weights = [getattr(module, one).detach().double() for one in names if hasattr(module, one)]
    cells = {"LSTM": torch.lstm_cell, "GRU": torch.gru_cell, "RNN_TANH": torch.rnn_tanh_cell, "RNN_RELU": torch.rnn_relu_cell}
    cell = cells[module.mode]
    with torch.enable_grad():
        state = signal.new_zeros(signal.shape[1], module.hidden_size).requires_grad_()
        parts = (state, torch.zeros_like(state)) if module.mode == "LSTM" else (state,)
        states = []
        for step in signal:
            after = cell(step, list(parts) if len(parts) > 1 else parts[0], *weights)  # type: ignore[operator]
            parts = after if isinstance(after, tuple) else (after,)
            states.append(parts)
        noise = torch.randn(states[-1][0].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        objective = (states[-1][0] * noise.to(signal.device)).sum()
        gradients = torch.autograd.grad(objective, [part for one in states for part in one], allow_unused=True)
    squares = [0.0 if one is None else float(one.square().mean()) for one in gradients]
    count = len(states[0])
    sums = [sum(squares[start : start + count]) for start in range(0, len(squares), count)]
    return torch.stack([one[0] for one in states]), sums
