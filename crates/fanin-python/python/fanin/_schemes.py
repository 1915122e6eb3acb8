"""One function for each initialization scheme. Each function returns an `Initializer`.

Each function writes its arguments into a spec, such as "normal(std=0.02)". Rust parses the spec, so an invalid argument
raises the same error as an invalid spec. The schemes of torch.nn.init come first, in torch's order.
"""

from __future__ import annotations

import math

from ._fanin import Initializer


def _format(value: float | str) -> str:
    """Formats the value of an argument for a spec. A float without a fractional part is written as an integer: "2" for 2.0."""
    if isinstance(value, str):
        return value
    value = float(value)
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _make(name: str, **arguments: float | str | None) -> Initializer:
    """Returns the initializer of the scheme `name`. The spec omits arguments that are None."""
    written = ", ".join(f"{key}={_format(value)}" for key, value in arguments.items() if value is not None)
    return Initializer(f"{name}({written})")


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """Returns an initializer for the uniform distribution on `a..b` (`b` exclusive).

    >>> uniform(-0.1, 0.1)
    uniform(a=-0.1, b=0.1)
    """
    return _make("uniform", a=a, b=b)


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Returns an initializer for the normal distribution with mean `mean` and standard deviation `std`.

    >>> normal(std=0.02)
    normal(std=0.02)
    """
    return _make("normal", mean=mean, std=std)


def trunc_normal(
    mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, method: str | None = None
) -> Initializer:
    """Returns an initializer for the normal distribution with mean `mean` and standard deviation `std`, truncated to [a, b].

    The bounds `a` and `b` are absolute, not multiples of `std`. `method` is "inverse_cdf" or "rejection". `fanin fill --help`
    explains the methods.

    >>> trunc_normal(std=0.02, a=-0.04, b=0.04)
    trunc_normal(std=0.02, a=-0.04, b=0.04)
    """
    return _make("trunc_normal", mean=mean, std=std, a=a, b=b, method=method)


def constant(val: float) -> Initializer:
    """Returns an initializer that sets every element to `val`.

    >>> constant(0.5)
    constant(val=0.5)
    """
    return _make("constant", val=val)


def ones() -> Initializer:
    """Returns an initializer that sets every element to 1.

    >>> ones()
    ones
    """
    return _make("ones")


def zeros() -> Initializer:
    """Returns an initializer that sets every element to 0.

    >>> zeros()
    zeros
    """
    return _make("zeros")


def eye() -> Initializer:
    """Returns an initializer for the identity matrix.

    >>> eye()
    eye
    """
    return _make("eye")


def dirac(groups: int = 1) -> Initializer:
    """Returns an initializer for the Dirac delta, as in torch.nn.init.dirac_.

    A convolution with this kernel returns the input channels of each group unchanged. In each group, the weight from
    input channel d to output channel d is 1 at the center of the kernel. All other elements are 0.

    >>> dirac(groups=2)
    dirac(groups=2)
    """
    return _make("dirac", groups=groups)


def xavier_uniform(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """Returns an initializer for the uniform distribution on -a..a, where a = gain * sqrt(6 / (fan_in + fan_out)).

    `gain` is a number or the name of a nonlinearity.

    >>> xavier_uniform("relu").resolve((30, 20)).bounds[1]
    0.4898979485566357
    """
    return _make("xavier_uniform", gain=gain, layout=layout, groups=groups)


def xavier_normal(gain: float | str = 1.0, *, layout: str | None = None, groups: int | None = None) -> Initializer:
    """Returns an initializer for the normal distribution with mean 0 and std = gain * sqrt(2 / (fan_in + fan_out)).

    `gain` is a number or the name of a nonlinearity.

    >>> xavier_normal().resolve((30, 20)).std
    0.2
    """
    return _make("xavier_normal", gain=gain, layout=layout, groups=groups)


def kaiming_uniform(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """Returns an initializer for the uniform distribution on -bound..bound, where bound = gain * sqrt(3 / fan).

    `mode` selects the fan: "fan_in" or "fan_out". `nonlinearity` determines the gain. `a` is the negative slope of leaky_relu.

    >>> kaiming_uniform(mode="fan_out", nonlinearity="relu")
    kaiming_uniform(mode=fan_out, nonlinearity=relu)
    """
    return _make("kaiming_uniform", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def kaiming_normal(
    a: float | None = None, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, layout: str | None = None, groups: int | None = None
) -> Initializer:
    """Returns an initializer for the normal distribution with mean 0 and std = gain / sqrt(fan).

    `mode` selects the fan: "fan_in" or "fan_out". `nonlinearity` determines the gain. `a` is the negative slope of leaky_relu.

    >>> kaiming_normal(nonlinearity="tanh").resolve((40, 25)).std
    0.33333333333333337
    """
    return _make("kaiming_normal", a=a, mode=mode, nonlinearity=nonlinearity, layout=layout, groups=groups)


def orthogonal(gain: float | str = 1.0, *, layout: str | None = None) -> Initializer:
    """Returns an initializer for gain * Q, where Q is a random semi-orthogonal matrix (Haar distribution).

    >>> orthogonal("relu")
    orthogonal(gain=relu)
    """
    return _make("orthogonal", gain=gain, layout=layout)


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Returns an initializer for a matrix that has ceil(sparsity * rows) zeros in each column.

    The other elements are normal with mean 0 and standard deviation `std`.

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
    """Returns an initializer for the normal distribution truncated to [mean + a * std, mean + b * std].

    The bounds `a` and `b` are multiples of `std`, as in timm's `trunc_normal_tf_`. Truncation reduces the standard
    deviation of the values, to 0.88 * std with the default bounds. `corrected=True` widens the distribution and its
    bounds so that the values have the standard deviation `std`.

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
    """Returns an initializer for the variance `scale` / n, like JAX's `variance_scaling` and Keras's `VarianceScaling`.

    `mode` selects n: "fan_in", "fan_out", "fan_avg" (the mean of both fans) or "fan_geo_avg" (their geometric mean).
    `distribution` is "truncated_normal", "normal" or "uniform". JAX and Keras kernels have the layout "kernel_in_out".

    >>> variance_scaling(0.5, "fan_avg", "uniform")
    variance_scaling(scale=0.5, mode=fan_avg, distribution=uniform)
    """
    return _make(
        "variance_scaling", scale=scale, mode=mode, distribution=distribution, layout=layout, groups=groups
    )


def lecun_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the uniform distribution on -a..a, where a = sqrt(3 / fan_in)."""
    return _make("lecun_uniform", layout=layout, groups=groups)


def lecun_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the truncated normal distribution with variance 1 / fan_in, as in JAX and Keras.

    This is the variance after truncation. The bounds are -2s and 2s, where s is the standard deviation of the normal distribution
    before truncation.
    """
    return _make("lecun_normal", layout=layout, groups=groups)


def he_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the uniform distribution on -a..a, where a = sqrt(6 / fan_in)."""
    return _make("he_uniform", layout=layout, groups=groups)


def he_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the truncated normal distribution with variance 2 / fan_in, as in JAX and Keras.

    This is the variance after truncation. The bounds are -2s and 2s, where s is the standard deviation of the normal distribution
    before truncation. `kaiming_normal` is not truncated.
    """
    return _make("he_normal", layout=layout, groups=groups)


def glorot_uniform(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the uniform distribution on -a..a, where a = sqrt(6 / (fan_in + fan_out))."""
    return _make("glorot_uniform", layout=layout, groups=groups)


def glorot_normal(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the truncated normal distribution with variance 2 / (fan_in + fan_out), as in JAX and Keras.

    This is the variance after truncation. The bounds are -2s and 2s, where s is the standard deviation of the normal distribution
    before truncation. `xavier_normal` is not truncated.
    """
    return _make("glorot_normal", layout=layout, groups=groups)


def linear_default(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the uniform distribution on -bound..bound, where bound = 1 / sqrt(fan_in).

    This is torch's default for the weights of Linear and Conv layers.
    """
    return _make("linear_default", layout=layout, groups=groups)


def linear_default_bias(fan_in: int) -> Initializer:
    """Returns an initializer for the uniform distribution on -bound..bound, where bound = 1 / sqrt(fan_in).

    This is torch's default for the biases of Linear and Conv layers. `fan_in` is the fan-in of the weight of the same layer.
    """
    return _make("linear_default_bias", fan_in=fan_in)


def delta_orthogonal(gain: float | str = 1.0, layout: str = "out_in") -> Initializer:
    """Returns an initializer for an orthogonal matrix at the center of the kernel, and zeros elsewhere (Xiao et al. 2018)."""
    return _make("delta_orthogonal", gain=gain, layout=layout)


def zero_hadamard() -> Initializer:
    """Returns an initializer for ZerO (Zhao et al. 2022), which uses no random values.

    The weight is the identity, or a scaled Hadamard matrix if there are more outputs than inputs.
    """
    return _make("zero_hadamard")


def idinit(tau: float = 1.0) -> Initializer:
    """Returns an initializer for IDInit (Pan et al. 2025).

    The weight is `tau` times the identity. If there are more outputs than inputs, the identity is repeated along the
    output axis.
    """
    return _make("idinit", tau=tau)


def siren(omega: float = 30.0, layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the hidden layers of a SIREN (Sitzmann et al. 2020).

    The distribution is uniform on -b..b, where b = sqrt(6 / fan_in) / omega.
    """
    return _make("siren", omega=omega, layout=layout, groups=groups)


def siren_first(layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for the first layer of a SIREN (Sitzmann et al. 2020).

    The distribution is uniform on -b..b, where b = 1 / fan_in.
    """
    return _make("siren_first", layout=layout, groups=groups)


def spectral(sigma: float = 1.0, layout: str = "out_in", groups: int = 1) -> Initializer:
    """Returns an initializer for spectral initialization (Yang et al. 2023).

    The distribution is normal with mean 0 and std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in)).
    """
    return _make("spectral", sigma=sigma, layout=layout, groups=groups)


def log_uniform(a: float, b: float) -> Initializer:
    """Returns an initializer for `exp(u)`, where u is uniform on log(a)..log(b). `a` and `b` must be greater than 0.

    Only the native stream supports this distribution.

    >>> log_uniform(0.001, 0.1)
    log_uniform(a=0.001, b=0.1)
    """
    return _make("log_uniform", a=a, b=b)


def arange(start: float = 0.0, end: float | None = None, step: float = 1.0) -> Initializer:
    """Returns an initializer for the values `start`, `start + step`, `start + 2 * step`, ... along the last axis.

    `end` (exclusive) is optional. If it is given, ceil((end - start) / step) must equal the length of the last axis. A
    single positional argument is the start. In torch.arange, it is the end.

    >>> import fanin
    >>> fanin.filled((2, 3), arange(1)).tolist()
    [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    """
    return _make("arange", start=start, end=end, step=step)


def log(spec: str | Initializer) -> Initializer:
    """Returns an initializer for `log(x)`, where x is a value of the initializer `spec`.

    The logarithm is computed in float64 and rounded once.

    >>> log("arange(1, 17)")
    log(arange(start=1, end=17))
    """
    return Initializer(f"log({spec})")


def exp(spec: str | Initializer) -> Initializer:
    """Returns an initializer for `exp(x)`, where x is a value of the initializer `spec`.

    The exponential is computed in float64 and rounded once.

    >>> exp("normal(std=0.1)")
    exp(normal(std=0.1))
    """
    return Initializer(f"exp({spec})")


def softplus_inverse(spec: str | Initializer) -> Initializer:
    """Returns an initializer for `x + log(1 - exp(-x))`, where x is a value of the initializer `spec`.

    This formula is the inverse of softplus. All values x must be greater than 0. Mamba stores its time steps in this form.

    >>> softplus_inverse(log_uniform(0.001, 0.1))
    softplus_inverse(log_uniform(a=0.001, b=0.1))
    """
    return Initializer(f"softplus_inverse({spec})")


def blocks(
    *spec: str | Initializer | tuple[int, str | Initializer], count: int | None = None, axis: int = 0
) -> Initializer:
    """Returns an initializer for a fused parameter. The blocks of the parameter along `axis` are initialized separately.

    There are three ways to describe the blocks:

    - One spec for each block. All blocks have the same size.
    - One tuple `(size, spec)` for each block.
    - One spec for all blocks, and the number of blocks as `count`. All blocks have the same size.

    >>> blocks((4096, "xavier_uniform"), (1024, "xavier_uniform"), (1024, "xavier_uniform(gain=0.5)"))
    blocks(4096: xavier_uniform, 1024: xavier_uniform, 1024: xavier_uniform(gain=0.5))
    >>> blocks("orthogonal", count=3)
    blocks(orthogonal, count=3)
    """
    texts = [f"{one[0]}: {one[1]}" if isinstance(one, tuple) else str(one) for one in spec]
    texts += [] if count is None else [f"count={count}"]
    return Initializer(f"blocks({', '.join([*texts, f'axis={axis}'])})")


def stacked(spec: str | Initializer, axis: int = 0) -> Initializer:
    """Returns an initializer for several tensors that are stacked along `axis`, such as the weights of experts.

    Each of these tensors is initialized separately, with the fans of its own shape. For example, a parameter of shape
    [8, 256, 64] with `axis=0` has 8 tensors of shape [256, 64].

    >>> stacked("orthogonal")
    stacked(orthogonal)
    """
    return Initializer(f"stacked({spec}, axis={axis})")
