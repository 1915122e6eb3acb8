"""The schemes beyond torch's, made as `_schemes` makes torch's. The grammar reads the arguments."""

from __future__ import annotations

from ._fanin import Initializer
from ._schemes import _make


def trunc_normal_tf(
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    corrected: bool = False,
    method: str | None = None,
) -> Initializer:
    """N(mean, std^2) conditioned on [mean + a std, mean + b std]: timm's `trunc_normal_tf_`. With `corrected` the law is
    widened, so that `std` is what is written.

    >>> trunc_normal_tf(std=0.02, corrected=True)
    trunc_normal_tf(std=0.02, corrected=true)
    """
    truth = "true" if corrected else "false"
    return _make("trunc_normal_tf", mean=mean, std=std, a=a, b=b, corrected=truth, method=method)


def variance_scaling(
    scale: float,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    layout: str = "out_in",
    groups: int = 1,
) -> Initializer:
    """Variance scale / n: JAX's and Keras's general form. Their layout is `kernel_in_out`.

    >>> variance_scaling(0.5, "fan_avg", "uniform")
    variance_scaling(scale=0.5, mode=fan_avg, distribution=uniform)
    """
    return _make(
        "variance_scaling", scale=scale, mode=mode, distribution=distribution, layout=layout, groups=groups
    )


def lecun_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """U[-a, a), a = sqrt(3 / fan_in)."""
    return _make("lecun_uniform", layout=layout, groups=groups)


def lecun_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Variance 1 / fan_in, a normal cut at two sigma, as in JAX and Keras."""
    return _make("lecun_normal", layout=layout, groups=groups)


def he_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """U[-a, a), a = sqrt(6 / fan_in)."""
    return _make("he_uniform", layout=layout, groups=groups)


def he_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Variance 2 / fan_in, a normal cut at two sigma, as in JAX and Keras; `kaiming_normal` is not cut."""
    return _make("he_normal", layout=layout, groups=groups)


def glorot_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """U[-a, a), a = sqrt(6 / (fan_in + fan_out))."""
    return _make("glorot_uniform", layout=layout, groups=groups)


def glorot_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Variance 2 / (fan_in + fan_out), a normal cut at two sigma, as in JAX and Keras; `xavier_normal` is not cut."""
    return _make("glorot_normal", layout=layout, groups=groups)


def linear_default(layout: str = "out_in", groups: int = 1) -> Initializer:
    """U[-bound, bound), bound = 1 / sqrt(fan_in): the weight of torch's Linear and Conv layers."""
    return _make("linear_default", layout=layout, groups=groups)


def linear_default_bias(fan_in: int) -> Initializer:
    """U[-bound, bound), bound = 1 / sqrt(fan_in), `fan_in` being that of the weight the bias belongs to."""
    return _make("linear_default_bias", fan_in=fan_in)


def delta_orthogonal(gain: float | str = 1.0, layout: str = "out_in") -> Initializer:
    """An orthogonal matrix at a kernel's centre, zeros elsewhere (Xiao et al. 2018)."""
    return _make("delta_orthogonal", gain=gain, layout=layout)


def zero_hadamard() -> Initializer:
    """ZerO (Zhao et al. 2022): the identity, or signs of a Hadamard matrix where there are more outputs than inputs."""
    return _make("zero_hadamard")


def idinit(tau: float = 1.0) -> Initializer:
    """IDInit (Pan et al. 2025): the identity, repeated down the rows where there are more outputs than inputs."""
    return _make("idinit", tau=tau)


def siren(omega: float = 30.0) -> Initializer:
    """U[-b, b), b = sqrt(6 / fan_in) / omega: a hidden layer of a SIREN (Sitzmann et al. 2020)."""
    return _make("siren", omega=omega)


def siren_first() -> Initializer:
    """U[-1 / fan_in, 1 / fan_in): the first layer of a SIREN."""
    return _make("siren_first")


def spectral(sigma: float = 1.0, layout: str = "out_in") -> Initializer:
    """N(0, std^2), std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in)) (Yang et al. 2023)."""
    return _make("spectral", sigma=sigma, layout=layout)


def blocks(
    *spec: str | Initializer | tuple[int, str | Initializer], parts: int | None = None, axis: int = 0
) -> Initializer:
    """Blocks along an axis, each initialized as the tensor it would be alone: a spec each, `(size, spec)` each, or one spec
    and `parts`.

    >>> blocks((4096, "xavier_uniform"), (1024, "xavier_uniform"), (1024, "xavier_uniform(gain=0.5)"))
    blocks(4096: xavier_uniform, 1024: xavier_uniform, 1024: xavier_uniform(gain=0.5))
    >>> blocks("orthogonal", parts=3)
    blocks(orthogonal, parts=3)
    """
    texts = [f"{one[0]}: {one[1]}" if isinstance(one, tuple) else str(one) for one in spec]
    texts += [] if parts is None else [f"parts={parts}"]
    return Initializer(f"blocks({', '.join([*texts, f'axis={axis}'])})")


def stacked(spec: str | Initializer, axis: int = 0) -> Initializer:
    """Tensors of their own along an axis, such as experts: each is initialized without that axis.

    >>> stacked("orthogonal")
    stacked(orthogonal)
    """
    return Initializer(f"stacked({spec}, axis={axis})")
