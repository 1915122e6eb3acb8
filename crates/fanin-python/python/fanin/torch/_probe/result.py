"""The class `Probe`: the measurements of a model, with methods that show and save them."""

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

    `print` shows a table. A Jupyter notebook shows a page with charts.
    """

    #: The name of the model's class.
    model: str
    #: The number of values in all parameters of the model.
    parameter_count: int
    #: The number of seeds with which models were built and measured.
    seeds: int
    _analysis: Analysis
    #: Changes of the initialization that were tried on a copy of the model, and that helped.
    advice: list[Advice] = dataclasses.field(default_factory=list)
    #: All changes of `advice` as rules of one recipe. The dict maps patterns of parameter names to specs.
    rules: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order of execution.

        A layer is one call of a module, or of an activation, addition, attention or norm function. The inputs of the
        model are layers too. Each layer has `name`, `kind`, `shape`, `q` (mean square of the output), `p` (mean square
        of the output's gradient), `forward.mean`, `dead`, `saturated`, `cosine_inputs` and `cosine_tokens`. The fields
        `theory_q`, `theory_p` and `local_q` are predictions of mean-field theory.
        """
        return [one for one in self._analysis.run.layers if one.role != "tensor"]

    @property
    def trunk(self) -> list[Layer]:
        """The layers along which the depth is counted: the blocks of the model or, without blocks, its layers with weights."""
        return self._analysis.points

    @property
    def unit(self) -> str:
        """The word for one step of depth: "block" or "layer"."""
        return self._analysis.trunk.unit

    @property
    def residuals(self) -> list[Residual]:
        """The residual additions `stream + branch`. Their attributes `layer`, `stream` and `branch` are values of `Layer.index`."""
        return self._analysis.run.residuals

    @property
    def attention(self) -> list[Attention]:
        """The calls of attention, each with the `entropy` of its probabilities and the standard deviation of its `logits`."""
        return self._analysis.run.attention

    @property
    def recurrences(self) -> list[Recurrence]:
        """The measured layers of torch.nn.RNN, LSTM and GRU.

        Each has `gradient`, the mean change of ln p from a time step to the step before it. p is the mean square of the
        gradient of the layer's recurrent state.
        """
        return self._analysis.run.recurrences

    @property
    def parameters(self) -> list[Weights]:
        """The parameters. Each has `rms`, `gradient_rms` and `ratio`, which is `gradient_rms / rms`."""
        return self._analysis.run.weights

    @property
    def forward(self) -> Fit | None:
        """The slope of the signal along `trunk`, from the first layer or block to the last.

        For each layer or block, q is the mean square of the output. The slope is the mean change of ln q from one layer
        or block to the next one. None if any q is 0 or not finite, or if `trunk` has fewer than two elements.
        """
        return self._analysis.forward

    @property
    def backward(self) -> Fit | None:
        """The slope of the gradient along `trunk`, from the last layer or block to the first.

        For each layer or block, P is the sum of squares of the gradient with respect to the output. The slope is the
        mean change of ln P from one layer or block to the one before it. None if any P is 0, not finite or missing, or
        if `trunk` has fewer than two elements.
        """
        return self._analysis.backward

    @property
    def mean_field(self) -> MeanField | None:
        """The fixed point and the depth scale of mean-field theory. None unless the model is a plain stack of layers.

        A plain stack has at least three layers with weights and the same activation function between all of them. Apart from dropout
        and reshaping, it has no other layers.
        """
        return self._analysis.mean_field

    @property
    def loss(self) -> float | None:
        """The loss. None if there is no loss. The backward pass then starts from a random projection of the output."""
        return self._analysis.run.loss

    @property
    def classes(self) -> int | None:
        """The number of classes. None unless the model is a classifier whose integer targets are known."""
        return self._analysis.run.classes

    @property
    def logits_std(self) -> float | None:
        """The standard deviation of the logits over the classes, averaged over all predictions.

        None unless the model is a classifier whose integer targets are known.
        """
        return self._analysis.run.logits

    @property
    def seconds(self) -> float:
        """The duration of the measurement with the first seed, in seconds."""
        return self._analysis.run.seconds

    @property
    def findings(self) -> list[Finding]:
        """The findings: problems first, then notes."""
        return self._analysis.findings

    @property
    def ok(self) -> bool:
        """True if no problem was found. Findings that are only notes do not count."""
        return all(one.level != "problem" for one in self.findings)

    def recipe_patch(self) -> str:
        """Returns a recipe that makes the changes of `advice` and keeps all other values. Pass it to `fanin.init_module`.

        Without advice, the recipe has one rule, which keeps all values.
        """
        from .patterns import recipe

        return recipe(self.rules, self._analysis.run.names)

    def to_json(self) -> dict[str, Any]:
        """Returns the measurements as a dict that json.dumps accepts. Its schema is docs/probe.schema.json."""
        from .to_json import to_json

        return to_json(self)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Returns an HTML page with charts and tables. If `path` is given, the page is also written to that file.

        The page can be opened offline.
        """
        from .page import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def plot(self, axes: Any = None) -> Any:
        """Draws the mean squares of signal (q) and gradient (p) along the depth. Returns a pair of axes. Needs matplotlib.

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
