"""Converts a trace to a recipe with name patterns and formulas. CHECK comments say what a recipe cannot express."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..._fanin import cover_names
from .formulas import Variables, fans, formulas
from .history import History, copied_memory, spec_of
from .recorder import Recorder
from .replay import change_of, constant_step
from .specs import Spec

if TYPE_CHECKING:
    from ..trace import InitTrace
    from .traced_tensor import TracedTensor


class Rule(NamedTuple):
    """The rule of a recipe for one tensor."""

    #: Equivalent texts of the spec for this tensor. They differ only in how a number is written: with variables, such
    #: as `0.02/sqrt(2*n_layer)`, or without.
    texts: list[str]
    #: The text of a CHECK comment, which says what the recipe cannot express. Empty if no comment is needed.
    check: str = ""


def write(trace: InitTrace) -> str:
    """Returns the recipe of a trace."""
    tensors = [tensor for tensor in trace.values() if tensor.is_persistent]
    rows = [tensor for tensor in tensors if tensor.tied_to is None]
    layers = _layers([tensor.name for tensor in rows])
    rules = {tensor.name: _rule(trace, tensor, layers and layers[0]) for tensor in rows}
    # Of a tensor's alternative specs, the most frequent one is chosen. Then fewer rules are needed.
    counts = Counter(text for rule in rules.values() for text in rule.texts)
    chosen = {name: (max(rule.texts, key=lambda text: counts[text]), rule.check) for name, rule in rules.items()}
    # In a recipe, the first matching rule applies. The rarest specs come first, so that later patterns can be general.
    sizes = Counter(chosen.values())
    kinds = {choice: number for number, choice in enumerate(sorted(sizes, key=lambda choice: sizes[choice]))}
    lines = [f"# Recorded by fanin.torch.trace_init from {type(trace.module).__name__}: {len(tensors)} tensors.", ""]
    if layers is not None and any("n_layer" in text for text, _ in chosen.values()):
        lines += ["[vars]", f"n_layer = {{ count = {json.dumps(layers[1])} }}", ""]
    lines.append("[init]")
    for pattern, members in cover_names(list(chosen), [kinds[choice] for choice in chosen.values()]):
        text, check = chosen[list(chosen)[members[0]]]
        if check:
            lines.append(f"# CHECK {check}")
        lines.append(f"{json.dumps(pattern)} = {json.dumps(text)}")
    ties = [tensor for tensor in tensors if tensor.tied_to is not None]
    if ties:
        lines += ["", "[tie]", *(f"{json.dumps(tensor.name)} = {json.dumps(tensor.tied_to)}" for tensor in ties)]
    return "\n".join(lines) + "\n"


def _layers(names: list[str]) -> tuple[int, str] | None:
    """Returns the number of layers, and a pattern that matches one tensor of each layer, such as `h.*.ln.weight`.

    Layers are found by tensor names that differ only in one number. Returns None if no layers are found.
    """
    patterns: dict[str, set[str]] = {}
    for name in names:
        pattern, replaced = re.subn(r"(?<=\.)\d+(?=\.)", "*", name, count=1)
        if replaced:
            patterns.setdefault(pattern, set()).add(name)
    counts = Counter(len(members) for members in patterns.values() if len(members) > 1)
    if not counts:
        return None
    count = counts.most_common(1)[0][0]
    for pattern, members in patterns.items():
        # "*" also matches dots, so the pattern may match more names than those in `members`.
        if len(members) == count and sum(1 for _ in filter(re.compile(_regex(pattern)).fullmatch, names)) == count:
            return count, pattern
    return None


def _regex(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split("*")))


def _rule(trace: InitTrace, tensor: TracedTensor, layers: int | None) -> Rule:
    if tensor.unwritten:
        return Rule(["skip"], f"no code wrote {tensor.unwritten} elements")
    value = trace.module.state_dict(keep_vars=True)[tensor.name]
    if not value.dtype.is_floating_point:
        step = constant_step(value) if isinstance(value, torch.Tensor) and value.device.type == "cpu" else None
        if step is not None and "fill" in step:
            return Rule([step["fill"]])
        return Rule(["copy"], "copied from --like, which must have values; or write skip")
    history = tensor._history
    found = None if history is None else _spec(trace._recorder, history)
    if found is None:
        return Rule(["copy"], f"{tensor.initializer}: copied from --like, which must have values; or write skip")
    spec, check = found
    sibling = trace.get(tensor.name.rpartition(".")[0] + ".weight" if "." in tensor.name else "weight")
    fan_in, fan_out = fans(tensor.shape)
    is_bias = tensor.name.rpartition(".")[2] == "bias" and sibling is not None
    weight_fan_in = fans(sibling.shape)[0] if is_bias and sibling is not None else None
    return Rule(_texts(spec, Variables(fan_in, fan_out, weight_fan_in, layers)), check)


def _spec(recorder: Recorder, history: History) -> tuple[Spec, str] | None:
    """Returns a spec for the values of a tensor, and the text of a CHECK comment.

    The spec describes the last write to the whole tensor, and can include later writes. The text lists the later writes
    that the spec does not include. The text is empty if there are none. Returns None if no spec describes the values.
    """
    left = history.left
    if not left or not left[0].is_whole:
        return None
    first = left[0]
    spec = spec_of(first)
    if spec is None:
        source, factor = copied_memory(first), 1.0
        if source is None:
            change = change_of(first.last)
            if change is None or "add" in change:
                return None
            source = first.last.sources[0]
            factor = change.get("mul", 1.0) / change.get("div", 1.0)
        found = _spec(recorder, History(recorder, source, first.last.number))
        if found is None or found[1]:
            return None
        scaled = _scaled(found[0], factor)
        if scaled is None:
            return None
        spec = scaled
    parts: list[str] = []
    for step in left[1:]:
        change = change_of(step.last) if len(step.events) == 1 and step.last.memory == history.memory else None
        scaled = None if change is None or "add" in change else _scaled(spec, change.get("mul", 1.0) / change.get("div", 1.0))
        if scaled is not None and not parts:
            spec = scaled
        else:
            parts.append(str(spec_of(step) or f"aten.{step.last.effect.name}"))
    check = f"later writes changed the tensor: {', '.join(dict.fromkeys(parts))}" if parts else ""
    return spec, check


#: For each scheme, the arguments that scale its values: if all are multiplied by a factor, so are the values.
_SCALES = {"uniform": ("a", "b"), "normal": ("mean", "std"), "constant": ("val",), "orthogonal": ("gain",),
           "xavier_uniform": ("gain",), "xavier_normal": ("gain",), "trunc_normal": ("mean", "std", "a", "b")}  # fmt: skip
_DEFAULTS = {"a": -2.0, "b": 2.0, "mean": 0.0, "std": 1.0, "gain": 1.0}


def _scaled(spec: Spec, factor: float) -> Spec | None:
    """Returns a spec whose values are `factor` times the values of `spec`, or None if there is no such spec."""
    if factor == 1.0:
        return spec
    if spec.name not in _SCALES:
        return None
    defaults = {**_DEFAULTS, **({"a": 0.0, "b": 1.0} if spec.name == "uniform" else {})}
    arguments = dict(spec.arguments)
    for name in _SCALES[spec.name]:
        arguments[name] = arguments.get(name, defaults.get(name, 1.0)) * factor
    if spec.name == "uniform" and factor < 0:
        arguments["a"], arguments["b"] = arguments["b"], arguments["a"]
    return Spec(spec.name, {**arguments, **({"std": abs(arguments["std"])} if "std" in arguments else {})})


def _texts(spec: Spec, variables: Variables) -> list[str]:
    """Returns equivalent texts of a spec, such as `normal(std=1/sqrt(fan_in))` and `normal(std=1/sqrt(768))`.

    The texts differ only in how a number is written: with variables such as `fan_in`, or without. As an exception,
    returns only `linear_default_bias(weight_fan_in)` if the spec is the default distribution of a linear layer's bias.
    """
    low, high = spec.arguments.get("a"), spec.arguments.get("b")
    if spec.name == "uniform" and isinstance(high, float) and low == -high:
        texts = []
        for text in formulas(high, variables):
            texts.append(str(Spec("uniform", {"a": f"-{text}", "b": text})))
            if text == "1/sqrt(weight_fan_in)":
                texts[:] = ["linear_default_bias(weight_fan_in)"]
                break
        return texts
    for name in ("std", "val"):
        value = spec.arguments.get(name)
        if isinstance(value, float):
            return [str(Spec(spec.name, {**spec.arguments, name: text})) for text in formulas(value, variables)]
    return [str(spec)]
