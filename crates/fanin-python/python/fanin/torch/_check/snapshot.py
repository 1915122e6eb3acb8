"""The class `Snapshot`, which stores copies or hashes of a module's tensors, and their statistics, to compare two builds."""

from __future__ import annotations

import cmath
import math
from array import array
from collections.abc import Iterator
from ctypes import string_at
from functools import cached_property
from zlib import crc32

import torch
from torch import Tensor, nn

from .._module_tensors import NamedTensor, bytes_of, is_on_meta, plain_parts
from .fresh_memory import PATTERNS, PERIOD, Instruction, Pattern
from .moments import Moments
from .same_draws import draw_key

#: The number of bytes in a block. A tensor is divided into blocks, and each block has one hash.
BLOCK = 1 << 16

#: At most this many bytes of a model are copied. The other bytes are hashed. Comparing by hashes takes five times as
#: long as comparing with a copy.
_COPIED = 1 << 24

#: Tensors of at most this many bytes are checked for NaN and infinity together, with one sum for each dtype. One sum
#: for each tensor would be slower.
_SMALL = 1 << 16

#: `_looks_unwritten` compares samples of `_SAMPLE_BYTES` bytes with the pattern of unwritten memory. A tensor of one
#: block has about `_SAMPLES` samples, and a larger tensor about `_MORE_SAMPLES`.
_SAMPLES, _MORE_SAMPLES, _SAMPLE_BYTES = 3, 16, 16


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Returns the shape of a tensor. Sizes of a nested tensor that are not plain integers are -1."""
    if type(tensor) in _PLAIN and tensor.layout is torch.strided:
        return tuple(tensor.shape)
    return tuple(size if type(size) is int else -1 for size in tensor.shape)


_PLAIN = (Tensor, nn.Parameter)


class TensorState:
    """What a `Snapshot` stores about one tensor."""

    def __init__(self, named: NamedTensor):
        tensor = named.tensor
        self.names = tuple(named.names)
        self.kind = named.kind
        self.dtype = tensor.dtype
        self.requires_grad = tensor.requires_grad
        #: The reason why the tensor was not examined. None if the tensor was examined.
        self.skipped: str | None = None
        self.is_on_meta = False
        #: For each plain tensor that `plain_parts` returns, a copy of its bytes, or the hashes of its blocks.
        self.contents: list[bytes | array[int]] = []
        #: Whether a sample of the tensor's memory has the byte pattern of unwritten memory. This is a hint, not a proof.
        self.looks_unwritten = False
        #: "NaN", "infinite" or None.
        self.non_finite: str | None = None
        self.moments: Moments | None = None
        #: The result of `draw_key`, for a floating-point parameter.
        self.draw_key: int | None = None
        #: The line of code that allocated the memory, if it is known.
        self.allocated: Instruction | None = None
        self.shape: tuple[int, ...] = ()
        self.elements = 0
        if type(tensor) not in _PLAIN and nn.parameter.is_lazy(tensor):
            self.skipped = "has no shape yet because its module is lazy: run a forward pass in `build`"
            return
        self.shape = shape_of(tensor)
        self.elements = math.prod(self.shape)
        self.is_on_meta = is_on_meta(tensor)

    @property
    def name(self) -> str:
        return self.names[0]

    @cached_property
    def hashes(self) -> list[array[int]]:
        """For each plain tensor of `plain_parts`: the hashes of its blocks."""
        return [_hashes(memoryview(one)) if isinstance(one, bytes) else one for one in self.contents]

    @property
    def is_float(self) -> bool:
        return self.dtype.is_floating_point or self.dtype.is_complex


class Snapshot:
    """The states of all tensors of a module, by tensor name. A tensor with several names is stored under the first."""

    def __init__(self, tensors: list[NamedTensor], pattern: Pattern, *, moments: bool):
        self.states: dict[str, TensorState] = {}
        #: For each dtype, the small parts of tensors that have not been checked for NaN and infinity yet.
        small: dict[torch.dtype, list[tuple[TensorState, Tensor]]] = {}
        left = _COPIED
        for named in tensors:
            state = TensorState(named)
            self.states[state.name] = state
            if state.skipped is not None or state.is_on_meta:
                continue
            try:
                parts = plain_parts(named.tensor)
            except (TypeError, NotImplementedError, RuntimeError) as error:
                state.skipped = str(error).partition("\n")[0]
                continue
            if state.elements < 0 or named.tensor.layout is not torch.strided:
                state.elements = sum(part.numel() for part in parts)
            left -= _add_contents(state, parts, pattern, left)
            for part in parts:
                if not moments and part.element_size() > 1 and part.numel() * part.element_size() <= _SMALL:
                    small.setdefault(part.dtype, []).append((state, part))
                else:
                    state.non_finite = state.non_finite or _non_finite(part, state.kind)
            if moments and len(parts) == 1 and parts[0].is_floating_point() and not state.non_finite:
                state.moments = Moments(parts[0])
        for group in small.values():
            # If the values of all tensors together are finite, there is no need to look at each tensor.
            if _non_finite(torch.cat([part.reshape(-1) for _, part in group]), "parameter"):
                for state, part in group:
                    state.non_finite = state.non_finite or _non_finite(part, state.kind)

    @property
    def by_any_name(self) -> dict[str, TensorState]:
        """A dictionary from each name of a tensor to the state of the tensor. Tied tensors have several names."""
        return {name: state for state in self.states.values() for name in state.names}


def _hashes(view: memoryview) -> array[int]:
    return array("I", [crc32(view[start : start + BLOCK]) for start in range(0, len(view), BLOCK)])


def _add_contents(state: TensorState, parts: list[Tensor], pattern: Pattern, left: int) -> int:
    """Stores copies or hashes of a tensor's values, and sets `looks_unwritten` and `draw_key`.

    Returns the number of bytes copied, which is at most `left`.
    """
    copied = 0
    for part in parts:
        content: bytes | memoryview
        size = part.numel() * part.element_size()
        if size <= left // len(parts):
            content = string_at(part.data_ptr(), size) if size else b""
            state.contents.append(content)
            copied += size
        else:
            content = bytes_of(part)
            state.contents.append(_hashes(content))
        # Integers are not searched for the pattern, because one of their two patterns is 0, a common written value.
        if part.is_floating_point() or part.is_complex():
            state.looks_unwritten = state.looks_unwritten or _looks_unwritten(part, content, pattern)
            if len(parts) == 1 and state.requires_grad and state.kind == "parameter" and not part.is_complex():
                state.draw_key = draw_key(part, content)
    return copied


def _looks_unwritten(part: Tensor, content: bytes | memoryview, pattern: Pattern) -> bool:
    size, start, tile = len(content), _position(part), pattern.bytes_of(part.dtype)
    samples = _SAMPLES if size <= BLOCK else _MORE_SAMPLES
    # A shorter sample at the end of the tensor is left out, because it could equal the pattern by chance.
    for at in range(0, max(1, size - _SAMPLE_BYTES + 1), max(_SAMPLE_BYTES, size // samples)):
        sample = content[at : at + _SAMPLE_BYTES]
        offset = (start + at) % PERIOD
        if sample == tile[offset : offset + len(sample)]:
            return True
    return False


def _position(part: Tensor) -> int:
    """Returns the position of a tensor's first byte in its storage. The bytes that `FreshMemory` writes depend on this position."""
    return int(part.storage_offset()) * part.element_size()


def _non_finite(part: Tensor, kind: str) -> str | None:
    if not (part.is_floating_point() or part.is_complex()) or not part.numel():
        return None
    if part.element_size() == 1 or part.dtype in (torch.float16, torch.bfloat16):
        part = part.float()
    # If the sum is finite, all values are finite. Otherwise the sum may have overflowed, so the values are tested.
    if cmath.isfinite(part.sum().item()):
        return None
    if torch.isnan(part).any():
        return "NaN"
    # Buffers, such as attention masks, may have infinite values on purpose.
    return "infinite" if kind == "parameter" and torch.isinf(part).any() else None


class Block:
    """A block of a tensor in the second build that differs from the same block in the first build."""

    def __init__(self, part: int, index: int, size: int, values: Tensor):
        #: The index of the plain tensor in `plain_parts`, and the index of the block in this plain tensor.
        self.part, self.index = part, index
        #: The number of bytes in an element.
        self.size = size
        #: The bytes of the block in the second build.
        self.values = values

    @property
    def elements(self) -> int:
        return len(self.values) // self.size

    def differing(self, values: Tensor) -> int:
        """Returns the number of elements in which the block and `values` differ.

        `values` must have as many bytes as the block.
        """
        return int((self.values != values).view(-1, self.size).any(1).sum())


def block_bytes(part: Tensor, index: int) -> Tensor:
    """Returns the bytes of a block as a tensor, without a copy."""
    return part.reshape(-1).view(torch.uint8)[index * BLOCK : (index + 1) * BLOCK]


def differing_blocks(before: TensorState, tensor: Tensor) -> Iterator[tuple[Tensor, Block]]:
    """Yields (plain tensor, block) for each block whose hash differs from the hash in the earlier build `before`."""
    for number, (part, content) in enumerate(zip(plain_parts(tensor), before.contents)):
        size = part.numel() * part.element_size()
        if isinstance(content, bytes) and size == len(content) and (not size or string_at(part.data_ptr(), size) == content):
            continue
        view = bytes_of(part)
        for index, expected in enumerate(before.hashes[number]):
            if crc32(view[index * BLOCK : (index + 1) * BLOCK]) != expected:
                yield part, Block(number, index, part.element_size(), block_bytes(part, index))


def unwritten_elements(before: TensorState, part: Tensor, block: Block) -> int | None:
    """Returns the number of unwritten elements in a block of the second build, or None if the number is unknown.

    New memory is filled with a byte pattern: `PATTERNS[0]` in the first build, and `PATTERNS[1]` in the second build.
    An unwritten element still contains the pattern.

    For a large module, only hashes of the first build are stored. So the block of the second build is copied, and
    elements with the second pattern get the first pattern in the copy. If the copy has the same hash as the block of
    the first build, the replaced elements are unwritten, and all other elements are equal in the two builds. If the
    hashes differ, None is returned.
    """
    start = _position(part) + block.index * BLOCK
    first, second = (pattern.expected(part.dtype, start, len(block.values)) for pattern in PATTERNS)
    unwritten = (block.values == second).view(-1, block.size).all(1, keepdim=True)
    original = torch.where(unwritten, first.view(-1, block.size), block.values.view(-1, block.size)).reshape(-1)
    if crc32(bytes_of(original)) != before.hashes[block.part][block.index]:
        return None
    return int(unwritten.sum())


def same_hash(before: TensorState, block: Block, values: Tensor) -> bool:
    """Returns whether a block has the same hash in a later build as in the first build. `values` is the block of the later build."""
    return crc32(bytes_of(values.contiguous())) == before.hashes[block.part][block.index]
