"""Runs a model forward and backward once, and measures its layers, parameters and loss."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .._measure import moments, observed, plain_name, tensors_of
from .._preserve import preserved
from . import peers
from .recorder import Recorder
from .records import Run, Weights
from .roles import is_transposed

Loss = Callable[..., Tensor]

#: The fields that contain the prediction in the outputs of transformers models. If an output has one of these fields,
#: the random projection in `objective` uses only this field.
_PREDICTIONS = ("logits", "last_hidden_state", "prediction_logits", "start_logits")


def run(model: nn.Module, batch: Any, loss: Loss | None, seed: int) -> Run:
    """Runs a model forward and backward once, and returns the measurements.

    Afterwards the parameters, gradients, buffers and hooks of the model, and the states of all generators, are as they were before.
    """
    began = time.perf_counter()
    inputs, targets = split(batch, loss)
    inputs, targets = copied(inputs), copied(targets)
    size = _batch_size(inputs)
    recorder = Recorder(size)
    with preserved(model):
        weights = _weights(model)
        with recorder, observed(model, recorder.leave, on_enter=recorder.enter):
            recorder.record_inputs(tensors_of(inputs))
            output = call(model, inputs)
        tensors = tensors_of(output)
        if not tensors:
            raise ValueError(f"the output of the model has no floating-point tensor: it is of type {type(output).__name__}")
        if not any(one.numel() for one in tensors):
            raise ValueError("the output of the model is empty: batch must have at least one input")
        value, scalar = objective(output, tensors, loss, targets, seed)
        recorder.is_recording = False
        result = Run(recorder.layers, recorder.residuals, recorder.attention, weights, recorder.recurrences, batch=size)
        result.loss = scalar
        _describe_logits(result, output, tensors, inputs, targets, loss)
        prediction = _prediction(output, tensors)
        result.output = recorder.layer_of(prediction)
        del output, tensors, prediction
        if value.requires_grad:
            _backward(model, value, weights)
    recorder.share_gradients()
    result.names = [plain_name(name) for name in model.state_dict(keep_vars=True)]
    first = {id(one): plain_name(name) for name, one in model.named_parameters()}
    result.first_names = {plain_name(name): first[id(one)] for name, one in model.named_parameters(remove_duplicate=False)}
    result.seconds = time.perf_counter() - began
    return result


def call(model: nn.Module, inputs: Any) -> Any:
    """Calls a model with a batch, and returns the output.

    A mapping is passed as keyword arguments, and a tuple or list as positional arguments. Any other batch is passed as one argument.
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)


def split(batch: Any, loss: Loss | None) -> tuple[Any, Any]:
    """Returns the inputs and the targets of a batch. Without a loss function, the inputs are the whole batch and the targets are None."""
    if isinstance(batch, (Iterator, DataLoader)):
        raise TypeError(f"batch is a {type(batch).__name__}: pass one batch, such as next(iter(loader))")
    if type(batch).__module__ == "numpy":
        raise TypeError(f"batch is a numpy.{type(batch).__name__}: pass tensors of torch, such as torch.from_numpy(batch)")
    if loss is None:
        return batch, None
    if not callable(loss):
        raise TypeError(f"loss = {loss!r}: must be a function of the output and the targets")
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ValueError("with a loss, batch must be a pair (inputs, targets): the loss is called as loss(output, targets)")
    return batch[0], batch[1]


def copied(value: Any) -> Any:
    """Returns a copy of a batch. In-place operations of the model then do not change the caller's tensors.

    A tensor and the tensors in mappings, lists and tuples are copied. Other objects are not copied.
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: copied(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        copies = [copied(one) for one in value]
        return type(value)(*copies) if hasattr(value, "_fields") else type(value)(copies)
    return value


def _all_tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for one in value.values() for tensor in _all_tensors(one)]
    if isinstance(value, (tuple, list)):
        return [tensor for one in value for tensor in _all_tensors(one)]
    return []


def _batch_size(inputs: Any) -> int | None:
    sizes = [tensor.shape[0] for tensor in _all_tensors(inputs) if tensor.dim()]
    return sizes[0] if sizes else None


def objective(output: Any, tensors: list[Tensor], loss: Loss | None, targets: Any, seed: int) -> tuple[Tensor, float | None]:
    """Returns the scalar tensor on which `backward()` is called, and the loss as a float, or None without a loss.

    If `loss` is None, the loss that the model returns is used. If the model returns no loss, the scalar is the sum of
    output * noise, where the noise is standard normal. The gradient of the output is then the noise.
    """
    if loss is not None:
        value = loss(output, targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(f"loss returned {_described(value)}: it must return a tensor with one value")
        return value.reshape(()), float(value.detach())
    own = _field(output, "loss")
    own = tensors[0] if own is None and len(tensors) == 1 and tensors[0].numel() == 1 else own
    if isinstance(own, Tensor) and own.numel() == 1:
        return own.reshape(()), float(own.detach())
    generator = torch.Generator().manual_seed(seed)
    projected = torch.zeros((), dtype=torch.float64)
    chosen = [_prediction(output, tensors)] if _has_prediction(output) else tensors
    for tensor in chosen:
        if tensor.requires_grad:
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(tensor.device, tensor.dtype)
            projected = projected + (tensor * noise).sum().to("cpu", torch.float64)
    return projected, None


def _described(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _field(output: Any, name: str) -> Any:
    if isinstance(output, Mapping):
        return output.get(name)
    return getattr(output, name, None) if dataclasses.is_dataclass(output) else None


def _has_prediction(output: Any) -> bool:
    return any(isinstance(_field(output, name), Tensor) for name in _PREDICTIONS)


def _prediction(output: Any, tensors: list[Tensor]) -> Tensor:
    for name in _PREDICTIONS:
        if isinstance(found := _field(output, name), Tensor):
            return found
    return tensors[0]


def _describe_logits(run: Run, output: Any, tensors: list[Tensor], inputs: Any, targets: Any, loss: Loss | None) -> None:
    """Sets `run.classes` and `run.logits` if the model is a classifier, which is a model with integer targets."""
    if run.loss is None:
        return
    labels = targets if loss is not None else _field(inputs, "labels")
    logits = _field(output, "logits") if loss is None else _prediction(output, tensors)
    if not isinstance(labels, Tensor) or not isinstance(logits, Tensor) or labels.is_floating_point() or logits.dim() < 2:
        return
    axis = _class_axis(tuple(logits.shape), tuple(labels.shape), is_torch=loss is not None)
    if axis is None or logits.shape[axis] < 2 or int(labels.max()) >= logits.shape[axis]:
        return
    run.classes = logits.shape[axis]
    run.logits = float(logits.detach().double().std(axis, correction=0).mean())


def _class_axis(logits: tuple[int, ...], labels: tuple[int, ...], is_torch: bool) -> int | None:
    """Returns the class axis of the logits: the axis that the labels do not have. None if it cannot be determined.

    If axis 1 and the last axis are both possible, `is_torch` selects axis 1, as in torch's cross_entropy. Models of
    `transformers` have the classes on the last axis.
    """
    second, last = logits[:1] + logits[2:] == labels, logits[:-1] == labels
    if second and (is_torch or not last):
        return 1
    return -1 if last or (not is_torch and len(labels) < len(logits)) else None


def _weights(model: nn.Module) -> list[Weights]:
    found = []
    roles = peers.roles(model)
    for name, parameter in model.named_parameters():
        plain = plain_name(name)
        value = parameter.detach()
        measured = moments(value) if value.is_floating_point() else moments(value.real if value.is_complex() else value.double())
        constant = value.numel() > 1 and bool((value == value.reshape(-1)[0]).all())
        weights = Weights(plain, plain.rpartition(".")[0], tuple(value.shape), measured, constant=constant)
        units = value.transpose(0, 1) if value.dim() > 1 and is_transposed(model.get_submodule(name.rpartition(".")[0])) else value
        weights.rows_are_equal = units.dim() > 1 and units.shape[0] > 1 and bool((units == units[:1]).all())
        weights.role = roles[plain]
        weights.requires_grad = parameter.requires_grad
        found.append(weights)
    return found


@contextlib.contextmanager
def _gradients_kept(value: Tensor, parameters: Sequence[Tensor]) -> Iterator[None]:
    """A context manager that restores the gradients of all leaf tensors in the graph of `value` except `parameters`.

    `value.backward()` adds to the gradients of all these leaf tensors, for example to that of a weight of the loss.
    `value.backward(inputs=parameters)` would change only the gradients of `parameters`. But reentrant activation
    checkpointing forbids the argument `inputs`.
    """
    own = {id(one) for one in parameters}
    pending, seen, leaves = [value.grad_fn], set(), []
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor) and id(leaf) not in own:
            leaves.append((leaf, leaf.grad))
            leaf.grad = None
        pending.extend(one for one, _ in node.next_functions)
    seen.clear()
    try:
        yield
    finally:
        for leaf, gradient in leaves:
            leaf.grad = gradient


def _backward(model: nn.Module, value: Tensor, weights: list[Weights]) -> None:
    """Runs the backward pass from `value`. Each parameter's gradient is measured and freed as soon as it is complete."""
    by_name = {one.name: one for one in weights}
    parameters, handles = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or not parameter.is_leaf:
            continue
        parameters.append(parameter)

        def measure(parameter: Tensor, one: Weights = by_name[plain_name(name)]) -> None:
            if parameter.grad is not None:
                gradient = parameter.grad.detach()
                one.gradient = moments(gradient.to_dense() if gradient.is_sparse else gradient)
                parameter.grad = None

        handles.append(parameter.register_post_accumulate_grad_hook(measure))
    try:
        if parameters:
            with _gradients_kept(value, parameters):
                value.backward()
    finally:
        for handle in handles:
            handle.remove()

