"""Mean cosines between the outputs of a layer: for pairs of inputs, and for pairs of tokens of the same input.

These cosines approach 1 when a model's outputs no longer depend on its inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mean_cosine(vectors: Tensor) -> float | None:
    """Returns the mean cosine over all pairs of vectors of the same group. None if there is no pair.

    `vectors` has the shape [groups, vectors, features]. A cosine with a vector that is 0 counts as 0. For n unit
    vectors u_i, the cosines of all ordered pairs add up to |sum u_i|^2 - n, so pairs need not be computed one by one.
    """
    groups, count, features = vectors.shape
    if count < 2 or not groups or not features:
        return None
    vectors = vectors.detach()
    if vectors.dtype not in (torch.float32, torch.float64):
        vectors = vectors.float()
    norms = torch.linalg.vector_norm(vectors, dim=2)
    weights = torch.where(norms > 0, 1 / norms, torch.zeros_like(norms))
    sums = torch.bmm(weights.unsqueeze(1), vectors).squeeze(1).double()
    pairs = (sums.square().sum(1) - (norms > 0).sum(1)) / (count * (count - 1))
    return max(-1.0, min(1.0, float(pairs.mean())))


def of_inputs(tensor: Tensor, batch: int | None) -> float | None:
    """Returns the mean cosine between a layer's outputs for two inputs, over all pairs of inputs.

    Returns None if axis 0 is not the batch axis.
    """
    if not batch or tensor.dim() < 2 or tensor.shape[0] != batch:
        return None
    return mean_cosine(tensor.reshape(1, batch, -1))


def of_tokens(tensor: Tensor, unit_axis: int, batch: int | None) -> float | None:
    """Returns the mean cosine between a layer's outputs for two tokens of the same input, over all such pairs.

    The tensor must have the shape [batch, tokens, features]. Otherwise the result is None.
    """
    if not batch or tensor.dim() != 3 or tensor.shape[0] != batch or unit_axis % tensor.dim() != 2:
        return None
    return mean_cosine(tensor)
