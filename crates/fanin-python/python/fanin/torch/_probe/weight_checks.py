"""Checks of weights. Each check returns its findings: weights that differ from their peers, are symmetric, or are too large."""

from __future__ import annotations

import re

from . import peers
from .finding import GAIN, STATISTICS, Finding, rounded
from .paths import Paths
from .records import Run

#: Matches the name of the second matrix of a low-rank adapter (LoRA) in peft, torchtune and diffusers.
_ADAPTER = re.compile(r"lora[._]?(b|up)(?![a-z])", re.IGNORECASE)


def differing(run: Run, paths: Paths) -> list[Finding]:
    """Finds parameters whose rms (root mean square) differs from the rms of their peers.

    Peers are the same parameter in different blocks, such as h.*.mlp.weight.

    Some models set the last parameters of a residual branch to 0, so that the block returns its input. In a block
    without a shortcut, the same parameters must not be 0, because the block would return 0. So a parameter that is 0 is
    not reported if two conditions hold:

    - The parameter is in the last module of a residual branch.
    - None of its nearest peers is in the last module of a residual branch: their blocks have no shortcut.
    """
    found = []
    ends = paths.branch_ends
    for one in peers.outliers(run.weights):
        if one.weights.rms == 0 and one.weights.module in ends and not any(peer.module in ends for peer in one.peers):
            continue
        name, count = one.weights.name, len(one.peers)
        if one.weights.rms == 0:
            text = f"{name} is 0, and its {count} nearest peers have an rms of {rounded(one.expected)}"
        elif one.expected > 0:
            text = f"{name} has an rms of {rounded(one.weights.rms)}: {rounded(one.factor)} times the rms of its {count} nearest peers"
        else:
            text = f"{name} has an rms of {rounded(one.weights.rms)}, and its {count} nearest peers are 0"
        found.append(Finding("peers", "problem", one.weights.module, text, one.factor, peers.FACTOR, name))
    return found


def symmetric(run: Run) -> list[Finding]:
    """Finds nonzero weights whose rows are all equal. The units of such layers differ only in their biases."""
    layers = {layer.module for layer in run.layers if layer.role == "weight"}
    found = []
    for one in run.weights:
        if one.rows_are_equal and one.rms > 0 and one.module in layers and one.name.endswith("weight"):
            text = f"all units of {one.module} have the same weights, so they compute the same"
            found.append(Finding("symmetric", "problem", one.module, text, 1.0, 0.0, one.name))
    return found


def gain(run: Run, paths: Paths) -> list[Finding]:
    """Finds layers that multiply the mean square of the signal by more than `GAIN`.

    Layers followed only by norms, and layers that compute only gates, are not checked. `saturated` checks the gates.
    """
    found = []
    for layer in run.layers:
        gain = layer.facts.get("gain", 0.0) if layer.role == "weight" else 0.0
        if gain > GAIN and not paths.is_normalized(layer) and not paths.is_gate(layer):
            text = f"{layer.name} multiplies the mean square of the signal by {rounded(gain)} (fan_in E[w^2])"
            found.append(Finding("gain", "problem", layer.module, text, gain, GAIN, paths.weight_name(layer)))
    return found


def adapters(run: Run) -> list[Finding]:
    """Finds low-rank adapters (LoRA) whose second matrix is not 0. Such adapters change the model's outputs before training."""
    drawn = [one for one in run.weights if one.rms > 0 and len(one.shape) > 1 and _ADAPTER.search(one.name)]
    if not drawn:
        return []
    first, count = drawn[0], len(drawn)
    text = f"{first.name} is not 0{f', nor are {count - 1} others' if count > 1 else ''}: the adapter changes the model before training"
    return [Finding("adapter", "note", first.module, text, first.rms, 0.0, first.name)]


def statistics(run: Run) -> list[Finding]:
    """Finds batch norms in evaluation mode whose running statistics do not match their input."""
    found = []
    for layer in run.layers:
        scale, variance = layer.facts.get("fixed_scale", 0.0), layer.forward.channel_variance
        if layer.alias is None and scale > 0 and variance is not None and variance / scale > STATISTICS:
            found.append((layer, variance / scale))
    if not found:
        return []
    layer, ratio = found[0]
    others = f", and those of {len(found) - 1} others" if len(found) > 1 else ""
    text = (
        f"the running statistics of {layer.module}{others} do not match its input: the variance of its output is "
        f"{rounded(ratio)} times weight^2"
    )
    is_new = layer.facts.get("is_new", 0.0) > 0
    text += ". They still have their initial values: probe the model in training mode" if is_new else ""
    return [Finding("statistics", "note" if is_new else "problem", layer.module, text, ratio, STATISTICS)]
