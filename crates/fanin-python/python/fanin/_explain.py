"""explain: what a spec does to a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _fanin
from ._fanin import Initializer


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
    """Returns what a spec does to a shape: fans, formula, distribution, and the growth of signal and gradient over layers.

    The content is that of `fanin explain --json`.

    Parameters
    ----------
    spec
        A spec or an initializer.
    shape
        The shape of the weight.
    dtype
        The type of the values.
    layout
        The axis layout: "out_in" (torch), "in_out" (transposed convolutions of torch) or "kernel_in_out" (Keras, JAX). The
        default is that of the spec, or "out_in".
    groups
        The number of groups of a grouped convolution.
    nonlinearity
        The nonlinearity after each layer. The default is that of the spec.
    layers
        Depths, from 1 to 10000 layers, for which the growth is computed.

    Examples
    --------
    >>> explanation = explain("kaiming_normal(nonlinearity=relu)", (64, 3, 7, 7), layers=[50])
    >>> explanation["fan_in"], round(explanation["signal"][0]["forward"], 6)
    (147, 1.0)
    """
    return _fanin.explain(str(spec), list(shape), dtype, layout, groups, nonlinearity, list(layers))
