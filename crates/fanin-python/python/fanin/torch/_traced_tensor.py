"""The results of a trace: TracedTensor describes a parameter or buffer, and Write describes a write to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from ._trace_calls import Line
from ._trace_history import History, Step, copied_place, step_text
from ._trace_places import ALL, coverage
from ._trace_recorder import Place, Recorder


@dataclass(frozen=True)
class Write:
    """A write to a parameter or buffer."""

    #: The name of the tensor, or None if it is a tensor that the module does not have at the end.
    tensor: str | None
    #: The initializer as a spec, such as `kaiming_uniform(a=sqrt(5))`. For other writes, the operator, such as `aten.mul_`.
    initializer: str
    #: Whether `initializer` is a spec.
    is_spec: bool
    #: The lines of code from the one that called the initializer or operator, outwards.
    stack: tuple[Line, ...]
    #: Whether the write gave all elements new values.
    is_whole: bool
    #: Whether later writes replaced all of the values.
    is_superseded: bool
    #: The number of elements that were drawn from a random generator.
    drawn: int
    #: The time that the operators took.
    seconds: float
    #: The tensors whose values were used or copied: names, or None for a tensor that the module does not have.
    sources: tuple[str | None, ...] = ()
    #: For a copy, the lines that copied, from the innermost outwards. All other attributes are those of the write that was
    #: copied. Empty if the write is not a copy.
    copied_by: tuple[Line, ...] = ()

    @property
    def file(self) -> str | None:
        """The file of the line that called the initializer or operator."""
        return self.stack[0].file if self.stack else None

    @property
    def line(self) -> int | None:
        """The number of the line that called the initializer or operator."""
        return self.stack[0].line if self.stack else None

    @property
    def function(self) -> str | None:
        """The function that called the initializer or operator."""
        return self.stack[0].function if self.stack else None


@dataclass(frozen=True)
class TracedTensor:
    """A parameter or buffer, and how it got its values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    #: "parameter" or "buffer".
    kind: str
    #: Whether the tensor is in the module's state_dict.
    is_persistent: bool
    #: The name of an earlier tensor with the same memory, or None.
    tied_to: str | None
    #: All writes, in order.
    writes: list[Write]
    #: The number of elements that nobody wrote.
    unwritten: int
    #: Where the memory was allocated: lines from the innermost outwards. Empty if it was not allocated while recording.
    allocated: tuple[Line, ...] = ()
    _history: History | None = field(default=None, repr=False, compare=False)

    @property
    def left(self) -> list[Write]:
        """The writes whose values are left in the tensor, at least in part."""
        return [write for write in self.writes if not write.is_superseded]

    @property
    def writer(self) -> Write | None:
        """The last write to the whole tensor. If there is none, the last write. None if nobody wrote the tensor."""
        whole = [write for write in self.writes if write.is_whole]
        return whole[-1] if whole else self.writes[-1] if self.writes else None

    @property
    def last(self) -> Write | None:
        """The last write, which may be to a part of the tensor. None if nobody wrote the tensor."""
        return self.writes[-1] if self.writes else None

    @property
    def initializer(self) -> str | None:
        """How the tensor got its values: a spec, with `, then ...` for each later write that changed the tensor."""
        left = self.left
        if not left:
            return None
        texts = [_text(write) for write in left]
        return ", then ".join([*texts[:1], *(text for text in dict.fromkeys(texts[1:]))])


def _text(write: Write) -> str:
    text = write.initializer
    if write.sources and not write.is_spec:
        names = [name or "a temporary tensor" for name in dict.fromkeys(write.sources)]
        text += " of " + ", ".join(names[:3])
    return text


def traced_tensors(module: nn.Module, recorder: Recorder) -> dict[str, TracedTensor]:
    """Returns a TracedTensor for each parameter and buffer of a module, by name."""
    saved = module.state_dict(keep_vars=True).keys()
    named: list[tuple[str, Tensor, str]] = [
        *((name, tensor, "parameter") for name, tensor in module.named_parameters(remove_duplicate=False)),
        *((name, tensor, "buffer") for name, tensor in module.named_buffers(remove_duplicate=False)),
    ]
    places: dict[str, Place | None] = {name: recorder.place_of(tensor) for name, tensor, _ in named}
    names = _Names(recorder, places)
    found: dict[str, TracedTensor] = {}
    first: dict[Place, str] = {}
    for name, tensor, kind in named:
        place = places[name]
        history = None if place is None else History(recorder, place)
        tied = None if place is None else first.setdefault(place, name)
        found[name] = TracedTensor(
            name=name,
            shape=() if place is None else place.shape,
            dtype=str(tensor.dtype).removeprefix("torch."),
            device=tensor.device.type,
            kind=kind,
            is_persistent=name in saved,
            tied_to=tied if tied != name else None,
            writes=[] if history is None else _writes(name, history, names),
            unwritten=0 if history is None or tensor.device.type == "meta" else history.unwritten(),
            allocated=() if history is None or history.allocation is None else tuple(history.allocation.caller.stack),
            _history=history,
        )
    return found


class _Names:
    """The names of the module's tensors, by place."""

    def __init__(self, recorder: Recorder, places: dict[str, Place | None]):
        self.recorder = recorder
        self._names: dict[int, list[tuple[str, Place]]] = {}
        for name, place in places.items():
            if place is not None:
                self._names.setdefault(place.storage, []).append((name, place))

    def find(self, place: Place) -> str | None:
        """Returns the name of the tensor that has a place, or None if the module has no such tensor."""
        for name, other in self._names.get(place.storage, ()):
            if coverage(other, place) == ALL:
                return name
        return None


def _writes(name: str, history: History, names: _Names) -> list[Write]:
    return [_write(name, step, n < history.superseded, names, history.place) for n, step in enumerate(history.steps)]


def _write(name: str | None, step: Step, is_superseded: bool, names: _Names, place: Place) -> Write:
    text, is_spec = step_text(step), True
    stack = tuple(step.last.caller.stack)
    copied_by: tuple[Line, ...] = ()
    sources = [] if text is not None else [s for s in step.last.sources if s.storage != place.storage]
    if text is None:
        text, is_spec = _operator_text(step), False
        origin = _origin(step, names)
        if origin is not None:
            copied_by, stack = stack, origin.stack
            text, is_spec = origin.initializer, origin.is_spec
    return Write(
        tensor=name,
        initializer=text,
        is_spec=is_spec,
        stack=stack,
        is_whole=step.is_whole,
        is_superseded=is_superseded,
        drawn=sum(event.place.elements for event in step.events if event.effect.draws and event.place is not None),
        seconds=sum(event.seconds for event in step.events),
        sources=tuple(names.find(source) for source in sources),
        copied_by=copied_by,
    )


def _operator_text(step: Step) -> str:
    name = step.last.effect.name
    return "torch.tensor" if name == "tensor" else f"aten.{name}"


def _origin(step: Step, names: _Names) -> Write | None:
    """Returns the write of the values that a step has copied. None if it copied nothing, or several writes' values."""
    source = copied_place(step)
    if source is None:
        return None
    history = History(names.recorder, source, until=step.last.index)
    if len(history.left) != 1 or not history.left[0].is_whole:
        return None
    return _write(None, history.left[0], False, names, source)


def overwritten_draws(tensors: dict[str, TracedTensor], recorder: Recorder) -> list[Write]:
    """Returns the draws whose values were overwritten, or freed, before anything read them."""
    found = []
    kept: set[int] = set()
    for tensor in tensors.values():
        history = tensor._history
        if history is None:
            continue
        kept.add(history.place.storage)
        if tensor.tied_to is not None:
            continue
        for n, step in enumerate(history.steps[: history.superseded]):
            end = next(later for later in history.steps[n + 1 :] if later.is_whole)
            if tensor.writes[n].drawn and not history.was_read_between(step.last.index, end.first.index, step.call):
                found.append(tensor.writes[n])
    for storage, events in recorder.events.items():
        if storage in kept or storage in recorder.reads or not any(event.effect.draws for event in events):
            continue
        place = max((event.place for event in events if event.place is not None), key=lambda place: place.elements)
        for step in History(recorder, place).steps:
            write = _write(None, step, True, _Names(recorder, {}), place)
            if write.drawn:
                found.append(write)
    return found
