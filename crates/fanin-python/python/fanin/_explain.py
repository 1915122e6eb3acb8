"""A spec explained on a shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ._fanin import Initializer, explain_json


def explain(
    spec: str | Initializer,
    shape: Sequence[int],
    *,
    dtype: str = "f32",
    layout: str | None = None,
    groups: int = 1,
    nonlinearity: str | None = None,
    layers: Sequence[int] = (1, 10, 50),
) -> dict[str, Any]:
    """What a spec does to a shape: fans, formula with its numbers, law, and what happens to a signal and to its gradient
    over so many layers. What `fanin explain --json` prints.

    `layout` is "out_in" (torch), "in_out" (torch's transposed convolutions) or "kernel_in_out" (Keras, JAX); the spec's
    own, or torch's, if left out.

    >>> lesson = explain("kaiming_normal(nonlinearity=relu)", (64, 3, 7, 7), layers=[50])
    >>> lesson["fan_in"], round(lesson["signal"][0]["forward"], 6)
    (147, 1.0)
    """
    text = explain_json(str(spec), list(shape), dtype, layout, groups, nonlinearity, list(layers))
    lesson: dict[str, Any] = json.loads(text)
    return lesson
