"""Converts a coordinate check to JSON. The schema is docs/coord_check.schema.json."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from ..._fanin import __version__
from .slopes import Slope

if TYPE_CHECKING:
    from .result import CoordCheck, Sizes

FORMAT = "fanin-coord-check-1"


def to_json(check: CoordCheck) -> dict[str, Any]:
    """Returns the coordinate check as a dict. Numbers that are missing or not finite are None."""
    return {
        "format": FORMAT,
        "version": __version__,
        "model": check.model,
        "widths": list(check.widths),
        "seeds": check.seeds,
        "steps": check.steps,
        "parametrization": check.parametrization,
        "ok": check.ok,
        "findings": [{**dataclasses.asdict(one), "slope": _number(one.slope)} for one in check.findings],
        "modules": [
            {
                "name": one.name,
                "kind": one.kind,
                "size": _sizes(one.size),
                "change": _sizes(one.change),
                "own": None if one.own is None else _sizes(one.own),
                "size_slopes": [_slope(value) for value in one.size_slopes],
                "change_slopes": [_slope(value) for value in one.change_slopes],
                "own_slopes": [_slope(value) for value in one.own_slopes],
            }
            for one in check.modules
        ],
    }


def _sizes(sizes: Sizes) -> list[list[list[float | None]]]:
    return [[[_number(one) for one in row] for row in rows] for rows in sizes]


def _slope(slope: Slope | None) -> dict[str, float | None] | None:
    return None if slope is None else {"slope": _number(slope.value), "low": _number(slope.low), "high": _number(slope.high)}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
