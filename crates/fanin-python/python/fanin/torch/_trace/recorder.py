"""Records the operators that torch runs: the memory that they write, and the line of code that called them.

`Recorder` is a TorchDispatchMode: torch calls it for every operator of a thread. `Recorder` keeps no tensor alive. For
each tensor it stores a `Memory`: the address of the storage object, the offset, the shape, the strides and the dtype.
The recorder also holds a weak reference of torch (`_weak_ref`) to each storage object. Such a reference does not keep
the values in memory. While it exists, no other storage object gets the same address.
"""

from __future__ import annotations

import time
from ctypes import c_char
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from .._call_operator import call_operator
from .calls import Call, Caller, Frame, Frames
from .operators import ALLOCATE, VIEW, WRITE, Effect, effect_of, tensors_in

_PLAIN = (Tensor, nn.Parameter)
_NO_NAMES: dict[str, Any] = {}
_NO_ARGUMENTS: tuple[tuple[Any, ...], dict[str, Any]] = ((), _NO_NAMES)
_new_tuple: Any = tuple.__new__
_now = time.perf_counter
_storage_of = torch._C.TensorBase.untyped_storage
_offset_of = torch._C.TensorBase.storage_offset
_strides_of = torch._C.TensorBase.stride
_address_of = torch._C.TensorBase.data_ptr


class Memory(NamedTuple):
    """The memory of a tensor: which elements of which storage it has."""

    #: The address of the storage object, which identifies the storage.
    storage: int
    #: The offset of the tensor's first element in the storage, in elements.
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @property
    def elements(self) -> int:
        """The number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class GeneratorState(NamedTuple):
    """The parts of a CPU generator's state that identify its position in its sequence of random words."""

    #: The id of the generator object.
    generator: int
    #: The first bytes of the generator's state: the seed, the index of the next word, and the first word of the current block.
    head: bytes
    #: The last bytes of the generator's state: the normal values that are stored for the next draw.
    tail: bytes


class Event(NamedTuple):
    """One call of an operator that wrote, allocated or read memory, or drew random values."""

    #: The position of this event in `Recorder.log`. Later events have larger numbers.
    number: int
    effect: Effect
    #: The memory that was written or allocated. None if the operator only reads or draws.
    memory: Memory | None
    #: The memory that the operator reads.
    sources: tuple[Memory, ...]
    #: The positional arguments and the keyword arguments of the operator. Each tensor is replaced by the class Tensor.
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    #: The call of an initializer, such as torch.nn.init.normal_, during which the event happened.
    call: Call | None
    #: The frame that called the initializer or the operator.
    frame: Frame | None
    #: The generator's state before the draw. None if the operator does not draw.
    state: GeneratorState | None
    #: The run time of the operator, in seconds. 0 if the operator does not draw.
    seconds: float

    @property
    def caller(self) -> Caller:
        """The initializer that called the operator, if any, and the stack frames outside of the initializer."""
        return Caller(self.call, self.frame)


class Recorder(TorchDispatchMode):
    """A context manager. In its `with` block, it records which memory the operators of torch allocate, read and write."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # If this returned True, torch would wrap `__torch_dispatch__` in a function that imports torch._dynamo, which costs
        # microseconds per call.
        return False

    def __init__(self) -> None:
        super().__init__()
        #: All events in order.
        self.log: list[Event] = []
        #: Storages that existed before the recording began. Their values at that time count as unwritten.
        self.existing: set[int] = set()
        #: Maps each storage (`Memory.storage`) to a weak reference.
        self._weak: dict[int, int] = {}
        self._frames = Frames()

    @cached_property
    def events(self) -> dict[int, list[Event]]:
        """Maps each `Memory.storage` to the events that allocated or wrote it. Cached: use only after recording."""
        found: dict[int, list[Event]] = {}
        for event in self.log:
            if event.memory is not None:
                found.setdefault(event.memory.storage, []).append(event)
        return found

    @cached_property
    def reads(self) -> dict[int, list[tuple[int, Memory]]]:
        """Maps each `Memory.storage` to the events that read it: pairs of `Event.number` and the memory that was read.

        Cached: use only after recording.
        """
        found: dict[int, list[tuple[int, Memory]]] = {}
        for event in self.log:
            for source in event.sources:
                found.setdefault(source.storage, []).append((event.number, source))
        return found

    def close(self) -> None:
        """Releases the stack frames that recording holds. To be called after recording has ended. Events are kept."""
        self._frames.close()

    def add_existing(self, module: nn.Module) -> None:
        """Adds the storages of a module's parameters and buffers to `existing`. To be called before recording begins."""
        known = self._memory_of_each([*module.parameters(), *module.buffers()])
        self.existing.update(memory.storage for memory in known)

    def __del__(self):
        for weak in self._weak.values():
            torch.UntypedStorage._free_weak_ref(weak)

    def memory_of(self, tensor: Tensor) -> Memory | None:
        """Returns the memory of a tensor, or None if the tensor has no storage of its own."""
        if type(tensor) not in _PLAIN and is_lazy(tensor):
            return None
        try:
            storage = _storage_of(tensor)
        except (NotImplementedError, RuntimeError):
            return None
        key = storage._cdata
        if key not in self._weak:
            self._weak[key] = storage._weak_ref()  # type: ignore[assignment]
        # Much faster than `Memory(...)`, which calls a Python function. Events are created in the same way.
        return _new_tuple(Memory, (key, _offset_of(tensor), tensor.shape, _strides_of(tensor), tensor.dtype))

    def _memory_of_each(self, values: Any) -> tuple[Memory, ...]:
        found = [self.memory_of(tensor) for tensor in tensors_in(values)]
        return tuple(memory for memory in found if memory is not None)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        effect = effect_of(operator)
        kind = effect.kind
        if kind == VIEW:
            return call_operator(operator, args, kwargs)
        call, frame = self._frames.caller()
        state, seconds = None, 0.0
        if effect.draws:
            # Only draws are timed, because reports show only the run time of draws.
            state = _state_before(args, kwargs)
            start = _now()
            result = call_operator(operator, args, kwargs)
            seconds = _now() - start
        else:
            result = call_operator(operator, args, kwargs)
        if kind == WRITE:
            if effect.only_numbers:
                # A fast path for the most frequent case: the operator writes to its only tensor argument.
                arguments = (Tensor, *args[1:]), _plain_named(kwargs) if kwargs else _NO_NAMES
                memory = self.memory_of(args[0])
                if memory is not None:
                    sources = () if effect.overwrites else (memory,)
                    event = len(self.log), effect, memory, sources, arguments, call, frame, state, seconds
                    self.log.append(_new_tuple(Event, event))
            else:
                self._add_writes(effect, args, kwargs or _NO_NAMES, call, frame, state, seconds)
        elif kind == ALLOCATE:
            for tensor in (result,) if type(result) is Tensor else tensors_in((result,)):
                memory = self.memory_of(tensor)
                if memory is not None:
                    event = len(self.log), effect, memory, (), _NO_ARGUMENTS, call, frame, None, 0.0
                    self.log.append(_new_tuple(Event, event))
        else:
            self._add_results(effect, args, kwargs or _NO_NAMES, result, call, frame, state, seconds)
        return result

    def _add(self, effect: Effect, *fields: Any) -> None:
        """Adds an event to the log. `fields` are the fields of `Event` that follow `effect`."""
        self.log.append(_new_tuple(Event, (len(self.log), effect, *fields)))

    def _add_writes(self, effect: Effect, args, kwargs, call, frame, state: GeneratorState | None, seconds: float):
        """Records an operator that has written to its arguments."""
        written: list[Any] = []
        others: list[Any] = []
        for where, value in (*enumerate(args), *kwargs.items()):
            (written if where in effect.written else others).append(value)
        sources, arguments = self._memory_of_each(others), _plain(args, kwargs)
        for tensor in tensors_in(written):
            # The memory is determined after the operator has run, because an `out` argument may have been resized.
            memory = self.memory_of(tensor)
            if memory is not None:
                read = sources if effect.overwrites else (*sources, memory)
                self._add(effect, memory, read, arguments, call, frame, state, seconds)
                state = None

    def _add_results(self, effect: Effect, args, kwargs, result, call, frame, state: GeneratorState | None, seconds: float):
        """Records an operator that has returned new values."""
        sources = self._memory_of_each((*args, *kwargs.values())) if effect.reads else ()
        arguments = _plain(args, kwargs)
        results = (result,) if isinstance(result, Tensor) else result if isinstance(result, (tuple, list)) else ()
        new: Any = self._memory_of_each(results)
        if sources:
            new = [memory for memory in new if all(memory.storage != source.storage for source in sources)]
        for memory in new or (None,):
            self._add(effect, memory, sources, arguments, call, frame, state, seconds)
            state = None


def _plain(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of an operator with each tensor replaced by the class Tensor, and each generator by None."""
    return tuple(map(_without_tensors, args)), _plain_named(kwargs) if kwargs else _NO_NAMES


def _plain_named(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: _without_tensors(arg) for name, arg in kwargs.items()}


def _without_tensors(value: Any) -> Any:
    kind = type(value)
    if kind is float or kind is int:
        return value
    if isinstance(value, Tensor):
        return Tensor
    if isinstance(value, (list, tuple)):
        return tuple(Tensor if isinstance(item, Tensor) else item for item in value)
    return None if isinstance(value, torch.Generator) else value


#: The bytes of a CPU generator's state: the seed (8), two numbers (4 each), the index of the next word (8), the block
#: of 624 words (8 each), the stored normal values. `_HEAD` is the number of bytes up to the first word (inclusive).
#: `_TAIL` is the offset of the stored normal values.
_HEAD, _TAIL = 32, 24 + 624 * 8

_default_generator = torch.default_generator


def _state_before(args: Any, kwargs: Any) -> GeneratorState | None:
    """Returns the state of the CPU generator that an operator draws from."""
    generator = kwargs.get("generator") if kwargs else None
    if generator is None:
        generator = _default_generator
        for arg in args:
            # Comparing types is faster than `isinstance`, and torch has no subclasses of `Generator`.
            if type(arg) is torch.Generator:
                generator = arg
    if generator is not _default_generator and generator.device.type != "cpu":
        return None
    return generator_state(generator)


_Head = c_char * _HEAD
_Tail = c_char * (_default_generator.get_state().numel() - _TAIL)


def generator_state(generator: torch.Generator) -> GeneratorState:
    """Returns the parts of a CPU generator's state that identify its position in its sequence of random words."""
    state = generator.get_state()
    address = _address_of(state)
    head, tail = _Head.from_address(address), _Tail.from_address(address + _TAIL)
    return _new_tuple(GeneratorState, (id(generator), head.raw, tail.raw))
