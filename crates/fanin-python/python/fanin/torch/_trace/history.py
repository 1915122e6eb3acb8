"""Turns recorded events into the writes of a tensor: which initializer, which line, what is left of it at the end."""

from __future__ import annotations

from typing import NamedTuple

from . import places, specs
from .calls import Call
from .operators import ALLOCATE, COPYING, WRITE
from .recorder import Event, Place, Recorder


class Step(NamedTuple):
    """Consecutive events that wrote to one tensor: those of one call of an initializer, or one event without a call."""

    events: list[Event]
    #: Whether the step gave every element of the tensor a value that does not depend on the value before.
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
    """The writes of a place, until a time."""

    def __init__(self, recorder: Recorder, place: Place, until: int | None = None):
        self.recorder = recorder
        self.place = place
        events = recorder.events.get(place.storage, [])
        if until is not None:
            events = [event for event in events if event.index < until]
        #: Where the memory comes from, if it was allocated while recording.
        self.allocation: Event | None = None
        #: All steps, in order.
        self.steps: list[Step] = []
        self._add_steps(events)
        #: The number of steps at the beginning whose values were all overwritten.
        self.superseded = next((n for n in range(len(self.steps) - 1, -1, -1) if self.steps[n].is_whole), 0)

    def _add_steps(self, events: list[Event]) -> None:
        group: list[Event] = []
        for event in events:
            assert event.place is not None
            if event.effect.kind == ALLOCATE:
                self.allocation = event
            elif self.place.elements == 0 or places.coverage(event.place, self.place) != places.NONE:
                if group and (event.call is None or event.call is not group[-1].call):
                    self._end_step(group)
                    group = []
                group.append(event)
        if group:
            self._end_step(group)

    def _end_step(self, events: list[Event]) -> None:
        whole = any(
            event.effect.overwrites and event.effect.covers and places.coverage(event.place, self.place) == places.ALL
            for event in events
            if event.place is not None
        )
        self.steps.append(Step(events, whole))

    @property
    def left(self) -> list[Step]:
        """The steps whose values are left in the tensor, at least in part."""
        return self.steps[self.superseded :]

    def unwritten(self) -> int:
        """Returns the number of elements that certainly no step has written.

        Memory that was not allocated by a recorded operator, such as that of a NumPy array, has values already.
        """
        is_new = self.allocation is not None or self.place.storage in self.recorder.existing
        if not is_new or any(step.is_whole for step in self.steps):
            return 0
        written = [event for step in self.steps for event in step.events if event.effect.overwrites and event.place]
        if any(not event.effect.covers for step in self.steps for event in step.events):
            return 0  # which elements were written depends on values
        return places.missing([event.place for event in written if event.place is not None], self.place)

    def was_read_between(self, start: int, end: int, call: Call | None) -> bool:
        """Returns whether an event outside of `call` read the tensor between two times."""
        for index, place in self.recorder.reads.get(self.place.storage, ()):
            if start < index < end and places.coverage(place, self.place) != places.NONE:
                event = self.recorder.log[index]
                own = event.effect.kind == WRITE and event.place is not None and event.place.storage == place.storage
                if not own and (event.call is None or event.call is not call):
                    return True
        return False


def copied_place(step: Step) -> Place | None:
    """Returns the place that a step has copied, or None if the step is not a copy of all elements of a tensor."""
    event = step.last
    if step.call is not None or event.effect.name not in COPYING or len(event.sources) != 1:
        return None
    source = event.sources[0]
    return source if event.place is not None and source.shape == event.place.shape else None


def spec_of(step: Step) -> specs.Spec | None:
    """Returns the spec of a step, or None if no spec describes it."""
    if step.call is not None:
        return specs.of_call(step.call, step.events)
    return specs.of_operator(step.last)
