"""The package: the examples in docstrings run, the stubs match the module, and type checkers accept correct programs."""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys

import pytest
import torch

import fanin
import fanin.torch


def modules():
    names = [info.name for info in pkgutil.walk_packages(fanin.__path__, "fanin.")]
    return ["fanin", *(name for name in names if name != "fanin.__main__")]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name):
    if name.startswith(("fanin.jax", "fanin.keras")):
        os.environ.setdefault("KERAS_BACKEND", "jax")
        pytest.importorskip(name.split(".")[1])
    module = importlib.import_module(name)
    globs = {**vars(module), "torch": torch}
    finder = doctest.DocTestFinder(exclude_empty=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, globs=globs):
        runner.run(test)
    if name == "fanin._fanin":
        # DocTestFinder skips functions that are written in Rust, so this loop runs their examples.
        for attribute in ("models", "manifest", "write_checkpoint"):
            text = getattr(module, attribute).__doc__
            runner.run(doctest.DocTestParser().get_doctest(text, dict(globs), attribute, None, None))
        assert runner.tries > 8
    assert runner.failures == 0


def test_public_names_have_docs():
    for name in fanin.__all__:
        assert name.startswith("__") or getattr(fanin, name).__doc__, name
    for name in fanin.torch.__all__:
        assert getattr(fanin.torch, name).__doc__, name


def test_stubs_match_the_module():
    pytest.importorskip("mypy")
    done = subprocess.run([sys.executable, "-m", "mypy.stubtest", "fanin._fanin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


PROGRAM = """
import numpy as np
import fanin

weights: np.ndarray = fanin.filled((3, 2), "normal(std=0.02)", seed=1, name="w", dtype="f32")
same: np.ndarray = fanin.fill(weights, fanin.orthogonal("relu"), seed=2, global_shape=(6, 2), start=(3, 0))
init: fanin.Initializer = fanin.kaiming_uniform(5**0.5, mode="fan_out")
plan: fanin.Plan = init.resolve((3, 2))
deviation: float = plan.std
fans: tuple[int, int] | None = plan.fans
recipe = fanin.Recipe('[init]\\n"*" = "zeros"')
planned: list[fanin.Planned] = recipe.plan([("w", "F32", [3, 2])], {"n": 2.0})
rows: list[tuple[str, str, list[int]]] = fanin.manifest("gpt2")
fanin.write_checkpoint("gpt2", "gpt2.safetensors", seed=0, max_shard_size="5GB", part=(1, 2))
"""

TORCH_PROGRAM = """
import torch
import fanin
import fanin.torch as init
from fanin.torch import fast_init

layer = torch.nn.Linear(3, 2)
weight: torch.Tensor = init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
gain: float = init.calculate_gain("relu")
with fast_init(defer=True):
    torch.nn.Linear(3, 2)

@fast_init()
def build(size: int) -> torch.nn.Linear:
    return torch.nn.Linear(size, size)

made: torch.nn.Linear = build(3)
planned: list[fanin.Planned] = fanin.init_module(layer, "gpt2", seed=7)
"""


#: For each program: a line with a mistake, and the kind of error that mypy must report for this line.
WRONG_LINES = {
    "program": ("seed: str = fanin.filled(3, 'zeros')", "assignment"),
    "torch_program": ("init.normal_(layer.weight, meen=1)", "call-arg"),
}

#: mypy checks the package with mypy's default options and `strict_equality`, and the programs with the options of
#: `--strict`. One run checks everything, because mypy spends most of its time on the types of torch.
MYPY_CONFIG = """
[mypy]
strict_equality = True
[mypy-program.*,torch_program.*]
disallow_any_generics = True
disallow_subclassing_any = True
disallow_untyped_calls = True
disallow_untyped_defs = True
disallow_incomplete_defs = True
check_untyped_defs = True
disallow_untyped_decorators = True
warn_unused_ignores = True
warn_return_any = True
implicit_reexport = False
extra_checks = True
"""


def test_mypy_accepts_the_package_and_strict_programs_and_finds_mistakes(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text(MYPY_CONFIG)
    expected = {}
    for (name, (wrong, code)), program in zip(WRONG_LINES.items(), [PROGRAM, TORCH_PROGRAM], strict=True):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "right.py").write_text(program)
        (folder / "wrong.py").write_text(program + wrong)
        expected[f"{name}{os.sep}wrong.py:{len((program + wrong).splitlines())}"] = f"[{code}]"
    command = [sys.executable, "-m", "mypy", "-p", "fanin", *(word for name in WRONG_LINES for word in ("-p", name))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    found = {line.partition(": error:")[0]: line.rpartition("  ")[2] for line in errors}
    assert done.returncode == 1 and found == expected, done.stdout + done.stderr
