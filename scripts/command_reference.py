"""Writes docs/commands.md from the help texts of the command `fanin`.

    python scripts/command_reference.py            # with an interpreter that has the package fanin, and torch
    python scripts/command_reference.py --check    # fail if the page would change
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/commands.md"
RUN = "import sys; from fanin.__main__ import main; sys.argv[0] = 'fanin'; sys.exit(main())"

#: The commands that are written in Python. `fanin --help` names them in its text, but not in its list of commands.
PYTHON_COMMANDS = ("check-init", "trace", "probe", "coord-check")

INTRODUCTION = """\
# The command line

<!-- `python scripts/command_reference.py` writes this page. -->
This page has the help texts of all commands. [Checkpoints and checks](checkpoints.md) shows the commands in use.

"""


def help_of(*command: str) -> str:
    """Returns the help text of a command, for a terminal of 100 columns."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def commands(text: str) -> list[str]:
    """Returns the names of the commands that a help text lists."""
    block = text.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    return [name for name in re.findall(r"^  (\S+)", block, re.MULTILINE) if name != "help"]


def page() -> str:
    """Returns the text of the page."""
    front = help_of()
    sections = [("fanin", front)]
    for name in commands(front):
        sections.append((f"fanin {name}", help_of(name)))
    for name in PYTHON_COMMANDS:
        sections.append((f"fanin {name}", help_of(name)))
    return INTRODUCTION + "\n".join(f"## {title}\n```text\n{text}\n```\n" for title, text in sections)


def is_current(text: str) -> bool:
    """Returns whether docs/commands.md has the given text. Line breaks are ignored, because they differ between releases of Python."""
    return PAGE.exists() and PAGE.read_text(encoding="utf-8").split() == text.split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page would change")
    check = parser.parse_args().check
    text = page()
    if is_current(text):
        return
    if check:
        sys.exit("docs/commands.md is not up to date: run python scripts/command_reference.py")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
