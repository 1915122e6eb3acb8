"""The function `assert_same_weights`, which compares two models bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from os import PathLike
from typing import Any, Union

import torch
from torch import nn

from .._analysis import diff
from .._fanin import canonical_name
from ._check.build_paths import generators_kept
from ._regions import is_dtensor

#: A module, a function that builds one, a checkpoint, or a mapping from names to tensors.
Weights = Union[nn.Module, Callable[[], nn.Module], str, "PathLike[str]", Mapping[str, Any]]


def assert_same_weights(first: Weights, second: Weights, *, seed: int = 0, allow: str | Iterable[str] = ()) -> None:
    """Raises AssertionError if two models do not have the same weights, bit for bit. For tests.

    The message lists the tensors that differ, with the number of changed values and the greatest difference.

    For a module, the tensors of `state_dict()` are compared. Their names are compared without the prefixes that
    DataParallel, torch.compile and FSDP add. DTensors are gathered, so all ranks must call this function.

    Parameters
    ----------
    first, second
        A module, a function without arguments that builds one, a safetensors checkpoint, or a mapping from names to tensors. A
        function is called after `torch.manual_seed(seed)`. The states of the default generators are restored afterwards.
    seed
        The seed that is set before each function is called.
    allow
        Patterns of names, such as "*.inv_freq". Tensors with these names may differ, or be missing in one of the models.

    Examples
    --------
    >>> def build():
    ...     return torch.nn.Linear(4, 2)
    >>> assert_same_weights(build, build)
    >>> assert_same_weights(build, torch.nn.Linear(4, 2))  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    AssertionError: the weights differ
    """
    __tracebackhide__ = True
    tables = [_table(weights, seed, which) for weights, which in ((first, "first"), (second, "second"))]
    report = diff(*tables)
    patterns = [allow] if isinstance(allow, str) else list(allow)
    report.tensors = [one for one in report.tensors if not any(fnmatchcase(one.name, pattern) for pattern in patterns)]
    if report.tensors:
        raise AssertionError(f"the weights differ\n{report}")


def _table(weights: Weights, seed: int, which: str) -> Any:
    """Returns what `diff` compares: a path, or a mapping from canonical names to tensors on the CPU."""
    if not isinstance(weights, nn.Module) and callable(weights):
        with generators_kept():
            torch.manual_seed(seed)
            weights = weights()
        if not isinstance(weights, nn.Module):
            raise TypeError(f"{which}: the function returned {type(weights).__name__}: it must return a torch.nn.Module")
    if not isinstance(weights, nn.Module):
        return weights
    return {canonical_name(name): _values(name, tensor) for name, tensor in weights.state_dict().items() if torch.is_tensor(tensor)}


def _values(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_meta:
        raise ValueError(f"{name} is on the meta device and has no values: build the model on another device")
    tensor = tensor.detach()
    if is_dtensor(tensor):
        tensor = tensor.full_tensor()  # type: ignore[attr-defined]
    return tensor.cpu()
