"""The function `init_module`, which fills a module from a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

import torch
from torch import nn

from .._fanin import Planned, Recipe
from ._module_tensors import STORED
from ._recipe_tensors import RecipeTensor, check_no_shared_elements, recipe_tensors


def init_module(
    module: nn.Module,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
) -> list[Planned]:
    """Fills a module's parameters and persistent buffers in place from a recipe.

    The values are those of the native stream. They depend on the seed, on the rule, and on the name, shape and type of
    the tensor. They do not depend on the order of modules, on the machine, or on how the tensor is split. Tensors that
    the recipe copies or skips keep their values. No tensor changes its type.

    The rules match the names of `module.state_dict()`. DataParallel, torch.compile and FSDP add prefixes to these
    names. The prefixes are removed first, so a wrapper changes neither the matching rules nor the values. If a tensor
    has several names, the name from the recipe's [tie] table is used. Without such an entry, the first name is used.

    A tensor may be a DTensor on any mesh, a parameter of FSDP1 (FullyShardedDataParallel), or a placeholder of
    DeepSpeed ZeRO-3. Each rank then fills the part that it holds, without communication. Fans are computed from the
    shape of the global tensor.

    Every tensor must have memory and a shape. If the module is on the meta device, call `module.to_empty` first. If the
    module is lazy, run a forward pass first. These cases are errors too:

    - A hook makes `state_dict` return only copies of a parameter.
    - A parameter has no elements, but its layer declares a shape with elements.

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
    tensors = recipe_tensors(module)
    planned = plan_tensors(tensors, recipe, settings)
    written = [one for one in planned if one.scheme not in ("copy", "skip")]
    for one in written:
        tensors[one.name].check(one.name, one.scheme)
    check_no_shared_elements({one.name: tensors[one.name] for one in written})
    for one in written:
        if one.spec is not None and one.integer is None:
            tensors[one.name].fill(one.spec, seed, one.source)
        else:
            tensors[one.name].set_integers(one.integer)
    return planned


def plan_tensors(
    tensors: Mapping[str, RecipeTensor], recipe: str | PathLike[str] | Recipe, settings: Mapping[str, float] | None
) -> list[Planned]:
    """Returns one `Planned` for each tensor: the rule of the recipe that matches the tensor's name, and the distribution."""
    if not isinstance(recipe, Recipe):
        recipe = Recipe.read(fspath(recipe))
    rows = [(name, _stored(name, tensor, recipe), list(tensor.shape)) for name, tensor in tensors.items()]
    return recipe.plan(rows, dict(settings or {}))


def _stored(name: str, tensor: RecipeTensor, recipe: Recipe) -> str:
    stored = STORED.get(tensor.dtype)
    if stored is None and not recipe.keeps_values(name):
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be filled: the recipe must copy or skip it")
    return stored or str(tensor.dtype).removeprefix("torch.")
