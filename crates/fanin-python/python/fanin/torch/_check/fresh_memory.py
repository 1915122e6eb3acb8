"""Fills new CPU memory with a byte pattern, to find values that depend on unwritten memory.

A model is built twice, with a different pattern each time. Values that depend on unwritten memory then differ.

`torch.empty` returns memory with arbitrary content. The dispatch mode `FreshMemory` intercepts every operator of a
thread. If an operator returns unwritten memory, the mode fills this memory. The fill is not an operator call, so other
modes do not record it.

The two patterns differ in every element. In float types, the bytes also depend on the position in the memory. So the
difference between the patterns survives arithmetic such as the subtraction of the mean.

In float types, every byte is 0x3e, 0x3f, 0xbe or 0xbf, so all values are finite. In types of at most 32 bits, the
absolute values are between 0.18 and 1.99. Adding 1 does not round such values away. Integers are 0 in the first pattern
and 1 in the second, because code may use them as indices.
"""

from __future__ import annotations

import ctypes
import os
import sys
from types import CodeType

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .._call_operator import call_operator

_aten = torch.ops.aten

#: The number of bytes after which a pattern repeats. It is a multiple of the element size of every dtype.
PERIOD = 1 << 18

#: The ids of the operators that return unwritten memory. Hashing an operator would call a Python function, which is
#: slow. torch never frees these operators, so their ids stay valid.
_ALLOCATING = {
    id(overload)
    for name in (
        "empty",
        "empty_like",
        "empty_strided",
        "empty_permuted",
        "new_empty",
        "new_empty_strided",
        "empty_quantized",
        "_empty_affine_quantized",
        "_empty_per_channel_affine_quantized",
    )
    for overload in (getattr(getattr(_aten, name), one) for one in getattr(_aten, name).overloads())
}

#: The ids of the operators that may enlarge the memory of their first argument. The added memory is unwritten.
_RESIZING = {id(_aten.resize_.default), id(_aten.resize_as_.default)}

#: The folders of fanin.torch and torch. `_caller` skips code in these folders.
_LIBRARIES = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(os.path.abspath(torch.__file__)))


#: A position in Python code: a code object, and the byte offset of an instruction. `line_of` returns its file and line.
Instruction = tuple[CodeType, int]


def _float_bytes() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(0x3E, 0x40, (PERIOD,), generator=generator, dtype=torch.uint8)
    return low | (torch.randint(0, 2, (PERIOD,), generator=generator, dtype=torch.uint8) << 7)


def _integer_bytes(size: int) -> Tensor:
    element = torch.zeros(size, dtype=torch.uint8)
    element[0 if sys.byteorder == "little" else size - 1] = 1
    return element.repeat(PERIOD // size)


def _integer_size(dtype: torch.dtype) -> int:
    """Returns the number of bytes per element of an integer dtype, or 0 for a float or complex dtype.

    The bytes of a `Pattern` depend only on this number, so they are the same for all float and complex dtypes.
    """
    return 0 if dtype.is_floating_point or dtype.is_complex else dtype.itemsize


class Pattern:
    """One of the two byte patterns for unwritten memory. `number` is 0 or 1."""

    def __init__(self, number: int):
        self.number = number
        self._tiles: dict[int, Tensor] = {}
        self._tiles_by_type: dict[torch.dtype, Tensor] = {}
        self._addresses: dict[torch.dtype, int] = {}
        self._bytes: dict[torch.dtype, bytes] = {}

    def tile(self, dtype: torch.dtype) -> Tensor:
        """Returns the first `PERIOD` bytes of the pattern for tensors of `dtype`."""
        found = self._tiles_by_type.get(dtype)
        if found is None:
            found = self._tiles_by_type[dtype] = self._tile(_integer_size(dtype))
        return found

    def _tile(self, size: int) -> Tensor:
        if size not in self._tiles:
            if size == 0:
                # XOR with 0x81 flips the highest and the lowest bit of every byte. This changes the sign and the
                # magnitude of every element.
                tile = _float_bytes() ^ (0x81 if self.number else 0)
            else:
                tile = _integer_bytes(size) * self.number
            self._tiles[size] = tile
        return self._tiles[size]

    def bytes_of(self, dtype: torch.dtype) -> bytes:
        """Returns the first `PERIOD + 64` bytes of the pattern for tensors of `dtype`.

        The 64 bytes are added because a sample may begin in one period and end in the next.
        """
        found = self._bytes.get(dtype)
        if found is None:
            tile = ctypes.string_at(self.tile(dtype).data_ptr(), PERIOD)
            found = self._bytes[dtype] = tile + tile[:64]
        return found

    def write(self, address: int, start: int, end: int, dtype: torch.dtype) -> None:
        """Writes the pattern to the bytes `start..end` (end exclusive) of the memory that begins at `address`."""
        tile = self._addresses.get(dtype)
        if tile is None:
            tile = self._addresses[dtype] = self.tile(dtype).data_ptr()
        if start == 0 and end <= PERIOD:
            ctypes.memmove(address, tile, end)
            return
        while start < end:
            offset = start % PERIOD
            count = min(PERIOD - offset, end - start)
            ctypes.memmove(address + start, tile + offset, count)
            start += count

    def expected(self, dtype: torch.dtype, start: int, count: int) -> Tensor:
        """Returns the bytes `start..start + count` of a storage that was filled with the pattern for `dtype`."""
        tile = self.tile(dtype)
        offset = start % PERIOD
        if offset + count <= PERIOD:
            return tile[offset : offset + count]
        repeats = -(-(offset + count) // PERIOD)
        return tile.repeat(repeats)[offset : offset + count]


#: The two patterns.
PATTERNS = (Pattern(0), Pattern(1))


class FreshMemory(TorchDispatchMode):
    """A dispatch mode that fills new CPU memory with a pattern. If `recorded`, it records the lines of code that allocated the memory."""

    supports_higher_order_operators = True

    def __init__(self, pattern: Pattern, recorded: bool = False):
        super().__init__()
        self.pattern = pattern
        self.recorded = recorded
        #: For each address, the line of code that last allocated memory there. Empty unless `recorded`.
        self.allocated: dict[int, Instruction] = {}
        #: Maps `id(code)` to two values: `code`, and whether its file is in one of `_LIBRARIES`. `code` is stored so
        #: that its id is not reused.
        self._functions: dict[int, tuple[CodeType, bool]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # If this method returned True, torch would wrap `__torch_dispatch__`. The wrapper imports torch._dynamo, which takes
        # seconds, and makes every operator slower.
        return False

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        key = id(operator)
        if key in _RESIZING:
            return self._resize(operator, args, kwargs or {})
        result = call_operator(operator, args, kwargs)
        if key in _ALLOCATING and type(result) is Tensor and result.is_cpu:
            self._fill(result, 0)
        return result

    def _fill(self, tensor: Tensor, start: int) -> None:
        if tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        address, end = storage.data_ptr(), storage.nbytes()
        if address and start < end:
            self.pattern.write(address, start, end, tensor.dtype)
            if self.recorded:
                self.allocated[address] = self._caller()

    def _caller(self) -> Instruction:
        """Returns the innermost line that belongs neither to torch nor to fanin. If there is none, returns the innermost line."""
        frame = first = sys._getframe(3)
        while frame is not None:
            code = frame.f_code
            known = self._functions.get(id(code))
            if known is None:
                known = self._functions[id(code)] = code, code.co_filename.startswith(_LIBRARIES)
            if not known[1]:
                return code, frame.f_lasti
            frame = frame.f_back  # type: ignore[assignment]
        return first.f_code, first.f_lasti

    def _resize(self, operator, args, kwargs):
        tensor = args[0]
        plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.device.type == "cpu" and tensor.layout is torch.strided
        before = tensor.untyped_storage().nbytes() if plain else 0
        result = operator(*args, **kwargs)
        if plain:
            self._fill(tensor, before)
        return result
