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
    """Returns the fans, the formula and the distribution of a spec for a weight of a given shape.

    The returned dict also has the growth of a signal and of its gradient in a network of such layers. The dict has the
    same content as the output of `fanin explain --json`.

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
        The number of groups of a grouped convolution. If `groups` is 1 (the default) and the spec has a number of
        groups, the number in the spec is used.
    nonlinearity
        The nonlinearity after each layer. The default is the nonlinearity in the spec. If the spec has none, the
        default is relu for the Kaiming schemes and linear for all other schemes.
    layers
        The depths of networks, each from 1 to 10000 layers. For each depth, `signal` in the returned dict has the mean
        square of the signal after the last layer (`forward`) and of the gradient before the first layer (`backward`).
        The signal and the gradient each start with a mean square of 1. `signal` is None for scalars, vectors, empty
        tensors and fused parameters. `signal` is also None if the weights are not random or their mean is not 0.

    Examples
    --------
    >>> explanation = explain("kaiming_normal(nonlinearity=relu)", (64, 3, 7, 7), layers=[50])
    >>> explanation["fan_in"], round(explanation["signal"][0]["forward"], 6)
    (147, 1.0)
    """
    return _fanin.explain(str(spec), list(shape), dtype, layout, groups, nonlinearity, list(layers))
