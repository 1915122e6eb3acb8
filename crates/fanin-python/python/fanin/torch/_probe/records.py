"""What one pass through a model records: layers in order of execution, residual additions, attention, parameters."""

from __future__ import annotations

import dataclasses
import math

from torch import Tensor, nn

from .._measure import Moments


@dataclasses.dataclass
class Layer:
    """One call of a module, or of a function such as `relu` or `+` between modules."""

    index: int
    #: The name of the module, with "#2" for its second call. A function has the name of the module that calls it, a colon, and
    #: its own name.
    name: str
    module: str
    #: The class of the module, or the name of the function.
    kind: str
    role: str
    shape: tuple[int, ...]
    forward: Moments
    unit_axis: int
    backward: Moments | None = None
    #: The layers whose outputs this layer reads.
    sources: tuple[int, ...] = ()
    #: The layer whose output this layer returns unchanged, or None.
    alias: int | None = None
    #: The name of the activation function, for a layer with role "activation".
    activation: str | None = None
    #: The share of the values where the slope of the activation function is less than 5 % of its greatest slope.
    saturated: float | None = None
    #: The mean cosine between the outputs for two inputs of the batch, and between two tokens of an input.
    cosine_inputs: float | None = None
    cosine_tokens: float | None = None
    #: Predictions of mean-field theory: from the measured input of this layer, and from the first layer on.
    local_q: float | None = None
    theory_q: float | None = None
    theory_p: float | None = None
    #: Numbers that theory needs and that only the module knows.
    facts: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def q(self) -> float:
        """The mean square of the output."""
        return self.forward.q

    @property
    def p(self) -> float | None:
        """The mean square of the gradient of the loss with respect to the output, or None if no gradient was recorded."""
        return None if self.backward is None else self.backward.q

    @property
    def dead(self) -> float | None:
        """The share of dead units: units that are 0 for every input. None if the layer is not an activation."""
        return self.forward.dead_share if self.role == "activation" else None


@dataclasses.dataclass
class Residual:
    """An addition `stream + branch`, where the branch was computed from the stream."""

    #: The module that adds.
    module: str
    layer: int
    stream: int
    branch: int


@dataclasses.dataclass
class Attention:
    """A softmax over keys."""

    module: str
    #: The mean entropy of a row divided by that of a uniform row, in 0..=1.
    entropy: float
    #: The standard deviation of the logits of a row, averaged over the rows.
    logits: float
    #: The mean over the rows of 1 / (number of keys).
    inverse_keys: float
    #: The layer that returns the result, where it is known.
    layer: int | None = None


@dataclasses.dataclass
class Recurrence:
    """The time steps of one layer of a recurrent module such as torch.nn.LSTM."""

    module: str
    #: The number of the layer in the module.
    layer: int
    steps: int
    #: The change of ln p in one step back in time.
    gradient: float


@dataclasses.dataclass
class Weights:
    """A parameter: the rms of its values and of its gradient."""

    name: str
    module: str
    shape: tuple[int, ...]
    forward: Moments
    gradient: Moments | None = None
    #: Whether all values are equal, and whether all rows are.
    constant: bool = False
    rows_are_equal: bool = False
    requires_grad: bool = True
    #: The pattern of the names of its peers, and the class of its module: see `peers.roles`.
    role: tuple[str, str] = ("", "")

    @property
    def group(self) -> tuple[str, str, tuple[int, ...]]:
        """What peers have in common."""
        return (*self.role, self.shape)

    @property
    def rms(self) -> float:
        return self.forward.rms

    @property
    def gradient_rms(self) -> float | None:
        return None if self.gradient is None else self.gradient.rms

    @property
    def ratio(self) -> float | None:
        """The rms of the gradient divided by the rms of the values, or None if there is no such number."""
        if self.gradient is None or not self.rms > 0 or not math.isfinite(self.rms):
            return None
        return self.gradient.rms / self.rms


@dataclasses.dataclass
class Run:
    """One forward and one backward pass."""

    layers: list[Layer]
    residuals: list[Residual]
    attention: list[Attention]
    weights: list[Weights]
    recurrences: list[Recurrence] = dataclasses.field(default_factory=list)
    loss: float | None = None
    classes: int | None = None
    #: The standard deviation of the logits of one prediction, averaged over the predictions.
    logits: float | None = None
    output: int | None = None
    seconds: float = 0.0
    batch: int | None = None
    #: The names of all parameters and persistent buffers.
    names: list[str] = dataclasses.field(default_factory=list)
    #: For each name of a parameter, the first name of the same parameter.
    first_names: dict[str, str] = dataclasses.field(default_factory=dict)


def own_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Returns the parameters of a module itself, without those of its children."""
    return {name: parameter for name, parameter in module.named_parameters(recurse=False)}
