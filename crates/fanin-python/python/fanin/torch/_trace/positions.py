"""Finds the position in the torch stream at which each recorded draw began: the seed, and the number of earlier words.

The torch stream is the sequence of 32-bit words of torch's CPU generator, a Mersenne Twister. The generator's state
contains a block of 624 words and an index in this block, but not the number of earlier blocks. So the expected position
is the position of the previous draw plus the number of its words. If the state at this position is not the recorded
state, unrecorded code has drawn or seeded in between, or the number of words is unknown. A search then looks for a
position with the recorded state.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import torch

from ..._fanin import torch_advance
from .overlap import is_contiguous
from .recorder import Event, GeneratorState, Recorder, generator_state

#: The number of words in a block of the Mersenne Twister.
_BLOCK = 624
#: From each position at which a search starts, it covers at most this many blocks.
_MAX_BLOCKS = 100_000
#: The number of 32-bit words that torch draws for a pair of normal values: two uniform values of two words each.
_PAIR = 4


class Position(NamedTuple):
    """The position in the torch stream at which a draw begins."""

    seed: int
    #: The number of words that were drawn since the generator was seeded.
    at: int
    #: torch computes two normal values together, and the generator may store one of them for the next draw. The field
    #: `pair` is the position at which these two values were drawn. -1 if this position is unknown. None if no value is
    #: stored.
    pair: int | None


class Draw(NamedTuple):
    """The amount that an operator draws from the generator. Both fields are None if the amount is unknown."""

    #: The number of 32-bit words. None if normal values are drawn in pairs.
    words: int | None
    #: The number of normal values, if they are drawn in pairs. None for all other draws.
    normals: int | None


def draw_of(event: Event) -> Draw:
    """Returns how much the operator of an event draws from the generator."""
    memory, name = event.memory, event.effect.name
    if memory is None or memory.dtype not in _WORDS:
        return Draw(_permutation(event), None)
    count, each = memory.elements, _WORDS[memory.dtype]
    if name in ("uniform_", "rand", "rand_like"):
        return Draw(count * each, None)
    if name in ("normal_", "randn", "randn_like", "normal"):
        if count < 16 or not is_contiguous(memory):
            return Draw(None, count)
        drawn = count - count % 16 if memory.dtype.itemsize == 2 else count
        return Draw((drawn + (16 if count % 16 else 0)) * each, None)
    return Draw(None, None)


_WORDS = {torch.float32: 1, torch.float64: 2, torch.float16: 1, torch.bfloat16: 1}


def _permutation(event: Event) -> int | None:
    """Returns the number of words that `randperm` draws. None for other operators."""
    is_permutation = event.effect.name == "randperm" and event.memory is not None
    return max(event.memory.elements - 1, 0) if is_permutation and event.memory is not None else None


class _MovedGenerator:
    """A generator that is moved to positions in the torch stream, to compare its state with recorded states."""

    def __init__(self) -> None:
        self.generator = torch.Generator()
        self.seed, self.at = 0, -1

    def state(self, seed: int, at: int) -> GeneratorState:
        """Returns the state after `at` words have been drawn since seeding with `seed`."""
        if self.seed != seed or self.at < 0 or at < self.at:
            # The seed in the state is unsigned. A seed of 2^63 or more must be passed to manual_seed as a negative number.
            self.generator.manual_seed(seed if seed < 1 << 63 else seed - (1 << 64))
            self.seed, self.at = seed, 0
        if at > self.at:
            torch_advance(self.generator, at - self.at)
            self.at = at
        return generator_state(self.generator)

    def stored_normal(self, seed: int, pair: int) -> bytes:
        """Returns the bytes of the value that a generator stores when it draws a pair of normal values at `pair`."""
        self.state(seed, pair)
        torch.empty(1, dtype=torch.float64, device="cpu").normal_(generator=self.generator)
        tail = generator_state(self.generator).tail
        self.at = -1
        return tail[8:16]


def starts_of(recorder: Recorder) -> dict[int, Position]:
    """Returns the position in the torch stream at which each draw began, by `Event.number`.

    Draws whose position was not found are absent.
    """
    found: dict[int, Position] = {}
    moved = _MovedGenerator()
    # The position of each generator after its last draw.
    expected: dict[int, Position] = {}
    for event in recorder.log:
        if event.state is None:
            continue
        state = event.state
        start = _locate(state, expected.get(state.generator), moved)
        if start is None:
            expected.pop(state.generator, None)
            continue
        found[event.number] = start
        expected[state.generator] = _after(start, draw_of(event))
    return found


def _locate(state: GeneratorState, expected: Position | None, moved: _MovedGenerator) -> Position | None:
    """Returns the position at which a generator has the state `state`, or None if none is found.

    `expected` is tried first.
    """
    (seed,) = struct.unpack_from("<Q", state.head)
    index = struct.unpack_from("<Q", state.head, 16)[0]
    first, pair = 0, None
    if expected is not None and expected.seed == seed:
        if moved.state(seed, expected.at).head == state.head:
            return _with_pair(state, expected, moved)
        first, pair = expected.at, expected.pair
    if moved.state(seed, 0).head == state.head:
        return _with_pair(state, Position(seed, 0, None), moved)
    for begin in dict.fromkeys((first, 0)):
        # Modulo 624, `index` equals the position. So each block has one candidate.
        at = begin + (index - begin) % _BLOCK
        for position in range(at, at + _MAX_BLOCKS * _BLOCK, _BLOCK):
            if moved.state(seed, position).head == state.head:
                return _with_pair(state, Position(seed, position, pair), moved)
    return None


def _with_pair(state: GeneratorState, start: Position, moved: _MovedGenerator) -> Position:
    """Returns the position `start`, with a field `pair` (see `Position`) that matches the generator state `state`.

    `start.pair` is the expected position of the last pair of normal values. The returned field `pair` is one of these:

    - None, if `state` contains no stored normal value.
    - `start.pair`, if a generator that draws a pair at the position `start.pair` stores the same value as `state`.
    - -1 (an unknown position), in all other cases.
    """
    if not state.tail[24]:
        return start._replace(pair=None)
    if start.pair is None or start.pair < 0 or moved.stored_normal(start.seed, start.pair) != state.tail[8:16]:
        return start._replace(pair=-1)
    return start


def _after(start: Position, draw: Draw) -> Position:
    """Returns the position in the torch stream after a draw that began at `start`.

    Returns `start` if the number of drawn words is unknown. `_locate` then searches from `start` for the next draw.
    """
    if draw.words is not None:
        return start._replace(at=start.at + draw.words)
    if not draw.normals:
        return start
    count = draw.normals - (start.pair is not None)
    at = start.at + _PAIR * ((count + 1) // 2)
    return start._replace(at=at, pair=at - _PAIR if count % 2 else None)
