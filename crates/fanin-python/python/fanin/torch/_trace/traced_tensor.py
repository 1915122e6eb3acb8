"""The results of a trace: `TracedTensor` describes a parameter or buffer, and `Write` describes one write to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from .calls import Caller, Line
from .history import History, Step, copied_memory, spec_of
from .overlap import ALL, coverage
from .recorder import Memory, Recorder


@dataclass(frozen=True)
class Write:
    """A write to a parameter or buffer: one call of an initializer, or of an operator outside of initializers."""

    #: The name of the tensor. None for a temporary tensor: one that is not in the module when the trace ends.
    tensor: str | None
    #: The initializer as a spec, such as `kaiming_uniform(a=sqrt(5))`. Without an initializer, the operator, such as `aten.mul_`.
    initializer: str
    #: Whether `initializer` is a spec.
    is_spec: bool
    #: Whether the write replaced the values of all elements by values that do not depend on the former values.
    is_whole: bool
    #: Whether a later write replaced all of the values.
    is_superseded: bool
    #: The number of elements that were drawn from a random generator.
    drawn: int
    #: The run time of the operators that drew random values, in seconds.
    seconds: float
    #: The names of the tensors whose values were read. None stands for a temporary tensor.
    sources: tuple[str | None, ...] = ()
    #: The call stack of the write. For a copy, the call stack of the write that `_origin` finds, which produced the
    #: values.
    _caller: Caller | None = field(default=None, repr=False, compare=False)
    #: If the write is a copy, the call stack at the time of the copy.
    _copier: Caller | None = field(default=None, repr=False, compare=False)

    @property
    def stack(self) -> tuple[Line, ...]:
        """The lines of code on the call stack, innermost first. The first line called the initializer or operator."""
        return () if self._caller is None else self._caller.stack

    @property
    def copied_by(self) -> tuple[Line, ...]:
        """The lines of code on the call stack at the time of the copy, innermost first. Empty if the write is no copy.

        For a copy, such as a call of `copy_`, `initializer` and `stack` describe the write that produced the copied
        values. If no single write produced these values, `initializer` and `stack` describe the copy itself, and
        `copied_by` is empty.
        """
        return () if self._copier is None else self._copier.stack

    @property
    def file(self) -> str | None:
        """The file of the line that called the initializer or operator."""
        stack = self.stack
        return stack[0].file if stack else None

    @property
    def line(self) -> int | None:
        """The number of the line that called the initializer or operator."""
        stack = self.stack
        return stack[0].line if stack else None

    @property
    def function(self) -> str | None:
        """The function that called the initializer or operator."""
        stack = self.stack
        return stack[0].function if stack else None


class TracedTensor:
    """A parameter or buffer, with the writes that gave it its values.

    Attributes
    ----------
    name, shape, dtype, device
        The properties of the tensor. `dtype` is a text such as "float32", and `device` a text such as "cpu".
    kind
        "parameter" or "buffer".
    tied_to
        The name of an earlier tensor with the same memory, or None.
    """

    def __init__(
        self,
        name: str,
        tensor: Tensor,
        kind: str,
        tied_to: str | None,
        memory: Memory | None,
        names: Names,
    ):
        self.name = name
        self.shape: tuple[int, ...] = () if memory is None else tuple(memory.shape)
        self.dtype = _type_name(tensor.dtype)
        self.device: str = tensor.device.type
        self.kind = kind
        self.tied_to = tied_to
        self._memory = memory
        self._names = names

    def __repr__(self) -> str:
        return f"TracedTensor({self.name!r}, shape={self.shape}, dtype={self.dtype}, initializer={self.initializer!r})"

    @property
    def is_persistent(self) -> bool:
        """Whether the tensor is in the module's state_dict."""
        return self.name in self._names.saved

    @cached_property
    def _history(self) -> History | None:
        return None if self._memory is None else History(self._names.recorder, self._memory)

    @cached_property
    def writes(self) -> list[Write]:
        """All writes, earliest first."""
        history = self._history
        if history is None:
            return []
        steps = enumerate(history.steps)
        return [_write(self.name, step, n < history.superseded, self._names, history.memory) for n, step in steps]

    @cached_property
    def unwritten(self) -> int:
        """The number of elements that no code wrote. 0 for a tensor on the meta device."""
        return 0 if self._history is None or self.device == "meta" else self._history.unwritten()

    @property
    def allocated(self) -> tuple[Line, ...]:
        """The lines of code on the stack when the memory was allocated, innermost first. Empty if no allocation was recorded."""
        allocation = None if self._history is None else self._history.allocation
        return () if allocation is None else allocation.caller.stack

    @property
    def left(self) -> list[Write]:
        """The writes that the final values may depend on: the last write to all elements, and the writes after it."""
        return [write for write in self.writes if not write.is_superseded]

    @property
    def writer(self) -> Write | None:
        """The last write that replaced the whole tensor.

        If no write replaced the whole tensor, the last of all writes. None if no write was recorded.
        """
        whole = [write for write in self.writes if write.is_whole]
        return whole[-1] if whole else self.writes[-1] if self.writes else None

    @property
    def last(self) -> Write | None:
        """The last write, which may be to a part of the tensor. None if no code wrote the tensor."""
        return self.writes[-1] if self.writes else None

    @property
    def initializer(self) -> str | None:
        """How the tensor got its values, such as `normal(std=0.02), then aten.mul_`.

        The text has one entry for each write that the final values may depend on (see the property `left`). An entry is
        a spec or an operator. From the second entry on, equal entries are listed once: two calls of `mul_` give one
        entry. The property is None if no write to the tensor was recorded.
        """
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


@lru_cache
def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def traced_tensors(module: nn.Module, recorder: Recorder) -> dict[str, TracedTensor]:
    """Returns a TracedTensor for each parameter and buffer of a module, by name."""
    named: list[tuple[str, Tensor, str]] = [
        *((name, tensor, "parameter") for name, tensor in module.named_parameters(remove_duplicate=False)),
        *((name, tensor, "buffer") for name, tensor in module.named_buffers(remove_duplicate=False)),
    ]
    memory_by_name = {name: recorder.memory_of(tensor) for name, tensor, _ in named}
    names = Names(recorder, memory_by_name, module)
    found: dict[str, TracedTensor] = {}
    first: dict[Memory, str] = {}
    for name, tensor, kind in named:
        memory = memory_by_name[name]
        tied = name if memory is None else first.setdefault(memory, name)
        tied_to = tied if tied != name else None
        found[name] = TracedTensor(name, tensor, kind, tied_to, memory, names)
    return found


class Names:
    """Finds the name of a module's tensor from the memory that the tensor uses."""

    def __init__(self, recorder: Recorder, memory_by_name: dict[str, Memory | None], module: nn.Module | None = None):
        self.recorder = recorder
        self._module = module
        self._names: dict[int, list[tuple[str, Memory]]] = {}
        for name, memory in memory_by_name.items():
            if memory is not None:
                self._names.setdefault(memory.storage, []).append((name, memory))

    @cached_property
    def saved(self) -> frozenset[str]:
        """The names in the module's state_dict."""
        return frozenset(() if self._module is None else self._module.state_dict(keep_vars=True))

    def find(self, memory: Memory) -> str | None:
        """Returns the name of the module's tensor that contains `memory`, or None if there is none."""
        for name, other in self._names.get(memory.storage, ()):
            if coverage(other, memory) == ALL:
                return name
        return None


def _write(name: str | None, step: Step, is_superseded: bool, names: Names, memory: Memory) -> Write:
    """Returns the `Write` that describes a step. `name` and `memory` belong to the tensor that was written."""
    spec = spec_of(step)
    text, is_spec = None if spec is None else str(spec), True
    caller, copier = step.last.caller, None
    sources = [] if text is not None else [s for s in step.last.sources if s.storage != memory.storage]
    if text is None:
        text, is_spec = _operator_text(step), False
        origin = _origin(step, names)
        if origin is not None:
            caller, copier = origin._caller or caller, caller
            text, is_spec = origin.initializer, origin.is_spec
    return Write(
        tensor=name,
        initializer=text,
        is_spec=is_spec,
        is_whole=step.is_whole,
        is_superseded=is_superseded,
        drawn=sum(event.memory.elements for event in step.events if event.effect.draws and event.memory is not None),
        seconds=sum(event.seconds for event in step.events),
        sources=tuple(names.find(source) for source in sources),
        _caller=caller,
        _copier=copier,
    )


def _operator_text(step: Step) -> str:
    name = step.last.effect.name
    return "torch.tensor" if name == "tensor" else f"aten.{name}"


def _origin(step: Step, names: Names) -> Write | None:
    """For a step that is a copy, returns the write that produced the copied values.

    Returns None for any other step, or if no single write produced all of the copied values.
    """
    source = copied_memory(step)
    if source is None:
        return None
    history = History(names.recorder, source, until=step.last.number)
    if len(history.left) != 1 or not history.left[0].is_whole:
        return None
    return _write(None, history.left[0], False, names, source)


def overwritten_draws(tensors: dict[str, TracedTensor], recorder: Recorder) -> list[Write]:
    """Returns the random draws whose values were overwritten or freed before anything read them."""
    found = []
    kept: set[int] = set()
    for tensor in tensors.values():
        history = tensor._history
        if history is None:
            continue
        kept.add(history.memory.storage)
        if tensor.tied_to is not None:
            continue
        for n, step in enumerate(history.steps[: history.superseded]):
            end = next(later for later in history.steps[n + 1 :] if later.is_whole)
            if tensor.writes[n].drawn and not history.was_read_between(step.last.number, end.first.number, step.call):
                found.append(tensor.writes[n])
    for storage, events in recorder.events.items():
        if storage in kept or storage in recorder.reads or not any(event.effect.draws for event in events):
            continue
        memory = max((event.memory for event in events if event.memory is not None), key=lambda memory: memory.elements)
        for step in History(recorder, memory).steps:
            write = _write(None, step, True, Names(recorder, {}), memory)
            if write.drawn:
                found.append(write)
    return found
