"""The class `Probe`: what was measured, and how it is shown."""

from __future__ import annotations

import dataclasses
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .finding import Finding
from .fit import Fit
from .records import Attention, Layer, Recurrence, Residual, Weights
from .theory import MeanField

if TYPE_CHECKING:
    from .advice import Advice
    from .analysis import Analysis


@dataclasses.dataclass(repr=False)
class Probe:
    """The measurements of a model, as `fanin.torch.probe` returns them.

    `print` shows a table. A notebook shows a page with charts.
    """

    #: The class of the model.
    model: str
    #: The number of values of its parameters.
    parameter_count: int
    #: How many models were measured.
    seeds: int
    _analysis: Analysis
    #: Changes that were tried on a copy, and helped.
    advice: list[Advice] = dataclasses.field(default_factory=list)
    #: The rules of a recipe that make all of these changes: patterns and specs.
    rules: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order of execution: calls of modules and, between them, activation functions and additions.

        A layer has `name`, `kind`, `shape`, `q` (mean square of the output), `p` (mean square of its gradient), `forward.mean`,
        `dead`, `saturated`, `cosine_inputs`, `cosine_tokens`, and the predictions `theory_q`, `theory_p` and `local_q`.
        """
        return [one for one in self._analysis.run.layers if one.role != "tensor"]

    @property
    def trunk(self) -> list[Layer]:
        """The layers along which the depth is counted: the blocks, or the layers with weights."""
        return self._analysis.points

    @property
    def unit(self) -> str:
        """What one step of depth is: "block" or "layer"."""
        return self._analysis.trunk.unit

    @property
    def residuals(self) -> list[Residual]:
        """The additions of a branch to its stream. Their members are indices of layers."""
        return self._analysis.run.residuals

    @property
    def attention(self) -> list[Attention]:
        """The softmaxes over keys, with their entropy."""
        return self._analysis.run.attention

    @property
    def recurrences(self) -> list[Recurrence]:
        """The layers of torch.nn.RNN, LSTM and GRU: `gradient` is the change of ln p in one time step back."""
        return self._analysis.run.recurrences

    @property
    def parameters(self) -> list[Weights]:
        """The parameters, with `rms`, `gradient_rms` and `ratio`."""
        return self._analysis.run.weights

    @property
    def forward(self) -> Fit | None:
        """The slope of ln q along the depth, or None if there is none, for example because a signal is 0."""
        return self._analysis.forward

    @property
    def backward(self) -> Fit | None:
        """The slope of ln p along the depth, from the output back, or None."""
        return self._analysis.backward

    @property
    def mean_field(self) -> MeanField | None:
        """The fixed point and the depth scale of theory, for a plain stack of layers with one activation function."""
        return self._analysis.mean_field

    @property
    def loss(self) -> float | None:
        """The loss, or None if a random projection was used."""
        return self._analysis.run.loss

    @property
    def classes(self) -> int | None:
        """The number of classes of a classifier whose targets are known."""
        return self._analysis.run.classes

    @property
    def logits_std(self) -> float | None:
        """The standard deviation of the logits of one prediction."""
        return self._analysis.run.logits

    @property
    def seconds(self) -> float:
        """How long the first pass took."""
        return self._analysis.run.seconds

    @property
    def findings(self) -> list[Finding]:
        """What is wrong or worth a note, problems first."""
        return self._analysis.findings

    @property
    def ok(self) -> bool:
        """Whether no finding is a problem."""
        return all(one.level != "problem" for one in self.findings)

    def recipe_patch(self) -> str:
        """Returns a recipe that makes the changes of `advice` and keeps all other values: see `fanin.init_module`.

        Without advice, the recipe only has the rule that keeps values.
        """
        from .patterns import recipe

        return recipe(self.rules, self._analysis.run.names)

    def to_json(self) -> dict[str, Any]:
        """Returns the measurements as a dict of numbers, texts and lists. Its schema is docs/probe.schema.json."""
        from .to_json import to_json

        return to_json(self)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Returns a page with charts and tables, and writes it to the file `path`, if it is given. The page needs no network."""
        from .page import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def plot(self, axes: Any = None) -> Any:
        """Draws q and p along the depth with matplotlib, which must be installed. Returns the pair of axes.

        Parameters
        ----------
        axes
            Two axes to draw on. The default is a new figure.
        """
        from .plot import plot

        return plot(self, axes)

    def __str__(self) -> str:
        from .terminal import terminal

        return terminal(self)

    def __repr__(self) -> str:
        problems = sum(one.level == "problem" for one in self.findings)
        return f"Probe({self.model}, {len(self.layers)} layers, {problems} problems)"
