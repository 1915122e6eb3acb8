"""The class `DeferredMode`. It defers each fill of a whole tensor until something reads the tensor (`fast_init(defer=True)`).

In model code, most fills are overwritten before anything reads the tensor. First a layer's own initialization fills the
tensor. Then the model library fills the tensor again. Deferring a fill stores the state of the generator, and advances
the generator past the fill. Later, one of three things happens:

- If an operation overwrites the whole memory, or nothing refers to the memory any more, the fill is dropped.
- If an operation reads the memory, or writes to a part of the memory, the fill is performed first.
- At the end of the `with` block, all remaining fills are performed together, on all threads.

Reads and writes are detected in two ways:

- torch calls a dispatch mode for every operator that the mode's thread executes. An operator of torch itself uses only
  the memory of its arguments. Any other operator may use any memory, so all deferred fills are performed first. Other
  operators are those of libraries and tensor subclasses, and higher-order operators.
- Methods that read memory without an operator are patched (see `patches`).

A fill is deferred only if its memory was allocated while the mode was on. Memory that a patched method has made
accessible to code outside torch is excluded.

The mode adds microseconds to each operator. For a small model, this takes longer than all of its fills. So the mode is
off until the first large fill. The memory of this fill was allocated while the mode was off. As an exception, this fill
is deferred too if no page of its memory has been written yet.

Deferring is optional, because fanin cannot detect some reads of memory. The docstring of `fast_init` lists these reads.
"""

from __future__ import annotations

import mmap
import threading
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

from .. import _torch_stream
from .._same_bits import is_same
from .._torch_stream import DTYPES, NORMAL, UNIFORM, fill, read_arguments
from . import patches
from .queue import DeferredQueue
from .queued_fill import has_cpu_memory, storage_of

_aten = torch.ops.aten

#: Operators that read only the dtype and the shape of their argument, not its values.
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

#: Operators that allocate memory and have no tensor arguments.
_ALLOCATING = {
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.zeros.default,
    _aten.ones.default,
    _aten.full.default,
}

#: Operators whose result uses memory that code outside torch can access. `from_file` maps a file into memory.
_SHARED = {_aten.from_file.default}

#: The effects that an operator can have on its tensor arguments:
#: _READ: reads or changes the memory of the arguments. _OVERWRITE: overwrites all elements of the first argument.
#: _VIEW: returns views of the arguments, or reads only their shapes. _DRAW: draws random values into the first argument.
#: _ALLOCATE: has no tensor arguments. _UNKNOWN: the effect is not known.
_READ, _OVERWRITE, _VIEW, _DRAW, _ALLOCATE, _UNKNOWN = range(6)
#: The key is an operator that was called before. The value is its effect, and whether its result may be in newly allocated memory.
_effects: dict[Any, tuple[int, bool]] = {}


def _effect(operator: Any) -> tuple[int, bool]:
    """Determines the effect of an operator, and whether its result may be in newly allocated memory. Stores both in `_effects`."""
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
    """A dispatch mode that defers fills, and performs a deferred fill before an operator reads the memory of the fill."""

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
            # `types` lists the Tensor subclasses among the arguments. An instance of a subclass may use the memory of other tensors.
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
            # The deferred fill is dropped only after the operator. If the operator raises, the fill must still be performed.
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
        """Turns the mode on. To be called just before the first large fill (of `tensor`).

        This fill and all later fills can then be deferred.
        """
        _sleeping.mode = None
        queue = self.queue
        queue.is_active = True
        storage = storage_of(tensor)
        if storage._cdata not in queue.exposed and storage.resizable() and _is_unwritten(storage):
            queue.add_storage(tensor)
        queue.exposed.clear()
        patches.apply_to_importers()
        super().__enter__()

    def __enter__(self):
        """Applies the patches. The dispatch mode itself stays off until `wake` is called."""
        patches.apply(self.queue)
        _sleeping.mode = self
        return self

    def __exit__(self, *exception):
        patches.remove(self.queue)
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
    """Returns whether no page of a storage has been written since the system allocated the pages.

    Checks only whole pages, because other memory may share the partial pages at both ends. Returns False if the storage
    has no whole page, or if /proc/self/pagemap cannot be read. Only Linux has this file.
    """
    page = mmap.PAGESIZE
    first, end = -(-storage.data_ptr() // page), (storage.data_ptr() + storage.nbytes()) // page
    if first >= end:
        return False
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pages:
            pages.seek(8 * first)
            entries = bytearray(pages.read(8 * (end - first)))
    except OSError:
        return False
    # An entry of /proc/self/pagemap has 8 bytes. The highest bit is set if the page is in memory, and the second-highest bit if
    # the page is swapped out. Both bits are 0 for a page that was never written to.
    return len(entries) == 8 * (end - first) and not max(entries[7::8]) >> 6


#: `_sleeping.mode` is the DeferredMode that this thread has entered but not turned on yet. None if there is no such mode.
_sleeping = threading.local()


def wake(tensor: Tensor) -> bool:
    """Turns on the DeferredMode that this thread has entered, and returns True.

    Returns False if the thread has entered no mode, or if the mode must stay off.
    """
    mode = getattr(_sleeping, "mode", None)
    # During a backward pass, the mode must stay off, because autograd restores the stack of modes at the end of the pass.
    if mode is None or torch._C._current_graph_task_id() != -1:
        return False
    mode.wake(tensor)
    return True


_torch_stream.wake_mode = wake


def _read_operator(operator, args, kwargs):
    """Parses a call of `aten.uniform_` or `aten.normal_`. Returns UNIFORM or NORMAL, its two parameters, and the generator."""
    if operator is _aten.uniform_.default:
        make_request, names = UNIFORM, ("from", "to")
    else:
        make_request, names = NORMAL, ("mean", "std")
    a, b, generator = read_arguments(names, args[1:], **kwargs)
    return make_request, (a, b), generator


def _request(operator, args, kwargs):
    """Returns the arguments of `DeferredQueue.defer` for a call of `aten.uniform_` or `aten.normal_`."""
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    request = make_request(*numbers) if is_same(make_request, args[0].dtype) else None
    return request, args[0], generator


def _fill_now(operator, args, kwargs) -> bool:
    """Fills the tensor of a call of `aten.uniform_` or `aten.normal_` immediately. Returns False if torch must perform the fill."""
    make_request, numbers, generator = _read_operator(operator, args, kwargs)
    return fill(make_request, numbers, args[0], generator)


def fill_under_mode(make_request, arguments, tensor: Tensor, generator) -> bool:
    """Fills a tensor immediately while this thread's DeferredMode is on. Returns False if torch must perform the fill.

    Always returns False for uniform and normal fills. torch performs them by an operator that the mode intercepts.
    """
    if make_request is UNIFORM or make_request is NORMAL or torch._C._len_torch_dispatch_stack() != 1:
        return False
    mode = _pop_mode()
    try:
        is_ours = isinstance(mode, DeferredMode) and is_same(make_request, tensor.dtype)
        request = make_request(*arguments) if is_ours else None
        return request is not None and mode.queue.fill(request, tensor, generator)
    finally:
        _push_mode(mode)


_torch_stream.fill_under_mode = fill_under_mode
