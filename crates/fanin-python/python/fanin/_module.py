"""A torch module filled from a recipe. torch is not imported here: whoever has a module has it already."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from ._fanin import Planned, Recipe, fill_address

if TYPE_CHECKING:
    import torch

#: torch's types in safetensors' spelling.
_STORED = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint64": "U64",
    "torch.uint32": "U32",
    "torch.uint16": "U16",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}

#: The types that fanin draws, as _fanin counts them.
_DRAWN = {"F32": 0, "F64": 1, "F16": 2, "BF16": 3}


def init_module(
    module: torch.nn.Module,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
) -> list[Planned]:
    """Fill a module's parameters and persistent buffers in place from a recipe, by name, on the native stream.

    `recipe` is a `Recipe`, the name of a built-in model or a file; `settings` sets its variables. The values of a
    tensor depend on the seed, its name, its shape and its type: not on the order of modules, on wrappers (the prefixes
    of DataParallel, torch.compile and FSDP do not count) or on the machine. Tied tensors take the first of their names.

    Nothing is written unless everything can be. Returns what was done, tensor by tensor.

    >>> import torch
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
    if not isinstance(recipe, Recipe):
        recipe = Recipe.read(fspath(recipe))
    tensors = _tensors(module)
    rows = [(name, _stored(name, tensor), list(tensor.shape)) for name, tensor in tensors.items()]
    planned = recipe.plan(rows, dict(settings or {}))
    for one in planned:
        _check(one.name, tensors[one.name])
    for one in planned:
        _fill(tensors[one.name], one, seed)
    return planned


def _tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What state_dict() holds, each tensor under the first of its names."""
    seen: set[int] = set()
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if hasattr(tensor, "untyped_storage") and id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def _stored(name: str, tensor: torch.Tensor) -> str:
    stored = _STORED.get(str(tensor.dtype))
    if stored is None:
        raise TypeError(f"{name}: a tensor of {tensor.dtype} cannot be initialized here")
    return stored


def _check(name: str, tensor: torch.Tensor) -> None:
    if tensor.is_meta:
        raise ValueError(f"{name} is on the meta device and has no memory: call module.to_empty(device=...) first")
    if hasattr(tensor, "device_mesh"):
        raise TypeError(f"{name} is a DTensor: fill its local part with fanin.fill(..., whole=, start=)")
    if str(tensor.layout) != "torch.strided":
        raise TypeError(f"{name} has the layout {tensor.layout}: only dense tensors are filled")


def _fill(tensor: torch.Tensor, planned: Planned, seed: int) -> None:
    import torch

    with torch.no_grad():
        if planned.integer is not None:
            tensor.fill_(planned.integer)
            return
        # Elsewhere than in the CPU's memory, or with elements in one place: by way of a copy.
        dense = tensor.device.type == "cpu" and torch._debug_has_internal_overlap(tensor) == 0
        memory = tensor if dense else torch.empty(tensor.shape, dtype=tensor.dtype)
        fill_address(
            memory.data_ptr(),
            _DRAWN[planned.dtype],
            tuple(memory.shape),
            None if memory.is_contiguous() else memory.stride(),
            planned.spec,
            seed,
            planned.name,
        )
        if memory is tensor:
            torch.autograd.graph.increment_version(tensor)
        else:
            tensor.copy_(memory)
