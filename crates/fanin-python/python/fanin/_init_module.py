"""The function `fanin.init_module`, which imports torch and calls `fanin.torch.init_module`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

from ._fanin import Planned, Recipe

if TYPE_CHECKING:
    import torch


def init_module(
    module: torch.nn.Module,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
) -> list[Planned]:
    """Fills the parameters and persistent buffers of a torch module from a recipe, as `fanin.torch.init_module` does.

    >>> import torch
    >>> init_module(torch.nn.Linear(16, 8), Recipe('[init]\\n"*" = "zeros"'), seed=42)[0]
    Planned(weight: F32 [8, 16] = zeros)
    """
    from .torch._init_module import init_module

    return init_module(module, recipe, seed=seed, settings=settings)
