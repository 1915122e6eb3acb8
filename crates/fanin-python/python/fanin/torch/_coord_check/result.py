"""The class `CoordCheck`: exponents by module, the verdict, and how they are shown."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

from .recorder import LOGITS
from .slopes import Slope, slope

Sizes = list[list[list[float]]]


@dataclasses.dataclass(eq=False)
class Module:
    """The output of one call of a module, or the logits of an attention: sizes by step, width and seed, and their exponents.

    Sizes are root mean squares. `size[t][w][s]` is the size of h_t for the width of index w and the seed of index s.
    """

    name: str
    #: The class of the module, or "attention logits".
    kind: str
    #: Whether the output has the same shape at all widths, as the logits of a classifier have.
    has_fixed_shape: bool
    widths: tuple[int, ...]
    #: The size of the input before the first step, by width and seed, or None if the input is not of floating point.
    input: list[list[float]] | None
    size: Sizes
    #: The sizes of h_t - h_0.
    change: Sizes
    #: The sizes of the module's own change, or None if it has no parameters of its own.
    own: Sizes | None

    @property
    def may_vanish(self) -> bool:
        """Whether the initial size may fall with the width, as it does in muP for logits."""
        return self.has_fixed_shape or self.kind == LOGITS

    @cached_property
    def input_slope(self) -> float:
        """The exponent of the input before the first step, or 0 if there is none."""
        found = None if self.input is None else slope(self.widths, self.input)
        return 0.0 if found is None else found.value

    @cached_property
    def size_slopes(self) -> list[Slope | None]:
        """The exponents of |h_t| for t = 0, 1, ..., or None where a size is 0."""
        return [slope(self.widths, one) for one in self.size]

    @cached_property
    def change_slopes(self) -> list[Slope | None]:
        """The exponents of |h_t - h_0| for t = 0, 1, .... The first is None."""
        return [None, *(slope(self.widths, one) for one in self.change[1:])]

    @cached_property
    def own_slopes(self) -> list[Slope | None]:
        """The exponents of the module's own change for t = 0, 1, .... The first is None."""
        if self.own is None:
            return [None] * len(self.size)
        return [None, *(slope(self.widths, one) for one in self.own[1:])]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that depends on the width and should not."""

    module: str
    #: What depends on the width: "initial size", "own change" or "change".
    what: str
    #: After how many steps.
    step: int
    slope: float
    text: str


@dataclasses.dataclass(repr=False)
class CoordCheck:
    """The exponents that `fanin.torch.coord_check` measured. `print` shows a table."""

    #: The class of the model.
    model: str
    widths: tuple[int, ...]
    seeds: int
    steps: int
    #: The outputs of the modules, in order of execution.
    modules: list[Module]
    #: "muP" if nothing depends on the width. "standard" if updates grow as in the standard parametrization with one learning
    #: rate. "kernel" if the updates of hidden layers vanish, so a wide model does not learn features. Otherwise "other".
    parametrization: str
    #: What depends on the width, with the likely cause first.
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing depends on the width that should not."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Returns the measurements as a dict of numbers, texts and lists. Its schema is docs/coord_check.schema.json."""
        from .to_json import to_json

        return to_json(self)

    def to_html(self) -> str:
        """Returns a page with the findings and the table. It needs no network."""
        from .table import page

        return page(self)

    def plot(self, axes: Any = None) -> Any:
        """Draws the sizes by width with matplotlib, which must be installed. Returns the three axes.

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
