"""The function `command_parser`, with which the commands that are written in Python read their arguments."""

from __future__ import annotations

import argparse


def command_parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Returns a parser for the arguments of the command `fanin NAME`."""
    return argparse.ArgumentParser(
        prog=f"fanin {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation could change its meaning when an option is added.
        allow_abbrev=False,
    )
