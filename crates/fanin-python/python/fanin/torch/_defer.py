"""Dead fills: under `fast_init(defer=True)` a fill of a whole tensor waits until somebody wants to know.

Most fills of model code are overwritten before anyone reads them: a layer's own, then the library's. A fill that waits
keeps its place in the stream (a generator's state and a number of words). It is

- dropped, when another fill covers the same memory;
- done at once, when anything reads that memory or writes to a part of it;
- done with all others in the end, on all threads.

Who reads and writes is seen at two places. A dispatch mode sees every operator of this thread. Doors on the methods
that look at memory without an operator (`numpy`, `data_ptr`, `tolist`, `untyped_storage` ...) see those, of every
thread; another door stands where torch takes modes away, as it does to print a tensor. Only memory waits that was
allocated under the mode and has not been shown to anybody through such a door.

The mode costs microseconds an operator, more than all fills of a small model: so it sleeps until the first large fill.
That one may wait as well if its memory is as the system gave it, with no page in its place yet.

What is left is why waiting is a choice: other threads that use such a tensor before the context ends, C++ code and
compiled code that take a tensor's memory without a method or an operator, a view by NumPy of memory that nobody has
written to, taken before the context; and asking torch's default generator through the object itself. The functions of
torch.random are seen.
"""

from __future__ import annotations

import mmap
import threading
import weakref
from typing import Any

import torch
import torch.utils._mode_utils
import torch.utils.dlpack
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

from .._fanin import torch_settle, torch_skip, torch_words
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

#: What an operator does to the memory of its arguments.
_LOOKS, _FILLS, _VIEWS, _DRAWS, _MAKES = range(5)
#: That, whether it draws from a generator, and whether it writes to an argument.
_kinds: dict[Any, tuple[int, bool, bool]] = {}


def _kind(operator: Any) -> tuple[int, bool, bool]:
    if operator in (_aten.uniform_.default, _aten.normal_.default):
        kind = _DRAWS
    elif operator in (_aten.zero_.default, _aten.fill_.Scalar, _aten.fill_.Tensor, _aten.copy_.default):
        kind = _FILLS
    elif operator in _MAKERS:
        kind = _MAKES
    elif getattr(operator, "is_view", False) or operator in _SHAPE_ONLY:
        kind = _VIEWS
    else:
        kind = _LOOKS
    draws = torch.Tag.nondeterministic_seeded in getattr(operator, "tags", ())
    _kinds[operator] = kind, draws, operator._schema.is_mutable
    return _kinds[operator]


class _Fill:
    """A fill that waits."""

    __slots__ = ("before", "count", "dtype", "filled", "state", "tensor", "version", "wish", "words")

    def __init__(self, wish, tensor: Tensor, count: int, words: int, state: Tensor, before: int):
        self.wish = wish
        # Another tensor on the same memory: `parameter.data = other` moves the parameter elsewhere.
        self.tensor = tensor.detach()
        self.filled = weakref.ref(tensor)
        self.dtype = DTYPES[tensor.dtype]
        self.count = count
        self.words = words
        self.state = state
        self.before = before
        self.version = tensor._version

    def request(self):
        """What `torch_settle` takes."""
        filled = self.filled()
        if filled is not None and _storage_of(filled)._cdata == _storage_of(self.tensor)._cdata:
            # Autograd counts this fill once it is queued. This thread's other changes have been seen.
            if filled._version > self.version + 1:
                raise RuntimeError(
                    f"a tensor of shape {tuple(filled.shape)} whose fill was waiting under fast_init(defer=True) has "
                    "been written to unseen, by another thread or by compiled code: leave out defer=True"
                )
        return self.wish, _data_ptr(self.tensor), self.dtype, self.count, _data_ptr(self.state), self.before

    def is_orphan(self) -> bool:
        """Whether nobody else has this memory any more."""
        return torch._C._storage_Use_Count(_storage_of(self.tensor)._cdata) <= _ORPHANS_USERS


def _covers_its_storage(tensor: Tensor, count: int) -> bool:
    return tensor.is_contiguous() and _storage_of(tensor).nbytes() == count * tensor.element_size()


def _users_of_an_orphan() -> int:
    """What the use count of a storage is when one tensor has it and its count is asked for."""
    tensor = torch.empty(1, device="cpu").detach()
    return torch._C._storage_Use_Count(_storage_of(tensor)._cdata)


_ORPHANS_USERS = _users_of_an_orphan()


class _Stream:
    """The default generator, some words ahead of where torch has it."""

    def __init__(self):
        self.lock = threading.RLock()
        #: The state when the first fill that waits was queued, and the words that are due since.
        self.state: Tensor | None = None
        self.words = 0

    def take(self, words: int) -> tuple[Tensor, int]:
        """Passes over words that a fill will draw: gives a state, and how many words after it they begin."""
        with self.lock:
            now = _default.get_state()
            # Whoever has seeded the generator meanwhile wins, as with torch.
            if self.state is None or not torch.equal(now, self.state):
                self.state, self.words = now, 0
            before = self.words
            self.words += words
            return self.state, before

    def settle(self, words: int | None = None) -> bool:
        """Brings torch's generator to where it would be (or so many words on): false if somebody has seeded it since."""
        with self.lock:
            state, words = self.state, self.words if words is None else words
            self.state, self.words = None, 0
            if state is None or not torch.equal(_default.get_state(), state):
                return False
            after = state.clone()
            torch_skip(_data_ptr(after), words)
            _default.set_state(after)
            return True

    def draws_last(self, fill: _Fill) -> bool:
        """Whether a fill is the last that was queued."""
        return fill.state is self.state and fill.before + fill.words == self.words


_stream = _Stream()


class Deferral(TorchDispatchMode):
    """The mode, and the fills that wait in it."""

    def __init__(self):
        super().__init__()
        self.waiting: dict[int, _Fill] = {}
        #: Storages allocated here and shown to nobody. A weak reference keeps the address from being used again.
        self.own: dict[int, StorageWeakRef] = {}
        #: Storages shown while the mode slept.
        self.shown: dict[int, StorageWeakRef] = {}
        self.awake = False
        #: One for all modes and the stream: a door settles the fills of every mode, and two locks would meet crosswise.
        self.lock = _stream.lock

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        kind, draws, writes = _kinds.get(operator) or _kind(operator)
        if kind == _MAKES:
            result = operator(*args, **kwargs)
            if type(result) is Tensor and result.dtype in DTYPES and result.is_cpu and result.layout is torch.strided:
                storage = _storage_of(result)
                self.own[storage._cdata] = StorageWeakRef(storage)
            return result
        if kind == _VIEWS:
            result = operator(*args, **kwargs)
            if self.waiting:
                self._settle_elements(result)
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
            if draws and _stream.state is not None:
                _stream.settle()
            if kind == _DRAWS and _draw_now(operator, args, kwargs):
                return args[0]
            result = operator(*args, **kwargs)
        if not writes and type(result) is Tensor and result.is_cpu and result.layout is torch.strided:
            self._remember(args, result)
        return result

    def _remember(self, args, result: Tensor) -> None:
        """Takes note of memory that an operator has allocated."""
        storage = _storage_of(result)
        # detach and its like give the memory of an argument.
        if storage._cdata not in self.own and not any(
            isinstance(arg, Tensor) and _storage_of(arg)._cdata == storage._cdata for arg in args
        ):
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
        with self.lock:
            self.waiting.pop(key, None)
            self.waiting[key] = _Fill(wish, tensor, count, words, *_stream.take(words))
        return True

    def _is_waiting_whole(self, tensor: Tensor) -> bool:
        """Whether a fill of a tensor's memory waits, and the tensor is all of that memory."""
        return (
            type(tensor) in _KINDS
            and tensor.layout is torch.strided
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

    def _settle_elements(self, result) -> None:
        """A view that is a single element is there to be read, and torch.tensor([...]) reads such unseen."""
        first = result[0] if isinstance(result, (list, tuple)) and result else result
        if isinstance(first, Tensor) and first.numel() == 1:
            self.settle(first)

    def settle(self, tensor: Tensor) -> None:
        """Does the fill of a tensor's memory, if one waits."""
        if not self.waiting or tensor.layout is not torch.strided or tensor.device.type != "cpu":
            return
        with self.lock:
            fill = self.waiting.pop(_storage_of(tensor)._cdata, None)
            if fill is None:
                return
            request = fill.request()
            with _stream.lock:
                # Most often it is read at once: then it is drawn from the generator itself, which it leaves in its place.
                if _stream.draws_last(fill) and _stream.settle(fill.before):
                    if not _plain.write(fill.wish, fill.tensor, None):
                        raise AssertionError("a fill that could wait cannot be drawn")
                    return
            torch_settle([request])
            # The next fill need not begin to count from where this one did.
            _stream.settle()

    def show(self, tensor: Tensor) -> None:
        """A tensor's memory is looked at from outside: it is filled, and does not wait again."""
        if type(tensor) in _KINDS and tensor.layout is torch.strided and tensor.device.type == "cpu":
            self.settle(tensor)
            storage = _storage_of(tensor)
            self.own.pop(storage._cdata, None)
            if not self.awake:
                self.shown[storage._cdata] = StorageWeakRef(storage)

    def draw(self, wish, tensor: Tensor, generator) -> bool:
        """A draw at once, with the mode off: true if it is done."""
        if not (is_plain(tensor) and is_ours(generator)):
            return False
        _stream.settle()
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
        with self.lock:
            _stream.settle()
            fills = [fill for fill in self.waiting.values() if not fill.is_orphan()]
            self.waiting.clear()
            if fills:
                torch_settle([fill.request() for fill in fills])

    def wake(self, tensor: Tensor) -> None:
        """From now on the mode is on. `tensor` is the one whose fill is worth it."""
        _sleeping.mode = None
        self.awake = True
        storage = _storage_of(tensor)
        if storage._cdata not in self.shown and storage.resizable() and _is_untouched(storage):
            self.own[storage._cdata] = StorageWeakRef(storage)
        self.shown.clear()
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
    if mode is None:
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
    """Something that takes modes away for a time: what happens then is not seen, so nothing waits any longer."""

    def function(*args, **kwargs):
        for mode in tuple(_open):
            mode.settle_all()
        return original(*args, **kwargs)

    return function


class _Generator:
    """Stands for the default generator in torch.random: whoever asks it anything finds it up to date."""

    def __getattr__(self, name: str):
        _stream.settle()
        return getattr(_default, name)


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
        ):
            original = getattr(owner, name, None)
            if original is not None:
                _doors.append((owner, name, make(original), original))
        if getattr(torch.random, "default_generator", None) is _default:
            _doors.append((torch.random, "default_generator", _Generator(), _default))
        for owner, name, door, _ in _doors:
            setattr(owner, name, door)


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
