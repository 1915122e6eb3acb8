"""The command `python -m fanin trace`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .._command import command_parser, run_command
from .._named_object import named_object
from ..trace import trace_init

_EPILOG = """\
MODULE:FUNCTION names a function without arguments that returns a torch.nn.Module, such as my_package.models:build. MODULE may
also be a file, such as train.py:build. FUNCTION may also be a subclass of torch.nn.Module whose constructor needs no arguments.

exit code:
  0  all tensors of the module were written
  1  a tensor was not written
  2  invalid arguments, or the module cannot be built, or its writes cannot be expressed as a replay
"""


def trace_command(arguments: Sequence[str]) -> int:
    """Runs `python -m fanin trace` with these arguments, and returns its exit code."""
    return run_command(_parser(), arguments, _run)


def _run(options: argparse.Namespace) -> int:
    trace = trace_init(named_object(options.build))
    if options.output == "replay":
        print(trace.replay(), end="")
    elif options.output == "recipe":
        print(trace.recipe(), end="")
    else:
        print(trace.to_json() if options.output == "json" else trace)
    return 1 if trace.unwritten else 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("trace", "Builds a module, and shows which initializer wrote each parameter, from which line.", _EPILOG)
    parser.add_argument("build", metavar="MODULE:FUNCTION", help="the function that builds the module")
    outputs = parser.add_mutually_exclusive_group()
    for name, text in (
        ("json", "print JSON"),
        ("recipe", "print a recipe that initializes the tensors as the recorded writes did"),
        ("replay", "print a replay, from which `fanin init` computes the exact weights without torch"),
    ):
        outputs.add_argument(f"--{name}", dest="output", action="store_const", const=name, help=text)
    return parser
