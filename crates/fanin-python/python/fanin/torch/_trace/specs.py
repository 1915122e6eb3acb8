"""Converts a recorded call of an initializer or operator to a spec, such as `kaiming_uniform(a=sqrt(5))`."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

from ..._fanin import schemes
from .calls import Call
from .recorder import Event

_DEFAULTS = {name: dict(parameters) for name, parameters, _, _ in schemes()}


def number(value: Any) -> str:
    """Returns a number as text for a spec, such as `sqrt(2)`, `1/sqrt(3)`, `2/7` or `0.5`.

    The text evaluates to exactly `value`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    short = repr(value)
    if len(short) <= 8:
        return short
    sign, size = ("-" if value < 0 else ""), abs(value)
    square, inverse = round(size * size), round(1 / (size * size))
    if 1 < square < 10**7 and math.sqrt(square) == size:
        return f"{sign}sqrt({square})"
    if 1 < inverse < 10**9 and 1 / math.sqrt(inverse) == size:
        return f"{sign}1/sqrt({inverse})"
    fraction = Fraction(size).limit_denominator(1000)
    if fraction.numerator and fraction.numerator / fraction.denominator == size:
        return f"{sign}{fraction.numerator}/{fraction.denominator}"
    return short


class Spec(NamedTuple):
    """A spec: the name of a scheme, such as `normal`, and its arguments."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """Returns the text of the spec. Arguments that are the scheme's defaults are left out."""
        defaults = _DEFAULTS.get(self.name, {})
        texts = {key: value if isinstance(value, str) else number(value) for key, value in self.arguments.items()}
        if self.name == "constant":
            return {"0": "zeros", "1": "ones"}.get(texts["val"], f"constant({texts['val']})")
        texts = {key: text for key, text in texts.items() if text != defaults.get(key)}
        return f"{self.name}({', '.join(f'{key}={text}' for key, text in texts.items())})" if texts else self.name


def of_call(call: Call, events: list[Event]) -> Spec:
    """Returns the spec of a call of an initializer. `events` are the events of the call."""
    name, arguments = call.name.rstrip("_"), dict(call.arguments)
    if name in ("zeros", "ones"):
        return Spec("constant", {"val": int(name == "ones")})
    if name.startswith("kaiming") and arguments.get("nonlinearity") != "leaky_relu":
        arguments.pop("a", None)  # `a` is the slope of leaky_relu. Other nonlinearities ignore it.
    if name.startswith("trunc_normal") and any(event.effect.name == "erfinv_" for event in events):
        arguments["method"] = "inverse_cdf"
    return Spec(name, arguments)


def of_operator(event: Event) -> Spec | None:
    """Returns a spec for the values that an operator wrote outside of initializers. None if no spec describes these values."""
    name = event.effect.name
    positional, _ = event.arguments
    if name == "uniform_":
        return Spec("uniform", {"a": _argument(event, 1, "from", 0.0), "b": _argument(event, 2, "to", 1.0)})
    if name == "normal_":
        return Spec("normal", {"mean": _argument(event, 1, "mean", 0.0), "std": _argument(event, 2, "std", 1.0)})
    if name in ("rand", "rand_like"):
        return Spec("uniform", {})
    if name in ("randn", "randn_like"):
        return Spec("normal", {})
    if name == "normal" and all(isinstance(value, (int, float)) for value in positional[:2]):
        return Spec("normal", {"mean": positional[0], "std": positional[1]})
    value = constant(event)
    if value is not None:
        return Spec("constant", {"val": value})
    return Spec("eye", {}) if name == "eye" else None


def constant(event: Event) -> float | int | None:
    """Returns the number that an operator writes to all elements, or None for operators that do not write one number."""
    name = event.effect.name
    if name in ("zero_", "zeros", "zeros_like", "new_zeros", "zero"):
        return 0
    if name in ("ones", "ones_like", "new_ones"):
        return 1
    value = None
    if name in ("fill_", "full_like", "full"):
        value = _argument(event, 1, "fill_value" if name != "fill_" else "value", None)
    elif name == "new_full":
        value = _argument(event, 2, "fill_value", None)
    return value if isinstance(value, (int, float)) else None


def _argument(event: Event, position: int, name: str, default: Any) -> Any:
    positional, named = event.arguments
    return positional[position] if len(positional) > position else named.get(name, default)
