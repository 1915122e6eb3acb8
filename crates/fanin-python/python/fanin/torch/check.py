"""Finds weights that no code initialized, and loaded weights that were overwritten with random values.

>>> import torch, fanin.torch
>>> class Scale(torch.nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.scale = torch.nn.Parameter(torch.empty(8))
...         self.shift = torch.nn.Parameter(torch.zeros(8))
>>> report = fanin.torch.check_init(Scale)
>>> [(finding.name, finding.kind, finding.share) for finding in report.findings]
[('scale', 'unwritten', 1.0)]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ._check.build_paths import PATHS, generators_kept
from ._check.checkpoint_values import Checkpoint, CheckpointValues
from ._check.compare_paths import compare_paths
from ._check.path_check import Builder, Found, PathCheck
from ._check.report import KINDS, Finding, InitError, InitReport, Writer
from ._check.writers import writer_of
from ._trace.calls import line_of

__all__ = ["Finding", "InitError", "InitReport", "Writer", "assert_initialized", "check_init"]


#: The name in a finding that concerns the whole model instead of one tensor.
BUILD = "(build)"


def check_init(
    build: Callable[[], Any],
    checkpoint: Checkpoint | None = None,
    allow: str | Iterable[str] = (),
    *,
    via: str | Sequence[str] = "eager",
    seed: int = 0,
) -> InitReport:
    """Builds a module a few times, and reports faults of its initialization, such as elements that no code wrote.

    While the module is built, all new CPU memory is filled with a byte pattern. The first two builds have the same seed
    and different patterns. An element that no code wrote differs between these builds. So does an element that was
    computed from unwritten memory, or that the seed does not determine.

    The argument `via` selects the paths: "eager" and "meta" are ways to build the module. If nothing looks wrong, the
    module is built twice on each path. Otherwise there are up to two more builds on each path: one repeats the first
    build to find the cause, and one uses another seed to find out which values are random.

    The states of the default generators of torch, NumPy and Python are restored. The module is not kept.

    Parameters
    ----------
    build
        A function without arguments. `build` returns a module, or a pair (module, function). The function of the pair
        initializes the module, and gets the module if it needs an argument. `build` must build the same model every
        time.
    checkpoint
        The checkpoint that `build` loads: a safetensors file, a file of `torch.save`, a folder of such files, or a
        mapping from names to tensors. Every tensor whose name is in the checkpoint must have the values of the
        checkpoint. ValueError is raised if the checkpoint has no tensors, or if none of its names is in the module.
    allow
        Patterns of names, such as "*.cache". Findings in tensors with these names do not make the check fail.
    via
        The paths: how the module is built. "eager" calls `build`, and then the function that `build` returns, if any.
        "meta" builds the module as FSDP and torchtitan do. It calls `build` on the meta device, then
        `to_empty(device="cpu")`, and then the function that initializes the module. If `build` returns no such
        function, "meta" calls the module's `init_weights`, `init_states` or `initialize_weights`. If the module has
        none of these methods, "meta" calls `reset_parameters` of the module and all submodules. "eager,meta" uses both
        paths, and compares the names, shapes, dtypes, distributions, ties and `requires_grad` of the tensors.
    seed
        The seed of the default generators.

    Returns
    -------
    InitReport
        The findings. The printed report shows for each finding the tensor, the fraction of wrong elements, the last
        line that wrote the tensor, and what to do.

    Notes
    -----
    check_init does not find unwritten memory that is allocated by NumPy (`numpy.empty`), by another thread, or by C++
    or CUDA code that calls no operator of torch. It does not find values on which the unwritten memory has no effect,
    such as `torch.empty(8) * 0`.

    Examples
    --------
    >>> import torch, fanin.torch
    >>> report = fanin.torch.check_init(lambda: torch.nn.Linear(4, 2), via="eager,meta")
    >>> report.ok
    True
    """
    if isinstance(build, nn.Module):
        raise TypeError("build is a module that is built already: pass the function that builds it, such as a lambda")
    if not callable(build):
        raise TypeError(f"build must be a function that returns a module, got {type(build).__name__}")
    paths = _paths(via)
    if not isinstance(seed, int):
        raise TypeError(f"seed = {seed!r}: must be an integer")
    if not isinstance(allow, Iterable):
        raise TypeError(f"allow = {allow!r}: must be a pattern of names, or a list of patterns")
    patterns = [allow] if isinstance(allow, str) else list(allow)
    values = None if checkpoint is None else CheckpointValues(checkpoint)
    start = time.perf_counter()
    builder = Builder(build)
    report = InitReport()
    checks = []
    with generators_kept():
        for path in paths:
            check = PathCheck(builder, path, seed, values, moments=len(paths) > 1)
            check.run()
            checks.append(check)
        if len(checks) > 1:
            compare_paths(*checks)
    _collect(report, checks, patterns)
    report.builds, report.build_seconds = builder.builds, builder.seconds
    report.seconds = time.perf_counter() - start
    return report


def assert_initialized(
    build: Callable[[], Any],
    checkpoint: Checkpoint | None = None,
    allow: str | Iterable[str] = (),
    *,
    via: str | Sequence[str] = "eager",
    seed: int = 0,
) -> None:
    """Raises `InitError`, an AssertionError, if `check_init` has findings. For use in tests.

    The arguments are those of `check_init`.

    >>> import torch, fanin.torch
    >>> def test_model():
    ...     fanin.torch.assert_initialized(lambda: torch.nn.Linear(4, 2), via="eager,meta")
    >>> test_model()
    """
    __tracebackhide__ = True
    check_init(build, checkpoint, allow, via=via, seed=seed).raise_if_failed()


def _paths(via: str | Sequence[str]) -> list[str]:
    names = via.split(",") if isinstance(via, str) else list(via)
    paths = list(dict.fromkeys(name.strip() for name in names))
    if not paths or any(path not in PATHS for path in paths):
        raise ValueError(f'via = {via!r}: must be "eager", "meta" or "eager,meta"')
    return paths


def _collect(report: InitReport, checks: list[PathCheck], patterns: list[str]) -> None:
    """Adds the results of the checks to a report. A finding on both the eager and the meta path is added once."""
    findings: dict[tuple[str, str], Finding] = {}
    for check in checks:
        report.steps[check.via] = check.steps
        report.tensors = max(report.tensors, len(check.first.states))
        report.skipped |= {name: state.skipped for name, state in check.first.states.items() if state.skipped}
        report.notes += [note for note in check.notes if note not in report.notes]
        for found in check.found:
            finding = _finding(found, check)
            key = finding.kind, finding.name
            earlier = findings.get(key)
            if earlier is not None:
                finding = replace(
                    finding,
                    via=tuple(dict.fromkeys(earlier.via + finding.via)),
                    last_writer=finding.last_writer or earlier.last_writer,
                    allocated=finding.allocated or earlier.allocated,
                )
            findings[key] = finding
    used = set()
    for finding in findings.values():
        matching = [one for one in patterns if any(fnmatchcase(name, one) for name in finding.names)]
        used |= set(matching)
        (report.allowed if matching else report.findings).append(finding)
    report.notes += [f'allow: "{one}" matches no finding' for one in patterns if one not in used]


def _finding(found: Found, check: PathCheck) -> Finding:
    state = found.state
    remedy = KINDS[found.kind][1].format(init=check.init_text)
    if state is None:
        names = (BUILD,)
        return Finding(found.kind, BUILD, names, (check.via,), (), "", 0, 1.0, found.detail, None, None, remedy)
    elements = found.elements or state.elements
    allocated = None
    if state.allocated is not None:
        line = line_of(*state.allocated)
        allocated = Writer("torch.empty", line.file, line.line)
    return Finding(
        kind=found.kind,
        name=state.name,
        names=state.names,
        via=(check.via,),
        shape=state.shape,
        dtype=str(state.dtype).removeprefix("torch."),
        elements=elements,
        share=elements / state.elements if state.elements else 1.0,
        detail=found.detail,
        last_writer=writer_of(check.trace, state.names),
        allocated=allocated,
        remedy=remedy,
    )
