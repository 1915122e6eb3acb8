"""Candidates: changes of the initialization that may solve a problem. `advice` tries candidates on a copy of the model."""

from __future__ import annotations

import dataclasses
import math
import statistics

from torch import nn

from . import peers
from .analysis import Analysis
from .finding import Finding
from .patterns import patterns
from .paths import Paths
from .records import Layer, Weights

#: Maps activation functions without a gain in specs to the functions whose gains are used instead.
_GAINS = {"relu6": "relu", "hardswish": "silu", "mish": "silu", "elu": "relu", "celu": "relu", "hardtanh": "tanh", "softplus": "linear"}


@dataclasses.dataclass
class Candidate:
    """A change of the initialization that may solve some findings."""

    #: What the change does, in words.
    text: str
    #: The rules of a recipe that make the change: patterns of parameter names, and specs.
    rules: dict[str, str]
    solves: list[Finding]


def candidates(model: nn.Module, analysis: Analysis) -> list[list[Candidate]]:
    """Returns the changes to try, in groups. Each group contains alternative changes for the same problems."""
    problems = [one for one in analysis.findings if one.level == "problem"]
    by_kind: dict[str, list[Finding]] = {}
    for one in problems:
        by_kind.setdefault(one.kind, []).append(one)
    found: list[list[Candidate]] = []
    if "peers" in by_kind:
        found.append(_scaled_as_peers(analysis, by_kind["peers"]))
    for kind in ("nonfinite", "symmetric", "blocked", "dead", "gain", "saturated"):
        if kind in by_kind:
            found.append(_new_weights(analysis, by_kind[kind]))
    if "attention" in by_kind:
        found.append(_smaller_queries_and_keys(analysis, by_kind["attention"]))
    if "recurrent" in by_kind:
        names = {one.parameter: "orthogonal" for one in by_kind["recurrent"] if one.parameter is not None}
        found.append([Candidate("orthogonal recurrent weights", _rules(analysis, names), by_kind["recurrent"])])
    slopes = by_kind.get("forward", []) + by_kind.get("backward", [])
    if slopes:
        residual = len(analysis.run.residuals) >= len(analysis.trunk.points) / 2 and analysis.trunk.kind != "layer"
        found.append(_scaled_branches(analysis, slopes) if residual else _critical_gain(analysis, slopes))
    if "loss" in by_kind:
        found.append(_smaller_logits(analysis, by_kind["loss"]))
    return [group for group in found if group]


def _normal(std: float) -> str:
    return f"normal(std={std:.4g})"


def _constant(value: float) -> str:
    return {0.0: "zeros", 1.0: "ones"}.get(value, f"constant({value:.6g})")


def _rules(analysis: Analysis, names: dict[str, str]) -> dict[str, str]:
    """Returns rules of a recipe that give each parameter its spec. `names` maps parameters to specs. See `patterns`."""
    return patterns(names, {one.name: one.role[0] for one in analysis.run.weights})


def _scaled_as_peers(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns a change that gives outliers (see `peers.outliers`) the rms of their peers.

    If all peers of an outlier are constant or 0, the outlier gets their value.
    """
    known = {one.weights.name: one for one in peers.outliers(analysis.run.weights)}
    names = {}
    for finding in findings:
        outlier = known.get(finding.parameter or "")
        if outlier is not None:
            same = all(one.constant or one.rms == 0 for one in outlier.peers)
            value = statistics.median(one.forward.mean for one in outlier.peers)
            names[outlier.weights.name] = _constant(value) if same else _normal(outlier.expected)
    if not names:
        return []
    return [Candidate("the parameters that differ from their peers, as their peers", _rules(analysis, names), findings)]


def _new_weights(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns a change that gives new values to the parameters of `findings`.

    A weight with several axes gets random values, and the bias of its module gets 0. A weight with one axis, such as
    that of a norm, gets 1. Other parameters get 0.
    """
    by_name = {one.name: one for one in analysis.run.weights}
    names: dict[str, str] = {}
    for finding in findings:
        weights = by_name.get(finding.parameter or "")
        if weights is None:
            continue
        if len(weights.shape) < 2:
            names[weights.name] = "ones" if weights.name.endswith("weight") else "zeros"
            continue
        names[weights.name] = _new_spec(analysis, weights)
        bias = f"{weights.module}.bias" if weights.module else "bias"
        if bias in by_name:
            names[bias] = "zeros"
    return [Candidate("the weights drawn again, with biases of 0", _rules(analysis, names), findings)] if names else []


def _new_spec(analysis: Analysis, weights: Weights) -> str:
    """Returns the spec for new values of a weight.

    Peers of the weight are weights with the same role and shape in other blocks (see `peers.groups`). A peer is healthy
    if its values are finite and not all 0, and its rows are not all equal. If the weight has at least two healthy
    peers, the new values are normal, and their std is the median rms of the healthy peers. Otherwise the spec depends
    on the activation function after the weight.
    """
    same = [one for one in peers.groups(analysis.run.weights)[weights.group] if one is not weights]
    healthy = [one for one in same if one.forward.is_finite and one.rms > 0 and not one.rows_are_equal]
    if len(healthy) >= 2:
        return _normal(statistics.median(one.rms for one in healthy))
    layer = next((one for one in analysis.run.layers if one.module == weights.module and one.role == "weight"), None)
    return _spec(None if layer is None else following_activation(analysis, layer))


def following_activation(analysis: Analysis, layer: Layer) -> str | None:
    """Returns the activation function after a layer. Layers such as norms and dropout may be in between.

    Returns None if an addition or a layer with weights comes first, or if the next 7 layers include no activation
    function.
    """
    seen = {layer.index}
    for one in analysis.run.layers[layer.index + 1 : layer.index + 8]:
        if seen & set(one.sources):
            if one.role == "activation":
                return one.activation
            if one.role in ("weight", "add"):
                return None
            seen.add(one.index)
    return None


def _spec(activation: str | None) -> str:
    """Returns a weight spec with which a layer and its activation function together keep the mean square of signals.

    `activation` is the activation function after the layer, or None if no activation function follows the layer.
    """
    name = _GAINS.get(activation or "linear", activation or "linear")
    if name in ("tanh", "linear", "sigmoid"):
        # tanh and the identity have slope 1 at 0, so they keep the mean square of small signals. The sigmoid has slope 1/4 at 0,
        # hence the gain 4.
        return "xavier_normal" if name != "sigmoid" else "xavier_normal(gain=4)"
    return f"kaiming_normal(nonlinearity={name})"


def _critical_gain(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns changes that keep the mean square of signals in all layers of a model without residual branches."""
    layers = [analysis.run.layers[one] for one in analysis.trunk.points]
    by_name = {one.name: one for one in analysis.run.weights}
    recurrent = {one.name: "orthogonal" for one in analysis.run.weights if one.name.endswith(".weight_hh")}
    if recurrent:
        return [Candidate("orthogonal recurrent weights", _rules(analysis, recurrent), findings)]
    activations = [following_activation(analysis, one) for one in layers]
    known = [one for one in activations if one is not None]
    usual = statistics.mode(known) if known else None
    found = []
    specs = [_spec(usual)]
    if usual in (None, "tanh"):
        specs.append("orthogonal")
    elif usual not in ("sigmoid", "softplus"):
        specs.append(f"orthogonal(gain={_GAINS.get(usual, usual)})")
    for spec in specs:
        names = {}
        for layer in layers:
            weight, bias = (f"{layer.module}.{one}" if layer.module else one for one in ("weight", "bias"))
            if weight in by_name:
                names[weight] = spec
            if bias in by_name:
                names[bias] = "zeros"
        if names:
            kind = "linear layers" if usual is None else usual
            found.append(Candidate(f"the gain that keeps signals for {kind}, and biases of 0", _rules(analysis, names), findings))
    return found


def _scaled_branches(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns two alternative changes: divide the last weight of each residual branch by sqrt(branches), or set it to 0."""
    paths = Paths(analysis.run)
    by_name = {one.name: one for one in analysis.run.weights}
    count = len(analysis.run.residuals)
    scaled, zero = {}, {}
    for residual in analysis.run.residuals:
        last = paths.with_parameters(analysis.run.layers[residual.branch])
        name = paths.weight_name(last)
        weights = by_name.get(name or "")
        if name is None or weights is None or last.index <= residual.stream:
            continue
        # A weight gets the same spec in all blocks, so that one rule covers all of them.
        same = peers.groups(analysis.run.weights)[weights.group]
        value = statistics.median(one.rms for one in same) / math.sqrt(count)
        scaled[name] = _constant(float(f"{value:.4g}")) if len(weights.shape) < 2 else _normal(value)
        zero[name] = "zeros"
    if not scaled:
        return []
    return [
        Candidate(f"the last weights of the {count} residual branches divided by sqrt({count})", _rules(analysis, scaled), findings),
        Candidate("the last weights of the residual branches 0, as in Fixup", _rules(analysis, zero), findings),
    ]


def _smaller_queries_and_keys(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns a change of the query and key weights after which attention logits have a standard deviation of about 1."""
    by_name = {one.name: one for one in analysis.run.weights}
    names = {}
    for finding in findings:
        logits = max(one.logits for one in analysis.run.attention if one.module == finding.module)
        parent = finding.module
        feeding = [
            one
            for one in analysis.run.layers
            if one.role == "weight" and (one.module.startswith(f"{parent}.") or one.module.rpartition(".")[0] == parent.rpartition(".")[0])
        ]
        chosen = [one for one in feeding if _is_query_or_key(one.module)] or feeding[:1]
        factor = math.sqrt(max(logits, 1.0))
        for layer in chosen:
            weights = by_name.get(f"{layer.module}.weight")
            if weights is not None:
                names[weights.name] = _normal(weights.rms / factor)
        packed = by_name.get(f"{parent}.in_proj_weight")
        if packed is not None and not chosen:
            names[packed.name] = _normal(packed.rms / factor)
    return [Candidate("smaller weights of queries and keys", _rules(analysis, names), findings)] if names else []


def _is_query_or_key(module: str) -> bool:
    """Returns whether a module computes queries or keys, judged by its name."""
    last = module.rpartition(".")[2].lower()
    return any(word in last for word in ("query", "key", "q_proj", "k_proj", "qkv", "c_attn", "to_q", "to_k", "q_lin", "k_lin")) or last in ("q", "k")


def _smaller_logits(analysis: Analysis, findings: list[Finding]) -> list[Candidate]:
    """Returns a change of the last layer's weights after which the logits have a standard deviation of about 1/2."""
    by_name = {one.name: one for one in analysis.run.weights}
    weights = by_name.get(findings[0].parameter or "")
    if weights is None or not analysis.run.logits:
        return []
    names = {weights.name: _normal(weights.rms / analysis.run.logits / 2)}
    return [Candidate("smaller weights of the last layer", _rules(analysis, names), findings)]
