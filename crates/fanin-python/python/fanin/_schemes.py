"""A function for each scheme that a spec can name: it makes the initializer, and the grammar reads the arguments.

So that a wrong argument is complained of in the same words everywhere, the arguments are put into a spec.
"""

from __future__ import annotations

import math

from ._fanin import Initializer


def _word(value: float | str) -> str:
    if isinstance(value, str):
        return value
    value = float(value)
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _make(name: str, **arguments: float | str | None) -> Initializer:
    given = ", ".join(f"{key}={_word(value)}" for key, value in arguments.items() if value is not None)
    return Initializer(f"{name}({given})")


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """U[a, b).

    >>> uniform(-0.1, 0.1)
    uniform(a=-0.1, b=0.1)
    """
    return _make("uniform", a=a, b=b)


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """N(mean, std^2).

    >>> normal(std=0.02)
    normal(std=0.02)
    """
    return _make("normal", mean=mean, std=std)


def trunc_normal(
    mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, method: str | None = None
) -> Initializer:
    """N(mean, std^2) conditioned on [a, b]. The bounds are absolute, not multiples of std.

    >>> trunc_normal(std=0.02, a=-0.04, b=0.04)
    trunc_normal(std=0.02, a=-0.04, b=0.04)
    """
    return _make("trunc_normal", mean=mean, std=std, a=a, b=b, method=method)


def constant(val: float) -> Initializer:
    """`val` everywhere.

    >>> constant(0.5)
    constant(val=0.5)
    """
    return _make("constant", val=val)


def ones() -> Initializer:
    """1 everywhere.

    >>> ones()
    ones
    """
    return _make("ones")


def zeros() -> Initializer:
    """0 everywhere.

    >>> zeros()
    zeros
    """
    return _make("zeros")


def eye() -> Initializer:
    """The identity matrix.

    >>> eye()
    eye
    """
    return _make("eye")


def dirac(groups: int = 1) -> Initializer:
    """The Dirac delta at the kernel's centre.

    >>> dirac(groups=2)
    dirac(groups=2)
    """
    return _make("dirac", groups=groups)


def xavier_uniform(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """U[-a, a), a = gain * sqrt(6 / (fan_in + fan_out)). The gain is a number or a nonlinearity's name.

    >>> xavier_uniform("relu").resolve((30, 20)).bounds[1]
    0.4898979485566357
    """
    return _make("xavier_uniform", gain=gain, layout=layout, groups=groups)


def xavier_normal(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)).

    >>> xavier_normal().resolve((30, 20)).std
    0.2
    """
    return _make("xavier_normal", gain=gain, layout=layout, groups=groups)


def kaiming_uniform(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """U[-bound, bound), bound = gain * sqrt(3 / fan). `a` is the slope of a leaky_relu.

    >>> kaiming_uniform(mode="fan_out", nonlinearity="relu")
    kaiming_uniform(mode=fan_out, nonlinearity=relu)
    """
    return _make("kaiming_uniform", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def kaiming_normal(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """N(0, std^2), std = gain / sqrt(fan). `a` is the slope of a leaky_relu.

    >>> kaiming_normal(nonlinearity="tanh").resolve((40, 25)).std
    0.33333333333333337
    """
    return _make("kaiming_normal", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def orthogonal(gain: float | str = 1.0, *, layout: str | None = None) -> Initializer:
    """gain * Q, Q semi-orthogonal and Haar-distributed.

    >>> orthogonal("relu")
    orthogonal(gain=relu)
    """
    return _make("orthogonal", gain=gain, layout=layout)


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """N(0, std^2) with ceil(sparsity * rows) zeros in every column.

    >>> sparse(0.9)
    sparse(sparsity=0.9)
    """
    return _make("sparse", sparsity=sparsity, std=std)
