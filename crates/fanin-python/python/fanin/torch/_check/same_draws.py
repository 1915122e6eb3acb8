"""Finds parameters that have the same random draws, although their scales or shapes may differ."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

#: The number of values that are compared. A draw of 16 or more normal values begins with the same values in any longer draw.
HEAD = 64

#: The smallest correlation of the first values of two parameters with the same draws. bf16 keeps 8 bits of each value.
_CORRELATION = 0.999


def draw_key(values: Tensor, view: memoryview) -> int | None:
    """Returns a number that two parameters have in common if they have the same first draws. `view` has the bytes of `values`.

    It consists of the signs of the first values. If nearly all signs are equal, the signs of differences of neighbours are used.
    Returns None if there are few values, or if they are not varied.
    """
    if values.numel() < HEAD:
        return None
    size = values.element_size()
    last = size - 1 if sys.byteorder == "little" else 0
    key = int.from_bytes(view[last : HEAD * size : size], "little") & _SIGN_BITS
    if HEAD // 4 <= key.bit_count() <= HEAD - HEAD // 4:
        return key
    rises = (_head(values).diff() > 0).tolist()
    if not HEAD // 4 <= sum(rises) <= HEAD - HEAD // 4:
        return None
    return sum(rise << n for n, rise in enumerate(rises))


#: The sign bits of `HEAD` bytes.
_SIGN_BITS = int.from_bytes(b"\x80" * HEAD, "little")


def have_same_draws(a: Tensor, b: Tensor) -> bool:
    """Returns whether the first values of two parameters agree, except for their mean and their scale."""
    x, y = (_head(one) - _head(one).mean() for one in (a, b))
    return float(x @ y) > _CORRELATION * float(x.norm() * y.norm())


def _head(values: Tensor) -> Tensor:
    values = torch.view_as_real(values) if values.is_complex() else values
    return values.reshape(-1)[:HEAD].double()
