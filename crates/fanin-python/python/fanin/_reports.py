"""Dataclasses for the results of `verify`, `audit`, `inspect` and `diff`. The command line prints the same results as JSON."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, get_type_hints

_T = TypeVar("_T")


def _read(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """Creates a dataclass from a JSON object. Ignores members that are not fields of the dataclass."""
    hints = get_type_hints(kind)
    values = {}
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        if one.name in data:
            values[one.name] = _value(hints[one.name], data[one.name])
    return kind(**values)


def _value(hint: Any, value: Any) -> Any:
    arguments = getattr(hint, "__args__", ())
    if isinstance(value, list) and arguments:
        return [_value(arguments[0], item) for item in value]
    for kind in (hint, *arguments):
        if isinstance(value, dict) and dataclasses.is_dataclass(kind):
            return _read(kind, value)  # type: ignore[arg-type]
    return value


class Report:
    """The base class of all results. `str(report)` is a table. `as_dict()` is the content of the command's `--json` output."""

    #: The column headings of the table.
    _HEAD: ClassVar[Sequence[str]] = ()
    _data: dict[str, Any]

    @classmethod
    def _of(cls: type[_T], data: dict[str, Any]) -> _T:
        report = _read(cls, data)
        report._data = data  # type: ignore[attr-defined]
        return report

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as a dict of JSON values."""
        return self._data

    def to_json(self, indent: int | None = 2) -> str:
        """Returns the result as JSON."""
        return json.dumps(self._data, indent=indent)

    def _rows(self) -> Iterator[Sequence[str]]:
        return iter(())

    def _summary(self) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        rows = list(self._rows())
        if not rows:
            return self._summary()
        widths = [max(len(row[column]) for row in [self._HEAD, *rows]) for column in range(len(self._HEAD))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [self._HEAD, *rows]]
        return "\n".join([*lines, "", self._summary()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def cells(tag: str, row: Sequence[str]) -> str:
            return "<tr>" + "".join(f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"

        rows = "".join(cells("td", row) for row in self._rows())
        table = f"<table><thead>{cells('th', self._HEAD)}</thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"{table}<p>{html.escape(self._summary())}</p>"


@dataclass(frozen=True)
class TestResult:
    """The result of one test of a tensor or of a rule."""

    #: The name of the test, such as "mean" or "zeros".
    test: str
    #: The p-value, or an upper bound of it. The p-value is the probability that correct values deviate at least as much
    #: as the tested values.
    p: float
    #: The measured and the expected value of the statistic, as text.
    text: str


@dataclass(frozen=True)
class VerifiedTensor:
    """The results of the tests of one tensor."""

    name: str
    #: The spec of the recipe's rule, with all variables replaced by their values; or "arange", "copy" or "skip".
    scheme: str
    #: The name pattern of the recipe's rule.
    rule: str
    #: Whether all tests passed.
    ok: bool
    #: Whether every value equals the value that the seed gives. None if the values were not compared.
    bits: bool | None
    tests: list[TestResult]
    #: The tests that failed.
    deviations: list[TestResult]
    #: Why the values were not checked. None if they were checked.
    unchecked: str | None = None


@dataclass(frozen=True)
class Recorded:
    """The stream and the seed in the metadata of a file."""

    stream: str
    seed: int


@dataclass(repr=False)
class Verification(Report):
    """The result of `verify`."""

    file: str
    #: Whether the tensors match the recipe.
    ok: bool
    #: The names of the tensors that the model has and the source lacks.
    missing: list[str]
    #: An upper bound for the probability of a false alarm: that any test fails although all tensors are correct.
    alpha: float
    #: The number of tests.
    tests: int
    #: The p-value below which a test fails.
    threshold: float
    tensors: list[VerifiedTensor]
    #: The failed tests of rules. A test of a rule combines all tensors that the rule matches.
    rules: list[TestResult]
    #: The stream and seed in the file's metadata. Set only if `bits` is False for a tensor, and the metadata differs
    #: from the stream and seed given to `verify`. Otherwise None.
    recorded: Recorded | None = None
    #: The names of the tensors whose values were not checked.
    unchecked: list[str] = field(default_factory=list)

    _HEAD = ("tensor", "scheme", "test", "deviation")

    def __bool__(self) -> bool:
        return self.ok

    @property
    def failed(self) -> list[VerifiedTensor]:
        """The tensors that do not match the recipe."""
        return [tensor for tensor in self.tensors if not tensor.ok]

    def raise_if_failed(self) -> None:
        """Raises AssertionError if the tensors do not match the recipe. The message lists the deviations."""
        if not self.ok:
            raise AssertionError(str(self))

    def _rows(self) -> Iterator[Sequence[str]]:
        for tensor in self.failed:
            for deviation in tensor.deviations:
                yield tensor.name, tensor.scheme, deviation.test, deviation.text
        for name in self.missing:
            yield name, "", "missing", "in the model, not in the source"
        for deviation in self.rules:
            yield "", "", deviation.test, deviation.text

    def _summary(self) -> str:
        bits = ", bits compared" if any(tensor.bits is not None for tensor in self.tensors) else ""
        missing = f", {len(self.missing)} missing" if self.missing else ""
        missing += f", {len(self.unchecked)} not checked" if self.unchecked else ""
        return (
            f"{_counted(len(self.tensors), 'tensor')}, {len(self.failed)} not as planned{missing}; {self.tests} tests{bits}; "
            f"probability of a false alarm at most {self.alpha:g}"
        )


@dataclass(frozen=True)
class AuditedTensor:
    """The classification of one tensor."""

    name: str
    dtype: str
    shape: list[int]
    #: The class of the values, such as "fresh" (freshly initialized) or "constant".
    kind: str
    #: A description of the values: a spec such as "normal(std=0.02)", a constant such as "1", or a pattern such as
    #: "sines and cosines". Empty for other kinds.
    distribution: str
    #: The schemes that give this distribution for the shape, in descending order of likelihood.
    schemes: list[str]
    problems: list[str]
    notes: list[str]
    mean: float | None
    std: float | None
    zeros: int | None


@dataclass(repr=False)
class Audit(Report):
    """The result of `audit`."""

    file: str
    #: Whether no tensor has problems.
    ok: bool
    tensors: list[AuditedTensor]

    _HEAD = ("tensor", "shape", "kind", "distribution", "possible schemes", "problems")

    def __bool__(self) -> bool:
        return self.ok

    @property
    def failed(self) -> list[AuditedTensor]:
        """The tensors with problems."""
        return [tensor for tensor in self.tensors if tensor.problems]

    def _rows(self) -> Iterator[Sequence[str]]:
        for tensor in self.tensors:
            schemes = " or ".join(tensor.schemes[:2])
            yield tensor.name, _shape(tensor.shape), tensor.kind, tensor.distribution, schemes, "; ".join(tensor.problems)

    def _summary(self) -> str:
        return f"{_counted(len(self.tensors), 'tensor')}, {len(self.failed)} with problems"


@dataclass(frozen=True)
class TensorDifference:
    """A tensor that differs between two checkpoints."""

    name: str
    #: How the tensor differs: "added", "removed", "reshaped", "retyped", "reshaped, retyped" or "changed".
    what: str
    #: The dtype and shape, such as "F32 64 x 3". If one of them differs, those of both checkpoints:
    #: "F32 64 x 3 -> BF16 64 x 3".
    kind: str
    #: Whether the values were compared as numbers. If False, only their bytes were compared.
    examined: bool
    values_changed: int | None
    #: The largest absolute difference between values at the same index.
    max: float | None
    #: The norm of the difference, divided by the norm of the first tensor.
    relative: float | None
    cosine: float | None


@dataclass(repr=False)
class Diff(Report):
    """The result of `diff`."""

    #: Whether all tensors are bitwise equal.
    same: bool
    #: The number of tensors that are bitwise equal.
    identical: int
    #: The tensors that differ.
    tensors: list[TensorDifference]

    _HEAD = ("what", "tensor", "type and shape", "values", "max |a-b|", "|a-b|/|a|", "cosine")

    def __bool__(self) -> bool:
        return self.same

    def _rows(self) -> Iterator[Sequence[str]]:
        for tensor in self.tensors:
            numbers = (tensor.max, tensor.relative, tensor.cosine)
            changed = "" if tensor.values_changed is None else str(tensor.values_changed)
            yield tensor.what, tensor.name, tensor.kind, changed, *map(_number, numbers)

    def _summary(self) -> str:
        return f"{_counted(self.identical, 'tensor')} identical, {len(self.tensors)} different"


@dataclass(frozen=True)
class Measured:
    """Statistics of a tensor's values. A statistic is None if it is undefined, for example if all values are NaN."""

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros: int | None
    nans: int | None
    infinite: int | None
    #: A histogram: the edges of its bins, the measured counts and, with a recipe, the expected counts.
    histogram: dict[str, Any]
    #: The values more than 6 standard deviations from the mean: at most 8, the farthest first. Each has an `index` and a `value`.
    outliers: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class InspectedTensor:
    """The measurements of one tensor by `inspect`."""

    name: str
    dtype: str
    shape: list[int]
    values: int
    bytes: int
    measured: Measured
    warnings: list[str]
    #: The depth of the tensor in the model, read from its name: "layer2.0.conv1.weight" has the `position` [2, 0] and
    #: the `role` "layer*.*.conv1.weight". None if no component of the dot-separated name is a number.
    depth: dict[str, Any] | None = None
    #: The recipe's plan for the tensor: `scheme`, `rule`, `distribution`, `mean`, `std`, and the bounds `low` and
    #: `high`. `std_error` is the standard error of the measured std. None without a recipe.
    planned: dict[str, Any] | None = None
    #: Statistics of the singular values. None if the singular values were not computed.
    spectrum: dict[str, Any] | None = None


@dataclass(repr=False)
class Inspection(Report):
    """The result of `inspect`."""

    file: str
    tensors: list[InspectedTensor]
    #: The warnings. Each has the name of a tensor and a text.
    warnings: list[dict[str, str]]
    #: The counts of `tensors`, `values` and `bytes` in the checkpoint. `dtypes` lists these counts for each dtype.
    totals: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)
    recipe: str | None = None

    _HEAD = ("tensor", "dtype", "shape", "mean", "std", "min", "max", "zeros")
    _page: ClassVar[str] = ""

    def to_html(self) -> str:
        """Returns the HTML page that `fanin inspect --html` writes."""
        return self._page

    def _rows(self) -> Iterator[Sequence[str]]:
        for tensor in self.tensors:
            one = tensor.measured
            zeros = "" if one.zeros is None else str(one.zeros)
            yield tensor.name, tensor.dtype, _shape(tensor.shape), *map(_number, (one.mean, one.std, one.min, one.max)), zeros

    def _summary(self) -> str:
        warnings = f", {_counted(len(self.warnings), 'warning')}" if self.warnings else ""
        return f"{_counted(len(self.tensors), 'tensor')}, {self.totals['values']:,} values{warnings}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
