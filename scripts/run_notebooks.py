"""Runs the notebooks in docs/notebooks without Jupyter, and stores their outputs.

    python scripts/run_notebooks.py            # with an interpreter that has the package fanin, and torch
    python scripts/run_notebooks.py --check    # run them, and write nothing

The cells of a notebook run in order, in one process and in an empty folder. If a cell ends with an expression, its
value is an output of the cell, as text. A value that has `_repr_html_` is also stored as HTML.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "docs/notebooks"


def value_of(source: str, names: dict[str, Any], place: str) -> Any:
    """Executes the source of a cell. Returns the value of its last statement if this is an expression, otherwise None.

    Returns None also if the source ends with a semicolon. `names` has the global variables. `place` is the file name
    for error messages.
    """
    tree = ast.parse(source, place)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, place, "exec"), names)
    if last is None or source.rstrip().endswith(";"):
        return None
    return eval(compile(ast.Expression(last.value), place, "eval"), names)


def outputs(source: str, names: dict[str, Any], number: int, place: str) -> list[dict[str, Any]]:
    """Executes a cell, and returns its outputs in the format of notebooks."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        value = value_of(source, names, place)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        # Addresses in memory differ from run to run, so they are removed.
        data = {"text/plain": re.sub(r" at 0x[0-9a-f]+", "", repr(value)).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        found.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return found


def run(path: Path) -> dict[str, Any]:
    """Runs a notebook in an empty folder, and returns it with its outputs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
            for number, cell in enumerate(cells, 1):
                # The cell is also written to a file, so that tracebacks can show the lines of the cell.
                place = Path(folder) / f"cell_{number}.py"
                place.write_text("".join(cell["source"]), encoding="utf-8")
                found = json.dumps(outputs("".join(cell["source"]), names, number, str(place)))
                cell["outputs"] = json.loads(found.replace(f"{folder}{os.sep}", ""))
                cell["execution_count"] = number
        finally:
            os.chdir(home)
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="run the notebooks, and write nothing")
    check = parser.parse_args().check
    notebooks = sorted(FOLDER.glob("*.ipynb"))
    for path in notebooks:
        notebook = run(path)
        if not check:
            path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path.name}: {sum(cell['cell_type'] == 'code' for cell in notebook['cells'])} cells")
    if not notebooks:
        sys.exit(f"no notebooks in {FOLDER}")


if __name__ == "__main__":
    main()
