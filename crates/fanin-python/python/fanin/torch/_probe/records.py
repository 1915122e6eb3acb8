"""The records of one forward and backward pass of a model: layers, residual additions, attention, recurrent layers, parameters."""

from __future__ import annotations

import dataclasses
import math

from torch import Tensor, nn

from .._measure import Moments


@dataclasses.dataclass
class Layer:
    """One call of a module, or of a function in a module's `forward`, such as `relu` or `+`. Layers are in order of execution."""

    #: The index of this layer in `Run.layers`. Other records refer to layers by this index.
    index: int
    #: The name of the layer. The first call of the module `fc` is "fc", the second "fc#2". A function `relu` that `fc` calls is "fc:relu".
    name: str
    #: The name of the module. For a function, the name of the module that calls it.
    module: str
    #: The class of the module, or the name of the function.
    kind: str
    #: "weight" (a linear layer or a convolution), "embedding", "norm", "activation", "attention", "add", "dropout",
    #: "container", "input" (an input of the model), "tensor" (an operand of an addition), or "other". A container is a
    #: module with submodules, or a module without parameters that returns its input unchanged.
    role: str
    #: The shape of the output.
    shape: tuple[int, ...]
    #: Sums over the values of the output.
    forward: Moments
    #: The axis of the output along which the units lie: channels of a convolution, features of a linear layer.
    unit_axis: int
    #: Sums over the values of the output's gradient.
    backward: Moments | None = None
    #: The indices of the layers whose outputs this layer reads.
    sources: tuple[int, ...] = ()
    #: The index of the layer whose output this layer returns unchanged, or None.
    alias: int | None = None
    #: The name of the activation function, for layers that are or contain one.
    activation: str | None = None
    #: The fraction of output values where the slope of the activation function is less than 5 % of its greatest slope.
    saturated: float | None = None
    #: The cosine between the outputs for two inputs, averaged over all pairs in the batch, from -1 to 1.
    cosine_inputs: float | None = None
    #: The cosine between the outputs for two tokens of the same input, averaged over all such pairs, from -1 to 1.
    cosine_tokens: float | None = None
    #: The mean square of the output that mean-field theory predicts from the measured mean square of this layer's input.
    local_q: float | None = None
    #: The mean square of the output that mean-field theory predicts from the measured inputs of the model.
    theory_q: float | None = None
    #: The mean square of the output's gradient that mean-field theory predicts from the measured gradient of the model's output.
    theory_p: float | None = None
    #: The properties of the module for mean-field theory, such as the mean square of its bias: see `roles.facts_of`.
    facts: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def q(self) -> float:
        """The mean square of the output."""
        return self.forward.q

    @property
    def p(self) -> float | None:
        """The mean square of the gradient with respect to the output. None if no gradient was recorded."""
        return None if self.backward is None else self.backward.q

    @property
    def dead(self) -> float | None:
        """The fraction of dead units: units that are 0 for every input. None if the layer is not an activation."""
        return self.forward.dead_share if self.role == "activation" else None


@dataclasses.dataclass
class Residual:
    """A residual addition `stream + branch`, where the branch was computed from the stream."""

    #: The name of the module that computes the sum.
    module: str
    #: The index of the layer whose output is the sum.
    layer: int
    #: The index of the layer whose output is the residual stream.
    stream: int
    #: The index of the layer whose output is the branch.
    branch: int


@dataclasses.dataclass
class Attention:
    """One call of attention: a softmax over keys for each query. Masked keys do not count."""

    #: The name of the module that computes the attention.
    module: str
    #: The entropy of a query's probabilities divided by the entropy of equal probabilities, from 0 to 1. It is averaged
    #: over all queries.
    entropy: float
    #: The standard deviation of a query's logits over the keys, averaged over all queries.
    logits: float
    #: 1 / (number of unmasked keys of a query), averaged over the queries.
    inverse_keys: float
    #: The index of the layer whose output is the output of the attention. None unless the model calls scaled_dot_product_attention.
    layer: int | None = None


@dataclasses.dataclass
class Recurrence:
    """How the gradient changes along the time steps of one layer of torch.nn.RNN, LSTM or GRU."""

    #: The name of the module.
    module: str
    #: The index of the recurrent layer in the module: 0 for the first of `num_layers`.
    layer: int
    #: The number of time steps that were measured.
    steps: int
    #: The mean change of ln p from a time step to the step before it. p is the mean square of the recurrent state's
    #: gradient.
    gradient: float


@dataclasses.dataclass
class Weights:
    """The measurements of one parameter: the root mean square (rms) of its values and of its gradient."""

    name: str
    #: The name of the module that has the parameter.
    module: str
    shape: tuple[int, ...]
    #: Sums over the values.
    forward: Moments
    #: Sums over the values of the gradient. None if the parameter gets no gradient.
    gradient: Moments | None = None
    #: Whether all values are equal.
    constant: bool = False
    #: Whether all slices along the first axis are equal.
    rows_are_equal: bool = False
    requires_grad: bool = True
    #: A pattern that matches the parameter's name in every block, such as "h.*.mlp.weight", and the name of the
    #: module's class: see `peers.roles`.
    role: tuple[str, str] = ("", "")

    @property
    def group(self) -> tuple[str, str, tuple[int, ...]]:
        """The role and the shape. Parameters with equal groups are peers: the same parameter in different blocks."""
        return (*self.role, self.shape)

    @property
    def rms(self) -> float:
        return self.forward.rms

    @property
    def gradient_rms(self) -> float | None:
        return None if self.gradient is None else self.gradient.rms

    @property
    def ratio(self) -> float | None:
        """The rms of the gradient divided by the rms of the values.

        None without a gradient, or if the rms of the values is 0 or not finite.
        """
        if self.gradient is None or not self.rms > 0 or not math.isfinite(self.rms):
            return None
        return self.gradient.rms / self.rms


@dataclasses.dataclass
class Run:
    """The measurements of one forward and one backward pass of a model."""

    #: The layers in order of execution.
    layers: list[Layer]
    residuals: list[Residual]
    attention: list[Attention]
    weights: list[Weights]
    recurrences: list[Recurrence] = dataclasses.field(default_factory=list)
    #: The loss. None if there is no loss. The backward pass then starts from a random projection of the output.
    loss: float | None = None
    #: The number of classes, if the model is a classifier whose integer targets are known.
    classes: int | None = None
    #: The standard deviation of a prediction's logits over the classes, averaged over all predictions.
    logits: float | None = None
    #: The index of the layer whose output is the model's prediction.
    output: int | None = None
    #: The duration of the forward and backward pass in seconds, including the time of the measurements.
    seconds: float = 0.0
    #: The number of inputs in the batch.
    batch: int | None = None
    #: The names of all parameters and persistent buffers.
    names: list[str] = dataclasses.field(default_factory=list)
    #: Maps each name of a parameter to its first name. A parameter that several modules share has several names.
    first_names: dict[str, str] = dataclasses.field(default_factory=dict)


def own_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Returns the parameters of a module by name, without the parameters of its submodules."""
    return {name: parameter for name, parameter in module.named_parameters(recurse=False)}
