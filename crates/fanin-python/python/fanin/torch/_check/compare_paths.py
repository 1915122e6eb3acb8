"""Compares the module of the eager path with the module of the meta path (see `build_paths`).

On the eager path, the module is built as usual. On the meta path, the module is built on the meta device, and is
initialized after that.
"""

from __future__ import annotations

from .moments import difference
from .path_check import Found, PathCheck
from .snapshot import TensorState

#: Distributions of random values are only compared if there are at least this many elements.
_MIN_SAMPLE = 16


def compare_paths(eager: PathCheck, meta: PathCheck) -> None:
    """Adds the differences between the modules of the eager path and the meta path to the findings of the meta path.

    A difference is a missing tensor, a lost tie, a lost `requires_grad`, or another shape, dtype or distribution. The
    two arguments may be exchanged, because the attribute `via` of each argument names its path.
    """
    if eager.via == "meta":
        eager, meta = meta, eager
    ours, theirs = meta.first.by_any_name, eager.first.by_any_name
    for name, state in theirs.items():
        if name == state.name and state.kind != "attribute" and name not in ours:
            meta.found.append(Found("missing", state, 0))
    meta.check_ties_of(eager)
    trainable = eager.structure.trainable & eager.structure.parameters & set(meta.first.states)
    for name in sorted(trainable - meta.structure.trainable):
        state = meta.first.states[name]
        if not any(found.kind == "requires_grad" and found.state is state for found in meta.found):
            meta.found.append(Found("requires_grad", state, 0))
    # The distributions of tensors that already have a finding are not compared.
    broken = {
        name for found in [*eager.found, *meta.found] if found.kind != "tie" and found.state for name in found.state.names
    }
    for name, state in meta.first.states.items():
        other = theirs.get(name)
        if other is None or name in broken:
            continue
        if state.hashes != other.hashes or state.shape != other.shape or state.dtype != other.dtype:
            text = _difference(eager, other, meta, state)
            if text is not None:
                meta.found.append(Found("distribution", state, 0, text))


def _difference(eager: PathCheck, theirs: TensorState, meta: PathCheck, ours: TensorState) -> str | None:
    """Returns a text that says how a tensor's shape, dtype or distribution differs between the paths.

    `theirs` is the tensor on the eager path. `ours` is the tensor on the meta path. Returns None if the tensors agree,
    or if the difference may be due to chance.
    """
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"eager: {list(theirs.shape)} {theirs.dtype}, meta: {list(ours.shape)} {ours.dtype}"
    if ours.moments is None or theirs.moments is None:
        return None
    what = difference(theirs.moments, ours.moments)
    if what is None:
        return None
    if eager.is_drawn(theirs.name):
        # The difference may be due to chance, if there are few draws or if draws depend on each other. So it is not
        # reported if two builds on the eager path with different seeds differ too.
        again = eager.redrawn().states[theirs.name].moments
        if ours.moments.count < _MIN_SAMPLE and meta.is_drawn(ours.name):
            return None
        if again is None or (difference(theirs.moments, again) is not None and not ours.moments.is_constant):
            return None
    return f"{what} differs. eager: {theirs.moments}; meta: {ours.moments}"
