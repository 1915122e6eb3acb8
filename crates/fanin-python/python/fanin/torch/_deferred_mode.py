"""Deferred fills: under `fast_init(defer=True)`, a fill of a whole tensor is done later, when something reads the tensor.

In model code, most fills are overwritten before anything reads the tensor: first a layer's own initialization fills the tensor,
and then the initialization of the library fills it again. When a fill is deferred, the generator advances past the fill, and
the state that it had before is stored. Later, one of three things happens to the deferred fill:

- It is dropped if another fill covers the same memory, or if nothing refers to the memory any more.
- It is done at once if an operation reads the memory or writes to a part of the memory.
- Otherwise it is done when the context ends, together with all other deferred fills, on all threads.

Reads and writes are noticed in two ways:

- A dispatch mode is called for every operator of its thread. The schemas of torch's own operators tell what they read and
  return. For all other operators (those of a library or a subclass, and higher-order operators) nothing is known, so all
  deferred fills are done first.
- Methods that read memory without an operator are patched: see `_deferred_patches`.

A fill is deferred only if its memory was allocated while the mode was on, and was not exposed through a patched method.

The mode costs microseconds for each operator. For a small model this is more than all fills cost. The mode is therefore off
until the first large fill. This first fill is deferred as well if no page of its memory has been written to yet.

Deferring is optional, because some uses of memory cannot be noticed. The docstring of `fast_init` lists them.
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

#: Operators that read only the type and the shape of their argument, not its values.
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

#: Operators that allocate memory, and have no tensor arguments to read.
_ALLOCATING = {
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.zeros.default,
    _aten.ones.default,
    _aten.full.default,
}

#: Operators that return new tensors on memory to which other code has access, such as a mapped file.
_SHARED = {_aten.from_file.default}

#: The effects of an operator on the memory of its arguments. _READ: reads or changes it. _OVERWRITE: overwrites the first
#: argument. _VIEW: returns a view of it, or reads only its shape. _DRAW: draws random values into the first argument.
#: _ALLOCATE: there are no tensor arguments. _UNKNOWN: nothing is known.
_READ, _OVERWRITE, _VIEW, _DRAW, _ALLOCATE, _UNKNOWN = range(6)
#: For each operator that was called: its effect, and whether its result may be new memory.
_effects: dict[Any, tuple[int, bool]] = {}


def _effect(operator: Any) -> tuple[int, bool]:
    """Determines the entry of an operator in `_effects`, stores it and returns it. Called at the first call of the operator."""
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
    """The dispatch mode of a thread. It defers fills, and does the deferred fills before other operators read the memory."""

    #: Tells torch to call `__torch_dispatch__` for higher-order operators too. Their effect is _UNKNOWN.
    supports_higher_order_operators = True

    def __init__(self):
        super().__init__()
        self.queue = DeferredQueue()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        effect, is_new = _effects.get(operator) or _effect(operator)
        queue = self.queue
        if types or effect == _UNKNOWN:
            # An argument whose class is a subclass of Tensor may refer to memory of other tensors, which are not known here.
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
            # The deferred fill is dropped only after the operator, because it must still be done if the operator raises.
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
        """Turns the mode on. Called before a large fill of `tensor`, which may then be deferred."""
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
        """Applies the patches. The mode itself stays off until `wake` is called."""
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
    """Returns whether no page of a storage has been written to since the system allocated it.

    The pages at the two ends are not checked, because the storage may share them with other memory. Returns False if the state
    of the pages is not known: only Linux has /proc/self/pagemap.
    """
    page = mmap.PAGESIZE
    first, end = -(-storage.data_ptr() // page), (storage.data_ptr() + storage.nbytes()) // page
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pages:
            pages.seek(8 * first)
            entries = bytearray(pages.read(8 * (end - first)))
    except OSError:
        return False
    # An entry has 8 bytes. Its two highest bits are set if the page is in memory or swapped out, so they are 0 for a page to
    # which nothing was written.
    return first < end and len(entries) == 8 * (end - first) and not max(entries[7::8]) >> 6


#: For each thread: `mode`, the DeferredMode that was entered and is still off, or None.
_sleeping = threading.local()


def wake(tensor: Tensor) -> bool:
    """Turns on the mode of this thread and returns True. Returns False if there is no mode that was entered and is off."""
    mode = getattr(_sleeping, "mode", None)
    # The mode cannot be turned on during a backward pass, because autograd restores the stack of modes at the end of the pass.
    if mode is None or torch._C._current_graph_task_id() != -1:
        return False
    mode.wake(tensor)
    return True


_torch_stream.wake_mode = wake


def _read_operator(operator, args, kwargs):
    """Returns, for a call of `aten.uniform_` or `aten.normal_`: UNIFORM or NORMAL, its two arguments, and the generator."""
    if operator is _aten.uniform_.default:
        make_request, names = UNIFORM, ("from", "to")
    else:
        make_request, names = NORMAL, ("mean", "std")
    a, b, generator = read_arguments(names, args[1:], **kwargs)
    return make_request, (a, b), generator


def _request(operator, args, kwargs):
    """Returns the arguments of `DeferredQueue.defer` for a call of `aten.uniform_` or `aten.normal_`."""
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    return make_request(*numbers), args[0], generator


def _fill_now(operator, args, kwargs) -> bool:
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    return fill(make_request, numbers, args[0], generator)


def fill_under_mode(make_request, arguments, tensor: Tensor, generator) -> bool:
    """Fills a tensor now while the mode of this thread is on, and returns True. Returns False if torch must do the fill.

    Uniform and normal fills always return False: torch then calls an operator, whose fill the mode may defer.
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
