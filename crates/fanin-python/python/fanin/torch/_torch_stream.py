"""The function `fill`, which fills a tensor with values of the torch stream if fanin supports the tensor.

fanin performs a fill only if both of these conditions are met. Otherwise, torch performs it.

- fanin computes the same bits as the installed torch for the distribution and the dtype (see `_same_bits`).
- The tensor is *plain*. A plain tensor is dense, is in CPU memory, and has a dtype that fanin supports. No feature of
  torch may change the effect of the call: no subclass, mode, tracing, vmap, inference mode or forward-mode derivative.

torch represents most of these features by two sets of dispatch keys: one of the thread, and one of the tensor.
`is_plain` requires that both sets equal those of an ordinary tensor in a new thread. If a later torch adds a feature
with a new key, calls with this feature are therefore passed to torch.
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
from ._requests import (
    DTYPES as DTYPES,
    NORMAL as NORMAL,
    SPARSE as SPARSE,
    TRUNC_NORMAL as TRUNC_NORMAL,
    UNIFORM as UNIFORM,
    MakeRequest as MakeRequest,
)
from ._same_bits import is_same

#: The minimum number of values of a uniform, normal or truncated normal fill by fanin. torch is faster for smaller
#: fills, because fanin must read and set the state of torch's generator. docs/dev/performance.md has the measurements.
MIN_VALUES = 8192

#: Inside `fast_init(defer=True)`, a fill turns on the deferred mode only if the fill has at least this many values.
MIN_DEFERRED_VALUES = 1 << 20

TENSOR_TYPES = (Tensor, Parameter)
_thread_keys = torch._C._dispatch_tls_local_include_set
_tensor_keys = torch._C._dispatch_keys
has_function_mode = torch._C._has_torch_function_unary
_increment_version = torch._C._increment_version
# torch's original method, because fast_init(defer=True) patches `Tensor.data_ptr`, but not `TensorBase.data_ptr`.
data_ptr = torch._C.TensorBase.data_ptr
_default_generator = torch.default_generator


def _ordinary_keys() -> tuple[int, int]:
    """Returns the dispatch keys of a new thread and of a dense CPU tensor. A new thread has no active mode of torch."""
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
    """Returns whether torch must handle a call with the argument `tensor`.

    This is the case if the type of `tensor` is neither Tensor nor Parameter, or if a function mode other than
    DeviceContext is active.
    """
    return type(tensor) not in TENSOR_TYPES or (has_function_mode(tensor) and not only_device_contexts())


def has_ordinary_keys(tensor: Tensor) -> bool:
    """Returns whether a tensor has the dispatch keys of a dense CPU tensor."""
    return _tensor_keys(tensor).raw_repr() == _TENSOR_KEYS


def is_plain(tensor: Tensor) -> bool:
    """Returns whether a tensor is plain (see the module docstring). fanin can write to the memory of a plain tensor."""
    return (
        not torch.compiler.is_compiling()
        and not is_for_torch(tensor)
        and _thread_keys().raw_repr() == _THREAD_KEYS
        and _tensor_keys(tensor).raw_repr() == _TENSOR_KEYS
        and tensor.dtype in DTYPES
        and forward_ad._current_level < 0
    )


def is_cpu_generator(generator: torch.Generator | None) -> bool:
    """Returns whether `generator` is None (the default generator) or a torch.Generator on the CPU.

    Returns False for an instance of a subclass of torch.Generator.
    """
    return generator is None or (type(generator) is torch.Generator and generator.device.type == "cpu")


def read_arguments(names: tuple[str, str], given: Any, /, generator=None, **named):
    """Reads the arguments of a call of `Tensor.uniform_` or `Tensor.normal_`.

    Parameters
    ----------
    names
        The names of the two parameters of the distribution. Their defaults are 0 and 1.
    given
        The positional arguments after the tensor.

    Returns
    -------
    tuple or None
        The values of the two parameters, and the generator. None if the arguments are invalid. The caller then calls
        torch, which raises the error.
    """
    first, second = names
    if len(given) > 2 or not named.keys() <= set(names[len(given) :]):
        return None
    a = given[0] if given else named.get(first, 0.0)
    b = given[1] if len(given) == 2 else named.get(second, 1.0)
    return a, b, generator


def fill_plain(request: FillRequest, tensor: Tensor, generator: torch.Generator | None) -> bool:
    """Fills a plain tensor, advances the generator, and returns True. Returns False if torch must perform the fill.

    False means that nothing was written. A fill increments the version counter of the tensor, as an in-place torch
    operation under no_grad does.
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
    """Fills a tensor if fanin supports the fill.

    fanin supports it if the tensor is plain (see `is_plain`), the generator is None or a CPU generator of torch, and
    the arguments are numbers. While the deferred mode is on, `fill_under_mode` performs the fill.

    Parameters
    ----------
    make_request
        One of UNIFORM, NORMAL, TRUNC_NORMAL and SPARSE.
    arguments
        The arguments of `make_request`.

    Returns
    -------
    bool
        True if the tensor was filled. False if nothing was written, so that torch must perform the fill.
    """
    try:
        if is_plain(tensor):
            if not is_same(make_request, tensor.dtype):
                return False
            # If this fill turns on the deferred mode, torch must perform the fill, because the mode can defer only operators.
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


#: The function `fill_under_mode` of `_deferred.mode`. None until `_deferred.mode` is imported.
fill_under_mode: Callable[[MakeRequest, Any, Tensor, torch.Generator | None], bool] | None = None

#: The function `wake` of `_deferred.mode`, which turns on the deferred mode of this thread. None until `_deferred.mode`
#: is imported.
wake_mode: Callable[[Tensor], bool] | None = None
