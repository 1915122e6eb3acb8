"""The notebooks in docs/notebooks run without errors, and their files contain the outputs of their cells."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fanin

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def test_the_notebooks_run():
    environment = {**os.environ, "PYTHONPATH": str(Path(fanin.__file__).parents[1])}
    command = [sys.executable, str(ROOT / "scripts/run_notebooks.py"), "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("cells") == len(NOTEBOOKS) == 2


def test_the_notebooks_have_outputs_without_paths_of_a_machine():
    for notebook in NOTEBOOKS:
        text = notebook.read_text(encoding="utf-8")
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert sum("text/html" in output.get("data", {}) for cell in cells for output in cell["outputs"]) >= 2, notebook
        assert "/tmp/" not in text and " at 0x" not in text


def test_recipes_and_plans_are_shown_as_html_in_a_notebook():
    recipe = fanin.Recipe('[init]\n"*.<x>" = "zeros"\n"*" = "normal(std=0.02)"')
    assert recipe._repr_html_() == (
        "<pre>[init]\n&quot;*.&lt;x&gt;&quot; = &quot;zeros&quot;\n&quot;*&quot; = &quot;normal(std=0.02)&quot;</pre>"
    )
    plan = fanin.xavier_uniform().resolve((30, 20))._repr_html_()
    for name, value in {"initializer": "xavier_uniform", "shape": "[30, 20]", "fan_in": "20", "fan_out": "30", "mean": "0"}.items():
        assert f"{name}</th><td style='text-align:left'><code>{value}<" in plan, name
    planned = fanin.Recipe('[init]\n"*" = "normal(std=0.02)"').plan([("a&b", "F32", [2])])[0]._repr_html_()
    assert "<code>a&amp;b</code>" in planned and "<code>normal(std=0.02)</code>" in planned
