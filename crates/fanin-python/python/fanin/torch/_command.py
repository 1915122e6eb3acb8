"""The argument parser and the exit codes of the commands that are written in Python."""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence


def command_parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Returns a parser for the arguments of the command `fanin NAME`."""
    parser = argparse.ArgumentParser(
        prog=f"fanin {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # The abbreviation of an option could change its meaning when another option is added.
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return parser


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str], run: Callable[[argparse.Namespace], int]) -> int:
    """Parses the arguments, calls `run`, and returns its exit code. If `run` raises an exception, the exit code is 2.

    The exception is printed. If code outside of fanin raised it, the file and the line are printed too. With the option
    `--traceback`, the exception is raised again instead.
    """
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        return run(options)
    except Exception as error:
        if options.traceback:
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        line = _raised_at(error)
        if line is not None:
            print(f"raised at {line} (--traceback prints the whole stack)", file=sys.stderr)
        return 2


#: The folders of fanin and of installed packages. Files in other folders are the user's code.
_FANIN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")})


def _raised_at(error: Exception) -> str | None:
    """Returns the line of code to show for an exception, such as "model.py:12, in forward".

    This is the innermost line of the user's code in the traceback. If there is none, it is the innermost line of all.
    Returns None if fanin or Python's import system raised the exception.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename.startswith((_FANIN, "<frozen")):
        return None
    own = [one for one in frames if not one.filename.startswith((_FANIN, "<", *_PACKAGES))]
    found = own[-1] if own else frames[-1]
    return f"{found.filename}:{found.lineno}, in {found.name}"
