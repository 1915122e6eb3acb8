"""Finds the trunk of a model: the sequence of layers along which the depth of the model is counted."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

from torch import nn

from .._measure import plain_name
from .records import Run
from .roles import is_weight

#: The modules of one class are taken as blocks only if they contain at least this fraction of all executed layers with weights.
COVERAGE = 0.6


@dataclasses.dataclass
class Trunk:
    """The layers that count as the depth of a model: its blocks. Without blocks, they are its layers with weights."""

    #: The name of the class of the blocks, or "layer" in a model without blocks.
    kind: str
    #: The layers of the trunk, as indices into `Run.layers`, in order of execution.
    points: list[int]

    @property
    def unit(self) -> str:
        """The word for one unit of depth: "layer" or "block"."""
        return "layer" if self.kind == "layer" else "block"


def find_trunk(model: nn.Module, run: Run) -> Trunk:
    """Returns the trunk of a model that has been run.

    The trunk is the blocks of the model. Blocks are modules of one class that meet four conditions:

    - The blocks are executed one after the other.
    - Each block contains at least two layers with weights.
    - Together, the blocks contain at least 60 % of all executed layers with weights.
    - In a model with residual additions, at least half of the blocks contain an addition.

    If several classes qualify, the class with the most blocks is chosen.

    If no class qualifies, the trunk is the layers with weights on the longest path to the output. Let n be the number
    of these layers. As an exception, if n is at most 2, and a module with weights, such as a recurrent cell, is called
    more than n times, the trunk is the calls of this module.
    """
    kind = _block_class(model, run)
    if kind is not None:
        points = _points(run, kind[1])
        if len(points) >= 2:
            return Trunk(kind[0], points)
    path = longest_path(run)
    points = [one for one in path if run.layers[one].role == "weight"]
    steps = _steps(run) if len(points) < 3 else []
    return Trunk("layer", steps if len(steps) > len(points) else points)


def _steps(run: Run) -> list[int]:
    """Returns the calls of the most-called module with weights, for example a recurrent cell, as indices into `Run.layers`."""
    owners = {weights.module for weights in run.weights if len(weights.shape) > 1}
    calls: dict[str, list[int]] = {}
    for layer in run.layers:
        if layer.module in owners and ":" not in layer.name:
            calls.setdefault(layer.module, []).append(layer.index)
    return max(calls.values(), key=len, default=[])


def _block_class(model: nn.Module, run: Run) -> tuple[str, set[str]] | None:
    """Returns the name of the class of the blocks, and the names of the blocks. None if no class qualifies: see `find_trunk`."""
    executed = {layer.module for layer in run.layers}
    modules = {plain_name(name): module for name, module in model.named_modules()}
    # Weights of modules that the batch does not use, such as the vision tower of a model that gets only text, are not counted.
    kinds = {name: is_weight(module) or isinstance(module, nn.MultiheadAttention) for name, module in modules.items()}
    weights = [name for name, counts in kinds.items() if counts and name in executed]
    adders = {residual.module for residual in run.residuals}
    classes: dict[type, list[str]] = {}
    for name, module in modules.items():
        if name and name in executed:
            classes.setdefault(type(module), []).append(name)
    last_readers = _last_readers(run)
    best = None
    for kind, names in classes.items():
        members = set(names)
        outer = [name for name in names if not any(other in members for other in _parents(name))]
        inside = collections.Counter(_outermost(weight, members) for weight in weights)
        blocks = [name for name in outer if inside[name] >= 2]
        covered = sum(inside[name] for name in blocks)
        if len(blocks) < 2 or covered < COVERAGE * len(weights):
            continue
        chosen = set(blocks)
        adding = len({_outermost(one, chosen) for one in adders} - {None})
        if adders and adding < len(blocks) / 2:
            continue
        if not _is_serial(run, _points(run, set(blocks)), last_readers):
            continue
        rank = (len(blocks), covered)
        if best is None or rank > best[0]:
            best = (rank, kind.__name__, set(blocks))
    return None if best is None else best[1:]


def _parents(name: str) -> Iterator[str]:
    """Yields the names of the modules that contain a module, outermost first."""
    end = name.find(".")
    while end >= 0:
        yield name[:end]
        end = name.find(".", end + 1)


def _outermost(name: str, chosen: set[str]) -> str | None:
    """Returns the outermost module in `chosen` that is the module `name` or contains it, or None."""
    return next((one for one in (*_parents(name), name) if one in chosen), None)


def _points(run: Run, blocks: set[str]) -> list[int]:
    return [layer.index for layer in run.layers if layer.name.partition("#")[0] in blocks]


def _last_readers(run: Run) -> list[int]:
    """Returns, for each layer, the index of the last layer that reads its output, or its own index if there is none.

    Layers that return their input unchanged do not count as readers.
    """
    last = [layer.index for layer in run.layers]
    for layer in run.layers:
        if layer.alias is None:
            for one in layer.sources:
                last[_base(run, one)] = layer.index
    return last


def _base(run: Run, index: int) -> int:
    alias = run.layers[index].alias
    return index if alias is None else alias


def _is_serial(run: Run, points: list[int], last_readers: list[int]) -> bool:
    """Returns False if more than half of the block outputs are read after the next block, as in a DenseNet."""
    late = sum(last_readers[_base(run, one)] > following for one, following in zip(points, points[1:]))
    return 2 * late <= len(points)


def _gradient(run: Run, index: int) -> float:
    backward = run.layers[_base(run, index)].backward
    return 0.0 if backward is None else backward.squares


def longest_path(run: Run) -> list[int]:
    """Returns the longest path to the model's output: the path with the most layers that have weights.

    The path is a list of layer indices in order of execution. If several paths to a layer are equally long, the path
    through the input with the largest gradient is taken. In attention, this input is the values: queries and keys get
    little gradient if the probabilities are nearly equal.
    """
    depth: list[int] = []
    for layer in run.layers:
        depth.append(max((depth[one] for one in layer.sources), default=0) + (layer.role == "weight" and layer.alias is None))
    if not depth:
        return []
    end = run.output if run.output is not None else max(range(len(depth)), key=lambda one: (depth[one], one))
    path = [end]
    while run.layers[path[-1]].sources:
        path.append(max(run.layers[path[-1]].sources, key=lambda one: (depth[one], _gradient(run, one))))
    return path[::-1]
