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

from ._trace_calls import Call, Caller, Frames
from ._trace_operators import SHAPE_ONLY, VIEW, WRITE, Effect, effect_of, tensors_in

_storage_of = torch._C.TensorBase.untyped_storage


class Place(NamedTuple):
    """The memory of a tensor."""

    #: The address of the storage object. It identifies the storage.
    storage: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: str

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
        return Place(
            key, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device.type
        )

    def _places(self, values: Any) -> tuple[Place, ...]:
        places = [self.place_of(tensor) for tensor in tensors_in(values)]
        return tuple(place for place in places if place is not None)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        effect = effect_of(operator)
        if effect.kind == VIEW:
            return operator(*args, **kwargs)
        state = _state_before(args, kwargs) if effect.draws else None
        caller = self._frames.caller()
        if effect.kind == WRITE:
            return self._write(operator, effect, args, kwargs, caller, state)
        start = time.perf_counter()
        result = operator(*args, **kwargs)
        seconds = time.perf_counter() - start
        sources = () if effect.name in SHAPE_ONLY else self._places((*args, *kwargs.values()))
        results = (result,) if isinstance(result, Tensor) else result if isinstance(result, (tuple, list)) else ()
        arguments = _plain(args, kwargs)
        written = False
        for tensor in tensors_in(results):
            place = self.place_of(tensor)
            if place is not None and all(place.storage != source.storage for source in sources):
                self._add(Event(len(self.log), effect, place, sources, arguments, caller, state, seconds))
                written = True
        if not written:
            self._add(Event(len(self.log), effect, None, sources, arguments, caller, state, seconds))
        return result

    def _write(self, operator, effect: Effect, args, kwargs, caller: Caller, state: GeneratorState | None):
        """Does an operator that writes to its arguments, and records it."""
        targets: list[Tensor] = []
        others: list[Any] = []
        for where, value in (*enumerate(args), *kwargs.items()):
            (targets if where in effect.written else others).append(value)
        sources = self._places(others)
        start = time.perf_counter()
        result = operator(*args, **kwargs)
        seconds = time.perf_counter() - start
        arguments = _plain(args, kwargs)
        # The places are read after the operator, because an `out` argument may get other memory.
        for place in self._places(targets):
            read = sources if effect.overwrites else (*sources, place)
            self._add(Event(len(self.log), effect, place, read, arguments, caller, state, seconds))
            state = None
        return result

    def _add(self, event: Event) -> None:
        self.log.append(event)
        for source in event.sources:
            self.reads.setdefault(source.storage, []).append((event.index, source))
        if event.place is not None:
            self.events.setdefault(event.place.storage, []).append(event)


def _plain(args, kwargs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns an operator's arguments with every tensor replaced by the class Tensor."""
    positional = tuple(Tensor if isinstance(arg, Tensor) else arg for arg in args)
    if any(isinstance(arg, (list, tuple)) for arg in args):
        positional = tuple(_without_tensors(arg) for arg in positional)
    return positional, {name: Tensor if isinstance(arg, Tensor) else _without_tensors(arg) for name, arg in kwargs.items()}


def _without_tensors(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(Tensor if isinstance(item, Tensor) else item for item in value)
    return None if isinstance(value, torch.Generator) else value


#: A state of torch's CPU generator has the seed, two numbers of 32 bits and the next index, then 624 words of 64 bits, and the
#: stored normals.
_HEAD, _TAIL = 32, 24 + 624 * 8


def _state_before(args, kwargs) -> GeneratorState | None:
    """Returns the state of the CPU generator that an operator draws from."""
    generator = kwargs.get("generator")
    if generator is None:
        generator = next((arg for arg in args if isinstance(arg, torch.Generator)), torch.default_generator)
    if generator.device.type != "cpu":
        return None
    return generator_state(generator)


def generator_state(generator: torch.Generator) -> GeneratorState:
    """Returns the part of the state of a CPU generator that identifies its position."""
    state = generator.get_state().numpy().tobytes()
    return GeneratorState(id(generator), state[:_HEAD], state[_TAIL:])
