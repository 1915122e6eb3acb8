"""The package as others see it: examples that run, stubs that are true."""

import doctest
import importlib
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
    if name == "fanin.jax":
        pytest.importorskip("jax")
    module = importlib.import_module(name)
    globs = {**vars(module), "torch": torch}
    finder = doctest.DocTestFinder(exclude_empty=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, globs=globs):
        runner.run(test)
    if name == "fanin._fanin":
        # Built-in functions are passed over by the finder.
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


def test_stubs_are_true():
    pytest.importorskip("mypy")
    for command in (["mypy.stubtest", "fanin._fanin"], ["mypy", "--strict-equality", "-p", "fanin"]):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
