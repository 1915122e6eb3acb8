"""Builds a module on one of two paths: eagerly, or on the meta device, from which it is materialized and initialized."""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from .._module_tensors import NamedTensor, tensors_of
from .fresh_memory import FreshMemory, Location, Pattern

#: The paths, by the names that the argument `via` has.
PATHS = ("eager", "meta")

#: The methods that initialize a whole module, in the order in which they are looked for.
_METHODS = ("init_weights", "init_states", "initialize_weights")


class Built:
    """A module that was built once."""

    def __init__(self, module: nn.Module, steps: list[str], allocated: dict[int, Location], before: Structure | None):
        self.module = module
        #: How the module was built, as texts. The last one is the function that initialized the module.
        self.steps = steps
        self.allocated = allocated
        #: The ties and gradients before the module was initialized. None if building and initializing are one step.
        self.before = before


class Structure:
    """Which names of a module are one tensor, and which parameters require gradients."""

    def __init__(self, tensors: list[NamedTensor]):
        #: For each name of a tensor, all of its names.
        self.ties = {name: frozenset(named.names) for named in tensors for name in named.names if len(named.names) > 1}
        self.trainable = {name for named in tensors if named.tensor.requires_grad for name in named.names}
        self.parameters = {name for named in tensors if named.kind == "parameter" for name in named.names}


def build_once(build: Callable[[], Any], via: str, pattern: Pattern, seed: int) -> Built:
    """Builds and initializes a module. Unwritten memory has the pattern, and all generators have the seed."""
    _seed(seed)
    with FreshMemory(pattern) as memory:
        with torch.device("meta") if via == "meta" else contextlib.nullcontext():
            module, init = module_and_init(build())
        before = Structure(tensors_of(module)) if via == "meta" or init is not None else None
        steps = ["build"]
        if via == "meta":
            # Tensors that are not on the meta device lose their values here, too.
            module.to_empty(device="cpu")
            steps.append('to_empty(device="cpu")')
            # The line that allocated the memory is the line above, which tells the user nothing.
            memory.allocated.clear()
        if init is None and via == "meta":
            init, step = find_init(module)
            steps.append(step)
        elif init is not None:
            steps.append(getattr(init, "__name__", "init"))
        if init is not None:
            call_init(init, module)
    return Built(module, steps, memory.allocated, before)


def module_and_init(result: Any) -> tuple[nn.Module, Callable[..., Any] | None]:
    """Returns the two parts of what `build` returned: a module, and a function that initializes it or None."""
    module, init = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(module, nn.Module) or (init is not None and not callable(init)):
        raise TypeError(
            f"build() returned {type(result).__name__}: it must return a torch.nn.Module, or a module and a function that "
            "initializes it"
        )
    return module, init


def call_init(init: Callable[..., Any], module: nn.Module) -> None:
    """Calls a function that initializes a module. The module is passed if the function needs an argument."""
    try:
        parameters = inspect.signature(init).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()  # type: ignore[assignment]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needs_module = any(one.kind in positional and one.default is inspect.Parameter.empty for one in parameters)
    with torch.no_grad():
        init(module) if needs_module else init()


def find_init(module: nn.Module) -> tuple[Callable[..., Any], str]:
    """Returns the function that initializes a module after `to_empty`, and its name as text.

    It is the module's own `init_weights`, `init_states` or `initialize_weights`. For a module without these methods, it calls
    `reset_parameters` of all submodules that have it.
    """
    for name in _METHODS:
        method = getattr(module, name, None)
        if callable(method) and not _required(method):
            return method, f"{name}()"

    def reset() -> None:
        for child in module.modules():
            method = getattr(child, "reset_parameters", None)
            if callable(method) and not _required(method):
                method()

    return reset, "reset_parameters() of each module"


def _required(method: Callable[..., Any]) -> bool:
    """Returns whether a method has arguments without a default."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(one.kind not in variable and one.default is inspect.Parameter.empty for one in parameters)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed % 2**32)


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Restores the states of the default generators of torch, of Python's `random` and of NumPy."""
    numpy_random = sys.modules.get("numpy.random")
    state = random.getstate()
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
