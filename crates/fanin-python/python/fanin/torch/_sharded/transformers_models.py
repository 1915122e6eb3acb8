"""Temporary changes to models of transformers, so that their `init_weights` does the same in one process and on any mesh."""

from __future__ import annotations

import torch
from torch import nn


class TransformersModels:
    """The models of transformers in a module, as `sharded_init` changes them for its context.

    - transformers marks a module as initialized even if the module is on the meta device, and skips modules with this mark. The
      marks are removed.
    - `fully_shard` gives a module a new class, whose module is torch's. transformers then takes the model for custom code, and
      skips modules without parameters of their own. `is_custom_code` therefore answers for the original class.
    - transformers initializes a model before it ties weights. `to_empty` keeps DTensors tied, so two modules would initialize
      the same parameter, and the last one would win. A tied name that is not the source of its weights therefore gets a
      parameter on the meta device, which is replaced by the tied parameter again at the end.
    """

    def __init__(self, module: nn.Module):
        #: The models, and the names of their modules.
        self._models = [(name, one) for name, one in module.named_modules() if isinstance(_ties(one), dict)]
        self._classes: list[nn.Module] = []
        #: For each tied name: the module that has the name, the attribute, the tied parameter, and its stand-in.
        self._standins: list[tuple[nn.Module, str, nn.Parameter, nn.Parameter]] = []
        self._module = module

    @property
    def standins(self) -> frozenset[int]:
        """The ids of the stand-ins."""
        return frozenset(id(standin) for *_, standin in self._standins)

    def enter(self) -> None:
        for one in self._module.modules():
            one.__dict__.pop("_is_hf_initialized", None)
        for _, model in self._models:
            original = original_class(model)
            if original is not type(model) and hasattr(original, "is_custom_code"):
                model.__dict__["is_custom_code"] = original.is_custom_code
                self._classes.append(model)
        for target, source in self._tied_names():
            (owner, attribute), (other, source_attribute) = target, source
            parameter = owner._parameters.get(attribute)
            if parameter is not None and parameter is other._parameters.get(source_attribute):
                standin = nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"), parameter.requires_grad)
                owner._parameters[attribute] = standin
                self._standins.append((owner, attribute, parameter, standin))

    def leave(self) -> None:
        """Undoes the changes. A tied name that the code in the context has assigned a parameter to keeps this parameter."""
        for model in self._classes:
            model.__dict__.pop("is_custom_code", None)
        for owner, attribute, parameter, standin in self._standins:
            if owner._parameters.get(attribute) is standin:
                owner._parameters[attribute] = parameter

    def check_ties(self) -> None:
        """Raises ValueError if `to_empty` has separated tied parameters, and nothing has tied them again."""
        for prefix, model in self._models:
            for target, source in _ties(model).items():
                found = [_parameter(model, name) for name in (target, source)]
                if None not in found and found[0] is not found[1]:
                    names = [f"{prefix}.{name}" if prefix else name for name in (target, source)]
                    raise ValueError(
                        f"{names[0]} must be tied to {names[1]}, but is a separate parameter, as after to_empty: call "
                        "init_weights() or tie_weights() of the model inside sharded_init"
                    )

    def _tied_names(self):
        for _, model in self._models:
            for target, source in _ties(model).items():
                owners = [_owner(model, name) for name in (target, source)]
                if None not in owners:
                    yield owners


def _ties(model: nn.Module):
    return model.__dict__.get("all_tied_weights_keys")


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str] | None:
    """Returns the module that has the parameter `name` of a model, and the name of the parameter in it. None if there is none."""
    path, _, attribute = name.rpartition(".")
    try:
        owner = model.get_submodule(path)
    except AttributeError:
        return None
    return (owner, attribute) if attribute in owner._parameters else None


def _parameter(model: nn.Module, name: str) -> nn.Parameter | None:
    owner = _owner(model, name)
    return None if owner is None else owner[0]._parameters[owner[1]]


def original_class(module: nn.Module) -> type:
    """Returns the class that a module had before `fully_shard`, `replicate` or a parametrization gave it a class of torch."""
    kind = type(module)
    if not kind.__module__.startswith("torch."):
        return kind
    for base in kind.__mro__[1:]:
        if not base.__module__.startswith("torch."):
            return base if base is not object else kind
    return kind
