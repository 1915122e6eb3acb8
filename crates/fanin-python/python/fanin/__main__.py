"""The entry point of the command line: `python -m fanin`, and the script `fanin` that the wheel installs."""

from __future__ import annotations

import sys

from . import _fanin


def main() -> int:
    """Runs the command in `sys.argv` and returns its exit code. Commands that need torch run in Python, the others in Rust."""
    if sys.argv[1:2] == ["check-init"]:
        from .torch._check.command import check_command

        return check_command(sys.argv[2:])
    if sys.argv[1:2] == ["coord-check"]:
        from .torch._coord_check.command import coord_check_command

        return coord_check_command(sys.argv[2:])
    if sys.argv[1:2] == ["probe"]:
        from .torch._probe.command import probe_command

        return probe_command(sys.argv[2:])
    if sys.argv[1:2] == ["trace"]:
        from .torch._trace.command import trace_command

        return trace_command(sys.argv[2:])
    return _fanin.main()


if __name__ == "__main__":
    sys.exit(main())
