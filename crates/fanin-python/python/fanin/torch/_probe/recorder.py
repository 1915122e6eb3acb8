"""The class `Recorder`, which measures the layers of a model while the model runs.

A layer is one call of a module. Calls of some functions in the `forward` of a module are layers too: activation
functions, additions, attention functions and norms. Hooks report the calls of modules. A `TorchFunctionMode` reports
the calls of functions. Each output is measured at once, before in-place operations can change it. The recorder keeps
only weak references to tensors, so they can be freed.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .._measure import Call, moments, version_of
from . import activations, attention, cosines, recurrent
from .records import Attention, Layer, Recurrence, Residual, own_parameters
from .roles import facts_of, role_of, unit_axis_of, written_out_activation

_ADD = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
_SDPA = F.scaled_dot_product_attention
_NORMS = {F.batch_norm, F.layer_norm, F.group_norm, F.instance_norm, F.rms_norm}
_MHA = F.multi_head_attention_forward


class Recorder(TorchFunctionMode):
    """A context manager that records layers, residual additions, attention and recurrent layers.

    It records the model that runs in its `with` block.

    Parameters
    ----------
    batch
        The number of inputs in the batch, if it is known.
    """

    def __init__(self, batch: int | None):
        super().__init__()
        self.batch = batch
        self.layers: list[Layer] = []
        self.residuals: list[Residual] = []
        self.attention: list[Attention] = []
        self.recurrences: list[Recurrence] = []
        #: For each tensor that is the output of a layer: the index of the layer, and the tensor's version when it was measured.
        self._measured = WeakTensorKeyDictionary()
        #: For each tensor: the indices of the nearest recorded layers from which it was computed.
        self._origins = WeakTensorKeyDictionary()
        self._frames: list[Call] = []
        self._labels: dict[str, int] = {}
        #: False during the backward pass. Activation checkpointing then runs modules and their hooks again. These runs are not
        #: recorded.
        self.is_recording = True

    # Modules -----------------------------------------------------------------------------------------------------------

    def record_inputs(self, tensors: list[Tensor]) -> None:
        """Records each tensor of the batch as a layer with the role "input"."""
        with torch._C.DisableTorchFunction():
            for tensor in tensors:
                self._append("(input)", "", "input", "input", tensor)

    def enter(self, call: Call, inputs: list[Tensor]) -> None:
        """The hook that runs before each call of a module."""
        if self.is_recording:
            self._frames.append(call)

    def leave(self, call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """The hook that runs after each call of a module. It records the first output that has an axis."""
        if not self.is_recording:
            return
        while self._frames and self._frames.pop() != call:
            pass
        if not outputs:
            return
        with torch._C.DisableTorchFunction():
            # The first output of the whole model may be its loss, a tensor without axes. The first output with axes is recorded instead.
            self._record_module(call, inputs, next((one for one in outputs if one.dim()), outputs[0]))

    def _record_module(self, call: Call, inputs: list[Tensor], output: Tensor) -> None:
        known = self.layer_of(output)
        if known is not None:
            layer = self.layers[known]
            if layer.module == call.name and layer.name.startswith(f"{call.name}:"):
                # The module, such as nn.ReLU, called a function that is recorded as a layer. That layer gets the module's name.
                layer.name, layer.kind = call.label, type(call.module).__name__
                layer.facts |= facts_of(call.module, inputs)
                return
            role = "container" if not own_parameters(call.module) else role_of(call.module)
            self._append(call.label, call.name, type(call.module).__name__, role, output, alias=known)
            return
        name = written_out_activation(call.module)
        role = "activation" if name else role_of(call.module)
        layer = self._append(call.label, call.name, type(call.module).__name__, role, output, module=call.module)
        layer.activation = name
        layer.facts |= facts_of(call.module, inputs)
        if isinstance(call.module, nn.RNNBase):
            self.recurrences += recurrent.measure(call.module, call.name, inputs)
            if call.module.mode == "RNN_TANH":
                layer.activation, layer.saturated = "tanh", activations.saturated_share("tanh", output)

    # Functions ---------------------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.is_recording or getattr(func, "__name__", "") in ("__get__", "__set__"):
            return func(*args, **kwargs)
        is_inside_activation = bool(self._frames) and written_out_activation(self._frames[-1].module) is not None
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        # torch.cat and torch.stack take their tensors in a list, so the tensors in lists are added.
        lists = (one for one in args if isinstance(one, (list, tuple)))
        tensors += [one for each in lists for one in each if isinstance(one, Tensor)]
        origins = self._origins_of(tensors)
        operands = self._operands(args) if func in _ADD and not is_inside_activation else None
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and is_inside_activation:
            self._set_origins(result, origins)
        elif isinstance(result, Tensor):
            self._record_function(func, args, kwargs, tensors, operands, origins, result)
        elif isinstance(result, (tuple, list)):
            for one in result:
                if isinstance(one, Tensor):
                    self._set_origins(one, origins)
            if func is _MHA and result and isinstance(result[0], Tensor):
                self._record_attention(attention.of_multi_head(args, kwargs), result[0])
        return result

    def _record_function(
        self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], operands: Any, origins: Any, result: Tensor
    ) -> None:
        self._set_origins(result, origins)
        if not result.is_floating_point() or not origins:
            return
        if operands is not None:
            self._record_addition(operands, result)
        elif func in activations.FUNCTIONS and self._frames:
            self._record_activation(activations.FUNCTIONS[func], args, kwargs, result)
        elif func in _NORMS and self._frames and next(self._frames[-1].module.children(), None) is not None:
            # Only norms in modules with submodules, such as timm's BatchNormAct2d, are recorded here. A module without
            # submodules, such as nn.LayerNorm, is recorded as a whole.
            self._append_function("norm", "norm", result).facts |= facts_of(self._frames[-1].module, [])
        elif func in activations.SOFTMAX and tensors:
            self._record_attention(attention.of_softmax(tensors[0], result, args, kwargs), result)
        elif func is _SDPA:
            self._record_attention(attention.of_dot_product(args, kwargs), result)

    def _operands(self, args: Any) -> tuple[int, int] | None:
        """Returns the indices of the two layers whose outputs are the operands of an addition.

        If an operand is not the output of a layer, it is first recorded as a new layer. This happens before the
        addition, because an in-place addition overwrites an operand. Returns None unless the operands have the same
        shape with at least two axes, and were computed from outputs of recorded layers.
        """
        if len(args) != 2 or not all(isinstance(one, Tensor) and one.is_floating_point() for one in args):
            return None
        a, b = args
        if a.shape != b.shape or a.dim() < 2 or not self._origins.get(a) or not self._origins.get(b):
            return None
        return self._measure(a), self._measure(b)

    def _measure(self, tensor: Tensor) -> int:
        """Returns the index of the layer whose output is this tensor. If there is none, first records the tensor as a new layer."""
        known = self.layer_of(tensor)
        return self._append_function("tensor", "tensor", tensor).index if known is None else known

    def _record_addition(self, operands: tuple[int, int], result: Tensor) -> None:
        a, b = operands
        layer = self._append_function("add", "add", result)
        layer.sources = (a, b)
        if self._descends(b, a):
            self.residuals.append(Residual(layer.module, layer.index, stream=a, branch=b))
        elif self._descends(a, b):
            self.residuals.append(Residual(layer.module, layer.index, stream=b, branch=a))
        elif {self.layers[one].role for one in (a, b)} & {"norm", "weight"} and self._have_a_common_source(a, b):
            # The shortcut has a projection, as in the first block of a ResNet stage. The branch is the longer of the two paths.
            stream, branch = (a, b) if self._path_length(a) < self._path_length(b) else (b, a)
            self.residuals.append(Residual(layer.module, layer.index, stream=stream, branch=branch))

    def _record_activation(self, name: str, args: Any, kwargs: Any, result: Tensor) -> None:
        layer = self._append_function(name, "activation", result)
        layer.activation = name
        source = args[0] if args else kwargs.get("input")
        # Masked logits, which are at or below MASKED, do not count. After an in-place activation, `source` is the
        # output. All values then count.
        is_open = source.detach() > attention.MASKED if isinstance(source, Tensor) and source.shape == result.shape else None
        layer.saturated = activations.saturated_share(name, result, is_open)
        if name == "leaky_relu":
            slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
            layer.facts["slope"] = float(slope)

    def _record_attention(self, sample: attention.Sample | None, result: Tensor) -> None:
        if sample is None:
            return
        module = self._frames[-1].name if self._frames else ""
        layer = self._append_function("attention", "attention", result).index if sample.is_whole else None
        if layer is not None and sample.value_q is not None:
            self.layers[layer].facts |= {"value_q": sample.value_q, "value_cosine": sample.value_cosine or 0.0}
            self.layers[layer].facts["inverse_keys"] = sample.inverse_keys
        self.attention.append(Attention(module, sample.entropy, sample.logits, sample.inverse_keys, layer))

    # Layers ------------------------------------------------------------------------------------------------------------

    def _append_function(self, name: str, role: str, result: Tensor) -> Layer:
        module = self._frames[-1].name if self._frames else ""
        label = f"{module}:{name}"
        number = self._labels[label] = self._labels.get(label, 0) + 1
        return self._append(label if number == 1 else f"{label}#{number}", module, name, role, result)

    def _append(
        self,
        name: str,
        module_name: str,
        kind: str,
        role: str,
        output: Tensor,
        *,
        module: nn.Module | None = None,
        alias: int | None = None,
    ) -> Layer:
        index = len(self.layers)
        if alias is not None:
            base = self.layers[alias]
            layer = Layer(index, name, module_name, kind, role, base.shape, base.forward, base.unit_axis, alias=alias)
            layer.sources = (alias,)
            layer.cosine_inputs, layer.cosine_tokens = base.cosine_inputs, base.cosine_tokens
            self.layers.append(layer)
            return layer
        sources = tuple(sorted(self._origins.get(output) or ()))
        inherited = next((self.layers[one] for one in sources if len(self.layers[one].shape) == output.dim()), None)
        axis = -1 if role == "attention" else unit_axis_of(module, output, None if inherited is None else inherited.unit_axis)
        measured = moments(output, unit_axis=axis if output.dim() else None, batch=self.batch, count_zeros=role == "activation")
        layer = Layer(index, name, module_name, kind, role, tuple(output.shape), measured, axis, sources=sources)
        layer.cosine_inputs = cosines.of_inputs(output, self.batch)
        layer.cosine_tokens = cosines.of_tokens(output, axis, self.batch)
        self.layers.append(layer)
        self._measured[output] = (index, version_of(output))
        self._origins[output] = frozenset({index})
        if output.requires_grad:
            output.register_hook(functools.partial(self._on_gradient, layer))
        return layer

    def _on_gradient(self, layer: Layer, gradient: Tensor) -> None:
        measured = moments(gradient, batch=self.batch)
        if layer.backward is None:
            layer.backward = measured

    def share_gradients(self) -> None:
        """Sets the gradient of layers that return the unchanged output of an earlier layer, such as nn.Identity.

        The gradient is copied from the earlier layer. Must be called after the backward pass.
        """
        for layer in self.layers:
            if layer.alias is not None:
                layer.backward = self.layers[layer.alias].backward

    def layer_of(self, tensor: Tensor) -> int | None:
        """Returns the index of the layer whose output is the given tensor.

        Returns None if there is no such layer, or if the tensor has been changed in place since it was measured.
        """
        known = self._measured.get(tensor)
        return known[0] if known is not None and known[1] == version_of(tensor) else None

    # Origins: the layers that a tensor was computed from -----------------------------------------------------------------

    def _origins_of(self, tensors: list[Tensor]) -> frozenset[int]:
        found: frozenset[int] = frozenset()
        for tensor in tensors:
            found |= self._origins.get(tensor) or frozenset()
        return found

    def _set_origins(self, tensor: Tensor, origins: frozenset[int]) -> None:
        if origins and self.layer_of(tensor) is None:
            self._origins[tensor] = origins

    def _sources(self, index: int) -> tuple[int, ...]:
        return self.layers[index].sources

    def _descends(self, index: int, ancestor: int) -> bool:
        """Returns whether the layer `index` was computed, directly or through other layers, from the layer `ancestor`."""
        ancestor = self._base(ancestor)
        pending, seen = [self._base(index)], set()
        while pending:
            one = pending.pop()
            for source in self._sources(one):
                source = self._base(source)
                if source == ancestor:
                    return True
                if source > ancestor and source not in seen:
                    seen.add(source)
                    pending.append(source)
        return False

    def _base(self, index: int) -> int:
        alias = self.layers[index].alias
        return index if alias is None else alias

    def _path(self, index: int) -> list[int]:
        """Returns at most 200 indices: a layer, its first source, the first source of that source, and so on."""
        path = [index]
        while self._sources(path[-1]) and len(path) < 200:
            path.append(self._sources(path[-1])[0])
        return path

    def _have_a_common_source(self, a: int, b: int) -> bool:
        return bool(set(self._path(a)) & set(self._path(b)))

    def _path_length(self, index: int) -> int:
        return len(self._path(index))
