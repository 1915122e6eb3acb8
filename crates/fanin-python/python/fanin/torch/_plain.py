"""Which calls fanin may answer, and the one way in which it answers them.

A plain tensor is dense memory on the CPU of a type that fanin draws, in a thread where nothing stands between a call
and that memory: no mode, no tracing, no vmap, no inference mode, no forward-mode derivative. torch keeps all of this in
two sets of dispatch keys, one of the thread and one of the tensor: both are compared with those of an ordinary tensor
in a fresh thread. So whatever a later torch adds is handed to torch, not guessed at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.overrides import _get_current_function_mode_stack as _function_modes
from torch.utils._device import DeviceContext

from .._fanin import torch_draw
from ._threads import share

UNIFORM, NORMAL, TRUNC_NORMAL, SPARSE = range(4)

#: The types that fanin draws; _fanin counts them in this order.
DTYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}

#: Fills below this many values are torch's own: to take the generator's state and give it back costs more. Measured one after
#: another they are as long from half as many on; between the other work of a layer's construction, whose code and data
#: caches have forgotten ours, from 9000 on.
FEW = 8192

#: Fills of this many values and more are worth waiting for.
LARGE = 1 << 20

_KINDS = (Tensor, Parameter)
_NUMBERS = (float, int)
_thread_keys = torch._C._dispatch_tls_local_include_set
_tensor_keys = torch._C._dispatch_keys
_function_mode_on = torch._C._has_torch_function_unary
_increment_version = torch._C._increment_version
# The method itself: fast_init may have put a door before it.
_data_ptr = torch._C.TensorBase.data_ptr
_default = torch.default_generator


def _ordinary_keys() -> tuple[int, int]:
    """The dispatch keys of a fresh thread, and of a dense CPU tensor made there."""
    found = []

    def look():
        found.append((_thread_keys().raw_repr(), _tensor_keys(torch.empty(0, device="cpu")).raw_repr()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


_THREAD_KEYS, _TENSOR_KEYS = _ordinary_keys()


share()


def only_devices_wait() -> bool:
    """Whether every function mode is `with torch.device(...)`, which fills do not concern."""
    return all(type(mode) is DeviceContext for mode in _function_modes())


def is_for_torch(tensor: Tensor) -> bool:
    """Whether a call belongs to torch at first sight: a subclass, no tensor at all, or a mode that must see it."""
    return type(tensor) not in _KINDS or (_function_mode_on(tensor) and not only_devices_wait())


def is_plain(tensor: Tensor) -> bool:
    """Whether fanin may write `tensor`'s memory itself."""
    return (
        not torch.compiler.is_compiling()
        and not is_for_torch(tensor)
        and _thread_keys().raw_repr() == _THREAD_KEYS
        and _tensor_keys(tensor).raw_repr() == _TENSOR_KEYS
        and tensor.dtype in DTYPES
        and forward_ad._current_level < 0
    )


def is_ours(generator: torch.Generator | None) -> bool:
    """Whether `generator` is a CPU generator of torch's own class, or the default one."""
    return generator is None or (type(generator) is torch.Generator and generator.device.type == "cpu")


def write(wish: tuple[int, float, float, float, float], tensor: Tensor, generator: torch.Generator | None) -> bool:
    """Draws a law into a tensor that `is_plain`, and moves the generator on. False: nothing is done, torch should.

    Autograd is told that the tensor has changed, as an operation of torch's under no_grad would tell it.
    """
    generator = _default if generator is None else generator
    address = _data_ptr(tensor)
    if address == 0:
        return False
    dtype, shape = DTYPES[tensor.dtype], tensor.shape
    strides = None if tensor.is_contiguous() else tensor.stride()
    if not torch_draw(wish, address, dtype, shape, strides, generator):
        return False
    _increment_version((tensor,))
    return True


def draw(wish: tuple[int, float, float, float, float], tensor: Tensor, generator: torch.Generator | None) -> bool:
    """`write`, if the tensor is plain, the generator one of torch's and the arguments numbers."""
    _, a, b, c, d = wish
    if not (isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS) and isinstance(c, _NUMBERS) and isinstance(d, _NUMBERS)):
        # Of others torch takes some and refuses some.
        return False
    try:
        if is_plain(tensor):
            if wake is not None and wish[0] <= NORMAL and tensor.numel() >= LARGE and wake(tensor):
                # By torch's operator, which the mode sees.
                return False
            return is_ours(generator) and write(wish, tensor, generator)
        return draw_under is not None and draw_under(wish, tensor, generator)
    except (TypeError, OverflowError):
        return False


#: How a draw goes under the mode of `_defer`, once that is in use.
draw_under: Callable[[tuple[int, float, float, float, float], Tensor, torch.Generator | None], bool] | None = None

#: Tells `_defer` of a large fill, once that is in use: true if the thread's mode is on now, and is to see the fill.
wake: Callable[[Tensor], bool] | None = None
