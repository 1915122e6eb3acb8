"""Records the operators of torch that write memory: what was written, by which line, and where in the generator's sequence.

torch calls a dispatch mode for every operator of a thread. The mode keeps no tensor alive: it stores a tensor's *place*, which
is the storage with the offset, shape and strides, and a weak reference to the storage. A storage with a weak reference keeps
its address, so another storage never has the same address.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from .calls import Call, Caller, Frames
from .operators import ALLOCATE, SHAPE_ONLY, VIEW, WRITE, Effect, effect_of, tensors_in

_NUMBERS = (int, float)
_storage_of = torch._C.TensorBase.untyped_storage


class Place(NamedTuple):
    """The memory of a tensor."""

    #: The address of the storage object. It identifies the storage.
    storage: int
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
    """The part of a generator's state that identifies its position in the sequence of random words."""

    #: The identity of the generator, and its state without all words of the Mersenne Twister but the first.
    generator: int
    head: bytes
    tail: bytes


class Event:
    """A write to the memory of a tensor, an allocation, or a read."""

    __slots__ = ("arguments", "caller", "effect", "index", "place", "seconds", "sources", "state")

    def __init__(
        self,
        index: int,
        effect: Effect,
        place: Place | None,
        sources: tuple[Place, ...],
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        caller: Caller,
        state: GeneratorState | None,
        seconds: float,
    ):
        self.index = index
        self.effect = effect
        #: The written memory. None if the operator only reads.
        self.place = place
        #: The tensors that the operator reads.
        self.sources = sources
        #: The operator's positional arguments and its keyword arguments. In place of each tensor, they have the class Tensor.
        self.arguments = arguments
        self.caller = caller
        #: The generator's state before the draw. None if the operator does not draw.
        self.state = state
        #: The time that the operator took.
        self.seconds = seconds

    @property
    def call(self) -> Call | None:
        """The call of an initializer, such as torch.nn.init.normal_, during which the event happened."""
        return self.caller.call


class Recorder(TorchDispatchMode):
    """A dispatch mode that records what operators write. The events of a storage are in `events`, by `Place.storage`."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch wraps `__torch_dispatch__` in a function that imports torch._dynamo and costs microseconds per call.
        return False

    def __init__(self) -> None:
        super().__init__()
        #: All events that wrote or allocated memory, or drew random values. The index of an event is its time.
        self.log: list[Event] = []
        #: The events that wrote or allocated memory, by storage.
        self.events: dict[int, list[Event]] = {}
        #: The times at which a storage was read, with the places that were read.
        self.reads: dict[int, list[tuple[int, Place]]] = {}
        #: The storages of tensors that existed before recording began. Only writes while recording count for them.
        self.existing: set[int] = set()
        self._weak: dict[int, int] = {}
        self._frames = Frames()

    def close(self) -> None:
        """Releases the memory that recording needs. The events stay."""
        self._frames.close()

    def add_existing(self, module: nn.Module) -> None:
        """Adds the storages of a module's parameters and buffers to `existing`."""
        places = self._places([*module.parameters(), *module.buffers()])
        self.existing.update(place.storage for place in places)

    def __del__(self):
        for weak in self._weak.values():
            torch.UntypedStorage._free_weak_ref(weak)

    def place_of(self, tensor: Tensor) -> Place | None:
        """Returns the place of a tensor, or None if the tensor has no storage of its own."""
        if is_lazy(tensor):
            return None
        try:
            storage = _storage_of(tensor)
        except (NotImplementedError, RuntimeError):
            return None
        key = storage._cdata
        if key not in self._weak:
            self._weak[key] = storage._weak_ref()  # type: ignore[assignment]
        return Place(key, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)  # type: ignore[arg-type]

    def _places(self, values: Any) -> tuple[Place, ...]:
        places = [self.place_of(tensor) for tensor in tensors_in(values)]
        return tuple(place for place in places if place is not None)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        effect = effect_of(operator)
        if effect.kind == VIEW:
            return operator(*args, **kwargs)
        caller = self._frames.caller()
        if effect.kind == ALLOCATE:
            result = operator(*args, **kwargs)
            self._add_allocation(effect, result, caller)
            return result
        state = _state_before(args, kwargs) if effect.draws else None
        # Only the time of draws is shown.
        start = time.perf_counter() if effect.draws else 0.0
        result = operator(*args, **kwargs)
        seconds = time.perf_counter() - start if effect.draws else 0.0
        if effect.kind == WRITE:
            self._add_writes(effect, args, kwargs, caller, state, seconds)
        else:
            self._add_results(effect, args, kwargs, result, caller, state, seconds)
        return result

    def _add_allocation(self, effect: Effect, result: Any, caller: Caller) -> None:
        """Records an operator that has returned memory that nobody has written."""
        for tensor in (result,) if isinstance(result, Tensor) else tensors_in(result):
            place = self.place_of(tensor)
            if place is not None:
                event = Event(len(self.log), effect, place, (), ((), {}), caller, None, 0.0)
                self.log.append(event)
                self.events.setdefault(place.storage, []).append(event)

    def _add_writes(self, effect: Effect, args, kwargs, caller: Caller, state: GeneratorState | None, seconds: float):
        """Records an operator that has written to its arguments."""
        targets: list[Tensor]
        sources: tuple[Place, ...]
        arguments: tuple[tuple[Any, ...], dict[str, Any]]
        if effect.written == (0,) and all(type(arg) in _NUMBERS for arg in args[1:]):
            # The most frequent case is treated first: an operator with one tensor and numbers.
            targets, sources = list(args[:1]), ()
            arguments = (Tensor, *args[1:]), {name: _without_tensors(value) for name, value in kwargs.items()}
        else:
            written: list[Any] = []
            others: list[Any] = []
            for where, value in (*enumerate(args), *kwargs.items()):
                (written if where in effect.written else others).append(value)
            targets, sources = tensors_in(written), self._places(others)
            arguments = _plain(args, kwargs)
        for tensor in targets:
            # The place is read after the operator, because an `out` argument may get other memory.
            place = self.place_of(tensor)
            if place is not None:
                read = sources if effect.overwrites else (*sources, place)
                self._add(Event(len(self.log), effect, place, read, arguments, caller, state, seconds))
                state = None

    def _add_results(self, effect: Effect, args, kwargs, result, caller, state: GeneratorState | None, seconds: float):
        """Records an operator that has returned new values."""
        sources = self._places((*args, *kwargs.values())) if effect.name not in SHAPE_ONLY else ()
        arguments = _plain(args, kwargs)
        results = (result,) if isinstance(result, Tensor) else result if isinstance(result, (tuple, list)) else ()
        places = [place for place in self._places(results) if all(place.storage != source.storage for source in sources)]
        for place in places or (None,):
            self._add(Event(len(self.log), effect, place, sources, arguments, caller, state, seconds))
            state = None

    def _add(self, event: Event) -> None:
        self.log.append(event)
        for source in event.sources:
            self.reads.setdefault(source.storage, []).append((event.index, source))
        if event.place is not None:
            self.events.setdefault(event.place.storage, []).append(event)


def _plain(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns an operator's arguments with every tensor replaced by the class Tensor."""
    return tuple(map(_without_tensors, args)), {name: _without_tensors(arg) for name, arg in kwargs.items()}


def _without_tensors(value: Any) -> Any:
    kind = type(value)
    if kind is float or kind is int:
        return value
    if isinstance(value, Tensor):
        return Tensor
    if isinstance(value, (list, tuple)):
        return tuple(Tensor if isinstance(item, Tensor) else item for item in value)
    return None if isinstance(value, torch.Generator) else value


#: A state of torch's CPU generator has the seed, two numbers of 32 bits and the next index, then 624 words of 64 bits, and the
#: stored normals.
_HEAD, _TAIL = 32, 24 + 624 * 8


_default_generator = torch.default_generator


def _state_before(args: Any, kwargs: Any) -> GeneratorState | None:
    """Returns the state of the CPU generator that an operator draws from."""
    generator = kwargs.get("generator") if kwargs else None
    if generator is None:
        # `isinstance` would call a Python function for each argument.
        generator = next((arg for arg in args if type(arg) is torch.Generator), _default_generator)
    if generator is not _default_generator and generator.device.type != "cpu":
        return None
    return generator_state(generator)


def generator_state(generator: torch.Generator) -> GeneratorState:
    """Returns the part of the state of a CPU generator that identifies its position."""
    state = generator.get_state().numpy().tobytes()
    return GeneratorState(id(generator), state[:_HEAD], state[_TAIL:])
