"""Converts a probe to JSON. The schema is docs/probe.schema.json."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from ..._fanin import __version__
from .fit import Fit
from .terminal import verdicts

if TYPE_CHECKING:
    from .result import Probe

FORMAT = "fanin-probe-1"


def to_json(probe: Probe) -> dict[str, Any]:
    """Returns the probe as a dict. Numbers that are missing or not finite are None."""
    positions = {layer.index: position for position, layer in enumerate(probe.layers)}
    run = probe._analysis.run

    def name(index: int) -> str:
        return run.layers[index].name

    field = probe.mean_field
    return {
        "format": FORMAT,
        "version": __version__,
        "model": probe.model,
        "parameters": probe.parameter_count,
        "seeds": probe.seeds,
        "inputs": run.batch,
        "ok": probe.ok,
        "verdicts": verdicts(probe),
        "findings": [
            {
                "kind": one.kind,
                "level": one.level,
                "module": one.module,
                "parameter": one.parameter,
                "text": one.text,
                "value": _number(one.value),
                "limit": _number(one.limit),
                "source": one.source,
            }
            for one in probe.findings
        ],
        "advice": [
            {"text": one.text, "rules": one.rules, "result": one.result, "problems": list(one.problems)} for one in probe.advice
        ],
        "recipe_patch": probe.recipe_patch() if probe.advice else None,
        "unit": probe.unit,
        "trunk": [positions[layer.index] for layer in probe.trunk],
        "forward": _fit(probe.forward),
        "backward": _fit(probe.backward),
        "mean_field": None
        if field is None
        else {
            "activation": field.activation,
            "weight_variance": _number(field.weight_variance),
            "bias_variance": _number(field.bias_variance),
            "fixed_point": _number(field.fixed_point),
            "chi": _number(field.chi),
            "depth_scale": _number(field.depth_scale),
        },
        "loss": {"value": _number(probe.loss), "classes": probe.classes, "logits_std": _number(probe.logits_std)},
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "role": layer.role,
                "shape": list(layer.shape),
                "q": _number(layer.q),
                "p": _number(layer.p),
                "mean": _number(layer.forward.mean),
                "theory_q": _number(layer.theory_q),
                "theory_p": _number(layer.theory_p),
                "local_q": _number(layer.local_q),
                "dead": _number(layer.dead),
                "zeros": _number(layer.forward.zero_share),
                "saturated": _number(layer.saturated),
                "cosine_inputs": _number(layer.cosine_inputs),
                "cosine_tokens": _number(layer.cosine_tokens),
                "channel_square_mean": _number(layer.forward.channel_square_mean),
                "channel_variance": _number(layer.forward.channel_variance),
            }
            for layer in probe.layers
        ],
        "residuals": [
            {
                "module": one.module,
                "stream": name(one.stream),
                "branch": name(one.branch),
                "stream_q": _number(run.layers[one.stream].q),
                "branch_q": _number(run.layers[one.branch].q),
            }
            for one in probe.residuals
        ],
        "attention": [
            {"module": one.module, "entropy": _number(one.entropy), "logits_std": _number(one.logits)} for one in probe.attention
        ],
        "recurrent": [
            {"module": one.module, "layer": one.layer, "steps": one.steps, "gradient": _number(one.gradient)}
            for one in probe.recurrences
        ],
        "weights": [
            {
                "name": one.name,
                "shape": list(one.shape),
                "rms": _number(one.rms),
                "gradient_rms": _number(one.gradient_rms),
                "ratio": _number(one.ratio),
            }
            for one in probe.parameters
        ],
    }


def _fit(fit: Fit | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    values = {name: value for name, value in dataclasses.asdict(fit).items() if name not in ("interval", "depth", "inputs")}
    inputs = None if fit.inputs is None else [_number(one) for one in fit.inputs]
    numbers = {name: _number(value) for name, value in values.items()}
    return {**numbers, "total": _number(fit.total), "interval": fit.interval, "depth": fit.depth, "inputs": inputs}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
