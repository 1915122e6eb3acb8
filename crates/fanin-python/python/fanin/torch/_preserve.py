"""The context manager `preserved`, which restores a model after forward and backward passes."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ._measure import version_of

#: Maps the number of bytes of an element to an integer type. An element of complex128 (16 bytes) is viewed as two integers.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.int64}


@contextlib.contextmanager
def preserved(model: nn.Module, *, may_write: bool = False) -> Iterator[None]:
    """A context manager that restores, bit for bit, what forward and backward passes may change.

    The context restores:

    - the gradients of the parameters
    - the buffers, such as the statistics of BatchNorm
    - the attributes of the modules, such as `training`
    - the states of the generators of torch, Python and NumPy
    - whether gradients are enabled

    At the start, the context sets the gradients of the parameters to None, and enables gradients. Inside the context,
    compiled functions (torch.compile) run in eager mode, so that hooks are called.

    Parameters are not copied. If the code inside writes to a parameter, the context ends with RuntimeError. With
    `may_write`, such code is allowed.
    """
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(f"{name} has no shape yet because its module is lazy: run a forward pass first")
        if parameter.is_meta:
            raise ValueError(f"{name} is on the meta device and has no values: build the model on another device")
    modules = [_ModuleState(module) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    states = {} if may_write else {name: (parameter, _state(parameter)) for name, parameter in model.named_parameters()}
    with generators_restored(), uncompiled(), torch.enable_grad():
        try:
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            for state in modules:
                state.restore()
            for buffer, saved in buffers:
                if not _same_bits(buffer, saved):
                    buffer.data.copy_(saved)
            for parameter, gradient in gradients:
                parameter.grad = gradient
    for name, (parameter, before) in states.items():
        if _state(parameter) != before:
            raise RuntimeError(f"the forward pass of the model writes to its parameter {name}, which has new values now")


class _ModuleState:
    """A copy of the attributes of a module, and of its dicts of parameters, buffers and submodules. `restore` restores them."""

    TABLES = ("_parameters", "_buffers", "_modules")

    def __init__(self, module: nn.Module):
        self.module = module
        self.attributes: dict[str, Any] = dict(module.__dict__)
        self.tables = {name: dict(self.attributes[name]) for name in self.TABLES if name in self.attributes}

    def restore(self) -> None:
        if isinstance(self.module, torch.jit.ScriptModule):
            return
        for name, table in self.tables.items():
            _restore_dict(self.attributes[name], table)
        _restore_dict(self.module.__dict__, self.attributes)


def _restore_dict(current: dict[str, Any], saved: dict[str, Any]) -> None:
    if len(current) != len(saved) or any(current.get(name, _MISSING) is not value for name, value in saved.items()):
        current.clear()
        current.update(saved)


_MISSING = object()


def _state(parameter: Tensor) -> tuple[int, int]:
    """Returns the version counter of a parameter, and a checksum: the sum of its elements, read as integers.

    A write through `.data` does not change the version counter, but it changes the checksum.
    """
    plain = parameter.detach()
    plain = plain.to_local() if hasattr(plain, "to_local") else plain
    if plain.layout != torch.strided or plain.is_quantized:
        return version_of(parameter), 0
    values = plain.contiguous().reshape(-1).view(_INTEGERS[plain.element_size()])
    return version_of(parameter), int(values.sum(dtype=torch.int64))


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Returns whether two tensors of the same type and shape are equal, including the signs of zeros.

    Returns False if a value is NaN. `preserved` then restores the buffer even if it did not change.
    """
    return a.is_meta or torch.equal(a, b) and (not a.is_floating_point() or torch.equal(a.signbit(), b.signbit()))


@contextlib.contextmanager
def generators_restored() -> Iterator[None]:
    """A context manager that restores the states of the default generators of torch, Python and NumPy."""
    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    python = random.getstate()
    numpy = sys.modules.get("numpy")
    array = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        torch.set_rng_state(state)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(array)


def uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which compiled functions (torch.compile) run in eager mode.

    If torch._dynamo was not imported, nothing has been compiled, and the context does nothing.
    """
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")
