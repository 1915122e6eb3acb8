"""Finds formulas for recorded numbers, such as `0.02/sqrt(2*n_layer)` for 0.00408248290463863 in a model with 12 layers."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from .specs import number

#: The maximum relative difference between a number and the value of its formula.
_TOLERANCE = 1e-14


class Variables(NamedTuple):
    """The values of the variables in formulas for a tensor. A variable is None if it is undefined for the tensor.

    `weight_fan_in` is the fan_in of the weight in the same module, and is set only for a bias. `n_layer` is the number
    of layers of the model.
    """

    fan_in: int | None
    fan_out: int | None
    weight_fan_in: int | None
    n_layer: int | None


def fans(shape: tuple[int, ...]) -> tuple[int | None, int | None]:
    """Returns fan_in and fan_out of a shape, as torch.nn.init computes them."""
    if len(shape) < 2:
        return None, None
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def formulas(value: float, variables: Variables) -> list[str]:
    """Returns expressions that equal `value`: formulas with `n_layer`, then formulas with fans, then the number itself.

    For a number of at most 7 characters, only the number is returned: the program probably contains it literally.
    """
    literal = number(value)
    if len(literal) <= 7 and re.fullmatch(r"-?[0-9.e-]+", literal):
        return [literal]
    sign, size = ("-" if value < 0 else ""), abs(value)
    found = []
    if variables.n_layer is not None:
        for text, count in (("sqrt(2*n_layer)", 2 * variables.n_layer), ("sqrt(n_layer)", variables.n_layer)):
            factor = _short_text(size * math.sqrt(count))
            if factor is not None and "sqrt" not in factor:
                found.append(f"{sign}{factor}/{text}")
    fan_in, fan_out, weight_fan_in, _ = variables
    both = fan_in + fan_out if fan_in and fan_out else None
    for text, fan in (("fan_in", fan_in), ("fan_out", fan_out), ("fan_in+fan_out", both), ("weight_fan_in", weight_fan_in)):
        factor = _short_text(size * math.sqrt(fan)) if fan else None
        # Only the usual factors 1 and sqrt(n) are accepted. Other factors of up to three digits often match by chance.
        if factor is not None and (factor == "1" or factor.startswith("sqrt")):
            found.append(f"{sign}{factor}/sqrt({text})")
    return [*found, literal]


def _short_text(value: float) -> str | None:
    """Returns a number as at most three significant digits or as `sqrt(n)`. None if neither is within `_TOLERANCE`."""
    for text in (f"{value:.3g}", f"sqrt({round(value * value)})"):
        exact = float(text) if not text.startswith("sqrt") else math.sqrt(round(value * value))
        if exact and abs(exact - value) <= _TOLERANCE * abs(value):
            return text
    return None
