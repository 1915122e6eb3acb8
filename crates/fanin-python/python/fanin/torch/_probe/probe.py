"""The function `probe`, which measures a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .._measure import unwrapped
from .advice import advise as find_advice
from .analysis import analyze
from .result import Probe
from .run import run


def probe(
    model: nn.Module | Callable[[], nn.Module],
    batch: Any,
    *,
    loss: Callable[..., Tensor] | None = None,
    seeds: int = 1,
    seed: int = 0,
    advise: bool = True,
) -> Probe:
    """Measures how signals and gradients pass through a model, and says what to change if they vanish or explode.

    The model runs forward and backward once. For each module, in order of execution, the mean square q of its output and the
    mean square p of the gradient of its output are measured, and much else: see `Probe`. Slopes of ln q and ln p along the depth
    say how fast signal and gradient change, next to what mean-field theory predicts. Findings say in words what is wrong and
    where. For each problem, changes are tried on a copy of the model, which is measured again.

    Afterwards the model is as it was before, bit for bit: parameters, gradients, buffers, training mode, attributes and hooks of
    its modules. So are the batch and the states of the generators of torch, NumPy and Python. The model runs in the mode that it
    is in: normally, a new model is in training mode. Code that torch.compile compiles runs uncompiled.

    The memory that the measurements need grows with the number of modules, not with the size of their outputs.

    Parameters
    ----------
    model
        The model, or a function that builds it. Wrappers of data parallelism and torch.compile are removed.
    batch
        The input of the model: a mapping is passed as keywords, a tuple or list as arguments, anything else as one argument. With
        a `loss`, this is a pair of inputs and targets. At least 2 inputs are needed for cosines, and 16 are better.
    loss
        A function of the model's output and the targets, such as torch.nn.functional.cross_entropy. Without it, the loss that the
        model returns is used. If it returns none, a random projection of its output is used: the gradient of the output then has
        independent normal values, and p is 1 at the output.
    seeds
        How many models are built and measured, with the seeds `seed`, `seed + 1`, ... of torch.manual_seed. More than one needs a
        function as `model`. The slopes then have intervals over the seeds.
    seed
        The first seed, for building the model, dropout and the random projection.
    advise
        Whether to try changes on copies of the model if there is a problem. Each trial costs a pass and a copy.

    Returns
    -------
    Probe
        The measurements. `print(...)` shows a table, and `to_html` writes a page.

    Examples
    --------
    >>> layers = [layer for _ in range(20) for layer in (torch.nn.Linear(256, 256), torch.nn.ReLU())]
    >>> result = probe(torch.nn.Sequential(*layers), torch.randn(32, 256))
    >>> result.ok, round(result.backward.slope, 1)
    (False, -1.8)
    >>> print(result.recipe_patch())
    [init]
    "*.weight" = "kaiming_normal(nonlinearity=relu)"
    "*.bias" = "zeros"
    """
    if not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds = {seeds!r}: must be a positive integer")
    if not isinstance(seed, int):
        raise TypeError(f"seed = {seed!r}: must be an integer")
    if isinstance(model, nn.Module) and seeds > 1:
        raise ValueError(f"seeds = {seeds}: building several models needs a function as `model`, not a model")
    runs = []
    first: nn.Module | None = None
    with torch.random.fork_rng(devices=_cuda_devices()):
        for number in range(seed, seed + seeds):
            torch.manual_seed(number)
            current = unwrapped(model if isinstance(model, nn.Module) else _built(model))
            first = current if first is None else first
            runs.append(run(current, batch, loss, number))
        assert first is not None
        analysis = analyze(first, runs)
        result = Probe(type(first).__name__, sum(one.numel() for one in first.parameters()), seeds, analysis)
        if advise and any(one.level == "problem" for one in analysis.findings):
            torch.manual_seed(seed)
            result.advice, result.rules = find_advice(first, batch, loss, seed, analysis)
    return result


def _built(build: Callable[[], nn.Module]) -> nn.Module:
    if not callable(build):
        raise TypeError(f"model = {build!r}: must be a torch.nn.Module or a function that returns one")
    model = build()
    if not isinstance(model, nn.Module):
        raise TypeError(f"model() returned {type(model).__name__}: it must return a torch.nn.Module")
    return model


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() and torch.cuda.is_initialized() else []
