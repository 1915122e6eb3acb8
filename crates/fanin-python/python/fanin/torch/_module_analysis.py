"""The functions `verify`, `audit` and `inspect` for modules in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any

import torch
from torch import nn

from .._analysis import run_inspect, run_verify
from .._fanin import Planned, Prepared, Recipe, audit_tensors
from .._reports import Audit, Inspection, Verification
from .._sources import Native
from ._module_tensors import memory_of, stored_type
from ._native_stream import dtype_of
from ._recipe_tensors import RecipeTensor, recipe_tensors
from ._regions import is_dtensor, local_of, regions_of, view_of

#: A function that returns the address of a tensor's values, their size in bytes, and the owner of the memory.
Read = Callable[[str, RecipeTensor], tuple[int, int, Any]]


def verify(
    module: nn.Module,
    recipe: str | PathLike[str] | Recipe,
    seed: int | None = None,
    *,
    like: str | PathLike[str] | None = None,
    settings: Mapping[str, float] | None = None,
    stream: str = "native",
    alpha: float = 0.001,
    tied: bool = False,
    copy_from: str | PathLike[str] | None = None,
    partial: bool = False,
) -> Verification:
    """Checks the parameters and persistent buffers of a module against a recipe.

    The command `fanin verify` does the same for a file. The first argument is a module. The other arguments are the
    same as in `fanin.verify`. The tensors have the same names as in `fanin.init_module`. Tensors on other devices are
    copied to the CPU one at a time.

    If `seed` is given and `stream` is "native", each rank compares only its own values of a sharded tensor, without
    communication. Otherwise DTensors are gathered one at a time, so all ranks must call this function. DTensors that
    the recipe copies, and DTensors of integers, are gathered in both cases. Parameters of FSDP1 and ZeRO-3 cannot be
    gathered, and raise ValueError instead.

    Examples
    --------
    >>> import torch, fanin
    >>> recipe = fanin.Recipe('[init]\\n"*.bias" = "zeros"\\n"*" = "normal(std=0.02)"')
    >>> module = torch.nn.Sequential(torch.nn.Linear(64, 64))
    >>> _ = fanin.init_module(module, recipe, seed=7)
    >>> verify(module, recipe, seed=7).ok
    True
    >>> _ = module[0].weight.data.mul_(1.1)
    >>> [(tensor.name, tensor.bits) for tensor in verify(module, recipe, seed=7).failed]
    [('0.weight', False)]
    """
    tensors = _tensors(module)
    if not isinstance(recipe, Recipe):
        if not isinstance(recipe, (str, PathLike)):
            raise TypeError(f"recipe = {recipe!r}: must be a Recipe, the name of a built-in model, or the path of a recipe file")
        recipe = Recipe.read(fspath(recipe))
    read: Read = _memory
    if seed is not None and stream == "native" and any(map(_is_sharded, tensors.values())):
        planned = {one.name: one for one in recipe.plan(_rows(tensors), dict(settings or {}))}
        read = _Regions(planned, seed).memory
    source = _source(tensors, read)
    name = type(module).__name__
    return run_verify(source, name, recipe, seed, like, settings, stream, alpha, tied, copy_from, partial)


def audit(module: nn.Module) -> Audit:
    """Classifies the parameters and persistent buffers of a module, and reports defects.

    The command `fanin audit` does the same for a file. DTensors are gathered one at a time, so all ranks must call this
    function. Parameters of FSDP1 and ZeRO-3 raise ValueError.

    >>> import torch
    >>> module = torch.nn.Linear(64, 64)
    >>> audit(module).tensors[0].distribution
    'uniform(a=-0.125, b=0.125)'
    """
    return Audit._of(audit_tensors(_source(_tensors(module), _memory), type(module).__name__))


def inspect(
    module: nn.Module,
    recipe: str | PathLike[str] | Recipe | None = None,
    *,
    settings: Mapping[str, float] | None = None,
    spectra: bool = True,
) -> Inspection:
    """Returns moments, histograms and singular values of a module's parameters and persistent buffers.

    The other arguments are the same as in `fanin.inspect`. DTensors are gathered one at a time, so all ranks must call
    this function. Parameters of FSDP1 and ZeRO-3 raise ValueError.

    >>> import torch
    >>> report = inspect(torch.nn.LayerNorm(8))
    >>> [(tensor.name, tensor.measured.mean) for tensor in report.tensors]
    [('weight', 1.0), ('bias', 0.0)]
    """
    return run_inspect(_source(_tensors(module), _memory), type(module).__name__, recipe, settings, spectra)


def _tensors(module: nn.Module) -> dict[str, RecipeTensor]:
    """Returns the tensors of a module by name, without the prefixes that wrapper modules add."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}: fanin.verify checks files and arrays")
    return recipe_tensors(module)


def _is_sharded(tensor: RecipeTensor) -> bool:
    return tensor.shard is not None or is_dtensor(tensor.tensor)


def _memory(name: str, tensor: RecipeTensor) -> tuple[int, int, Any]:
    if tensor.shard is not None:
        raise ValueError(
            f"{name} is sharded by FSDP1 or ZeRO-3, which cannot be gathered here: verify the module with a seed, or write a "
            "checkpoint and check the file"
        )
    return memory_of(tensor.tensor)


def _rows(tensors: dict[str, RecipeTensor]) -> list[tuple[str, str, list[int]]]:
    """Returns the names, types and global shapes of tensors."""
    return [(name, stored_type(one.tensor, name), list(one.shape)) for name, one in tensors.items()]


def _source(tensors: dict[str, RecipeTensor], read: Read) -> Native:
    """Returns the tensors in the form that the Rust functions read."""
    items = list(tensors.items())
    return _rows(tensors), lambda number: read(*items[number])


class _Regions:
    """Reads sharded tensors without communication.

    Elements on other ranks are set to their expected values, so that they pass the comparison.
    """

    def __init__(self, planned: dict[str, Planned], seed: int):
        self._planned = planned
        self._seed = seed

    def memory(self, name: str, tensor: RecipeTensor) -> tuple[int, int, Any]:
        planned = self._planned[name]
        if not _is_sharded(tensor) or planned.spec is None or planned.integer is not None:
            return _memory(name, tensor)
        whole = torch.empty(tensor.shape, dtype=tensor.dtype)
        prepared = Prepared(planned.spec, tensor.shape, dtype_of(tensor.tensor, name), self._seed, planned.source)
        prepared.fill_region(whole, (0,) * whole.ndim)
        if tensor.shard is not None:
            # This rank's range may end with padding of ZeRO-3, which is not compared.
            place = whole.view(-1)[tensor.shard.start :]
            count = min(len(place), tensor.shard.memory.numel())
            place[:count] = tensor.shard.memory.detach().reshape(-1)[:count]
            return memory_of(whole)
        local = local_of(tensor.tensor).detach()
        for region in regions_of(tensor.tensor, name):
            place = whole
            for dimension, (start, size) in enumerate(zip(region.start, region.size)):
                place = torch.narrow(place, dimension, start, size)
            place.copy_(view_of(local, region))
        return memory_of(whole)
