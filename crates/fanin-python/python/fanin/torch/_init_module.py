"""The function `init_module`, which fills a module from a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

import torch
from torch import Tensor, nn

from .._fanin import Planned, Recipe
from ._native_stream import check_memory, fill, increment_version
from ._regions import local_of, regions_of

#: The types of torch that safetensors has, and their names in safetensors.
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
    """Fills a module's parameters and persistent buffers in place. The rules of a recipe match the names of the tensors.

    The values are those of the native stream: they depend on the seed, on the rule, and on the name, shape and type of the
    tensor. They do not depend on the order of modules, on the machine, or on how the tensor is split. The prefixes that
    DataParallel, torch.compile and FSDP add to a name are ignored, so wrappers do not change the values. A tensor with several
    names is filled under the name that the recipe's [tie] table gives, or else under the first of its names. Tensors that the
    recipe copies or skips keep their values. No tensor changes its type.

    A tensor may be a DTensor on any mesh. Each rank then fills the part that it holds, without communication. Fans are computed
    from the shape of the global tensor.

    Every tensor must have memory and a shape. If the module is on the meta device, call `module.to_empty` first. If the module
    is lazy, run a forward pass first.

    All errors are raised before any value is written.

    Parameters
    ----------
    module
        The module.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed of the native stream.
    settings
        The values of the recipe's variables, by name.

    Returns
    -------
    list of Planned
        One `Planned` for each tensor: the pattern that matched its name, and how the tensor was filled.

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
    """Returns the tensors of the module's state_dict(), by name. A tensor with several names is returned once, by the first.

    Raises ValueError for the parameters of a lazy module.
    """
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
    if stored is None and not recipe.keeps_values(name):
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be drawn: the recipe may copy or skip it")
    return stored or str(tensor.dtype).removeprefix("torch.")
