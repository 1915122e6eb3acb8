"""Recognizes parameters that were filled from the same random draws. Their scales and shapes may differ."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

#: The comparison of two parameters uses this many values at the start of each. If the generator state is the same, even
#: tensors of different sizes begin with the same values.
HEAD = 64

#: Two parameters have the same draws if the correlation of their first values is above this limit. The limit is below 1 because
#: bfloat16 has only 8 significant bits.
_CORRELATION = 0.999


def draw_key(values: Tensor, content: bytes | memoryview) -> int | None:
    """Returns a number that is equal for two parameters with the same first draws. `content` contains the bytes of `values`.

    The bits of the number are the signs of the first 64 values. If more than three quarters of the signs are equal, the
    bits say instead which values are greater than the previous value. If more than about three quarters of these bits
    are equal too, as for `arange`, returns None. Also returns None for fewer than 64 values.
    """
    if values.numel() < HEAD:
        return None
    size = values.element_size()
    last = size - 1 if sys.byteorder == "little" else 0
    key = int.from_bytes(content[last : HEAD * size : size], "little") & _SIGN_BITS
    if HEAD // 4 <= key.bit_count() <= HEAD - HEAD // 4:
        return key
    rises = (_head(values).diff() > 0).tolist()
    if not HEAD // 4 <= sum(rises) <= HEAD - HEAD // 4:
        return None
    return sum(rise << n for n, rise in enumerate(rises))


#: A mask that selects the highest bit of each of `HEAD` bytes.
_SIGN_BITS = int.from_bytes(b"\x80" * HEAD, "little")


def have_same_draws(a: Tensor, b: Tensor) -> bool:
    """Returns whether the first elements of two parameters are equal, except for their mean and their scale."""
    x, y = (_head(one) - _head(one).mean() for one in (a, b))
    return float(x @ y) > _CORRELATION * float(x.norm() * y.norm())


def _head(values: Tensor) -> Tensor:
    values = torch.view_as_real(values) if values.is_complex() else values
    return values.reshape(-1)[:HEAD].double()
