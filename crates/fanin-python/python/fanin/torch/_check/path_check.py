"""Checks a module on one path, eager or meta (see `build_paths`): builds it several times, and compares the builds."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from .._module_tensors import NamedTensor, memory_key, plain_parts, tensors_of
from .build_paths import Built, Structure, build_once
from .checkpoint_values import CheckpointValues, Difference, compare
from .fresh_memory import PATTERNS
from .snapshot import Block, Snapshot, TensorState, block_bytes, differing_blocks, same_hash, shape_of, unwritten_elements
from .same_draws import have_same_draws
from .writers import traced_build, was_drawn

#: Two parameters with the same random values are only a finding if they have at least this many elements.
_MIN_SAME_DRAWS = 16


class Found(NamedTuple):
    """A finding of a `PathCheck`. `check_init` converts it to a `Finding` of the report."""

    #: The kind of finding: a key of `report.KINDS`.
    kind: str
    #: The tensor, or None if the finding concerns the whole model.
    state: TensorState | None
    #: The number of wrong elements. 0 means that the finding concerns the whole tensor.
    elements: int
    detail: str = ""


class Builder:
    """Calls the user's function `build`, and records the number of calls and their run time."""

    def __init__(self, build: Callable[[], Any]):
        self.build = build
        self.builds = 0
        self.seconds = 0.0

    def once(self, via: str, number: int, seed: int, recorded: bool = False) -> Built:
        """Builds a module. New memory is filled with `PATTERNS[number]`. The other arguments are those of `build_once`."""
        start = time.perf_counter()
        try:
            return build_once(self.build, via, PATTERNS[number], seed, recorded)
        finally:
            self.builds += 1
            self.seconds += time.perf_counter() - start


class PathCheck:
    """The check of one path: the eager path or the meta path.

    In each build, the check fills newly allocated memory with a byte pattern. The first two builds have the same seed,
    but different patterns. If an element differs between these builds, it depends on unwritten memory, or the seed does
    not determine it. An element that contains the first pattern in the first build and the second pattern in the second
    build is unwritten. For every other element that differs, a third build decides between the two causes (see
    `_repeat`).

    A build with another seed shows which tensors have random values: their values change. This build is made only if a
    finding depends on whether values are random.
    """

    def __init__(self, builder: Builder, via: str, seed: int, checkpoint: CheckpointValues | None, moments: bool):
        self.builder, self.via, self.seed = builder, via, seed
        self.checkpoint, self.moments = checkpoint, moments
        self.found: list[Found] = []
        self.notes: list[str] = []
        #: The `InitTrace` of one of the builds. None if none was traced.
        self.trace: Any = None
        #: For each tensor, the number of elements that depend on unwritten memory.
        self._unwritten: dict[str, int] = defaultdict(int)
        #: For each tensor, the blocks of elements that differ between the first two builds. The reason is not known yet.
        self._undecided: dict[str, list[Block]] = {}
        #: For each tensor whose values differ from the values in the checkpoint, the difference.
        self._differences: dict[str, Difference] = {}
        #: Groups of parameters that seem to have the same random draws.
        self._same_draws: list[list[str]] = []
        #: The build with another seed.
        self._redrawn: Snapshot | None = None

    def run(self) -> None:
        """Makes the builds, compares them, and adds the findings to `found`."""
        built = self._build(0, self.seed)
        self.steps = ", ".join(built.steps)
        #: The function that initialized the module, in parentheses, for the report. "" if `build` itself initialized it.
        self.init_text = f" ({built.steps[-1]})" if len(built.steps) > 1 else ""
        tensors = tensors_of(built.module)
        self.first = Snapshot(tensors, PATTERNS[0], moments=self.moments)
        self.structure = Structure(tensors)
        self._check_structure(built)
        if self.checkpoint is not None:
            self._compare_with_checkpoint(built.module, self.checkpoint)
        self._find_same_draws(tensors)
        # Frees the module, so that only one build is in memory at a time.
        del built, tensors
        suspicious = any(state.looks_unwritten or state.non_finite for state in self.first.states.values())
        self._compare_patterns(traced=suspicious or bool(self.found or self._differences or self._same_draws))
        if self._undecided or (self._unwritten and self.trace is None):
            self._repeat()
        for name, count in self._unwritten.items():
            self._add("unwritten", name, count)
        self._check_draws()
        for name, state in self.first.states.items():
            if state.non_finite and name not in self._unwritten:
                self._add("non_finite", name, 0, state.non_finite)

    def redrawn(self) -> Snapshot:
        """Returns the snapshot of a build with another seed. The module is built on the first call."""
        if self._redrawn is None:
            built = self._build(0, self.seed + 1)
            self._redrawn = Snapshot(tensors_of(built.module), PATTERNS[0], moments=self.moments)
        return self._redrawn

    def is_drawn(self, name: str) -> bool:
        """Returns whether a tensor has other values if the module is built with another seed."""
        other = self.redrawn().states.get(name)
        return other is not None and other.hashes != self.first.states[name].hashes

    def _build(self, number: int, seed: int, traced: bool = False) -> Built:
        if traced:
            self.trace, built = traced_build(lambda: self.builder.once(self.via, number, seed, recorded=True))
            self._add_allocations(built)
            return built
        return self.builder.once(self.via, number, seed)

    def _add_allocations(self, built: Built) -> None:
        """For each tensor, stores in `first` the line of code that allocated the tensor in the build `built`."""
        for named in tensors_of(built.module):
            state, key = self.first.states.get(named.name), memory_key(named.tensor)
            if state is not None and isinstance(key, tuple):
                state.allocated = built.allocated.get(key[0])

    def _add(self, kind: str, name: str, elements: int = 0, detail: str = "") -> None:
        self.found.append(Found(kind, self.first.states[name], elements, detail))

    def _check_structure(self, built: Built) -> None:
        """Finds tensors on the meta device, parameters that no longer require grad, and tensors that should be tied but are not."""
        for name, state in self.first.states.items():
            if state.is_on_meta:
                self._add("meta", name)
        tied: dict[str, set[str]] = defaultdict(set)
        if built.before is not None:
            for name, names in built.before.ties.items():
                tied[name] |= names
            for name in sorted(built.before.trainable & self.structure.parameters - self.structure.trainable):
                if name in self.first.states:
                    self._add("requires_grad", name)
        self._check_ties({frozenset(names) for names in tied.values()}, "before it was initialized")
        self._check_ties(_declared_ties(built.module), "in all_tied_weights_keys")

    def _check_ties(self, groups: set[frozenset[str]], where: str) -> None:
        """Adds findings for groups of names that should belong to one tensor, but belong to several tensors.

        Each tensor after the first gets a finding. `where` ends the finding's text, such as "on the eager path".
        """
        by_name = self.first.by_any_name
        for group in sorted(groups, key=sorted):
            states = list({id(by_name[name]): by_name[name] for name in sorted(group) if name in by_name}.values())
            for state in states[1:]:
                if not any(one.kind == "tie" and one.state is state for one in self.found):
                    self._add("tie", state.name, 0, f"it was tied to {states[0].name} {where}")

    def check_ties_of(self, other: PathCheck) -> None:
        """Adds findings for ties that the module has on the path `other` (eager or meta) but not on this path."""
        self._check_ties(set(other.structure.ties.values()), f"on the {other.via} path")

    def _compare_with_checkpoint(self, module: nn.Module, checkpoint: CheckpointValues) -> None:
        self._differences, absent, unused = compare(module, checkpoint)
        if unused and unused == checkpoint.names():
            some, names = _first_names(sorted(unused)), _first_names(list(self.first.states))
            message = f"no name in the checkpoint is a name of a tensor of the module: the checkpoint has {some}, the module has {names}"
            raise ValueError(f"{message}. Pass a mapping from the module's names to tensors")
        if absent:
            self.notes.append(f"the checkpoint lacks {len(absent)} parameters: {_first_names(absent)}")
        if unused:
            self.notes.append(f"{len(unused)} names of the checkpoint are not in the module: {_first_names(sorted(unused))}")

    def _find_same_draws(self, tensors: list[NamedTensor]) -> None:
        """Finds groups of parameters that seem to have the same random draws.

        The first 64 elements of each parameter equal those of the first parameter in the group, except for an offset, a
        positive factor and rounding. Parameters whose `draw_key` is None, such as those with fewer than 64 elements,
        are in the same group only if they have the same dtype and exactly the same values. `_check_draws` later checks
        whether the values are random draws.
        """
        groups: dict[Any, list[NamedTensor]] = defaultdict(list)
        for named in tensors:
            state = self.first.states[named.name]
            if state.kind == "parameter" and state.is_float and state.requires_grad and state.elements >= _MIN_SAME_DRAWS:
                groups[_same_draws_key(state)].append(named)
        for group in groups.values():
            if len(group) == 1:
                continue
            first = plain_parts(group[0].tensor)[0]
            others = [named.name for named in group[1:] if have_same_draws(first, plain_parts(named.tensor)[0])]
            if others and _is_varied(first):
                self._same_draws.append([group[0].name, *others])

    def _compare_patterns(self, traced: bool) -> None:
        """Builds the module again, and finds the elements that differ from the first build.

        In this build, new memory is filled with the second byte pattern.
        """
        try:
            built = self._build(1, self.seed, traced)
        except Exception as error:
            # The first build succeeded with the same seed, so the error of this build depends on unwritten memory.
            detail = f"with other content in unwritten memory, it raises {type(error).__name__}: {error}"
            self.found.append(Found("unwritten", None, 0, detail))
            return
        second = {named.name: named.tensor for named in tensors_of(built.module)}
        for name, state in self.first.states.items():
            if state.skipped or state.is_on_meta:
                continue
            tensor = second.get(name)
            if tensor is None or shape_of(tensor) != state.shape or tensor.dtype != state.dtype:
                self._add("nondeterministic", name, 0, "another build has other tensors")
                continue
            for part, block in differing_blocks(state, tensor):
                count = unwritten_elements(state, part, block)
                if count is None:
                    copy = Block(block.part, block.index, block.size, block.values.clone())
                    self._undecided.setdefault(name, []).append(copy)
                else:
                    self._unwritten[name] += count

    def _repeat(self) -> None:
        """Repeats the first build, to find out why the blocks in `_undecided` differ between the first two builds.

        The first build and this third build have the same seed and the same byte pattern in new memory. Only the second
        build has another pattern. If a block is equal in the first and the third build, its elements that differ in the
        second build depend on unwritten memory. Otherwise the seed does not determine the values of the block.

        The third build is traced if no earlier build was traced.
        """
        built = self._build(0, self.seed, traced=self.trace is None)
        third = {named.name: named.tensor for named in tensors_of(built.module)}
        for name, blocks in self._undecided.items():
            state = self.first.states[name]
            parts = plain_parts(third[name]) if name in third else []
            unknown = 0
            for block in blocks:
                values = block_bytes(parts[block.part], block.index) if block.part < len(parts) else block.values[:0]
                if len(values) == len(block.values) and same_hash(state, block, values):
                    self._unwritten[name] += block.differing(values)
                else:
                    unknown += block.differing(values) if len(values) == len(block.values) else block.elements
            if unknown:
                self._add("nondeterministic", name, unknown)

    def _check_draws(self) -> None:
        """Adds the findings of the kinds "drawn", "changed" and "same_draws".

        They depend on whether the values were drawn from a random generator.
        """
        for name, difference in self._differences.items():
            if name in self._unwritten:
                continue
            self._add_difference(name, difference)
        kinds = ("nondeterministic", "unwritten")
        unreliable = {found.state.name for found in self.found if found.state is not None and found.kind in kinds}
        for names in self._same_draws:
            names = [name for name in names if name not in unreliable]
            for name in names[1:]:
                if self._are_drawn(name, names[0]):
                    state, other = self.first.states[name], self.first.states[names[0]]
                    what = "values" if state.hashes == other.hashes else "draws, in another shape or scale,"
                    self._add("same_draws", name, state.elements, f"the same {what} as {names[0]}")

    def _are_drawn(self, *names: str) -> bool:
        """Returns whether parameters have the same random draws.

        `names` are the names of parameters in one of the groups that `_find_same_draws` found. Returns False if the
        values of these parameters agree for another reason, for example because `arange` computed them.
        """
        # If the module seeds the generator itself, another seed changes nothing, and only the trace shows that values were drawn.
        if all(was_drawn(self.trace, name) for name in names):
            return True
        other = self.redrawn().states
        same = len({_same_draws_key(other[name]) for name in names if name in other}) == 1
        return same and all(self.is_drawn(name) for name in names)

    def _add_difference(self, name: str, difference: Difference) -> None:
        kind = "drawn" if self.is_drawn(name) else "changed"
        self._add(kind, name, int(difference.differing.sum()), difference.detail)


def _declared_ties(module: nn.Module) -> set[frozenset[str]]:
    """Returns the ties that a model of transformers declares in `all_tied_weights_keys`, as pairs of names."""
    declared = getattr(module, "all_tied_weights_keys", None)
    return {frozenset(pair) for pair in declared.items()} if isinstance(declared, dict) else set()


def _same_draws_key(state: TensorState) -> Any:
    """Returns a key that is equal for parameters whose first 64 values come from the same random draws.

    If `state.draw_key` is None, the key is equal only for parameters with the same dtype and the same values.
    """
    if state.draw_key is not None:
        return state.draw_key
    return state.dtype, state.elements, tuple(map(tuple, state.hashes))


def _is_varied(part: Tensor) -> bool:
    """Returns whether values look like random draws: more than half of the first 64 values are distinct."""
    head = part.reshape(-1)[:64].float()
    return len(head.unique()) > len(head) // 2


def _first_names(names: list[str]) -> str:
    """Returns the first five names as text."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
