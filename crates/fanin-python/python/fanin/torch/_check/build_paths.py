"""Builds a module on the eager path or on the meta path.

The eager path builds the module as usual. The meta path builds the module on the meta device, calls `to_empty`, and
then initializes the module, as FSDP and torchtitan do.
"""

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
from .fresh_memory import FreshMemory, Instruction, Pattern

#: The values of the argument `via` of `check_init`.
PATHS = ("eager", "meta")

#: The methods that initialize a whole module. `check_init` calls the first of these methods that the module has.
_METHODS = ("init_weights", "init_states", "initialize_weights")


class Built:
    """The result of one build: the module, and how it was built."""

    def __init__(self, module: nn.Module, steps: list[str], allocated: dict[int, Instruction], before: Structure | None):
        self.module = module
        #: The steps of the build, as texts such as 'to_empty(device="cpu")'. The last is the function that initialized the module.
        self.steps = steps
        #: Maps each address of allocated memory to the instruction that allocated the memory. Empty if none were recorded.
        self.allocated = allocated
        #: The ties and `requires_grad` of the tensors before the module was initialized. None if `build` itself initializes the module.
        self.before = before


class Structure:
    """Which names of a module belong to the same tensor (ties), and which tensors require gradients."""

    def __init__(self, tensors: list[NamedTensor]):
        #: Maps each name of a tensor with several names to all names of the tensor.
        self.ties = {name: frozenset(named.names) for named in tensors for name in named.names if len(named.names) > 1}
        self.trainable = {name for named in tensors if named.tensor.requires_grad for name in named.names}
        self.parameters = {name for named in tensors if named.kind == "parameter" for name in named.names}


def build_once(build: Callable[[], Any], via: str, pattern: Pattern, seed: int, recorded: bool = False) -> Built:
    """Builds and initializes a module. `pattern` fills new memory, and `seed` seeds the default generators.

    If `recorded`, the lines of code that allocate memory are recorded.
    """
    _seed(seed)
    with FreshMemory(pattern, recorded) as memory:
        with torch.device("meta") if via == "meta" else contextlib.nullcontext():
            module, init = module_and_init(build())
        before = Structure(tensors_of(module)) if via == "meta" or init is not None else None
        steps = ["build"]
        if via == "meta":
            # `to_empty` also discards the values of tensors that are not on the meta device.
            module.to_empty(device="cpu")
            steps.append('to_empty(device="cpu")')
            # `to_empty` allocated all of the memory, so the source lines recorded for the allocations are not in the user's code.
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
    """Splits `result`, the return value of `build`, into the module and the function that initializes the module.

    The function is None if `build` returned only a module.
    """
    module, init = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(module, nn.Module) or (init is not None and not callable(init)):
        raise TypeError(
            f"build() returned {type(result).__name__}: it must return a torch.nn.Module, or a module and a function that "
            "initializes it"
        )
    return module, init


def call_init(init: Callable[..., Any], module: nn.Module) -> None:
    """Calls a function that initializes a module. The module is passed if the function has a parameter without a default."""
    try:
        parameters = inspect.signature(init).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()  # type: ignore[assignment]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needs_module = any(one.kind in positional and one.default is inspect.Parameter.empty for one in parameters)
    with torch.no_grad():
        init(module) if needs_module else init()


def find_init(module: nn.Module) -> tuple[Callable[..., Any], str]:
    """Returns the function that initializes a module after `to_empty`, and the function's name.

    The function is the first method of `_METHODS` that the module has. Without such a method, the function calls
    `reset_parameters` of the module and of its submodules. Methods that need arguments are ignored.
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
    """Returns whether a method has parameters without a default."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(one.kind not in variable and one.default is inspect.Parameter.empty for one in parameters)


def _seed(seed: int) -> None:
    # Even without a GPU, `torch.manual_seed` queues the seeding of GPUs. This takes as long as building a small model.
    seed_torch = torch.manual_seed if _has_other_devices() else torch.default_generator.manual_seed
    seed_torch(seed)
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed % 2**32)


def _has_other_devices() -> bool:
    """Returns whether an accelerator such as a GPU is available, so that torch has other generators than the CPU generator."""
    backend = getattr(torch, "accelerator", torch.cuda)  # torch.accelerator is new in torch 2.6
    return bool(backend.is_available())


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """A context manager that restores the states of the default generators of torch, of Python's `random` and of NumPy."""
    numpy_random = sys.modules.get("numpy.random")
    state = random.getstate()
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        # fork_rng takes some time to find devices, so `devices` is empty if the CPU is the only device.
        with torch.random.fork_rng(devices=None if _has_other_devices() else []):
            yield
    finally:
        random.setstate(state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
