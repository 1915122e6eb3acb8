"""The examples in examples/ run. An example whose packages are not installed is skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fanin

EXAMPLES = Path(__file__).parents[3] / "examples"
NEEDS = {"lightning_training": ["lightning"], "transformers_trainer": ["transformers", "accelerate"]}


@pytest.mark.parametrize("name", NEEDS)
def test_the_example_runs(name, tmp_path):
    for package in NEEDS[name]:
        pytest.importorskip(package)
    environment = {**os.environ, "PYTHONPATH": str(Path(fanin.__file__).parents[1]), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NEEDS)
