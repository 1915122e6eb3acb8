"""Observes the logits of attention and their gradients. A model may use scaled_dot_product_attention or a softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from .._probe.activations import SOFTMAX
from .._probe.attention import MASKED

#: A function whose argument is the gradient of the loss with respect to logits.
OnGradient = Callable[[Tensor], None]


class AttentionMode(TorchFunctionMode):
    """A context manager that calls `on_logits` with the logits of each attention.

    An attention is a call of scaled_dot_product_attention, or a softmax over the last axis. `on_logits` may return a
    function. The backward pass calls this function with the gradient of the loss with respect to the logits.
    """

    def __init__(self, on_logits: Callable[[Tensor], OnGradient | None]):
        super().__init__()
        self._on_logits = on_logits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention:
            return self._dot_products(args, kwargs)
        if func in SOFTMAX:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                logits = _softmax_input(args, kwargs)
                on_gradient = None if logits is None else self._on_logits(logits)
            source = args[0] if args else kwargs.get("input")
            if on_gradient is not None and source.requires_grad:
                source.register_hook(on_gradient)
        return func(*args, **kwargs)

    def _dot_products(self, args: Any, kwargs: Any) -> Any:
        given = {**dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args)), **kwargs}
        with torch.no_grad(), torch._C.DisableTorchFunction():
            logits = _logits(given)
            on_gradient = self._on_logits(logits)
        output = scaled_dot_product_attention(*args, **kwargs)
        if on_gradient is not None and output.requires_grad:
            masked, value = _masked(logits, given), given["value"].detach()
            output.register_hook(lambda gradient: on_gradient(_gradient(masked, value, gradient)))
        return output


def _logits(given: dict[str, Any]) -> Tensor:
    query, key, scale = given["query"].detach(), given["key"].detach(), given.get("scale")
    key = _repeated(key, query.shape[1]) if key.dim() == 4 else key
    return query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)


def _repeated(tensor: Tensor, heads: int) -> Tensor:
    """Repeats each head (axis 1) of keys or values until there are `heads` heads, for grouped-query attention."""
    return tensor if tensor.shape[1] == heads else tensor.repeat_interleave(heads // tensor.shape[1], 1)


def _masked(logits: Tensor, given: dict[str, Any]) -> Tensor:
    """Applies the attention masks to the logits. A causal or boolean mask sets logits to -inf, and a float mask is added."""
    mask = given.get("attn_mask")
    if given.get("is_causal"):
        future = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)
        logits = logits.masked_fill(future, -math.inf)
    if mask is not None:
        mask = mask.detach()
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    return logits


def _gradient(logits: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient of the loss with respect to the logits. Dropout is ignored.

    `gradient` is the gradient of the loss with respect to the output of the attention.
    """
    value = _repeated(value, logits.shape[1]) if value.dim() == 4 else value
    probabilities = torch.softmax(logits, -1)
    products = gradient @ value.transpose(-1, -2)
    return probabilities * (products - (probabilities * products).sum(-1, keepdim=True))


def _softmax_input(args: Any, kwargs: Any) -> Tensor | None:
    """Returns the input of a softmax, with masked logits set to 0.

    Returns None unless the softmax is over the last axis of a tensor with at least three axes.
    """
    logits = args[0] if args else kwargs.get("input")
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(logits, Tensor) or dim is None or logits.dim() < 3 or dim % logits.dim() != logits.dim() - 1:
        return None
    return logits.detach().masked_fill(logits <= MASKED, 0.0)
