"""Finds where in the torch stream each recorded draw began: the seed, and the number of words that were drawn before.

A generator's state does not contain the number of words drawn since seeding, but only this number modulo 624, and the words of
the current block of 624. The number is therefore counted, and each count is compared with the recorded state. If code that was
not recorded has drawn or seeded in between, the state differs, and the position is searched for.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import torch

from ..._fanin import torch_advance
from .places import is_contiguous
from .recorder import Event, GeneratorState, Recorder, generator_state

#: The number of words of a block of the Mersenne Twister.
_BLOCK = 624
#: The number of blocks that are searched for a position.
_MAX_BLOCKS = 100_000
#: The number of words of a pair of normal values.
_PAIR = 4


class Start(NamedTuple):
    """A position in the torch stream."""

    seed: int
    #: The number of words that were drawn since the generator was seeded.
    at: int
    #: The position at which a pair of normal values was drawn whose second value is stored in the generator, or None.
    pair: int | None


class Draw(NamedTuple):
    """What a draw takes from the generator: words, or normal values that are drawn in pairs. Both are None if not known."""

    words: int | None
    normals: int | None


def draw_of(event: Event) -> Draw:
    """Returns what the operator of an event takes from the generator."""
    place, name = event.place, event.effect.name
    if place is None or place.dtype not in _WORDS:
        return Draw(_permutation(event), None)
    count, each = place.elements, _WORDS[place.dtype]
    if name in ("uniform_", "rand", "rand_like"):
        return Draw(count * each, None)
    if name in ("normal_", "randn", "randn_like", "normal"):
        if count < 16 or not is_contiguous(place):
            return Draw(None, count)
        drawn = count - count % 16 if place.dtype.itemsize == 2 else count
        return Draw((drawn + (16 if count % 16 else 0)) * each, None)
    return Draw(None, None)


_WORDS = {torch.float32: 1, torch.float64: 2, torch.float16: 1, torch.bfloat16: 1}


def _permutation(event: Event) -> int | None:
    is_permutation = event.effect.name == "randperm" and event.place is not None
    return max(event.place.elements - 1, 0) if is_permutation and event.place is not None else None


class _Scratch:
    """A generator that is moved to a position, so that its state can be compared with a recorded state."""

    def __init__(self) -> None:
        self.generator = torch.Generator()
        self.seed, self.at = 0, -1

    def state(self, seed: int, at: int) -> GeneratorState:
        if self.seed != seed or self.at < 0 or at < self.at:
            # torch takes seeds as signed numbers too.
            self.generator.manual_seed(seed if seed < 1 << 63 else seed - (1 << 64))
            self.seed, self.at = seed, 0
        if at > self.at:
            torch_advance(self.generator, at - self.at)
            self.at = at
        return generator_state(self.generator)

    def stored_normal(self, seed: int, pair: int) -> bytes:
        """Returns the bytes of the second normal value of the pair that is drawn at a position."""
        self.state(seed, pair)
        torch.empty(1, dtype=torch.float64, device="cpu").normal_(generator=self.generator)
        tail = generator_state(self.generator).tail
        self.at = -1
        return tail[8:16]


def starts_of(recorder: Recorder) -> dict[int, Start]:
    """Returns where in the stream each draw began, by the index of the event. Draws that were not found are left out."""
    found: dict[int, Start] = {}
    scratch = _Scratch()
    # The position of each generator after its last draw. `exact` is False if more words may have been drawn since.
    expected: dict[int, Start] = {}
    for event in recorder.log:
        if event.state is None:
            continue
        state = event.state
        start = _locate(state, expected.get(state.generator), scratch)
        if start is None:
            expected.pop(state.generator, None)
            continue
        found[event.index] = start
        expected[state.generator] = _after(start, draw_of(event))
    return found


def _locate(state: GeneratorState, expected: Start | None, scratch: _Scratch) -> Start | None:
    """Returns the position at which a generator has a state, or None if it was not found."""
    (seed,) = struct.unpack_from("<Q", state.head)
    index = struct.unpack_from("<Q", state.head, 16)[0]
    first, pair = 0, None
    if expected is not None and expected.seed == seed:
        if scratch.state(seed, expected.at).head == state.head:
            return _with_pair(state, expected, scratch)
        first, pair = expected.at, expected.pair
    if scratch.state(seed, 0).head == state.head:
        return _with_pair(state, Start(seed, 0, None), scratch)
    for begin in dict.fromkeys((first, 0)):
        # The position is a multiple of 624 plus the index of the next word.
        at = begin + (index - begin) % _BLOCK
        for position in range(at, at + _MAX_BLOCKS * _BLOCK, _BLOCK):
            if scratch.state(seed, position).head == state.head:
                return _with_pair(state, Start(seed, position, pair), scratch)
    return None


def _with_pair(state: GeneratorState, start: Start, scratch: _Scratch) -> Start:
    """Returns a position with the pair whose second value the generator has stored: None if it has none, -1 if not known."""
    if not state.tail[24]:
        return start._replace(pair=None)
    if start.pair is None or start.pair < 0 or scratch.stored_normal(start.seed, start.pair) != state.tail[8:16]:
        return start._replace(pair=-1)
    return start


def _after(start: Start, draw: Draw) -> Start:
    """Returns the position after a draw. If it is not known, returns the position before, and the position is searched for."""
    if draw.words is not None:
        return start._replace(at=start.at + draw.words)
    if not draw.normals:
        return start
    count = draw.normals - (start.pair is not None)
    at = start.at + _PAIR * ((count + 1) // 2)
    return start._replace(at=at, pair=at - _PAIR if count % 2 else None)
