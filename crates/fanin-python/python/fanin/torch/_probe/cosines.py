"""Cosines between inputs and between tokens, which approach 1 when a model no longer tells its inputs apart."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_cosine(vectors: Tensor) -> float | None:
    """Returns the mean cosine over all pairs of vectors, averaged over the first axis: [groups, vectors, features].

    With unit vectors u_i, the sum over all pairs is |sum u_i|^2 - n. So no pair is computed alone. The cosine with a
    vector that is 0 counts as 0. Returns None if there is no pair.
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
    """Returns the mean cosine between the inputs of a batch, or None if the first axis is not that of the batch."""
    if not batch or tensor.dim() < 2 or tensor.shape[0] != batch:
        return None
    return mean_cosine(tensor.reshape(1, batch, -1))


def of_tokens(tensor: Tensor, unit_axis: int, batch: int | None) -> float | None:
    """Returns the mean cosine between the tokens of an input: the positions between the first axis and the last."""
    if not batch or tensor.dim() != 3 or tensor.shape[0] != batch or unit_axis % tensor.dim() != 2:
        return None
    return mean_cosine(tensor)
