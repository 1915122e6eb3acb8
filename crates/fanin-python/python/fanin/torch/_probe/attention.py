"""Measures attention: the entropy of its probabilities, and the standard deviation of its logits.

An entropy near 0 means that each query attends to a single key. The gradient of the softmax is then almost 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .cosines import mean_cosine

#: The greatest number of queries that are measured in one call. They are spread over inputs, heads and positions.
QUERIES = 512
#: Logits at or below this value are taken as masked. Models mask with -inf, the least value of the dtype, or -1e4.
MASKED = -9999.0


class Sample(NamedTuple):
    """The measurements of one call of attention."""

    #: The entropy of a query's probabilities divided by the entropy of equal probabilities, from 0 to 1. This is the
    #: average over all queries.
    entropy: float
    #: The standard deviation of a query's logits over the keys, averaged over all queries.
    logits: float
    #: 1 / (number of unmasked keys of a query), averaged over the queries.
    inverse_keys: float
    #: Whether the measured function returns the output of attention itself. A softmax returns probabilities, and
    #: `multi_head_attention_forward` also applies the output projection.
    is_whole: bool = False
    #: The mean square of the value vectors (the "value" of query, key and value).
    value_q: float | None = None
    #: The cosine between the value vectors of two tokens, averaged over all pairs.
    value_cosine: float | None = None


def of_softmax(logits: Tensor, probabilities: Tensor, args: Any, kwargs: Any) -> Sample | None:
    """Returns the measurements of a softmax that computes attention probabilities. The last axis is that of the keys.

    Returns None if the softmax is over another axis, if the tensor has fewer than three axes, or if no query has two unmasked keys.
    """
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if dim is None or logits.dim() < 3 or dim % logits.dim() != logits.dim() - 1 or logits.shape[-1] < 2:
        return None
    rows = logits.reshape(-1, logits.shape[-1])
    chosen = _spread(len(rows), QUERIES, rows.device)
    return _sample(rows[chosen], probabilities.reshape(-1, logits.shape[-1])[chosen])


def of_dot_product(args: Any, kwargs: Any) -> Sample | None:
    """Returns the measurements of a call of `scaled_dot_product_attention`, or None if the call cannot be measured."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = {**dict(zip(names, args)), **kwargs}
    query, key, value = given["query"].detach(), given["key"].detach(), given["value"].detach()
    if query.dim() < 3 or key.shape[-2] < 2:
        return None
    scale = given.get("scale")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    heads = query.shape[:-2].numel()
    if key.dim() == 4 and key.shape[1] != query.shape[1]:
        # Grouped-query attention: each head of the keys serves several heads of the queries.
        key, value = (one.repeat_interleave(query.shape[1] // key.shape[1], 1) for one in (key, value))
    keys, values = key.expand(*query.shape[:-2], -1, -1), value.expand(*query.shape[:-2], -1, -1)
    queries, count = query.shape[-2], key.shape[-2]
    positions = _spread(queries, 64, query.device)
    mask = given.get("attn_mask")
    if mask is not None:
        mask = mask.detach().expand(*query.shape[:-2], queries, count).reshape(heads, queries, count)
    logits, examined = [], _spread(heads, max(1, QUERIES // len(positions)), query.device).tolist()
    flat_queries, flat_keys = (one.reshape(heads, *one.shape[-2:]) for one in (query, keys))
    for head in examined:
        rows = flat_queries[head][positions].float() @ flat_keys[head].float().T * scale
        if given.get("is_causal"):
            future = torch.arange(count, device=rows.device) > positions[:, None]
            rows = rows.masked_fill(future, -math.inf)
        if mask is not None:
            part = mask[head][positions]
            rows = rows.masked_fill(~part, -math.inf) if part.dtype == torch.bool else rows + part.float()
        logits.append(rows)
    rows = torch.cat(logits)
    sample = _sample(rows, torch.softmax(rows, -1))
    if sample is None:
        return None
    flat_values = values.reshape(heads, *values.shape[-2:])[torch.tensor(examined, device=values.device)].float()
    return sample._replace(is_whole=True, value_q=float(flat_values.square().mean()), value_cosine=mean_cosine(flat_values))


def of_multi_head(args: Any, kwargs: Any) -> Sample | None:
    """Returns the measurements of a call of `multi_head_attention_forward`, the function that torch.nn.MultiheadAttention calls.

    Returns None if the call cannot be measured.
    """
    query, key, value, width, heads, weight, bias = args[:7]
    if weight is None or query.dim() != 3 or key.shape[0] < 2:
        return None
    # The axes of query, key and value are [position, input, feature].
    weights = weight.detach().split(width)
    biases = (None,) * 3 if bias is None else bias.detach().split(width)
    projected = [
        torch.nn.functional.linear(one.detach(), w, b).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
        for one, w, b in zip((query, key, value), weights, biases)
    ]
    mask = kwargs.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:
        # In the mask of multi_head_attention_forward, True means "may not attend". In scaled_dot_product_attention, it means "may attend".
        mask = ~mask
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (-1, heads))
    found = of_dot_product(projected, {"attn_mask": mask, "is_causal": False})
    return None if found is None else found._replace(is_whole=False)


def _spread(count: int, wanted: int, device: torch.device) -> Tensor:
    """Returns at most `wanted` evenly spread indices from 0 to `count` - 1."""
    return torch.linspace(0, count - 1, min(count, wanted), device=device).round().long()


def _sample(logits: Tensor, probabilities: Tensor) -> Sample | None:
    """Measures rows of logits and probabilities, one row for each query.

    Queries with fewer than two unmasked keys are left out of the entropy and the logits. Returns None if all queries are left out.
    """
    logits, probabilities = logits.detach().double(), probabilities.detach().double()
    open_keys = logits > MASKED
    counts = open_keys.sum(-1)
    kept = counts >= 2
    if not bool(kept.any()):
        return None
    inverse_keys = float((1 / counts.clamp(min=1)).mean())
    logits, probabilities, open_keys, counts = logits[kept], probabilities[kept], open_keys[kept], counts[kept]
    entropy = -(torch.xlogy(probabilities, probabilities)).sum(-1) / counts.log()
    zeroed = logits.masked_fill(~open_keys, 0)
    mean = zeroed.sum(-1) / counts
    variance = ((zeroed - mean[:, None]) * open_keys).square().sum(-1) / counts
    return Sample(float(entropy.mean()), float(variance.sqrt().mean()), inverse_keys)
