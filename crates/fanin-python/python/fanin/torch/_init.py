"""Replacements of the functions of torch.nn.init, such as `uniform_` and `orthogonal_`.

Each function performs the same steps as torch's function, in the same order. torch computes gains and fans. fanin fills
the tensor if `_torch_stream` supports it. Otherwise torch fills the tensor.
"""

# `from __future__ import annotations` would turn annotations into strings. Signatures would then differ from torch's.

import inspect
import math
import threading
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import init as _torch
from torch.nn.init import _calculate_correct_fan, _calculate_fan_in_and_fan_out, calculate_gain

from ._torch_stream import MIN_VALUES, NORMAL, SPARSE, TRUNC_NORMAL, UNIFORM, fill, is_for_torch, is_plain

if TYPE_CHECKING:
    from torch.nn.init import _FanMode, _NonlinearityType
else:
    _FanMode = getattr(_torch, "_FanMode", str)
    _NonlinearityType = getattr(_torch, "_NonlinearityType", str)

_grad_is_enabled = torch.is_grad_enabled
# This function replaces torch.no_grad() below, because entering torch.no_grad() takes longer than a small fill.
_set_grad_enabled = torch._C._set_grad_enabled


def _fill_uniform(tensor, a, b, generator):
    """Does `tensor.uniform_(a, b)` under no_grad, with fanin if possible and else with torch. Returns the tensor."""
    if tensor.numel() >= MIN_VALUES and fill(UNIFORM, (a, b), tensor, generator):
        return tensor
    before = _grad_is_enabled()
    _set_grad_enabled(False)
    try:
        return tensor.uniform_(a, b, generator=generator)
    finally:
        _set_grad_enabled(before)


def _fill_normal(tensor, mean, std, generator):
    """Does `tensor.normal_(mean, std)` under no_grad, with fanin if possible and else with torch. Returns the tensor."""
    if tensor.numel() >= MIN_VALUES and fill(NORMAL, (mean, std), tensor, generator):
        return tensor
    before = _grad_is_enabled()
    _set_grad_enabled(False)
    try:
        return tensor.normal_(mean, std, generator=generator)
    finally:
        _set_grad_enabled(before)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills a tensor with values of the uniform distribution U[a, b).

    >>> w = torch.empty(3, 5)
    >>> bool((uniform_(w, -1, 1).abs() <= 1).all())
    True
    """
    if is_for_torch(tensor):
        return _torch.uniform_(tensor, a, b, generator)
    return _fill_uniform(tensor, a, b, generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills a tensor with values of the normal distribution N(mean, std^2).

    >>> a, b = torch.empty(300, 50), torch.empty(300, 50)
    >>> _ = torch.manual_seed(0), normal_(a, std=0.02)
    >>> _ = torch.manual_seed(0), torch.nn.init.normal_(b, std=0.02)
    >>> torch.equal(a, b)
    True
    """
    if is_for_torch(tensor):
        return _torch.normal_(tensor, mean, std, generator)
    return _fill_normal(tensor, mean, std, generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fills a tensor with values of N(mean, std^2) truncated to [a, b]. The bounds are absolute, not multiples of std.

    >>> w = trunc_normal_(torch.empty(300, 50), std=0.02, a=-0.04, b=0.04)
    >>> float(w.abs().max()) <= 0.04
    True
    """
    if is_for_torch(tensor) or tensor.numel() < MIN_VALUES or not _fill_truncated(tensor, mean, std, a, b, generator):
        return _torch.trunc_normal_(tensor, mean, std, a, b, generator)
    return tensor


def _fill_truncated(tensor, mean, std, a, b, generator) -> bool:
    """Fills a tensor with values of a truncated normal distribution, and returns True.

    Issues torch's warning if the mean is more than 2 std from [a, b]. Returns False, and does nothing, if torch must
    fill the tensor.
    """
    try:
        far = mean < a - 2 * std or mean > b + 2 * std
    except TypeError:
        return False
    if not fill(TRUNC_NORMAL, (mean, std, a, b), tensor, generator):
        return False
    if far:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )
    return True


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills a tensor with `val`.

    >>> constant_(torch.empty(2), 0.3)
    tensor([0.3000, 0.3000])
    """
    if is_for_torch(tensor):
        return _torch.constant_(tensor, val)
    before = _grad_is_enabled()
    _set_grad_enabled(False)
    try:
        return tensor.fill_(val)
    finally:
        _set_grad_enabled(before)


def ones_(tensor: Tensor) -> Tensor:
    """Fills a tensor with 1.

    >>> ones_(torch.empty(2))
    tensor([1., 1.])
    """
    return _torch.ones_(tensor) if is_for_torch(tensor) else constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fills a tensor with 0.

    >>> zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    if is_for_torch(tensor):
        return _torch.zeros_(tensor)
    before = _grad_is_enabled()
    _set_grad_enabled(False)
    try:
        return tensor.zero_()
    finally:
        _set_grad_enabled(before)


def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with the identity.

    >>> eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    return _torch.eye_(tensor)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fills a kernel of 3 to 5 dimensions with the Dirac delta.

    A convolution with this kernel returns the input channels of each group unchanged.

    >>> dirac_(torch.empty(2, 2, 3))[0]
    tensor([[0., 1., 0.],
            [0., 0., 0.]])
    """
    if is_for_torch(tensor) or not is_plain(tensor) or tensor.ndim not in (3, 4, 5) or type(groups) is not int:
        return _torch.dirac_(tensor, groups)
    if groups < 1 or tensor.shape[0] % groups or 0 in tensor.shape:
        return _torch.dirac_(tensor, groups)
    with torch.no_grad():
        tensor.zero_()
        center = tensor
        while center.ndim > 2:
            center = center.select(2, center.shape[2] // 2)
        # Writing a diagonal at a time is faster than torch, which writes each 1 separately.
        for group in center.split(tensor.shape[0] // groups):
            group.diagonal().fill_(1)
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills a tensor with values of U[-a, a), where a = gain * sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010).

    >>> w = xavier_uniform_(torch.empty(30, 50), gain=calculate_gain("relu"))
    """
    if is_for_torch(tensor):
        return _torch.xavier_uniform_(tensor, gain, generator)
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    a = math.sqrt(3.0) * std
    return _fill_uniform(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills a tensor with values of N(0, std^2), where std = gain * sqrt(2 / (fan_in + fan_out)) (Glorot, Bengio 2010).

    >>> w = xavier_normal_(torch.empty(30, 50))
    """
    if is_for_torch(tensor):
        return _torch.xavier_normal_(tensor, gain, generator)
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return _fill_normal(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _NonlinearityType = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fills a tensor with values of U[-bound, bound), where bound = gain * sqrt(3 / fan) (He et al. 2015).

    `mode` selects the fan: "fan_in" or "fan_out". `nonlinearity` determines the gain. `a` is the negative slope of leaky_relu.

    >>> w = kaiming_uniform_(torch.empty(64, 3, 7, 7), mode="fan_out", nonlinearity="relu")
    """
    if is_for_torch(tensor):
        return _torch.kaiming_uniform_(tensor, a, mode, nonlinearity, generator)
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    gain = calculate_gain(nonlinearity, a)
    std = gain / math.sqrt(fan)
    bound = math.sqrt(3.0) * std
    return _fill_uniform(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _NonlinearityType = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fills a tensor with values of N(0, std^2), where std = gain / sqrt(fan) (He et al. 2015).

    `mode` selects the fan: "fan_in" or "fan_out". `nonlinearity` determines the gain. `a` is the negative slope of leaky_relu.

    >>> w = kaiming_normal_(torch.empty(64, 3, 7, 7), mode="fan_out", nonlinearity="relu")
    """
    if is_for_torch(tensor):
        return _torch.kaiming_normal_(tensor, a, mode, nonlinearity, generator)
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    gain = calculate_gain(nonlinearity, a)
    std = gain / math.sqrt(fan)
    return _fill_normal(tensor, 0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: torch.Generator | None = None) -> Tensor:
    """Fills a tensor with gain * Q, where Q is semi-orthogonal and Haar-distributed (Saxe et al. 2013, Mezzadri 2007).

    fanin draws a normal matrix, and torch's LAPACK factorizes it. The result is therefore bit-identical to torch's.

    Ctrl-C ends the call even while a large matrix is factorized. LAPACK cannot be interrupted, so a background thread
    continues until the factorization is finished. After Ctrl-C, the tensor is unchanged. The generator has advanced
    past the normal values.

    >>> w = orthogonal_(torch.empty(30, 50))
    >>> torch.allclose(w @ w.T, torch.eye(30), atol=1e-5)
    True
    """
    if is_for_torch(tensor) or not is_plain(tensor) or tensor.ndim < 2 or tensor.numel() == 0:
        return _torch.orthogonal_(tensor, gain, generator)
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    gaussian = _fill_normal(tensor.new_empty((rows, columns)), 0, 1, generator)
    if rows < columns:
        gaussian.t_()
    q, r = _factorize(gaussian)
    q *= torch.diag(r, 0).sign()
    if rows < columns:
        q.t_()
    with torch.no_grad():
        tensor.view_as(q).copy_(q)
        tensor.mul_(gain)
    return tensor


#: Factorizations with at least this number of multiplications (about 0.1 s) run in a background thread.
_INTERRUPTIBLE = 1 << 31


def _factorize(matrix):
    """Returns `torch.linalg.qr(matrix)`. Ctrl-C can end the call.

    Python handles Ctrl-C only in the main thread, so a long factorization runs in a background thread.
    """
    if matrix.numel() * min(matrix.shape) < _INTERRUPTIBLE or threading.current_thread() is not threading.main_thread():
        return torch.linalg.qr(matrix)
    done = []

    def work():
        try:
            done.append(torch.linalg.qr(matrix))
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=work, name="fanin.torch.orthogonal_", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: torch.Generator | None = None
) -> Tensor:
    """Fills a matrix with values of N(0, std^2), except for ceil(sparsity * rows) zeros in each column (Martens 2010).

    >>> w = sparse_(torch.empty(10, 5), sparsity=0.3)
    >>> (w == 0).sum(0)
    tensor([3, 3, 3, 3, 3])
    """
    if generator is not None or is_for_torch(tensor) or not is_plain(tensor) or tensor.ndim != 2:
        # With `generator`, torch uses two generators: `generator` for the values, and the default generator for the
        # positions of the zeros. fanin uses one generator.
        return _torch.sparse_(tensor, sparsity, std, generator)
    try:
        zeros = math.ceil(sparsity * tensor.shape[0])
    except (TypeError, ValueError, OverflowError):
        zeros = -1
    if 0 <= zeros <= tensor.shape[0] and fill(SPARSE, (zeros, std), tensor, None):
        return tensor
    return _torch.sparse_(tensor, sparsity, std, generator)


def _deprecated(function):
    """Returns the deprecated variant of a function, such as `uniform` for `uniform_`.

    The variant issues torch's deprecation warning and calls `function`.
    """
    new = function.__name__
    old = new[:-1]

    def deprecated(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = old
    deprecated.__doc__ = f"The deprecated name of `{new}` in torch."
    deprecated.__signature__ = inspect.signature(getattr(_torch, old))
    return deprecated


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
