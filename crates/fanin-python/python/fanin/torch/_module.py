"""A module filled from a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

import torch
from torch import Tensor, nn

from .._fanin import Planned, Recipe
from ._boxes import boxes_of, local_of
from ._write import changed, check, fill

#: torch's types in safetensors' spelling.
STORED = {
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
    """Fill a module's parameters and persistent buffers in place from a recipe, by name, on the native stream.

    `recipe` is a `Recipe`, the name of a built-in model or a file; `settings` sets its variables. The values of a
    tensor depend on the seed, its name, its shape and its type: not on the order of modules, on wrappers (the prefixes
    of DataParallel, torch.compile and FSDP do not count), on the machine, or on how it is split. Tied tensors take the
    first of their names, or the one that the recipe's [tie] says. What it copies or skips stays as it is, and so do types.

    A tensor may be plain or a DTensor, of any mesh: each rank fills the part that it holds with what the whole has there
    (fans are those of the whole), and no rank talks to another. A model made on the meta device wants `to_empty` first, a
    lazy one a forward pass.

    Nothing is written unless everything can be. Returns what was done, tensor by tensor.

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
    filled = [one for one in planned if one.scheme not in ("copy", "skip")]
    for one in filled:
        check(tensors[one.name], one.name)
        boxes_of(tensors[one.name], one.name)
        if one.scheme == "arange" and hasattr(tensors[one.name], "device_mesh"):
            raise TypeError(f"{one.name} is a DTensor: arange fills whole tensors")
    for one in filled:
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
        changed(tensor)
    return planned


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """What state_dict() holds, each tensor under the first of its names."""
    seen: set[int] = set()
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor) and id(tensor) not in seen:
            if nn.parameter.is_lazy(tensor):
                raise ValueError(f"{name} has no shape yet, its module is lazy: run a forward pass first")
            seen.add(id(tensor))
            found[name] = tensor
    return found


def _stored(name: str, tensor: Tensor, recipe: Recipe) -> str:
    stored = STORED.get(tensor.dtype)
    if stored is None and not recipe.leaves(name):
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be drawn: the recipe may copy or skip it")
    return stored or str(tensor.dtype).removeprefix("torch.")
