"""init_module: fills a module from a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

import torch
from torch import Tensor, nn

from .._fanin import Planned, Recipe
from ._native_stream import check_memory, fill, increment_version
from ._regions import local_of, regions_of

#: The types of torch, and their names in safetensors.
_STORED = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}


def init_module(
    module: nn.Module,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
) -> list[Planned]:
    """Fills a module's parameters and persistent buffers in place from a recipe, by name, on the native stream.

    The values of a tensor depend on the seed and on its name, shape and type. They do not depend on the order of modules,
    on wrappers (the prefixes of DataParallel, torch.compile and FSDP are ignored), on the machine, or on how the tensor is
    split. Tied tensors are filled under the first of their names, or the one in the recipe's [tie]. Tensors that the recipe
    copies or skips keep their values. Types do not change.

    A tensor may be a DTensor on any mesh: each rank fills its own part, without communication, and fans are those of the
    global tensor. Call `to_empty` first on a model that is on the meta device, and run a forward pass of a lazy one.

    All errors are raised before a value is written.

    Parameters
    ----------
    module
        The module.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed of the native stream.
    settings
        Values of the recipe's variables.

    Returns
    -------
    list of Planned
        What was done with each tensor.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.LayerNorm(8))
    >>> recipe = Recipe('''
    ... [init]
    ... "*.bias"   = "zeros"
    ... "1.weight" = "ones"
    ... "*"        = "trunc_normal(std=1/sqrt(fan_in), a=-0.5, b=0.5)"
    ... ''')
    >>> init_module(model, recipe, seed=42)[0]
    Planned(0.weight: F32 [8, 16] = trunc_normal(std=0.25, a=-0.5, b=0.5))
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module = {module!r}: must be a torch.nn.Module")
    if not isinstance(recipe, Recipe):
        recipe = Recipe.read(fspath(recipe))
    tensors = _tensors(module)
    rows = [(name, _stored(name, tensor, recipe), list(tensor.shape)) for name, tensor in tensors.items()]
    planned = recipe.plan(rows, dict(settings or {}))
    written = [one for one in planned if one.scheme not in ("copy", "skip")]
    for one in written:
        check_memory(tensors[one.name], one.name)
        regions_of(tensors[one.name], one.name)
        if one.scheme == "arange" and hasattr(tensors[one.name], "device_mesh"):
            raise TypeError(f"{one.name} is a DTensor: arange can only fill a plain tensor")
    for one in written:
        tensor = tensors[one.name]
        if one.spec is not None and one.integer is None:
            fill(tensor, one.spec, seed, one.source)
            continue
        with torch.no_grad():
            if one.integer is not None:
                local_of(tensor).fill_(one.integer)
            elif tensor.dim() == 0:
                tensor.zero_()
            else:
                tensor.copy_(torch.arange(tensor.shape[-1], device=tensor.device).expand(tensor.shape))
        increment_version(tensor)
    return planned


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Returns the tensors of state_dict(), each under the first of its names."""
    seen: set[int] = set()
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor) and id(tensor) not in seen:
            if nn.parameter.is_lazy(tensor):
                raise ValueError(f"{name} has no shape yet because its module is lazy: run a forward pass first")
            seen.add(id(tensor))
            found[name] = tensor
    return found


def _stored(name: str, tensor: Tensor, recipe: Recipe) -> str:
    stored = _STORED.get(tensor.dtype)
    if stored is None and not recipe.leaves(name):
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be drawn: the recipe may copy or skip it")
    return stored or str(tensor.dtype).removeprefix("torch.")
