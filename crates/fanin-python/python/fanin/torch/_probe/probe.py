"""The function `probe`, which measures how signals and gradients change along the depth of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .._measure import unwrapped
from .._preserve import generators_restored
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
    """Measures how signals and gradients change along the depth of a model, and says what to change.

    The model runs forward and backward once for each seed. Two values of each module are measured, in order of
    execution: the mean square q of its output, and the mean square p of the gradient of its output. `Probe` lists the
    other measurements. The slopes `forward` and `backward` say how fast the signal and the gradient change along the
    depth. Mean-field theory predicts both slopes.

    Findings say in words what is wrong and where, for example that the gradient vanishes or explodes. If there is a
    problem, changes of the initialization are tried on copies of the model, and each copy is measured.

    Afterwards the model is as it was before, bit for bit: parameters, gradients, buffers, training mode, attributes and
    hooks of its modules. The batch and the states of the generators of torch, NumPy and Python are also as before. The
    model runs in its current mode. A new model is in training mode. Compiled functions (torch.compile) run in eager
    mode.

    The memory for the measurements grows with the number of modules, not with the number of elements of their outputs.

    Parameters
    ----------
    model
        The model, or a function that builds it. A model in DataParallel, DDP or torch.compile is unwrapped.
    batch
        The input of the model. A mapping is passed as keyword arguments, and a tuple or list as positional arguments.
        Anything else is passed as one argument. With a `loss`, `batch` is a pair of inputs and targets. Cosines between
        inputs need at least 2 inputs, and 16 are better.
    loss
        A function of the model's output and the targets, such as torch.nn.functional.cross_entropy. By default, the
        loss that the model returns is used. If the model returns no loss, a random projection of its output is used.
        The gradient of the output then has independent standard normal values, so p is about 1 at the output.
    seeds
        The number of models to build and measure, at least 1. Their seeds for torch.manual_seed are `seed`, `seed + 1`,
        and so on. For more than one model, `model` must be a function. The confidence intervals of the slopes then come
        from the slopes of the seeds.
    seed
        The first seed. It is used for building the model, for dropout and for the random projection.
    advise
        Whether to try changes on copies of the model if there is a problem. Each trial needs a copy, a forward pass and
        a backward pass. At most 10 changes are tried.

    Returns
    -------
    Probe
        The measurements. `print` shows them as a table, and `to_html` writes a page with charts.

    Raises
    ------
    TypeError
        If `model` does not build a module, if `batch` is an iterator or a NumPy array, if `loss` is not a function, or
        if `seed` is not an integer.
    ValueError
        If `seeds` is not a positive integer, or is more than 1 and `model` is a module. If `loss` is given and `batch`
        is not a pair. If the model returns no floating-point tensor or only empty ones, or if the loss is not one
        value. If a parameter is lazy or on the meta device. If the layers of the model differ between seeds.
    RuntimeError
        If the forward pass of the model writes to a parameter.

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
        raise ValueError(f"seeds = {seeds}: with more than one seed, `model` must be a function that builds the model")
    runs = []
    first: nn.Module | None = None
    with generators_restored():
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
