"""The class `CoordCheck`: the result of a coordinate check, with the exponents of each module and the findings."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

from .recorder import LOGITS
from .slopes import Slope, slope

#: `sizes[t][w][s]` is the root mean square after t training steps, for the width of index w and the seed of index s.
Sizes = list[list[list[float]]]


@dataclasses.dataclass(eq=False)
class Module:
    """The measurements of the output of one module call, or of the logits of one attention layer.

    A size is a root mean square (rms). h_t is the output, or the logits, after t training steps. An exponent `a` means
    that the rms is proportional to width^a.
    """

    #: The name of the module, such as "attn". The output of its second call is "attn#2". Logits that the module
    #: computes are "attn:logits".
    name: str
    #: The class of the module, or "attention logits".
    kind: str
    #: Whether the output has the same shape at all widths, like the logits of a classifier.
    has_fixed_shape: bool
    #: The widths of the models, in ascending order.
    widths: tuple[int, ...]
    #: The rms (root mean square) of the input before the first step. None if there is no floating-point input.
    #: `input[w][s]` is for the width of index w and the seed of index s.
    input: list[list[float]] | None
    #: The rms (root mean square) of the output h_t after t training steps.
    size: Sizes
    #: The rms (root mean square) of the change h_t - h_0 of the output.
    change: Sizes
    #: The rms (root mean square) of the *own change*: the effect of the updates of the module's own parameters on the
    #: output. None for modules without trainable parameters, and for modules with submodules except MultiheadAttention.
    own: Sizes | None

    @property
    def may_vanish(self) -> bool:
        """Whether the output before training may be smaller in wider models. muP allows this for attention logits and model outputs."""
        return self.has_fixed_shape or self.kind == LOGITS

    @cached_property
    def input_slope(self) -> float:
        """The exponent of the width in the power law rms(input) = c * width^a before the first step.

        0 if there is no floating-point input, or if an rms is 0.
        """
        found = None if self.input is None else slope(self.widths, self.input)
        return 0.0 if found is None else found.value

    @cached_property
    def size_slopes(self) -> list[Slope | None]:
        """The exponents of the width in the power law rms(h_t) = c * width^a, for t = 0, 1, ...

        h_t is the output, or the logits, after t training steps. An exponent is None if an rms is 0.
        """
        return [slope(self.widths, one) for one in self.size]

    @cached_property
    def change_slopes(self) -> list[Slope | None]:
        """The exponents of the width in the power law rms(h_t - h_0) = c * width^a, for t = 0, 1, ...

        h_t is the output, or the logits, after t training steps. An exponent is None if an rms is 0, as at t = 0.
        """
        return [None, *(slope(self.widths, one) for one in self.change[1:])]

    @cached_property
    def own_slopes(self) -> list[Slope | None]:
        """The exponents of the width in the power law rms(own change) = c * width^a, for t = 0, 1, ... training steps.

        The own change is the effect of the updates of the module's own parameters on the output. Its rms is in the
        attribute `own`. The exponent for t = 0 is None. Any other exponent is None if an rms is 0. All exponents are
        None if `own` is None.
        """
        if self.own is None:
            return [None] * len(self.size)
        return [None, *(slope(self.widths, one) for one in self.own[1:])]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A size (a root mean square) that depends on the width although it should not."""

    #: The `Module.name` of the module or of the logits.
    module: str
    #: The tensor whose root mean square depends on the width. "initial size" is the output before training. "change" is
    #: the change of the output by the updates of all parameters. "own change" is the change of the output by the
    #: updates of the module's own parameters.
    what: str
    #: The number of training steps after which the root mean square was measured.
    step: int
    #: The exponent of the width: the root mean square is about proportional to width^slope.
    slope: float
    #: The finding in words, with a remedy.
    text: str


@dataclasses.dataclass(repr=False)
class CoordCheck:
    """The exponents that `fanin.torch.coord_check` measured. `print` shows them as a table."""

    #: The name of the model's class.
    model: str
    #: The widths of the models, in ascending order.
    widths: tuple[int, ...]
    #: The number of models of each width. Each of these models has its own seed.
    seeds: int
    #: The number of training steps.
    steps: int
    #: The outputs of the modules and the logits of attention, in order of execution.
    modules: list[Module]
    #: "muP": there are no findings.
    #: "standard": updates grow with the width, as in the standard parametrization with one learning rate.
    #: "kernel": the updates of hidden layers vanish with the width, so wide models do not learn features.
    #: "other": anything else.
    parametrization: str
    #: The root mean squares that depend on the width although they should not. The first finding is the likely cause of
    #: the other findings.
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Returns the measurements as a dict that json.dumps accepts. Its schema is docs/coord_check.schema.json."""
        from .to_json import to_json

        return to_json(self)

    def to_html(self) -> str:
        """Returns an HTML page with the findings and the table. The page can be opened offline."""
        from .table import page

        return page(self)

    def plot(self, axes: Any = None) -> Any:
        """Draws root mean squares by width with matplotlib, which must be installed. Returns the three axes.

        Parameters
        ----------
        axes
            Three axes to draw on. The default is a new figure.
        """
        from .plot import plot

        return plot(self, axes)

    def _repr_html_(self) -> str:
        from .table import html

        return html(self)

    def __str__(self) -> str:
        from .table import terminal

        return terminal(self)

    def __repr__(self) -> str:
        return f"CoordCheck({self.model}, {len(self.modules)} modules, {self.parametrization}, {len(self.findings)} findings)"
