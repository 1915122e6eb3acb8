"""The command `python -m fanin check-init`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .._command import command_parser, run_command
from .._named_object import named_object
from ..check import check_init

_EPILOG = """\
MODULE:FUNCTION names a function without arguments that returns a torch.nn.Module, such as my_package.models:build. MODULE may
also be a file, such as train.py:build. FUNCTION may also be a subclass of torch.nn.Module whose constructor needs no arguments.

Exit codes: 0 no findings, 1 findings, 2 invalid arguments, or the module could not be built.
"""


def check_command(arguments: Sequence[str]) -> int:
    """Runs `python -m fanin check-init` with these arguments, and returns its exit code."""
    return run_command(_parser(), arguments, _run)


def _run(options: argparse.Namespace) -> int:
    build = named_object(options.build)
    report = check_init(build, options.checkpoint, options.allow, via=options.via, seed=options.seed)
    print(report.to_json() if options.json else report)
    return 0 if report.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "check-init",
        "Builds a module a few times, and reports elements that no code wrote and other faults of its initialization.",
        _EPILOG,
    )
    parser.add_argument("build", metavar="MODULE:FUNCTION", help="the function that builds the module")
    parser.add_argument("--via", default="eager", help='"eager" (the default), "meta", or "eager,meta" to compare both')
    parser.add_argument("--checkpoint", metavar="PATH", help="the checkpoint that the function loads")
    parser.add_argument("--allow", metavar="PATTERN", action="append", default=[], help="ignore tensors with these names; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="the seed for the default generators (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
