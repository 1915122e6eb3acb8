"""Changes models of the transformers library temporarily, for `sharded_init`.

With these changes, `init_weights` writes the same values in one process and on any mesh.
"""

from __future__ import annotations

import torch
from torch import nn


class TransformersModels:
    """Changes the transformers models in a module, for the `with` block of `sharded_init`.

    Transformers models are models of the transformers library: the module itself, or some of its submodules.

    - transformers marks modules as initialized even on the meta device, and then skips them. The marks are removed, and
      are not restored.
    - `fully_shard` replaces the class of a model by a class that is defined in torch. transformers then treats the
      model as custom code, and skips modules without parameters of their own. Until the end of the block, the model has
      the method `is_custom_code` of its original class.
    - transformers first initializes the modules of a model, and then ties weights. But tied DTensors are still tied
      after `to_empty`, so two modules would initialize the same parameter. Only the module that transformers declares
      as the source of the tie may initialize the parameter. Until the end of the block, the other modules have a
      stand-in instead: a parameter on the meta device.
    """

    def __init__(self, module: nn.Module):
        #: The models of transformers, with their names in `module`.
        self._models = [(name, one) for name, one in module.named_modules() if isinstance(_ties(one), dict)]
        #: The models whose `is_custom_code` was set.
        self._classes: list[nn.Module] = []
        #: For each stand-in: the module that has it, the name of the attribute, the tied parameter, and the stand-in.
        self._standins: list[tuple[nn.Module, str, nn.Parameter, nn.Parameter]] = []
        self._module = module

    @property
    def standins(self) -> frozenset[int]:
        """The ids of the stand-ins, which are parameters on the meta device in place of tied parameters."""
        return frozenset(id(standin) for *_, standin in self._standins)

    def enter(self) -> None:
        """Makes the changes that the docstring of this class describes."""
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
        """Undoes the changes of `enter`, but does not restore the removed marks.

        Each stand-in (see `standins`) is replaced by the tied parameter. If other code has already replaced a stand-in
        by a new parameter, the new parameter stays.
        """
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
                        f"{names[0]} must be tied to {names[1]}, but is a separate parameter (to_empty separates tied parameters): call "
                        "init_weights() or tie_weights() of the model inside sharded_init"
                    )

    def _tied_names(self):
        """Yields the target and the source of each tie, in the form that `_owner` returns."""
        for _, model in self._models:
            for target, source in _ties(model).items():
                owners = [_owner(model, name) for name in (target, source)]
                if None not in owners:
                    yield owners


def _ties(model: nn.Module):
    """Returns a dict from the name of each tied parameter to the name of its source.

    Returns None if `model` is not a model of transformers.
    """
    return model.__dict__.get("all_tied_weights_keys")


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str] | None:
    """Returns the submodule that has the parameter `name` of a model, and the parameter's name in the submodule.

    Returns None if the model has no such parameter.
    """
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
    """Returns the class of a module, or the original class if `fully_shard`, `replicate` or a parametrization has changed it."""
    kind = type(module)
    if not kind.__module__.startswith("torch."):
        return kind
    for base in kind.__mro__[1:]:
        if not base.__module__.startswith("torch."):
            return base if base is not object else kind
    return kind
