"""Fills with values of the torch stream: decides which tensors fanin may fill itself, and fills them.

fanin fills only *plain* tensors. A tensor is plain if it is dense CPU memory of a type that fanin draws, and if no feature of
torch changes what a call does: no subclass, mode, tracing, vmap, inference mode or forward-mode derivative. torch represents
most of these features by two sets of dispatch keys, one of the thread and one of the tensor. `is_plain` requires that both sets
equal those of an ordinary tensor in a new thread. If a later release of torch adds a feature with a new key, calls that use it
are therefore passed to torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.overrides import _get_current_function_mode_stack as _function_modes
from torch.utils._device import DeviceContext

from .._fanin import FillRequest, torch_fill
from ._openmp import use_torch_threads

MakeRequest = Callable[..., "FillRequest | None"]

UNIFORM = FillRequest.uniform
NORMAL = FillRequest.normal
TRUNC_NORMAL = FillRequest.trunc_normal
SPARSE = FillRequest.sparse

#: The types whose values fanin draws on the torch stream, and the names of these types in Rust.
DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}

#: The number of values from which fanin fills a tensor itself. For smaller tensors torch is faster, because fanin must read and
#: set the generator's state, which takes longer than the fill. docs/speed.md has the measurements.
MIN_VALUES = 8192

#: The number of values from which a fill turns on the deferring of fills, in `fast_init(defer=True)`.
MIN_DEFERRED_VALUES = 1 << 20

TENSOR_TYPES = (Tensor, Parameter)
_thread_keys = torch._C._dispatch_tls_local_include_set
_tensor_keys = torch._C._dispatch_keys
has_function_mode = torch._C._has_torch_function_unary
_increment_version = torch._C._increment_version
# torch's original method: fast_init(defer=True) patches `Tensor.data_ptr`, but not this attribute of its base class.
data_ptr = torch._C.TensorBase.data_ptr
_default_generator = torch.default_generator


def _ordinary_keys() -> tuple[int, int]:
    """Returns the dispatch keys of a new thread, and those of a dense CPU tensor that is created in this thread."""
    found = []

    def read():
        found.append((_thread_keys().raw_repr(), _tensor_keys(torch.empty(0, device="cpu")).raw_repr()))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return found[0]


_THREAD_KEYS, _TENSOR_KEYS = _ordinary_keys()


use_torch_threads()


def only_device_contexts() -> bool:
    """Returns whether every active function mode is `with torch.device(...)`, which does not affect fills."""
    return all(type(mode) is DeviceContext for mode in _function_modes())


def is_for_torch(tensor: Tensor) -> bool:
    """Returns whether torch must do a call with this argument.

    This is the case if the argument is not a tensor, if its class is a subclass of Tensor other than Parameter, or if a
    function mode is active that is not a DeviceContext.
    """
    return type(tensor) not in TENSOR_TYPES or (has_function_mode(tensor) and not only_device_contexts())


def has_ordinary_keys(tensor: Tensor) -> bool:
    """Returns whether a tensor has the dispatch keys of a dense CPU tensor."""
    return _tensor_keys(tensor).raw_repr() == _TENSOR_KEYS


def is_plain(tensor: Tensor) -> bool:
    """Returns whether a tensor is plain, as defined at the top of this module: fanin may then write to its memory."""
    return (
        not torch.compiler.is_compiling()
        and not is_for_torch(tensor)
        and _thread_keys().raw_repr() == _THREAD_KEYS
        and _tensor_keys(tensor).raw_repr() == _TENSOR_KEYS
        and tensor.dtype in DTYPES
        and forward_ad._current_level < 0
    )


def is_cpu_generator(generator: torch.Generator | None) -> bool:
    """Returns whether `generator` is None (the default generator) or a CPU generator of torch's own class."""
    return generator is None or (type(generator) is torch.Generator and generator.device.type == "cpu")


def read_arguments(names: tuple[str, str], given: Any, /, generator=None, **named):
    """Parses the arguments of a call of `Tensor.uniform_` or `Tensor.normal_`.

    Parameters
    ----------
    names
        The names of the two parameters of the distribution. Their defaults are 0 and 1.
    given
        The positional arguments after the tensor.

    Returns
    -------
    tuple or None
        The values of the two parameters and the generator, or None for arguments for which torch raises an error.
    """
    first, second = names
    if len(given) > 2 or not named.keys() <= set(names[len(given) :]):
        return None
    a = given[0] if given else named.get(first, 0.0)
    b = given[1] if len(given) == 2 else named.get(second, 1.0)
    return a, b, generator


def fill_plain(request: FillRequest, tensor: Tensor, generator: torch.Generator | None) -> bool:
    """Fills a tensor for which `is_plain` is true, advances the generator, and returns True.

    Increments the version counter of the tensor, as an operation of torch under no_grad does. Returns False, before anything
    is written, if torch must do the fill.
    """
    generator = _default_generator if generator is None else generator
    address = data_ptr(tensor)
    if address == 0:
        return False
    dtype, shape = DTYPES[tensor.dtype], tensor.shape
    strides = None if tensor.is_contiguous() else tensor.stride()
    if not torch_fill(request, address, dtype, shape, strides, generator):
        return False
    _increment_version((tensor,))
    return True


def fill(make_request: MakeRequest, arguments: Any, tensor: Tensor, generator: torch.Generator | None) -> bool:
    """Fills a tensor, if it is plain, if the generator is a CPU generator of torch, and if the arguments are numbers.

    Parameters
    ----------
    make_request
        One of UNIFORM, NORMAL, TRUNC_NORMAL and SPARSE.
    arguments
        The arguments of `make_request`.

    Returns
    -------
    bool
        True if the tensor was filled. False if torch must do the fill; nothing is written then.
    """
    try:
        if is_plain(tensor):
            # If this fill turns the deferring mode on, torch's operator must be called, because the mode sees only operators.
            if (
                wake_mode is not None
                and (make_request is UNIFORM or make_request is NORMAL)
                and tensor.numel() >= MIN_DEFERRED_VALUES
                and wake_mode(tensor)
            ):
                return False
            if not is_cpu_generator(generator):
                return False
            request = make_request(*arguments)
            return request is not None and fill_plain(request, tensor, generator)
        return fill_under_mode is not None and fill_under_mode(make_request, arguments, tensor, generator)
    except (TypeError, OverflowError):
        return False


#: The function `fill_under_mode` of `_deferred_mode`, which fills a tensor while the deferring mode is on. None until
#: `_deferred_mode` is imported.
fill_under_mode: Callable[[MakeRequest, Any, Tensor, torch.Generator | None], bool] | None = None

#: The function `wake` of `_deferred_mode`, which turns on the deferring mode of this thread before a large fill, and returns
#: whether it turned the mode on. None until `_deferred_mode` is imported.
wake_mode: Callable[[Tensor], bool] | None = None
