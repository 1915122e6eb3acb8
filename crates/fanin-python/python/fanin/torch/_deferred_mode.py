"""Deferred fills: under `fast_init(defer=True)` a fill of a whole tensor is done when something reads the tensor.

Most fills of model code are overwritten before anything reads them: first the layer's own initialization runs, then the
library's. When a fill is deferred, the generator advances past it, and the generator's state before it is kept. The fill is

- dropped if another fill covers the same memory, or if nothing refers to the memory any more;
- done at once if an operation reads the memory or writes to a part of it;
- done with all others at the end, on all threads.

Reads and writes are seen in two ways. A dispatch mode sees every operator of its thread. The schemas of torch's own
operators say what they read and return. Of other operators (of a library, a subclass, or higher-order ones) nothing is
known, and all fills are done first. Methods that read memory without an operator are patched, see `_deferred_patches`. Only
fills of memory that was allocated under the mode, and not exposed through a patched method, are deferred.

The mode costs microseconds for each operator, more than all fills of a small model. It is therefore off until the first
large fill. That fill may be deferred as well if no page of its memory has been written to yet.

Some uses of memory cannot be seen, so deferring is optional: the docstring of `fast_init` lists them.
"""

from __future__ import annotations

import mmap
import threading
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

from . import _deferred_patches, _torch_stream
from ._deferred_queue import DeferredQueue
from ._queued_fill import has_cpu_memory, storage_of
from ._torch_stream import DTYPES, NORMAL, UNIFORM, fill, read_arguments

_aten = torch.ops.aten

#: Operators that read only the type and shape of a tensor.
_SHAPE_ONLY = {
    _aten.empty_like.default,
    _aten.zeros_like.default,
    _aten.ones_like.default,
    _aten.full_like.default,
    _aten.new_empty.default,
    _aten.new_empty_strided.default,
    _aten.new_zeros.default,
    _aten.new_ones.default,
    _aten.new_full.default,
}

#: Operators that allocate memory and read none.
_ALLOCATING = {
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.zeros.default,
    _aten.ones.default,
    _aten.full.default,
}

#: Operators that return memory to which other code has access.
_SHARED = {_aten.from_file.default}

#: What an operator does with the memory of its arguments: reads it, overwrites the first argument, makes a view of it,
#: draws random values into the first argument, has no tensor arguments, or unknown.
_READ, _OVERWRITE, _VIEW, _DRAW, _ALLOCATE, _UNKNOWN = range(6)
#: For each operator that was called: one of these effects, and whether its result is new memory.
_effects: dict[Any, tuple[int, bool]] = {}


def _effect(operator: Any) -> tuple[int, bool]:
    """Classifies an operator at its first call."""
    if getattr(operator, "namespace", None) != "aten":
        effect = _UNKNOWN
    elif operator in (_aten.uniform_.default, _aten.normal_.default):
        effect = _DRAW
    elif operator in (_aten.zero_.default, _aten.fill_.Scalar, _aten.fill_.Tensor, _aten.copy_.default):
        effect = _OVERWRITE
    elif operator in _ALLOCATING:
        effect = _ALLOCATE
    elif operator.is_view or operator in _SHAPE_ONLY:
        effect = _VIEW
    else:
        effect = _READ
    is_new = effect != _UNKNOWN and operator not in _SHARED and not operator._schema.is_mutable
    _effects[operator] = effect, is_new
    return _effects[operator]


class DeferredMode(TorchDispatchMode):
    """The dispatch mode, and the queue of the fills that it defers."""

    #: Higher-order operators are passed to `__torch_dispatch__` as well, which flushes all fills.
    supports_higher_order_operators = True

    def __init__(self):
        super().__init__()
        self.queue = DeferredQueue()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        effect, is_new = _effects.get(operator) or _effect(operator)
        queue = self.queue
        if types or effect == _UNKNOWN:
            # A subclass may refer to memory that cannot be seen from here.
            queue.flush_all()
            return operator(*args, **kwargs)
        if effect == _ALLOCATE:
            result = operator(*args, **kwargs)
            if type(result) is Tensor and result.dtype in DTYPES and has_cpu_memory(result):
                queue.add_storage(result)
            return result
        if effect == _VIEW:
            result = operator(*args, **kwargs)
            queue.expose_elements(result)
        elif effect == _DRAW and queue.defer(*_request(operator, args, kwargs)):
            return args[0]
        elif effect == _OVERWRITE and queue.fills and queue.covers_fill(args[0]):
            for arg in args[1:]:
                if isinstance(arg, Tensor):
                    queue.flush(arg)
            result = operator(*args, **kwargs)
            # After the operator: if it raises, the deferred fill still applies.
            queue.drop(args[0])
        else:
            queue.flush_arguments(args, kwargs)
            if effect == _DRAW and _fill_now(operator, args, kwargs):
                return args[0]
            result = operator(*args, **kwargs)
        if is_new and type(result) is Tensor and has_cpu_memory(result):
            queue.add_result(args, result)
        return result

    def wake(self, tensor: Tensor) -> None:
        """Turns the mode on, before the fill of `tensor`."""
        _sleeping.mode = None
        queue = self.queue
        queue.is_active = True
        storage = storage_of(tensor)
        if storage._cdata not in queue.exposed and storage.resizable() and _is_unwritten(storage):
            queue.add_storage(tensor)
        queue.exposed.clear()
        _deferred_patches.apply_to_importers()
        super().__enter__()

    def __enter__(self):
        """Applies the patches. The mode stays off until `wake`."""
        _deferred_patches.apply(self.queue)
        _sleeping.mode = self
        return self

    def __exit__(self, *exception):
        _deferred_patches.remove(self.queue)
        if not self.queue.is_active:
            _sleeping.mode = None
            self.queue.exposed.clear()
            return
        super().__exit__(*exception)
        try:
            self.queue.flush_all()
        finally:
            self.queue.own.clear()


def _is_unwritten(storage) -> bool:
    """Returns whether no page of a storage was written to since the system allocated it.

    Pages at the ends, which the storage may share with other memory, are not checked. Returns False if the pages cannot be
    read: only Linux has /proc/self/pagemap.
    """
    page = mmap.PAGESIZE
    first, end = -(-storage.data_ptr() // page), (storage.data_ptr() + storage.nbytes()) // page
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pages:
            pages.seek(8 * first)
            entries = bytearray(pages.read(8 * (end - first)))
    except OSError:
        return False
    # The two highest bits of an entry say that the page is in memory, or swapped out.
    return first < end and len(entries) == 8 * (end - first) and not max(entries[7::8]) >> 6


#: The mode of this thread that was entered and is not on yet.
_sleeping = threading.local()


def wake(tensor: Tensor) -> bool:
    """Turns on the mode of this thread, if it was entered and is off. Returns whether it did."""
    mode = getattr(_sleeping, "mode", None)
    # At the end of a backward pass autograd restores the mode stack from before it.
    if mode is None or torch._C._current_graph_task_id() != -1:
        return False
    mode.wake(tensor)
    return True


_torch_stream.wake_mode = wake


def _read_operator(operator, args, kwargs):
    """Returns how to make the request of a call of `aten.uniform_` or `aten.normal_`, its numbers and its generator."""
    if operator is _aten.uniform_.default:
        make_request, names = UNIFORM, ("from", "to")
    else:
        make_request, names = NORMAL, ("mean", "std")
    a, b, generator = read_arguments(names, args[1:], **kwargs)
    return make_request, (a, b), generator


def _request(operator, args, kwargs):
    """Returns the arguments of `DeferredQueue.defer` for a random operator."""
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    return make_request(*numbers), args[0], generator


def _fill_now(operator, args, kwargs) -> bool:
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    return fill(make_request, numbers, args[0], generator)


def fill_under_mode(make_request, arguments, tensor: Tensor, generator) -> bool:
    """Fills a tensor now, for code that runs under the mode of its thread. Returns False if torch must do the fill.

    Uniform and normal fills are left to torch's operators, which the mode sees and may defer.
    """
    if make_request is UNIFORM or make_request is NORMAL or torch._C._len_torch_dispatch_stack() != 1:
        return False
    mode = _pop_mode()
    try:
        request = make_request(*arguments) if isinstance(mode, DeferredMode) else None
        return request is not None and mode.queue.fill(request, tensor, generator)
    finally:
        _push_mode(mode)


_torch_stream.fill_under_mode = fill_under_mode
