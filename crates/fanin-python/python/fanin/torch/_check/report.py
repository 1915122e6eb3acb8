"""The result of `check_init`: the class `InitReport` with its findings, shown as text, HTML or JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: For each kind of finding, two texts: what is wrong, and what to do. "{init}" is replaced by `PathCheck.init_text`,
#: such as " (init_weights())".
KINDS = {
    "unwritten": (
        "depends on unwritten memory",
        "No code wrote these elements, or they were computed from memory that no code wrote. Write them where the tensor is "
        "created, or in the function that initializes the module{init}. If a buffer is meant to stay empty, pass its name to "
        "`allow`.",
    ),
    "meta": (
        "still on the meta device",
        "The tensor has no memory. Create it in the function that initializes the module{init}, or register it as a buffer "
        "or parameter, so that to_empty gives it memory.",
    ),
    "drawn": (
        "drawn again although the checkpoint has it",
        "A random initializer ran after the checkpoint was loaded. Load the checkpoint last, or skip parameters that are "
        "loaded (transformers: use torch.nn.init or transformers.initialization in _init_weights, not parameter.data).",
    ),
    "changed": (
        "differs from the checkpoint",
        "The tensor was overwritten after the checkpoint was loaded, or the checkpoint's values were not loaded into it. Load the "
        "checkpoint last, and compare the names in the checkpoint with those of the module.",
    ),
    "nondeterministic": (
        "differs between two equal builds",
        "There is no verdict on these elements. The build uses a generator that no seed reaches (numpy.random.default_rng(), "
        "torch.Generator().seed(), os.urandom) or depends on time or on the order of a set: pass a seed.",
    ),
    "non_finite": (
        "has NaN or infinite values",
        "Check the arguments of the initializer: a logarithm of 0, a division by 0, an overflow in a dtype of few bits.",
    ),
    "distribution": (
        "has another distribution on the meta path",
        "The constructor and the function that initializes the module{init} do not agree. Let the constructor call this "
        "function.",
    ),
    "missing": (
        "is missing on the meta path",
        "Both paths must register the same parameters and buffers.",
    ),
    "requires_grad": (
        "lost requires_grad",
        "The parameter was replaced without its flag. Set requires_grad again, or write to parameter.data instead of creating "
        "a new parameter.",
    ),
    "tie": (
        "is no longer tied",
        "Tie the parameters again after to_empty (transformers: tie_weights()), because to_empty gives each name its own memory.",
    ),
    "same_draws": (
        "has the same random draws as another parameter",
        "Two parameters were drawn from the same generator state, or a module was copied after it was initialized "
        "(copy.deepcopy, torch.nn.TransformerEncoder). Initialize the copies again, or pass allow=[...] if they must be equal.",
    ),
}


#: The kinds of findings for which the number of wrong elements is shown.
_COUNTED = ("unwritten", "drawn", "changed", "nondeterministic")

#: The greatest number of findings of one kind that a report shows as text.
_ROWS = 40


class InitError(AssertionError):
    """Raised by `InitReport.raise_if_failed` and `assert_initialized`. The message lists the findings."""

    # Tracebacks then show the class as fanin.torch.InitError, which is the name under which users import it.
    __module__ = "fanin.torch"


@dataclass(frozen=True)
class Writer:
    """The last operation that wrote to a tensor. If nothing wrote to the tensor, the operation that allocated it."""

    #: What was called, such as "normal(std=0.02)" or "torch.empty".
    initializer: str
    #: The source file and the line of the call.
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.initializer} at {self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one tensor."""

    #: One of "unwritten", "meta", "drawn", "changed", "nondeterministic", "non_finite", "distribution", "missing",
    #: "requires_grad", "tie" and "same_draws".
    kind: str
    #: The first name of the tensor, or "(build)" for a finding that concerns the whole model.
    name: str
    #: All names of the tensor. Tied parameters have several.
    names: tuple[str, ...]
    #: The paths on which the finding occurs: "eager" or "meta" (see `check_init`), or both.
    via: tuple[str, ...]
    shape: tuple[int, ...]
    #: The dtype as text, such as "float32".
    dtype: str
    #: The number of elements that are wrong.
    elements: int
    #: `elements` divided by the number of elements of the tensor, between 0 and 1.
    share: float
    #: Details of the finding as text, such as the other tensor of a lost tie. May be empty.
    detail: str
    #: The last operation that wrote to the tensor, if it is known.
    last_writer: Writer | None
    #: The line that allocated the tensor's memory, if it is known.
    allocated: Writer | None
    #: What to do.
    remedy: str

    @property
    def title(self) -> str:
        """What is wrong, as text."""
        return KINDS[self.kind][0]

    def __str__(self) -> str:
        return f"{self.name}: {self.title}: {self._row()[1]}"

    def _row(self) -> tuple[str, str]:
        """Returns two texts: the tensor's name, dtype and shape; and the details of the finding."""
        if not self.dtype:
            return self.name, self.detail
        known = [f"{self.elements} elements ({self.share:.2%})" if self.share < 1 else "all elements"]
        if len(self.names) > 1:
            known.append(f"also named {', '.join(self.names[1:])}")
        if self.detail:
            known.append(self.detail)
        if self.last_writer is not None:
            known.append(f"last writer: {self.last_writer}")
        elif self.kind == "unwritten":
            known.append("no code wrote it" if self.allocated is None else f"allocated at {self.allocated.file}:{self.allocated.line}")
        if self.kind not in _COUNTED:
            del known[0]
        return f"{self.name} {self.dtype}{list(self.shape)}", "; ".join(known)

    def as_dict(self) -> dict[str, Any]:
        """Returns the finding as a dict of JSON values."""
        writer, allocated = self.last_writer, self.allocated
        return {
            "kind": self.kind,
            "title": self.title,
            "name": self.name,
            "names": list(self.names),
            "via": list(self.via),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "elements": self.elements,
            "share": self.share,
            "detail": self.detail,
            "last_writer": None if writer is None else vars(writer) | {},
            "allocated": None if allocated is None else {"file": allocated.file, "line": allocated.line},
            "remedy": self.remedy,
        }


@dataclass
class InitReport:
    """The result of `check_init`: the findings, and how the module was checked. `bool(report)` is True if there are no findings."""

    #: Everything that is wrong.
    findings: list[Finding] = field(default_factory=list)
    #: Findings in tensors whose names match the argument `allow`. These findings do not make the check fail.
    allowed: list[Finding] = field(default_factory=list)
    #: The names of tensors that could not be examined, with the reasons.
    skipped: dict[str, str] = field(default_factory=dict)
    #: Remarks that are not findings, such as patterns of `allow` that match no finding.
    notes: list[str] = field(default_factory=list)
    #: The steps by which the module was built, as text, for "eager" and for "meta".
    steps: dict[str, str] = field(default_factory=dict)
    #: The number of tensors of the module.
    tensors: int = 0
    #: The number of times that `build` was called.
    builds: int = 0
    #: The duration of the check, in seconds.
    seconds: float = 0.0
    #: The time that `build` took, in seconds. It is included in `seconds`.
    build_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def __bool__(self) -> bool:
        """Whether there are no findings."""
        return self.ok

    def of_kind(self, kind: str) -> list[Finding]:
        """Returns the findings of one kind, such as "unwritten"."""
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r}: must be one of {', '.join(KINDS)}")
        return [finding for finding in self.findings if finding.kind == kind]

    def raise_if_failed(self) -> None:
        """Raises `InitError` if there are findings. The error message lists the findings."""
        __tracebackhide__ = True
        if self.findings:
            raise InitError(str(self))

    def __str__(self) -> str:
        lines = []
        for kind, via in dict.fromkeys((finding.kind, finding.via) for finding in self.findings):
            group = [finding for finding in self.findings if (finding.kind, finding.via) == (kind, via)]
            tensors = "1 tensor" if len(group) == 1 else f"{len(group)} tensors"
            lines.append(f"{KINDS[kind][0]}: {tensors} ({' and '.join(via)} path)")
            rows = [finding._row() for finding in group[:_ROWS]]
            width = max(len(tensor) for tensor, _ in rows)
            lines += [f"    {tensor:{width}}  {known}".rstrip() for tensor, known in rows]
            if len(group) > _ROWS:
                lines.append(f"    ... {len(group) - _ROWS} more")
            lines += [f"  -> {remedy}" for remedy in dict.fromkeys(finding.remedy for finding in group)]
        lines += [f"not examined: {name}: {reason}" for name, reason in self.skipped.items()]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, self._summary()])

    __repr__ = __str__

    def _summary(self) -> str:
        paths = "; ".join(f"{via}: {steps}" for via, steps in self.steps.items())
        count = len(self.findings)
        result = "no findings" if not count else "1 finding" if count == 1 else f"{count} findings"
        allowed = f", {len(self.allowed)} allowed" if self.allowed else ""
        return f"{self.tensors} tensors, {result}{allowed} ({self.builds} builds, {self.seconds:.1f} s; {paths})"

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as a dict of JSON values."""
        return {
            "ok": self.ok,
            "tensors": self.tensors,
            "findings": [finding.as_dict() for finding in self.findings],
            "allowed": [finding.as_dict() for finding in self.allowed],
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
            "steps": dict(self.steps),
            "builds": self.builds,
            "seconds": self.seconds,
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Returns the report as JSON."""
        return json.dumps(self.as_dict(), indent=indent)

    def _repr_html_(self) -> str:
        rows = "".join(_row(finding) for finding in self.findings)
        heads = "".join(f"<th style='text-align:left'>{head}</th>" for head in ("tensor", "what", "elements", "written", "remedy"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"{table}<p>{html.escape(self._summary())}</p>"


def _row(finding: Finding) -> str:
    writer = finding.last_writer or finding.allocated
    cells: Sequence[str] = (
        f"{finding.name} {list(finding.shape)} {finding.dtype}",
        finding.title + (f": {finding.detail}" if finding.detail else ""),
        f"{finding.share:.2%}",
        "" if writer is None else str(writer),
        finding.remedy,
    )
    red = ["<b style='color:#b00'>{}</b>", *["{}"] * (len(cells) - 1)]
    return "<tr>" + "".join(f"<td style='text-align:left'>{mark.format(html.escape(cell))}</td>" for mark, cell in zip(red, cells)) + "</tr>"
