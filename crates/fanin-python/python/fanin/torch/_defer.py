"""Dead fills: under `fast_init(defer=True)` a fill of a whole tensor waits until somebody wants to know.

Most fills of model code are overwritten before anyone reads them: a layer's own, then the library's. A fill that waits
has moved the generator on, and keeps the state that it had. It is

- dropped, when another fill covers the same memory, or when nobody has that memory any more;
- done at once, when anything reads that memory or writes to a part of it;
- done with all others in the end, on all threads.

Who reads and writes is seen at two places. A dispatch mode sees every operator of this thread: torch's own say what
they take and give, of others (a library's, a subclass's, those of higher order) nothing is known, and all fills are done
first. Doors on the methods that look at memory without an operator (`numpy`, `data_ptr`, `tolist`, `untyped_storage`
...) see those, of every thread; another door stands where torch takes modes away, as it does to print a tensor. Only
memory waits that was allocated under the mode and has not been shown to anybody through such a door.

The mode costs microseconds an operator, more than all fills of a small model: so it sleeps until the first large fill.
That one may wait as well if its memory is as the system gave it, with no page in its place yet.

What is left is why waiting is a choice: `fast_init` lists it.
"""

from __future__ import annotations

import mmap
import sys
import threading
import weakref
from typing import Any

import torch
import torch.utils._mode_utils
import torch.utils.dlpack
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

from .._fanin import torch_pass, torch_settle, torch_words
from . import _plain
from ._plain import _KINDS, _TENSOR_KEYS, DTYPES, NORMAL, UNIFORM, _data_ptr, _tensor_keys, draw, is_ours, is_plain

_aten = torch.ops.aten
_default = torch.default_generator
_storage_of = torch._C.TensorBase.untyped_storage

#: Operators that ask a tensor for its type and shape only.
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

#: Operators that allocate, and look at nothing.
_MAKERS = {
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.zeros.default,
    _aten.ones.default,
    _aten.full.default,
}

#: Operators that give memory which others have as well.
_SHARED = {_aten.from_file.default}

#: What an operator does to the memory of its arguments.
_LOOKS, _FILLS, _VIEWS, _DRAWS, _MAKES, _UNKNOWN = range(6)
#: That, and whether what it gives is memory of its own.
_kinds: dict[Any, tuple[int, bool]] = {}


def _kind(operator: Any) -> tuple[int, bool]:
    if getattr(operator, "namespace", None) != "aten":
        kind = _UNKNOWN
    elif operator in (_aten.uniform_.default, _aten.normal_.default):
        kind = _DRAWS
    elif operator in (_aten.zero_.default, _aten.fill_.Scalar, _aten.fill_.Tensor, _aten.copy_.default):
        kind = _FILLS
    elif operator in _MAKERS:
        kind = _MAKES
    elif operator.is_view or operator in _SHAPE_ONLY:
        kind = _VIEWS
    else:
        kind = _LOOKS
    _kinds[operator] = kind, kind != _UNKNOWN and operator not in _SHARED and not operator._schema.is_mutable
    return _kinds[operator]


class _Fill:
    """A fill that waits."""

    __slots__ = ("count", "dtype", "filled", "state", "tensor", "version", "wish")

    def __init__(self, wish, tensor: Tensor, count: int, state: Tensor):
        self.wish = wish
        # Another tensor on the same memory: `parameter.data = other` moves the parameter elsewhere.
        self.tensor = tensor.detach()
        self.filled = weakref.ref(tensor)
        self.dtype = DTYPES[tensor.dtype]
        self.count = count
        #: The generator's, before the fill.
        self.state = state
        self.version = tensor._version

    def request(self):
        """What `torch_settle` takes."""
        return self.wish, _data_ptr(self.tensor), self.dtype, self.count, _data_ptr(self.state)

    def is_overtaken(self) -> bool:
        """Whether somebody has written to the tensor unseen."""
        filled = self.filled()
        # Autograd counts this fill once it is queued. This thread's other changes have been seen.
        return (
            filled is not None
            and _storage_of(filled)._cdata == _storage_of(self.tensor)._cdata
            and filled._version > self.version + 1
        )

    def is_orphan(self) -> bool:
        """Whether nobody else has this memory any more."""
        return torch._C._storage_Use_Count(_storage_of(self.tensor)._cdata) <= _ORPHANS_USERS


def _settle(fills: list[_Fill]) -> None:
    """Does fills that have waited, all but those that somebody has written over."""
    overtaken = [fill for fill in fills if fill.is_overtaken()]
    ready = [fill for fill in fills if fill not in overtaken] if overtaken else fills
    if ready:
        torch_settle([fill.request() for fill in ready])
    if overtaken:
        raise RuntimeError(
            f"a tensor of shape {tuple(overtaken[0].tensor.shape)} whose fill was waiting under fast_init(defer=True) "
            "has been written to unseen, by another thread or by compiled code: leave out defer=True"
        )


def _covers_its_storage(tensor: Tensor, count: int) -> bool:
    return tensor.is_contiguous() and _storage_of(tensor).nbytes() == count * tensor.element_size()


def _users_of_an_orphan() -> int:
    """What the use count of a storage is when one tensor has it and its count is asked for."""
    tensor = torch.empty(1, device="cpu").detach()
    return torch._C._storage_Use_Count(_storage_of(tensor)._cdata)


_ORPHANS_USERS = _users_of_an_orphan()


#: One for all modes: a door settles the fills of every mode, and two locks would meet crosswise.
_fills_lock = threading.RLock()


def _has_memory(tensor: Tensor) -> bool:
    """Whether a tensor's memory is one stretch on the CPU: not that of a sparse one, nor of another library's layout."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu"


class Deferral(TorchDispatchMode):
    """The mode, and the fills that wait in it."""

    #: Those come here as well, and find all fills done.
    supports_higher_order_operators = True

    def __init__(self):
        super().__init__()
        self.waiting: dict[int, _Fill] = {}
        #: Bytes that wait since orphans were last looked for, and those that waited then.
        self.queued = self.kept = 0
        #: Storages allocated here and shown to nobody. A weak reference keeps the address from being used again.
        self.own: dict[int, StorageWeakRef] = {}
        #: Storages shown while the mode slept.
        self.shown: dict[int, StorageWeakRef] = {}
        self.awake = False
        self.lock = _fills_lock

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        kind, fresh = _kinds.get(operator) or _kind(operator)
        if types or kind == _UNKNOWN:
            # Subclasses may have memory inside that nobody sees from here.
            self.settle_all()
            return operator(*args, **kwargs)
        if kind == _MAKES:
            result = operator(*args, **kwargs)
            if type(result) is Tensor and result.dtype in DTYPES and _has_memory(result):
                storage = _storage_of(result)
                self.own[storage._cdata] = StorageWeakRef(storage)
            return result
        if kind == _VIEWS:
            result = operator(*args, **kwargs)
            self._show_elements(result)
        elif kind == _DRAWS and self._queue(operator, args, kwargs):
            return args[0]
        elif kind == _FILLS and self.waiting and self._is_waiting_whole(args[0]):
            for arg in args[1:]:
                if isinstance(arg, Tensor):
                    self.settle(arg)
            result = operator(*args, **kwargs)
            # Only now: had it failed, the first fill would still be what counts.
            with self.lock:
                self.waiting.pop(_storage_of(args[0])._cdata, None)
        else:
            self._settle_arguments(args, kwargs)
            if kind == _DRAWS and _draw_now(operator, args, kwargs):
                return args[0]
            result = operator(*args, **kwargs)
        if fresh and type(result) is Tensor and _has_memory(result):
            self._remember(args, result)
        return result

    def _remember(self, args, result: Tensor) -> None:
        """Takes note of memory that an operator has allocated."""
        storage = _storage_of(result)
        if storage._cdata in self.own:
            return
        # detach and its like give the memory of an argument.
        for arg in args:
            if isinstance(arg, Tensor) and (not _has_memory(arg) or _storage_of(arg)._cdata == storage._cdata):
                return
        self.own[storage._cdata] = StorageWeakRef(storage)

    def _queue(self, operator, args, kwargs) -> bool:
        """Lets a fill wait, if it may."""
        tensor = args[0]
        wish, generator = _wish(operator, args, kwargs)
        if (
            (generator is not None and generator is not _default)
            or type(tensor) not in _KINDS
            or tensor.dtype not in DTYPES
            or _tensor_keys(tensor).raw_repr() != _TENSOR_KEYS
        ):
            return False
        key = _storage_of(tensor)._cdata
        count = tensor.numel()
        if count < 2 or key not in self.own or not _covers_its_storage(tensor, count):
            return False
        words = torch_words(wish, DTYPES[tensor.dtype], count)
        if not words:
            return False
        state = torch_pass(_default, words)
        if state is None:
            return False
        with self.lock:
            self.waiting.pop(key, None)
            self.waiting[key] = _Fill(wish, tensor, count, state)
            self.queued += _storage_of(tensor).nbytes()
            if self.queued > self.kept:
                self._forget_orphans()
        return True

    def _forget_orphans(self) -> None:
        """Lets go of memory that nobody else has. Looked for when twice as much waits as the last time."""
        for key in [key for key, fill in self.waiting.items() if fill.is_orphan()]:
            del self.waiting[key]
        self.queued = 0
        self.kept = sum(_storage_of(fill.tensor).nbytes() for fill in self.waiting.values())

    def _is_waiting_whole(self, tensor: Tensor) -> bool:
        """Whether a fill of a tensor's memory waits, and the tensor is all of that memory."""
        return (
            type(tensor) in _KINDS
            and _has_memory(tensor)
            and _storage_of(tensor)._cdata in self.waiting
            and _covers_its_storage(tensor, tensor.numel())
        )

    def _settle_arguments(self, args, kwargs) -> None:
        if not self.waiting:
            return
        for arg in (*args, *kwargs.values()):
            if isinstance(arg, Tensor):
                self.settle(arg)
            elif isinstance(arg, (list, tuple)):
                for item in arg:
                    if isinstance(item, Tensor):
                        self.settle(item)

    def _show_elements(self, result) -> None:
        """A view that is a single element is there to be read, and torch.tensor([...]) reads such unseen."""
        for view in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(view, Tensor) and view.numel() == 1:
                self.show(view)

    def settle(self, tensor: Tensor) -> None:
        """Does the fill of a tensor's memory, if one waits."""
        if not self.waiting or not _has_memory(tensor):
            return
        with self.lock:
            fill = self.waiting.pop(_storage_of(tensor)._cdata, None)
            if fill is not None:
                _settle([fill])

    def show(self, tensor: Tensor) -> None:
        """A tensor's memory is looked at from outside: it is filled, and does not wait again."""
        if type(tensor) in _KINDS and _has_memory(tensor):
            self.settle(tensor)
            storage = _storage_of(tensor)
            self.own.pop(storage._cdata, None)
            if not self.awake:
                self.shown[storage._cdata] = StorageWeakRef(storage)

    def draw(self, wish, tensor: Tensor, generator) -> bool:
        """A draw at once, with the mode off: true if it is done."""
        if not (is_plain(tensor) and is_ours(generator)):
            return False
        with self.lock:
            whole = self._is_waiting_whole(tensor)
            if not whole:
                self.settle(tensor)
            if not _plain.write(wish, tensor, generator):
                return False
            if whole:
                del self.waiting[_storage_of(tensor)._cdata]
        return True

    def settle_all(self) -> None:
        """Does all that waits."""
        if self.waiting:
            with self.lock:
                fills = [fill for fill in self.waiting.values() if not fill.is_orphan()]
                self.waiting.clear()
                _settle(fills)

    def wake(self, tensor: Tensor) -> None:
        """From now on the mode is on. `tensor` is the one whose fill is worth it."""
        _sleeping.mode = None
        self.awake = True
        storage = _storage_of(tensor)
        if storage._cdata not in self.shown and storage.resizable() and _is_untouched(storage):
            self.own[storage._cdata] = StorageWeakRef(storage)
        self.shown.clear()
        _open_copied_doors()
        super().__enter__()

    def __enter__(self):
        _open_doors(self)
        _sleeping.mode = self
        return self

    def __exit__(self, *exception):
        _close_doors(self)
        if not self.awake:
            _sleeping.mode = None
            self.shown.clear()
            return
        super().__exit__(*exception)
        try:
            self.settle_all()
        finally:
            self.own.clear()


def _is_untouched(storage) -> bool:
    """Whether no page of a storage is in its place, in memory or elsewhere: so nobody has written to it.

    At its ends it may share a page with others. Only Linux tells; what is not known is touched.
    """
    page = mmap.PAGESIZE
    first, end = -(-storage.data_ptr() // page), (storage.data_ptr() + storage.nbytes()) // page
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pages:
            pages.seek(8 * first)
            entries = bytearray(pages.read(8 * (end - first)))
    except OSError:
        return False
    # The two upper bits of an entry: present, swapped.
    return first < end and len(entries) == 8 * (end - first) and not max(entries[7::8]) >> 6


#: The mode of a thread that sleeps.
_sleeping = threading.local()


def wake(tensor: Tensor) -> bool:
    """Wakes the mode of this thread, if one sleeps."""
    mode = getattr(_sleeping, "mode", None)
    # During a backward pass autograd would take the mode away again.
    if mode is None or torch._C._current_graph_task_id() != -1:
        return False
    mode.wake(tensor)
    return True


_plain.wake = wake


def _wish(operator, args, kwargs):
    """The law that a random operator's arguments ask for, and its generator."""
    given = list(args[1:])
    if operator is _aten.uniform_.default:
        law, names, defaults = UNIFORM, ("from", "to"), (0.0, 1.0)
    else:
        law, names, defaults = NORMAL, ("mean", "std"), (0.0, 1.0)
    numbers = [
        given[k] if k < len(given) else kwargs.get(name, default) for k, (name, default) in enumerate(zip(names, defaults))
    ]
    return (law, *numbers, 0.0, 0.0), kwargs.get("generator")


def _draw_now(operator, args, kwargs) -> bool:
    wish, generator = _wish(operator, args, kwargs)
    return draw(wish, args[0], generator)


def draw_under(wish, tensor: Tensor, generator) -> bool:
    """A draw at once, for code under the mode of its thread: true if it is done. What may wait is not drawn here."""
    if wish[0] in (UNIFORM, NORMAL) or torch._C._len_torch_dispatch_stack() != 1:
        return False
    mode = _pop_mode()
    try:
        return isinstance(mode, Deferral) and mode.draw(wish, tensor, generator)
    finally:
        _push_mode(mode)


_plain.draw_under = draw_under

_lock = threading.RLock()
#: The modes that are open, in any thread.
_open: list[Deferral] = []
#: What stands behind a door: owner, name, what is there now, what was there before (None: nothing of its own).
_doors: list[tuple[Any, str, Any, Any]] = []

_METHODS = ("numpy", "data_ptr", "const_data_ptr", "tolist", "untyped_storage", "apply_", "map_", "map2_", "__array__",
            "__dlpack__", "storage", "_typed_storage", "share_memory_", "__reduce_ex__",
            "__deepcopy__")  # fmt: skip

_SAVERS = ("save", "save_to_buffer", "_save_for_lite_interpreter", "_save_to_buffer_for_lite_interpreter")


def _method_door(original):
    def method(self, *args, **kwargs):
        for mode in tuple(_open):
            mode.show(self)
        return original(self, *args, **kwargs)

    method.__name__ = getattr(original, "__name__", "method")
    method.__doc__ = original.__doc__
    return method


def _function_door(original):
    def function(tensor, *args, **kwargs):
        for mode in tuple(_open):
            mode.show(tensor)
        return original(tensor, *args, **kwargs)

    function.__name__ = original.__name__
    function.__doc__ = original.__doc__
    return function


def _blindfold_door(original):
    """Something that takes modes away for a time, or reads memory at will: it is not seen, so nothing waits any longer."""

    def function(*args, **kwargs):
        for mode in tuple(_open):
            mode.settle_all()
        return original(*args, **kwargs)

    return function


def _open_doors(mode: Deferral) -> None:
    with _lock:
        _open.append(mode)
        if len(_open) > 1:
            return
        for name in _METHODS:
            original = getattr(Tensor, name, None)
            if original is not None:
                _doors.append((Tensor, name, _method_door(original), Tensor.__dict__.get(name)))
        for owner, name, make in (
            (torch, "to_dlpack", _function_door),
            (torch.utils.dlpack, "to_dlpack", _function_door),
            (torch.utils._python_dispatch, "_pop_mode", _blindfold_door),
            (torch.utils._mode_utils, "no_dispatch", _blindfold_door),
            (torch._C, "_DisableTorchDispatch", _blindfold_door),
            *((torch.jit.RecursiveScriptModule, name, _blindfold_door) for name in _SAVERS),
        ):
            original = getattr(owner, name, None)
            if original is not None:
                _doors.append((owner, name, make(original), original))
        for owner, name, door, _ in _doors:
            setattr(owner, name, door)


def _open_copied_doors() -> None:
    """The functions under the names that other modules have imported them by."""
    with _lock:
        for _, name, door, original in tuple(_doors):
            if name == "to_dlpack":
                for module in tuple(sys.modules.values()):
                    if getattr(module, "__dict__", {}).get(name) is original:
                        _doors.append((module, name, door, original))
                        setattr(module, name, door)


def _close_doors(mode: Deferral) -> None:
    with _lock:
        _open.remove(mode)
        if _open:
            return
        for owner, name, door, before in _doors:
            if owner.__dict__.get(name) is door:
                if before is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)
        _doors.clear()
