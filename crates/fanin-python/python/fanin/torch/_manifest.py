"""The function `manifest`, which lists the tensors of a module. The module may be on the meta device."""

from __future__ import annotations

import errno
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._fanin import canonical_name
from ._module_tensors import STORED
from ._recipe_tensors import RecipeTensor, recipe_tensors


def manifest(module: nn.Module, path: str | PathLike[str] | None = None) -> list[tuple[str, str, list[int]]]:
    """Returns (name, dtype, shape) of each parameter and persistent buffer of a module.

    `fanin.manifest` does the same for a file. No values are read, so the module can be on the meta device. There, a
    model of any size is built in seconds and takes no memory.

    The names are those of `module.state_dict()` without the prefixes of wrappers, as in `init_module`. A tensor with
    several names is listed once. If transformers saves the tensor under one of its names, this name is listed.
    Otherwise the first name is listed.

    With `path`, the manifest is also written to this file. An existing file is replaced. `fanin init --like`,
    `fanin.write_checkpoint(like=)` and `fanin recipe` read the file. For a model of transformers or timm, the file also
    has the model's configuration. `fanin recipe` derives the model's initialization from it.

    Parameters
    ----------
    module
        The module.
    path
        A file whose name ends with .json.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     module = torch.nn.Linear(16384, 53248, dtype=torch.bfloat16)
    >>> manifest(module)
    [('weight', 'BF16', [53248, 16384]), ('bias', 'BF16', [53248])]
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    file = None if path is None else _json_path(path)
    saved = _saved_names(module)
    rows = []
    for name, tensor in recipe_tensors(module).items():
        rows.append((saved.get(name, name), _stored_type(name, tensor), list(tensor.shape)))
    if file is not None:
        _write(file, rows, _configuration(module))
    return rows


def _json_path(path: str | PathLike[str]) -> Path:
    file = Path(path)
    if file.suffix != ".json" or file.name.endswith(".index.json"):
        raise ValueError(f"path = {os.fspath(path)!r}: the name of a manifest must end with .json, and not with .index.json")
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(file.parent))
    return file


def _stored_type(name: str, tensor: RecipeTensor) -> str:
    """Returns the name of a tensor's type in safetensors."""
    stored = STORED.get(tensor.dtype)
    if stored is None or tensor.tensor.layout is not torch.strided or tensor.tensor.is_quantized:
        known = ", ".join(str(one).removeprefix("torch.") for one in STORED)
        raise TypeError(
            f"{name}: {tensor.tensor.layout} tensors of {tensor.dtype} are not supported: expected dense tensors of {known}"
        )
    return stored


def _saved_names(module: nn.Module) -> dict[str, str]:
    """Maps the other names of each tied tensor to the name under which transformers saves the tensor."""
    saved: dict[str, str] = {}
    for prefix, one in module.named_modules():
        ties = one.__dict__.get("all_tied_weights_keys")
        if not isinstance(ties, dict):
            continue
        tensors = one.state_dict(keep_vars=True)
        start = f"{prefix}." if prefix else ""
        for alias, name in ties.items():
            if tensors.get(alias) is not None and tensors.get(alias) is tensors.get(name):
                saved[canonical_name(start + alias)] = canonical_name(start + name)
    return saved


def _configuration(module: nn.Module) -> str | None:
    """Returns the content of the config.json of a model of transformers or timm, or None for other models."""
    for one in module.modules():
        config: Any = one.__dict__.get("config")
        if hasattr(config, "model_type") and hasattr(config, "to_json_string"):
            return json.dumps(json.loads(config.to_json_string()))
        settings = one.__dict__.get("pretrained_cfg")
        if settings is not None and "architecture" in settings:
            return json.dumps({"architecture": settings["architecture"]})
    return None


def _write(file: Path, rows: list[tuple[str, str, list[int]]], configuration: str | None) -> None:
    """Writes a manifest with one line for each tensor. The file gets its final name only when it is complete."""
    lines = [] if configuration is None else [("__metadata__", json.dumps({"config": configuration}))]
    lines += [(name, json.dumps({"dtype": dtype, "shape": shape})) for name, dtype, shape in rows]
    text = "{" + ",\n".join(f"{json.dumps(name)}: {value}" for name, value in lines) + "}\n"
    partial = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
