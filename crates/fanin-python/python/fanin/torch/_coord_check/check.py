"""The function `coord_check`, which trains models of several widths for a few steps and compares their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._measure import tensors_of
from .._preserve import generators_restored
from .._probe.run import call, copied, objective, split
from .recorder import Output, Recorder
from .result import CoordCheck, Module
from .verdict import judge


def coord_check(
    build: Callable[[int], nn.Module],
    *,
    widths: Sequence[int],
    batch: Any,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    loss: Callable[..., Tensor] | None = None,
    steps: int = 4,
    seeds: int = 3,
    seed: int = 0,
) -> CoordCheck:
    """Measures how the magnitudes of a model's outputs depend on the width of the model.

    This is the coordinate check of Yang et al. (2022, appendix D.1, "Verifying muP implementation via coordinate
    checking"). Models of several widths are trained for a few steps on one batch. Three magnitudes are measured for
    each module, and for the logits of each attention. Each magnitude is the root mean square of a tensor:

    - the output h_t after t steps;
    - the change of the output, h_t - h_0;
    - the *own change*, f(x_t; w_t) - f(x_t; w_0). f is the module, x_t its input and w_t its parameters after t steps.

    The own change is the effect of the updates of the module's own parameters. It is not measured for modules with
    submodules, except MultiheadAttention.

    For logits, f is the computation of the logits by the attention module. Only one component of the own change is
    measured: the component along the gradient of the loss with respect to the logits. The other components are mostly
    random in narrow models. The gradient is that of the first training step in which the gradient is not 0.

    A power law is fitted to each magnitude: magnitude = c * width^a. The result is the exponent a.

    In the maximal update parametrization (muP), all exponents are 0. There is one exception: before the first step, the
    output of the model and the logits of attention may be smaller in wider models. In muP the best learning rate does
    not depend on the width. In the standard parametrization, with one learning rate for all widths, the changes of the
    outputs grow with the width.

    An exponent from -1/4 to 1/4 counts as 0, because exponents are multiples of 1/2 in the limit of large widths. This
    is true if initialization and learning rates are powers of the width (Yang and Hu 2021).

    The states of the generators of torch, Python and NumPy are restored. The check needs twice the memory of the
    outputs of one model.

    Parameters
    ----------
    build
        A function that takes a width and returns a new model. Models of all widths must have the same modules.
    widths
        At least two widths. Exponents are accurate to about 0.1 if there are at least three widths, and the largest is
        at least 8 times the smallest.
    batch
        The input of the model, as for `probe`. A mapping is passed as keyword arguments, a tuple or list as positional
        arguments, and anything else as one argument. With a `loss`, `batch` is a pair of inputs and targets. All widths
        and all steps use this batch.
    optimizer
        A function that takes a model and returns its optimizer. If learning rates depend on the width, this function sets them.
    loss
        A function of the model's output and the targets. By default, the loss that the model returns is used. If the model returns
        no loss, a random projection of its output is used.
    steps
        The number of training steps, at least 1.
    seeds
        The number of models of each width, at least 1. They use the seeds `seed`, `seed + 1`, ... of torch.manual_seed.
    seed
        The first seed. The generators are seeded again before each forward pass, so dropout has the same masks in all steps.

    Returns
    -------
    CoordCheck
        The exponents. `print` shows them with the verdict, and `plot` draws the root mean squares by width.

    Raises
    ------
    ValueError
        If there are fewer than two different widths, or a width is not positive. If `steps` or `seeds` is not a
        positive integer. If a model calls different modules at different widths or steps. If an output has different
        shapes at different steps. If there is a `loss`, and `batch` is not a pair. If `loss` does not return a tensor
        with one value.
    TypeError
        If `build` does not return a module, or `optimizer` does not return an optimizer. If `batch` is an iterator, a
        DataLoader or a NumPy array. If `loss` is not callable.

    Examples
    --------
    >>> def build(width):
    ...     return torch.nn.Sequential(torch.nn.Linear(16, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))
    >>> result = coord_check(
    ...     build,
    ...     widths=[64, 256, 1024],
    ...     batch=(torch.randn(32, 16), torch.randn(32, 1)),
    ...     loss=torch.nn.functional.mse_loss,
    ...     optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.001),
    ... )
    >>> result.ok, result.parametrization, result.findings[0].module
    (False, 'standard', '2')
    """
    ordered = _checked_widths(widths)
    for name, value, least in (("steps", steps, 1), ("seeds", seeds, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} = {value!r}: must be a positive integer")
    inputs, targets = split(batch, loss)
    runs: list[list[dict[str, Output]]] = []
    model_name = ""
    with generators_restored():
        for width in ordered:
            row = []
            for number in range(seed, seed + seeds):
                torch.manual_seed(number)
                model = build(width)
                if not isinstance(model, nn.Module):
                    raise TypeError(f"build({width}) returned {type(model).__name__}: it must return a torch.nn.Module")
                model_name = type(model).__name__
                row.append(_run(model, inputs, targets, loss, optimizer, steps, number))
            runs.append(row)
    modules = _modules(runs, ordered, steps)
    return CoordCheck(model_name, tuple(ordered), seeds, steps, modules, *judge(modules))


def _checked_widths(widths: Sequence[int]) -> list[int]:
    ordered = sorted(set(widths))
    if len(ordered) < 2 or ordered[0] < 1:
        raise ValueError(f"widths = {list(widths)!r}: at least two different positive widths are needed")
    return ordered


def _run(
    model: nn.Module,
    inputs: Any,
    targets: Any,
    loss: Callable[..., Tensor] | None,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    steps: int,
    seed: int,
) -> dict[str, Output]:
    """Trains a model for a few steps, and returns the measurements of its outputs by name."""
    recorder = Recorder(model)
    updates = optimizer(model)
    if not isinstance(updates, torch.optim.Optimizer):
        raise TypeError(f"optimizer returned {type(updates).__name__}: it must return a torch.optim.Optimizer for the model")
    for step in range(steps + 1):
        torch.manual_seed(seed)
        with torch.set_grad_enabled(step < steps), recorder.step(step):
            output = call(model, copied(inputs))
        if step < steps:
            updates.zero_grad()
            objective(output, tensors_of(output), loss, targets, seed)[0].backward()
            updates.step()
    for one in recorder.outputs.values():
        del one.first, one.direction
    return recorder.outputs


def _modules(runs: list[list[dict[str, Output]]], widths: list[int], steps: int) -> list[Module]:
    """Returns one `Module` for each output, with the measurements of all widths and seeds.

    `runs[w][s]` are the outputs of one model, by name. Its width is `widths[w]`, and s is the index of its seed.
    """
    first = runs[0][0]
    for width, row in zip(widths, runs):
        for outputs in row:
            if list(outputs) != list(first):
                other = sorted(set(outputs) ^ set(first)) or ["another order"]
                raise ValueError(f"the models of width {widths[0]} and {width} call different modules: {', '.join(other[:5])}")
    modules = []
    for name, one in first.items():
        rows = [[outputs[name] for outputs in row] for row in runs]
        is_output = all(other.shape == one.shape for row in rows for other in row)
        by_step = lambda key: [[[getattr(run, key)[step] for run in row] for row in rows] for step in range(steps + 1)]
        own = by_step("own") if one.has_parameters else None
        inputs = None if one.input is None else [[run.input or 0.0 for run in row] for row in rows]
        modules.append(Module(name, one.kind, is_output, tuple(widths), inputs, by_step("size"), by_step("change"), own))
    return modules
