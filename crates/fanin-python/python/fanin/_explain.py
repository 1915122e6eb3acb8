"""The function `explain`, which describes the distribution of a spec for a weight of a given shape."""

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
    """Returns the fans, formula and distribution of a spec for a shape, and the growth of signal and gradient over layers.

    The result is a dict with the same content as the output of `fanin explain --json`.

    Parameters
    ----------
    spec
        The distribution: a spec, such as "normal(std=0.02)", or an `Initializer`.
    shape
        The shape of the weight.
    dtype
        The dtype of the values: "f32", "f64", "f16", "bf16", "f8_e4m3" or "f8_e5m2".
    layout
        The axis layout of the weight: "out_in" (torch), "in_out" (torch's transposed convolutions) or "kernel_in_out" (Keras,
        JAX). The default is the axis layout in the spec, or "out_in" if the spec has none.
    groups
        The number of groups of a grouped convolution.
    nonlinearity
        The nonlinearity after each layer. The default is the nonlinearity in the spec.
    layers
        The depths of networks, each from 1 to 10000 layers. For each depth, the result has the growth of signal and gradient
        over a network of this depth.

    Examples
    --------
    >>> explanation = explain("kaiming_normal(nonlinearity=relu)", (64, 3, 7, 7), layers=[50])
    >>> explanation["fan_in"], round(explanation["signal"][0]["forward"], 6)
    (147, 1.0)
    """
    return _fanin.explain(str(spec), list(shape), dtype, layout, groups, nonlinearity, list(layers))
