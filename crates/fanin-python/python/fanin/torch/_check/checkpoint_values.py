"""Compares the tensors of a module with the checkpoint that the function `build` has loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from .._module_tensors import is_on_meta, tensors_of

#: A safetensors file, a file of `torch.save`, a folder of such files, or a mapping from names to tensors.
Checkpoint = str | PathLike[str] | Mapping[str, Tensor]


class CheckpointValues:
    """Reads the tensors of a checkpoint by name, one at a time."""

    def __init__(self, checkpoint: Checkpoint):
        self._read: dict[str, Callable[[], Tensor]] = {}
        if isinstance(checkpoint, Mapping):
            self._add_mapping(checkpoint)
        else:
            self._add_path(checkpoint)
        if not self._read:
            what = "the mapping" if isinstance(checkpoint, Mapping) else str(checkpoint)
            raise ValueError(f"checkpoint: {what} has no tensors, so nothing can be compared")

    def _add_path(self, checkpoint: str | PathLike[str]) -> None:
        path = Path(fspath(checkpoint))
        if not path.exists():
            raise FileNotFoundError(f"checkpoint = {str(checkpoint)!r}: there is no such file or folder")
        files = _files(path)
        if not files:
            raise FileNotFoundError(f"checkpoint = {str(checkpoint)!r}: the folder has no safetensors file and no .bin or .pt file")
        for file in files:
            try:
                self._add_file(file)
            except Exception as error:
                raise ValueError(f"{file}: cannot be read as a checkpoint: {error}") from error

    def _add_file(self, file: Path) -> None:
        if file.suffix != ".safetensors":
            # Files in torch's old format, which is not a zip archive, cannot be mapped into memory.
            values = torch.load(file, map_location="cpu", mmap=is_zipfile(file), weights_only=True)
            if not isinstance(values, Mapping):
                raise TypeError(f"it has a {type(values).__name__}, expected a mapping from names to tensors")
            self._add_mapping(values)
            return
        from safetensors import safe_open

        opened = safe_open(file, framework="pt")
        for name in opened.keys():
            self._read[name] = partial(opened.get_tensor, name)

    def _add_mapping(self, values: Mapping[str, Any]) -> None:
        nested = values.get("state_dict", values.get("model", values))
        for name, value in (nested if isinstance(nested, Mapping) else values).items():
            if isinstance(value, Tensor):
                self._read[name] = value.detach

    def names(self) -> set[str]:
        return set(self._read)

    def read(self, name: str) -> Tensor:
        return self._read[name]()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    for pattern in ("*.safetensors", "pytorch_model*.bin", "*.bin", "*.pt", "*.pth"):
        if files := sorted(path.glob(pattern)):
            return files
    return []


class Difference:
    """A tensor whose values or shape differ between the module and the checkpoint."""

    def __init__(self, key: str, differing: Tensor, values: Tensor, detail: str):
        #: The name of the tensor in the checkpoint.
        self.key = key
        #: True for each element that differs from the checkpoint. All elements are True if the shapes differ.
        self.differing = differing
        #: A copy of the values in the module.
        self.values = values
        #: What differs, as a text for the report.
        self.detail = detail


def compare(module: nn.Module, checkpoint: CheckpointValues) -> tuple[dict[str, Difference], list[str], set[str]]:
    """Compares a module with a checkpoint.

    Returns three collections:
    - A dict with a `Difference` for each tensor that differs. The key is the tensor's name in the module. A tied tensor
      has several names, and the key is the first of them.
    - A list of the names of the parameters that are not in the checkpoint.
    - A set of the names in the checkpoint that are not in the module.
    """
    differences: dict[str, Difference] = {}
    absent = []
    unused = checkpoint.names()
    prefixes = _prefixes(module)
    for named in tensors_of(module):
        keys = [key for name in named.names for key in _keys(name, prefixes) if key in checkpoint.names()]
        unused -= set(keys)
        if not keys:
            if named.kind == "parameter":
                absent.append(named.name)
            continue
        if not is_on_meta(named.tensor):
            difference = _difference(named.tensor, keys[0], checkpoint.read(keys[0]))
            if difference is not None:
                differences[named.name] = difference
    return differences, absent, unused


def _prefixes(module: nn.Module) -> tuple[str, ...]:
    """Returns the `base_model_prefix` of a transformers model with a dot, such as ("bert.",), or () for other modules.

    The names in the checkpoint may have this prefix while the names in the module do not, or the reverse.
    """
    prefix = getattr(module, "base_model_prefix", "")
    return (f"{prefix}.",) if isinstance(prefix, str) and prefix else ()


def _keys(name: str, prefixes: tuple[str, ...]) -> Iterator[str]:
    """Yields the names that a tensor of the module may have in a checkpoint."""
    yield name
    for prefix in prefixes:
        yield prefix + name
        if name.startswith(prefix):
            yield name.removeprefix(prefix)


def _difference(tensor: Tensor, key: str, stored: Tensor) -> Difference | None:
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    tensor = tensor.detach().cpu()
    if tensor.shape != stored.shape:
        everywhere = torch.ones(tensor.shape, dtype=torch.bool)
        detail = f"the checkpoint has the shape {list(stored.shape)}"
        return Difference(key, everywhere, tensor.clone(), detail)
    if tensor.is_quantized or tensor.dtype.is_floating_point != stored.dtype.is_floating_point:
        # Quantization changes the values on purpose, so quantized values are not compared.
        return None
    expected = stored.to(tensor.dtype)
    differing = (tensor != expected) & ~(tensor.isnan() & expected.isnan()) if tensor.dtype.is_floating_point else tensor != expected
    if not differing.any():
        return None
    return Difference(key, differing, tensor.clone(), f"compared with {key} of the checkpoint")
