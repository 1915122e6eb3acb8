"""The functions `named_object` and `named_batch`, which return the object that a command-line argument names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any


def named_object(text: str) -> Any:
    """Returns the object that `MODULE:NAME` names. MODULE is a module, such as my_package.models, or a file, such as train.py."""
    module_name, colon, path = text.rpartition(":")
    if not colon or not module_name or not path:
        raise ValueError(f"{text!r}: must be MODULE:NAME, such as my_package.models:build")
    found: Any = _load_file(module_name) if module_name.endswith(".py") else importlib.import_module(module_name)
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise AttributeError(f"{module_name} has no {path!r}")
        found = getattr(found, attribute)
    return found


def named_batch(text: str) -> Any:
    """Returns the object that `MODULE:NAME` names, to be used as the input of a model.

    If the object is a function, it is called after `torch.manual_seed(0)`, and its result is returned.
    """
    import torch

    batch = named_object(text)
    if not callable(batch) or isinstance(batch, torch.nn.Module):
        return batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = batch()
    if built is None:
        raise ValueError(f"{text}() returned None: it must return the input of the model")
    return built


def _load_file(path: str) -> Any:
    name = os.path.splitext(os.path.basename(path))[0]
    # If two arguments name the same file, the file is run only once.
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == os.path.abspath(path):
        return known
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(path))
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
