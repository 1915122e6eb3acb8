"""The argument parser and the exit codes of the commands that are written in Python."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence


def command_parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Returns a parser for the arguments of the command `fanin NAME`."""
    parser = argparse.ArgumentParser(
        prog=f"fanin {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation could change its meaning when an option is added.
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return parser


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str], run: Callable[[argparse.Namespace], int]) -> int:
    """Parses the arguments, and returns the exit code that `run` returns for them.

    Any exception, also one that the code of the model raises, is an error of the input: it is printed, and the exit code is 2.
    """
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        return run(options)
    except Exception as error:
        if options.traceback:
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
