"""Advice: changes of the initialization that were tried on a copy of the model, and that helped.

Each change is a few rules of a recipe. `init_module` applies them to a copy of the model, and the copy is measured like
the model. A change is meant for certain problems. `_helps` decides whether the change becomes advice.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..._fanin import Recipe
from .._init_module import init_module
from .._measure import plain_name
from .analysis import Analysis, analyze
from .candidates import Candidate, candidates
from .finding import Finding
from .patterns import recipe
from .run import run

#: The greatest number of changes that are tried. Each change is measured on a copy of the model.
TRIALS = 10


@dataclasses.dataclass
class Advice:
    """A change of the initialization that was tried on a copy of the model, and that helped."""

    #: The change in words, such as "orthogonal recurrent weights".
    text: str
    #: The rules of a recipe that make the change: a dict from patterns of parameter names to specs.
    rules: dict[str, str]
    #: Slopes, loss and number of problems before and after the change, as text.
    result: str
    #: The number of problems before and after the change.
    problems: tuple[int, int]


def advise(
    model: nn.Module, batch: Any, loss: Callable[..., Tensor] | None, seed: int, analysis: Analysis
) -> tuple[list[Advice], dict[str, str]]:
    """Returns the changes that helped, and the rules that make all of these changes.

    The search consists of rounds. A round tries the groups of candidates that the function `candidates` returns, one
    group after another. Each candidate is measured on a new copy of the model, together with the changes kept in
    earlier rounds. The round ends after the first group in which a candidate helps. From this group, the candidate that
    helps and leaves the fewest problems is kept.
    """
    found: list[Advice] = []
    rules: dict[str, str] = {}
    current, trials = analysis, 0
    tried: set[tuple[tuple[str, str], ...]] = set()
    while trials < TRIALS:
        best: tuple[Candidate, Analysis] | None = None
        for group in candidates(model, current):
            for candidate in group:
                key = tuple(sorted(candidate.rules.items()))
                if trials >= TRIALS or key in tried:
                    continue
                tried.add(key)
                trials += 1
                measured = _measured(model, batch, loss, seed, {**candidate.rules, **_without(rules, candidate.rules)})
                if measured is None or not _helps(candidate, current, measured):
                    continue
                if best is None or len(_problems(measured)) < len(_problems(best[1])):
                    best = candidate, measured
                if not _problems(measured):
                    break
            if best is not None:
                break
        if best is None:
            break
        candidate, measured = best
        rules = {**candidate.rules, **_without(rules, candidate.rules)}
        found.append(Advice(candidate.text, candidate.rules, _result(candidate, current, measured), _counts(current, measured)))
        current = measured
        if not _problems(current):
            break
    return found, rules


def _without(rules: dict[str, str], others: dict[str, str]) -> dict[str, str]:
    """Returns the rules whose patterns are not in `others`."""
    return {pattern: spec for pattern, spec in rules.items() if pattern not in others}


def _measured(
    model: nn.Module, batch: Any, loss: Callable[..., Tensor] | None, seed: int, rules: dict[str, str]
) -> Analysis | None:
    """Applies the rules to a copy of the model, and returns the analysis of the copy. None if the copy cannot be made or filled."""
    try:
        changed = copy.deepcopy(model)
        names = [plain_name(name) for name in model.state_dict(keep_vars=True)]
        init_module(changed, Recipe(recipe(rules, names)), seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return analyze(changed, [run(changed, batch, loss, seed)])
    except (ValueError, TypeError, RuntimeError, NotImplementedError):
        return None


def _problems(analysis: Analysis) -> list[Finding]:
    return [one for one in analysis.findings if one.level == "problem"]


def _counts(before: Analysis, after: Analysis) -> tuple[int, int]:
    return len(_problems(before)), len(_problems(after))


def _unsolved(candidate: Candidate, analysis: Analysis) -> list[Finding]:
    """Returns the problems that a candidate should solve and that are still in the analysis."""
    keys = {(one.kind, one.module) for one in candidate.solves}
    return [one for one in _problems(analysis) if (one.kind, one.module) in keys]


def _helps(candidate: Candidate, before: Analysis, after: Analysis) -> bool:
    """Returns whether a change helps.

    The field `candidate.solves` lists the problems that the change should solve. A change does not help if it causes a
    new kind of problem. A change that solves at least one of the listed problems helps if the model has fewer problems
    in total. A change that solves none of them helps if it reduces the `_severity` of each listed problem to less than
    half.
    """
    kinds = {one.kind for one in _problems(before)}
    if any(one.kind not in kinds for one in _problems(after)):
        return False
    left = _unsolved(candidate, after)
    if len(left) < len(candidate.solves):
        return len(_problems(after)) < len(_problems(before))
    before_change = {(one.kind, one.module): _severity(one) for one in candidate.solves}
    return all(_severity(one) < before_change[one.kind, one.module] / 2 for one in left)


def _severity(finding: Finding) -> float:
    """Returns a number that is larger for a worse problem: the measured value, or its reciprocal if it is too small.

    The entropy of attention, and the ratio of a parameter's rms to that of its peers, can be too small.
    """
    if finding.value >= finding.limit or math.isnan(finding.value):
        return finding.value
    return 1 / finding.value if finding.value > 0 else math.inf


def _result(candidate: Candidate, before: Analysis, after: Analysis) -> str:
    """Returns the measurements before and after a change, as text: slopes, loss and number of problems."""
    parts = []
    for name, old, new in (("signal", before.forward, after.forward), ("gradient", before.backward, after.backward)):
        if old is not None and new is not None and abs(old.total - new.total) > 0.5:
            unit = after.trunk.unit
            parts.append(f"{name} {old.slope:+.3f} a {unit} -> {new.slope:+.3f}")
        elif old is None and new is not None:
            parts.append(f"{name} blocked -> {new.slope:+.3f} a {after.trunk.unit}")
    if before.run.classes is not None and before.run.loss is not None and after.run.loss is not None:
        if abs(before.run.loss - after.run.loss) > 0.1:
            parts.append(f"loss {before.run.loss:.3g} -> {after.run.loss:.3g}")
    old_count, new_count = _counts(before, after)
    parts.append(f"problems {old_count} -> {new_count}")
    return ", ".join(parts)
