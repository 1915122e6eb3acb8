"""Functions that compute the digest of a model's global tensors from the regions that the ranks hold."""

import hashlib
import sys
from pathlib import Path

import numpy as np

from fanin.torch._regions import local_of, regions_of, view_of

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "scripts"))


def local_regions(module):
    """Returns a dict of the regions of a module's tensors that this rank holds: name -> (global shape, [(start, values)])."""
    parts = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        local = local_of(tensor).detach()
        regions = [(region.start, view_of(local, region).clone().numpy()) for region in regions_of(tensor, name)]
        parts[name] = (tuple(tensor.shape), regions)
    return parts


def digest(ranks):
    """Returns the SHA-256 of all global tensors, in the order of their names.

    `ranks` has one result of `local_regions` for each rank. Asserts that the regions cover all tensors, and that
    overlapping regions have equal values.
    """
    tensors = {}
    for parts in ranks:
        for name, (shape, regions) in parts.items():
            values, seen = tensors.setdefault(name, (np.zeros(shape, np.float32), np.zeros(shape, bool)))
            for start, part in regions:
                index = tuple(slice(at, at + size) for at, size in zip(start, part.shape))
                before = values[index][seen[index]]
                assert before.tobytes() == part[seen[index]].tobytes(), f"{name}: the copies differ"
                values[index], seen[index] = part, True
    sha = hashlib.sha256()
    for name in sorted(tensors):
        values, seen = tensors[name]
        assert seen.all(), f"{name}: no rank holds some of the elements"
        sha.update(name.encode() + str(values.shape).encode() + values.tobytes())
    return sha.hexdigest()
