"""The function `param_init`, which converts a recipe to the dict that torchtitan takes as `param_init`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from torch import Tensor, nn

from .._fanin import Planned, Recipe, canonical_name
from ._init_module import plan_tensors
from ._recipe_tensors import RecipeTensor, persistent_buffers


class ParamInit:
    """A function that fills one parameter in place. `planned` contains the initializer that the recipe assigns to the parameter."""

    def __init__(self, planned: Planned, seed: int):
        self.planned = planned
        self.seed = seed

    def __call__(self, parameter: Tensor) -> None:
        """Fills the parameter. If it is a DTensor, this rank fills its own region, without communication."""
        planned = self.planned
        if planned.scheme in ("copy", "skip"):
            return
        if list(parameter.shape) != list(planned.shape):
            expected, got = tuple(planned.shape), tuple(parameter.shape)
            raise ValueError(f"{planned.name}: expected a parameter of shape {expected}, as in the model given to param_init, got {got}")
        tensor = RecipeTensor(parameter.detach())
        tensor.check(planned.name, planned.scheme)
        if planned.spec is not None and planned.integer is None:
            tensor.fill(planned.spec, self.seed, planned.source)
        else:
            tensor.set_integers(planned.integer)

    def __repr__(self) -> str:
        return f"ParamInit({self.planned!r}, seed={self.seed})"


def param_init(
    module: nn.Module,
    recipe: str | PathLike[str] | Recipe,
    *,
    seed: int = 0,
    settings: Mapping[str, float] | None = None,
) -> dict[str, dict[str, ParamInit]]:
    """Converts a recipe to torchtitan's `param_init`: for each submodule, a dict of functions that fill its parameters.

    To initialize a parameter, torchtitan looks up the parameter's local name in the `param_init` of its module. Then it
    calls the function it finds.

    The returned functions fill parameters as `init_module` does. The values are those of the native stream. Each rank
    fills only its own region of a DTensor.

    The rules match the names of `named_parameters()`. So a fused parameter has one rule, such as
    "*.wqkv.weight" = "normal(std=0.02)". The recipe must also have a rule for each persistent buffer, such as "skip".
    The functions do not fill buffers: the model's own code sets them.

    Parameters
    ----------
    module
        The whole model. Only its names, shapes and dtypes are used, so it may be on the meta device. Nothing is written to it.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed of the native stream.
    settings
        The values of the recipe's variables, by name.

    Returns
    -------
    dict
        The keys are the names of the submodules that have parameters of their own. The values are dicts from the local names
        of these parameters to functions. If several names are tied to one parameter, their functions write the same values.

    Examples
    --------
    >>> import torch, fanin
    >>> with torch.device("meta"):
    ...     model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.LayerNorm(8))
    >>> recipe = fanin.Recipe('''
    ... [init]
    ... "*.bias"   = "zeros"
    ... "1.weight" = "ones"
    ... "*"        = "normal(std=0.02)"
    ... ''')
    >>> functions = param_init(model, recipe, seed=0)
    >>> list(functions), list(functions["0"])
    (['0', '1'], ['weight', 'bias'])
    >>> weight = torch.empty(8, 16)
    >>> functions["0"]["weight"](weight)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module = {module!r}: must be a torch.nn.Module")
    tensors = _tensors(module)
    by_tensor = {id(tensors[one.name].tensor): one for one in plan_tensors(tensors, recipe, settings)}
    found: dict[str, dict[str, ParamInit]] = {}
    for prefix, child in module.named_modules():
        for name, parameter in child.named_parameters(recurse=False):
            found.setdefault(canonical_name(prefix) if prefix else "", {})[name] = ParamInit(by_tensor[id(parameter)], seed)
    return found


def _tensors(module: nn.Module) -> dict[str, RecipeTensor]:
    """Returns the parameters and persistent buffers by name. A tensor with several names is listed under the first one.

    The names are those of `named_parameters()`. The names of `state_dict()` can differ: torchtitan's `state_dict()` lists the
    parts of a fused parameter separately.
    """
    found: dict[str, RecipeTensor] = {}
    for name, tensor in [*module.named_parameters(), *persistent_buffers(module)]:
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name} has no shape yet because its module is lazy: run a forward pass first")
        found.setdefault(canonical_name(name), RecipeTensor(tensor))
    return found
