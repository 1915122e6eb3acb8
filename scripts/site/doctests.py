"""An extension of griffe that marks the examples in docstrings as code, wherever they are in the docstring."""

import textwrap
from typing import Any

import griffe


def with_fences(text: str) -> str:
    """Returns a docstring with its examples in fenced code blocks. An example begins with `>>>` and ends before an empty line."""
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        stripped = line.strip()
        begins = stripped.startswith(">>> ")
        if begins and not inside:
            indent = line[: len(line) - len(line.lstrip())]
            lines += ["", f"{indent}```pycon"]
            inside = True
        elif inside and not stripped:
            lines.append(f"{indent}```")
            inside = False
        lines.append(line)
    return "\n".join(lines).rstrip()


class Doctests(griffe.Extension):
    """Puts the examples in the docstrings of all loaded objects into fenced code blocks."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring and ">>> " in obj.docstring.value and "```pycon" not in obj.docstring.value:
            obj.docstring.value = with_fences(textwrap.dedent(obj.docstring.value))

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:
        # `on_object` is not called for the package itself.
        self.on_object(obj=mod)
