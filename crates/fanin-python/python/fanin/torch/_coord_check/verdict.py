"""The verdict of a coordinate check: which sizes depend on the width, where this begins, and the likely cause."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .recorder import LOGITS
from .result import Finding, Module
from .slopes import Slope

#: Exponents are multiples of 1/2 in the limit of large widths (Yang and Hu 2021, theorem 3.3), so the limit is half of that.
LIMIT = 0.25


def judge(modules: Sequence[Module]) -> tuple[str, list[Finding]]:
    """Returns the name of the parametrization and the findings, in order of execution."""
    findings: list[Finding] = []
    has_begun = False
    for module in modules:
        if module.kind == LOGITS:
            continue
        initial = _initial_size(module, has_begun)
        has_begun |= initial is not None
        findings += [one for one in (initial, _own_change(module)) if one is not None]
    if not findings:
        findings = [one for one in map(_own_change, modules) if one is not None]
    grown = _first_growth(modules)
    if grown is not None and all(one.slope < 0 for one in findings):
        findings.append(grown)
    return _parametrization(modules, findings), findings


def _initial_size(module: Module, has_begun: bool) -> Finding | None:
    """Returns a finding if the output depends on the width before the first step.

    If an earlier module has such a finding, the output of this module must also depend on the width in another way than its
    input does.
    """
    initial = module.size_slopes[0]
    if initial is None or abs(initial.value) <= LIMIT or (initial.value < 0 and module.may_vanish):
        return None
    if has_begun and abs(initial.value - module.input_slope) <= LIMIT:
        return None
    verb = "grows" if initial.value > 0 else "vanishes"
    remedy = f"Multiply the std of the weights {_power(-initial.value)}"
    text = f"the output {verb} as width^{initial.value:.2f} before the first step. {remedy}"
    return Finding(module.name, "initial size", 0, initial.value, text)


def _own_change(module: Module) -> Finding | None:
    """Returns a finding if the effect of the module's own updates depends on the width in another way than its input does."""
    step, own = first_known(module.own_slopes)
    if own is None or abs(own.value) <= LIMIT or abs(own.value - module.input_slope) <= LIMIT:
        return None
    verb = "grows" if own.value > 0 else "vanishes"
    if module.kind == LOGITS:
        text = (
            f"the change along their gradient {verb} as width^{own.value:.2f} after step {step}: queries align with keys. "
            f"Multiply the logits {_power(-own.value)}"
        )
        return Finding(module.name, "own change", step, own.value, text)
    remedy = f"Multiply the learning rate of its parameters {_power(-own.value)}"
    text = f"the effect of its own update {verb} as width^{own.value:.2f} after step {step}. {remedy}"
    return Finding(module.name, "own change", step, own.value, text)


def _first_growth(modules: Sequence[Module]) -> Finding | None:
    """Returns the first module whose change grows with the width, at the first step where one grows."""
    for step in range(1, max((len(one.change) for one in modules), default=0)):
        for module in modules:
            slope = module.change_slopes[step]
            if slope is None or slope.value <= LIMIT:
                continue
            if module.kind == LOGITS:
                cause = "Queries and keys align during training: multiply the logits"
            else:
                cause = "The initial weights pass on the change of their input too strongly: multiply their std"
            grows = f"the change grows as width^{slope.value:.2f} after step {step}, though no update does by itself. "
            return Finding(module.name, "change", step, slope.value, f"{grows}{cause} {_power(-slope.value)}")
    return None


def _power(exponent: float) -> str:
    """Returns "by width^a" in words, for the multiple of 1/2 that is nearest to an exponent."""
    if not math.isfinite(exponent):
        return "by a smaller power of the width"
    halves = round(2 * exponent)
    power = {1: "sqrt(width)", 2: "width"}.get(abs(halves), f"width^{abs(halves) / 2:g}")
    return f"by {power}" if halves > 0 else f"by 1/{power}"


def first_known(slopes: Sequence[Slope | None]) -> tuple[int, Slope | None]:
    """Returns the first step with a slope, and the slope. A module whose gradient is 0 in the first step has none there."""
    return next(((step, one) for step, one in enumerate(slopes) if one is not None), (0, None))


def _parametrization(modules: Sequence[Module], findings: Sequence[Finding]) -> str:
    if not findings:
        return "muP"
    if any(one.what != "own change" for one in findings):
        return "other"
    first = {one: first_known(one.own_slopes)[1] for one in modules if one.own is not None and one.kind != LOGITS}
    hidden = [slope.value for one, slope in first.items() if slope is not None and not one.has_fixed_shape]
    outputs = [slope.value for one, slope in first.items() if slope is not None and one.has_fixed_shape]
    # The input of the first layer does not get wider, so its own change does not grow.
    if any(one > LIMIT for one in outputs) and 2 * sum(one > LIMIT for one in hidden) >= len(hidden) - 1:
        return "standard"
    if all(one.slope < 0 for one in findings) and 2 * sum(one < -LIMIT for one in hidden) > len(hidden):
        return "kernel"
    return "other"
