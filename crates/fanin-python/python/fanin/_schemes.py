"""One function for each scheme. Each function returns an `Initializer`.

A function writes its arguments into a spec, and Rust parses the spec. An invalid argument therefore has the same error message
as in a spec. The schemes of torch.nn.init come first, in the order that they have in torch.
"""

from __future__ import annotations

import math

from ._fanin import Initializer


def _format(value: float | str) -> str:
    """Returns an argument as it is written in specs. A float without a fractional part is written as an integer."""
    if isinstance(value, str):
        return value
    value = float(value)
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _make(name: str, **arguments: float | str | None) -> Initializer:
    """Returns the initializer of the scheme `name`. An argument that is None gets its default."""
    written = ", ".join(f"{key}={_format(value)}" for key, value in arguments.items() if value is not None)
    return Initializer(f"{name}({written})")


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """Uniform on `a..b` (`b` exclusive).

    >>> uniform(-0.1, 0.1)
    uniform(a=-0.1, b=0.1)
    """
    return _make("uniform", a=a, b=b)


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normal with mean `mean` and standard deviation `std`.

    >>> normal(std=0.02)
    normal(std=0.02)
    """
    return _make("normal", mean=mean, std=std)


def trunc_normal(
    mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, method: str | None = None
) -> Initializer:
    """Normal truncated to [a, b]. The bounds are absolute, not multiples of `std`.

    `method` is "inverse_cdf" or "rejection". `fanin fill --help` explains the methods.

    >>> trunc_normal(std=0.02, a=-0.04, b=0.04)
    trunc_normal(std=0.02, a=-0.04, b=0.04)
    """
    return _make("trunc_normal", mean=mean, std=std, a=a, b=b, method=method)


def constant(val: float) -> Initializer:
    """Every element is `val`.

    >>> constant(0.5)
    constant(val=0.5)
    """
    return _make("constant", val=val)


def ones() -> Initializer:
    """Every element is 1.

    >>> ones()
    ones
    """
    return _make("ones")


def zeros() -> Initializer:
    """Every element is 0.

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
    """The Dirac delta: 1 at the center of the kernel where input channel and output channel have the same index, else 0.

    >>> dirac(groups=2)
    dirac(groups=2)
    """
    return _make("dirac", groups=groups)


def xavier_uniform(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """Uniform on -a..a with a = gain * sqrt(6 / (fan_in + fan_out)). `gain` is a number or the name of a nonlinearity.

    >>> xavier_uniform("relu").resolve((30, 20)).bounds[1]
    0.4898979485566357
    """
    return _make("xavier_uniform", gain=gain, layout=layout, groups=groups)


def xavier_normal(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """Normal with std = gain * sqrt(2 / (fan_in + fan_out)).

    >>> xavier_normal().resolve((30, 20)).std
    0.2
    """
    return _make("xavier_normal", gain=gain, layout=layout, groups=groups)


def kaiming_uniform(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """Uniform on -bound..bound with bound = gain * sqrt(3 / fan). `a` is the negative slope of leaky_relu.

    >>> kaiming_uniform(mode="fan_out", nonlinearity="relu")
    kaiming_uniform(mode=fan_out, nonlinearity=relu)
    """
    return _make("kaiming_uniform", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def kaiming_normal(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """Normal with std = gain / sqrt(fan). `a` is the negative slope of leaky_relu.

    >>> kaiming_normal(nonlinearity="tanh").resolve((40, 25)).std
    0.33333333333333337
    """
    return _make("kaiming_normal", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def orthogonal(gain: float | str = 1.0, *, layout: str | None = None) -> Initializer:
    """gain * Q, where Q is a semi-orthogonal matrix drawn from the Haar distribution.

    >>> orthogonal("relu")
    orthogonal(gain=relu)
    """
    return _make("orthogonal", gain=gain, layout=layout)


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Normal with mean 0 and standard deviation `std`, except for ceil(sparsity * rows) zeros in every column.

    >>> sparse(0.9)
    sparse(sparsity=0.9)
    """
    return _make("sparse", sparsity=sparsity, std=std)


def trunc_normal_tf(
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    corrected: bool = False,
    method: str | None = None,
) -> Initializer:
    """Normal truncated to [mean + a * std, mean + b * std], as `trunc_normal_tf_` of timm. If `corrected` is true, the normal
    distribution is widened so that the standard deviation of the truncated values is `std`.

    >>> trunc_normal_tf(std=0.02, corrected=True)
    trunc_normal_tf(std=0.02, corrected=true)
    """
    corrected_word = "true" if corrected else "false"
    return _make("trunc_normal_tf", mean=mean, std=std, a=a, b=b, corrected=corrected_word, method=method)


def variance_scaling(
    scale: float,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    layout: str = "out_in",
    groups: int = 1,
) -> Initializer:
    """Variance scale / n, where n is the fan that `mode` names. JAX and Keras have a scheme of the same name.

    Kernels of JAX and Keras have the axis layout "kernel_in_out".

    >>> variance_scaling(0.5, "fan_avg", "uniform")
    variance_scaling(scale=0.5, mode=fan_avg, distribution=uniform)
    """
    return _make(
        "variance_scaling", scale=scale, mode=mode, distribution=distribution, layout=layout, groups=groups
    )


def lecun_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Uniform on -a..a with a = sqrt(3 / fan_in)."""
    return _make("lecun_uniform", layout=layout, groups=groups)


def lecun_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Normal truncated at two standard deviations, with variance 1 / fan_in, as in JAX and Keras."""
    return _make("lecun_normal", layout=layout, groups=groups)


def he_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Uniform on -a..a with a = sqrt(6 / fan_in)."""
    return _make("he_uniform", layout=layout, groups=groups)


def he_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Normal truncated at two standard deviations, with variance 2 / fan_in, as in JAX and Keras.

    `kaiming_normal` is not truncated.
    """
    return _make("he_normal", layout=layout, groups=groups)


def glorot_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Uniform on -a..a with a = sqrt(6 / (fan_in + fan_out))."""
    return _make("glorot_uniform", layout=layout, groups=groups)


def glorot_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Normal truncated at two standard deviations, with variance 2 / (fan_in + fan_out), as in JAX and Keras.

    `xavier_normal` is not truncated.
    """
    return _make("glorot_normal", layout=layout, groups=groups)


def linear_default(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Uniform on -bound..bound with bound = 1 / sqrt(fan_in): torch's default for the weights of Linear and Conv layers."""
    return _make("linear_default", layout=layout, groups=groups)


def linear_default_bias(fan_in: int) -> Initializer:
    """Uniform on -bound..bound with bound = 1 / sqrt(fan_in): torch's default for the biases of Linear and Conv layers.

    `fan_in` is the fan-in of the weight to which the bias belongs.
    """
    return _make("linear_default_bias", fan_in=fan_in)


def delta_orthogonal(gain: float | str = 1.0, layout: str = "out_in") -> Initializer:
    """An orthogonal matrix at the center of the kernel, zeros elsewhere (Xiao et al. 2018)."""
    return _make("delta_orthogonal", gain=gain, layout=layout)


def zero_hadamard() -> Initializer:
    """ZerO (Zhao et al. 2022): the identity, or a scaled Hadamard matrix if there are more outputs than inputs."""
    return _make("zero_hadamard")


def idinit(tau: float = 1.0) -> Initializer:
    """IDInit (Pan et al. 2025): the identity, repeated along the rows if there are more outputs than inputs."""
    return _make("idinit", tau=tau)


def siren(omega: float = 30.0) -> Initializer:
    """Uniform on -b..b with b = sqrt(6 / fan_in) / omega, for the hidden layers of a SIREN (Sitzmann et al. 2020)."""
    return _make("siren", omega=omega)


def siren_first() -> Initializer:
    """Uniform on -b..b with b = 1 / fan_in, for the first layer of a SIREN (Sitzmann et al. 2020)."""
    return _make("siren_first")


def spectral(sigma: float = 1.0, layout: str = "out_in") -> Initializer:
    """Normal with std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in)) (Yang et al. 2023)."""
    return _make("spectral", sigma=sigma, layout=layout)


def blocks(
    *spec: str | Initializer | tuple[int, str | Initializer], parts: int | None = None, axis: int = 0
) -> Initializer:
    """Blocks along an axis of a fused parameter. Each block is initialized as a separate tensor.

    `spec` is one spec for each block, and all blocks have the same size; or `(size, spec)` for each block; or a single spec
    for all blocks, and `parts` is the number of blocks.

    >>> blocks((4096, "xavier_uniform"), (1024, "xavier_uniform"), (1024, "xavier_uniform(gain=0.5)"))
    blocks(4096: xavier_uniform, 1024: xavier_uniform, 1024: xavier_uniform(gain=0.5))
    >>> blocks("orthogonal", parts=3)
    blocks(orthogonal, parts=3)
    """
    texts = [f"{one[0]}: {one[1]}" if isinstance(one, tuple) else str(one) for one in spec]
    texts += [] if parts is None else [f"parts={parts}"]
    return Initializer(f"blocks({', '.join([*texts, f'axis={axis}'])})")


def stacked(spec: str | Initializer, axis: int = 0) -> Initializer:
    """Tensors that are stacked along an axis, such as the weights of experts. Each is initialized as a separate tensor, which
    does not have that axis.

    >>> stacked("orthogonal")
    stacked(orthogonal)
    """
    return Initializer(f"stacked({spec}, axis={axis})")
