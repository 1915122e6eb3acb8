"""Groups a tensor's recorded events into steps (single writes), and finds the steps that set its final values."""

from __future__ import annotations

from typing import NamedTuple

from . import overlap, specs
from .calls import Call
from .operators import ALLOCATE, COPYING, WRITE
from .recorder import Event, Memory, Recorder


class Step(NamedTuple):
    """One write to a tensor: all events of one call of an initializer, or one event outside of initializers."""

    events: list[Event]
    #: Whether the step replaced all elements by values that do not depend on the former values.
    is_whole: bool

    @property
    def first(self) -> Event:
        return self.events[0]

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def call(self) -> Call | None:
        return self.last.call


class History:
    """The recorded steps that wrote to the memory of a tensor.

    If `until` is given, later steps are left out: those whose `Event.number` is `until` or more.
    """

    def __init__(self, recorder: Recorder, memory: Memory, until: int | None = None):
        self.recorder = recorder
        self.memory = memory
        events = recorder.events.get(memory.storage, [])
        if until is not None:
            events = [event for event in events if event.number < until]
        #: The event that allocated the memory. None if it was not allocated while recording.
        self.allocation: Event | None = None
        #: All steps, in order.
        self.steps: list[Step] = []
        self._add_steps(events)
        #: The number of steps before the last step that overwrote all elements. 0 if no step overwrote all elements.
        self.superseded = next((n for n in range(len(self.steps) - 1, -1, -1) if self.steps[n].is_whole), 0)

    def _add_steps(self, events: list[Event]) -> None:
        group: list[Event] = []
        for event in events:
            assert event.memory is not None
            if event.effect.kind == ALLOCATE:
                self.allocation = event
            elif self.memory.elements == 0 or overlap.coverage(event.memory, self.memory) != overlap.NONE:
                if group and (event.call is None or event.call is not group[-1].call):
                    self._end_step(group)
                    group = []
                group.append(event)
        if group:
            self._end_step(group)

    def _end_step(self, events: list[Event]) -> None:
        whole = any(
            event.effect.overwrites and event.effect.covers and overlap.coverage(event.memory, self.memory) == overlap.ALL
            for event in events
            if event.memory is not None
        )
        self.steps.append(Step(events, whole))

    @property
    def left(self) -> list[Step]:
        """The steps that the final values may depend on.

        These are the last step that overwrote all elements, and all later steps. If there is no such step, all steps
        are returned.
        """
        return self.steps[self.superseded :]

    def unwritten(self) -> int:
        """Returns the number of elements that no recorded step overwrote. Returns 0 if this number is uncertain.

        Memory of unknown origin counts as written. This is memory that no recorded operator allocated and that is not
        in `Recorder.existing`, such as the memory of a NumPy array.
        """
        is_new = self.allocation is not None or self.memory.storage in self.recorder.existing
        if not is_new or any(step.is_whole for step in self.steps):
            return 0
        written = [event for step in self.steps for event in step.events if event.effect.overwrites and event.memory]
        if any(not event.effect.covers for step in self.steps for event in step.events):
            return 0  # Operators such as `scatter_` choose the elements by values, which are not recorded.
        return overlap.missing([event.memory for event in written if event.memory is not None], self.memory)

    def was_read_between(self, start: int, end: int, call: Call | None) -> bool:
        """Returns whether an event outside of `call` read the tensor. Only events with numbers between `start` and `end` count."""
        for index, memory in self.recorder.reads.get(self.memory.storage, ()):
            if start < index < end and overlap.coverage(memory, self.memory) != overlap.NONE:
                event = self.recorder.log[index]
                own = event.effect.kind == WRITE and event.memory is not None and event.memory.storage == memory.storage
                if not own and (event.call is None or event.call is not call):
                    return True
        return False


def copied_memory(step: Step) -> Memory | None:
    """Returns the memory that a step copied, or None if the step is not a copy between tensors of the same shape."""
    event = step.last
    if step.call is not None or event.effect.name not in COPYING or len(event.sources) != 1:
        return None
    source = event.sources[0]
    return source if event.memory is not None and source.shape == event.memory.shape else None


def spec_of(step: Step) -> specs.Spec | None:
    """Returns the spec of a step, or None if no spec describes it."""
    if step.call is not None:
        return specs.of_call(step.call, step.events)
    return specs.of_operator(step.last)
