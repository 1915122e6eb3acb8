"""The command `python -m fanin check-init`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .check import check_init as check

_EPILOG = """\
MODULE:FUNCTION names a function without arguments that returns a torch.nn.Module, such as my_package.models:build. MODULE may
also be a file, such as train.py:build. A class of modules without arguments can be given as well.

Exit codes: 0 no findings, 1 findings, 2 wrong usage, or the module could not be built.
"""


def check_init(arguments: Sequence[str]) -> int:
    """Runs the command with these arguments, and returns its exit code."""
    options = _parser().parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        build = _find(options.build)
        report = check(build, options.checkpoint, options.allow, via=options.via, seed=options.seed)
    except Exception as error:
        if options.traceback:
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json else report)
    return 0 if report.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fanin check-init",
        description="Builds a module a few times, and reports elements that nobody wrote and other faults of its initialization.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation could change its meaning when an option is added.
        allow_abbrev=False,
    )
    parser.add_argument("build", metavar="MODULE:FUNCTION", help="the function that builds the module")
    parser.add_argument("--via", default="eager", help='"eager" (the default), "meta", or "eager,meta" to compare both')
    parser.add_argument("--checkpoint", metavar="PATH", help="the checkpoint that the function loads")
    parser.add_argument("--allow", metavar="PATTERN", action="append", default=[], help="ignore tensors with these names; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the default generators (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return parser


def _find(text: str) -> Callable[[], Any]:
    """Returns the function that `MODULE:FUNCTION` names."""
    module_name, colon, path = text.rpartition(":")
    if not colon or not module_name or not path:
        raise ValueError(f"{text!r}: must be MODULE:FUNCTION, such as my_package.models:build")
    found: Any = _load_file(module_name) if module_name.endswith(".py") else importlib.import_module(module_name)
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise AttributeError(f"{module_name} has no {path!r}")
        found = getattr(found, attribute)
    return found


def _load_file(path: str) -> Any:
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
