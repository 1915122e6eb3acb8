"""Records what was written: which regions of a parameter, and which storages of other tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from .._regions import local_of


def storage_of(tensor: Tensor) -> torch.UntypedStorage:
    """Returns the storage of a tensor. For a DTensor, this is the storage of its local tensor."""
    return torch._C.TensorBase.untyped_storage(local_of(tensor))


class Coverage:
    """The elements of a tensor that were written, as a list of regions."""

    __slots__ = ("_is_complete", "_regions", "shape")

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self._is_complete = 0 in shape
        #: Each region is a range of indices (start, end exclusive) along each dimension.
        self._regions: list[tuple[tuple[int, int], ...]] = []

    def add(self, start: tuple[int, ...], size: tuple[int, ...]) -> None:
        """Records that a region was written. It begins at the index `start`, and has `size[k]` indices along dimension k."""
        region = tuple((first, first + count) for first, count in zip(start, size))
        if size == self.shape:
            self._is_complete = True
        elif 0 not in size and not self._is_complete:
            last = self._regions[-1] if self._regions else None
            differing = [i for i, (a, b) in enumerate(zip(last, region)) if a != b] if last else []
            if last and len(differing) == 1 and last[differing[0]][1] == region[differing[0]][0]:
                # The region is adjacent to the last recorded region, as in a loop over rows. The two regions are merged.
                axis = differing[0]
                merged = (last[axis][0], region[axis][1])
                self._regions[-1] = (*last[:axis], merged, *last[axis + 1 :])
            else:
                self._regions.append(region)

    def clear(self) -> None:
        """Forgets all regions, so that no element counts as written."""
        self._is_complete = 0 in self.shape
        self._regions.clear()

    def covers(self, start: tuple[int, ...], size: tuple[int, ...]) -> bool:
        """Returns whether every element of a region was written."""
        if self._is_complete or 0 in size:
            return True
        if not self._regions or not self.shape:
            return False
        wanted = [(first, first + count) for first, count in zip(start, size)]
        # The bounds of the recorded regions divide the wanted region into cells, each written entirely or not at all.
        cuts = [
            sorted({low, high, *(min(max(bound, low), high) for region in self._regions for bound in region[axis])})
            for axis, (low, high) in enumerate(wanted)
        ]
        cells = torch.zeros([len(cut) - 1 for cut in cuts], dtype=torch.bool)
        positions = [{bound: index for index, bound in enumerate(cut)} for cut in cuts]
        for region in self._regions:
            index = []
            for (first, end), (low, high), position in zip(region, wanted, positions):
                index.append(slice(position[min(max(first, low), high)], position[min(max(end, low), high)]))
            cells[tuple(index)] = True
        return bool(cells.all())

    @property
    def is_complete(self) -> bool:
        """Whether every element was written."""
        return self.covers((0,) * len(self.shape), self.shape)


class StorageLog:
    """Records for each storage whether its values are known.

    Values that `torch.empty` or a similar function returned are unknown. Values computed from them are also unknown.
    """

    def __init__(self) -> None:
        #: Maps the address of each storage object to a weak reference and to whether its values are known. The weak
        #: reference prevents reuse of the address.
        self._known: dict[int, tuple[StorageWeakRef, bool]] = {}

    def set(self, tensor: Tensor, is_known: bool) -> None:
        """Records whether a tensor has known values: values that were computed only from written memory."""
        if local_of(tensor).layout is torch.strided:
            storage = storage_of(tensor)
            self._known[storage._cdata] = StorageWeakRef(storage), is_known

    def get(self, tensor: Tensor) -> bool | None:
        """Returns whether a tensor has known values: values that were computed only from written memory.

        Returns None if nothing is recorded for the tensor's storage.
        """
        if local_of(tensor).layout is not torch.strided:
            return None
        found = self._known.get(storage_of(tensor)._cdata)
        return None if found is None else found[1]
