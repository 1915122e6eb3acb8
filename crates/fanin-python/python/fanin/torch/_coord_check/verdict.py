"""Judges a coordinate check: finds the root mean squares that depend on the width but should not.

Each finding names a module and a remedy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .recorder import LOGITS
from .result import Finding, Module
from .slopes import Slope

#: An exponent counts as 0 if its absolute value is at most this. In the limit of large widths, exponents are multiples of 1/2 (Yang and
#: Hu 2021, theorem 3.3). This number is halfway between 0 and 1/2.
LIMIT = 0.25


def judge(modules: Sequence[Module]) -> tuple[str, list[Finding]]:
    """Returns the parametrization (see `CoordCheck.parametrization`) and the findings.

    The findings are in the order in which the modules are executed. As an exception, the finding of `_first_growth` is
    always last.

    A finding of the kind "own change" says that the effect of the updates of a module's own parameters depends on the
    width. Attention logits get a finding of this kind only if no module has a finding, because the logits depend on the
    modules before them.
    """
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
    """Returns a finding if the rms of a module's output depends on the width before the first training step.

    The exponent of an rms is the number a in the power law rms = c * width^a. `has_begun` is True if an earlier module
    has such a finding. Then there is no finding for a module whose output and input have about the same exponent,
    because the input explains why the output depends on the width.
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
    """Returns a finding if the rms of a module's own change depends on the width.

    The own change is the effect of the updates of the module's own parameters on its output. There is no finding if the
    exponent a in the power law rms = c * width^a is about 0, or about the same as for the module's input.
    """
    step, own = first_slope(module.own_slopes)
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
    """Returns a finding for the first module whose output change grows with the width, or None.

    Searches all modules at step 1, then all modules at step 2, and so on.
    """
    for step in range(1, max((len(one.change) for one in modules), default=0)):
        for module in modules:
            slope = module.change_slopes[step]
            if slope is None or slope.value <= LIMIT:
                continue
            if module.kind == LOGITS:
                cause = "Queries and keys align during training: multiply the logits"
            else:
                cause = "The initial weights pass on the change of their input too strongly: multiply their std"
            grows = f"the change grows as width^{slope.value:.2f} after step {step}, although no update of a module alone does. "
            return Finding(module.name, "change", step, slope.value, f"{grows}{cause} {_power(-slope.value)}")
    return None


def _power(exponent: float) -> str:
    """Returns a factor such as "by sqrt(width)" or "by 1/width". The exponent is rounded to a multiple of 1/2."""
    if not math.isfinite(exponent):
        return "by a smaller power of the width"
    halves = round(2 * exponent)
    power = {1: "sqrt(width)", 2: "width"}.get(abs(halves), f"width^{abs(halves) / 2:g}")
    return f"by {power}" if halves > 0 else f"by 1/{power}"


def first_slope(slopes: Sequence[Slope | None]) -> tuple[int, Slope | None]:
    """Returns the step and the first slope that is not None, or (0, None) if all slopes are None.

    The slope of step 1 is None for a module whose first gradient is 0.
    """
    return next(((step, one) for step, one in enumerate(slopes) if one is not None), (0, None))


def _parametrization(modules: Sequence[Module], findings: Sequence[Finding]) -> str:
    if not findings:
        return "muP"
    if any(one.what != "own change" for one in findings):
        return "other"
    first = {one: first_slope(one.own_slopes)[1] for one in modules if one.own is not None and one.kind != LOGITS}
    hidden = [slope.value for one, slope in first.items() if slope is not None and not one.has_fixed_shape]
    outputs = [slope.value for one, slope in first.items() if slope is not None and one.has_fixed_shape]
    # The first hidden layer has the same number of inputs at all widths, so the effect of its update does not grow.
    # `len(hidden) - 1` leaves this layer out.
    if any(one > LIMIT for one in outputs) and 2 * sum(one > LIMIT for one in hidden) >= len(hidden) - 1:
        return "standard"
    if all(one.slope < 0 for one in findings) and 2 * sum(one < -LIMIT for one in hidden) > len(hidden):
        return "kernel"
    return "other"
