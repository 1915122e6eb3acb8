"""The command `python -m fanin coord-check`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from .._command import command_parser, run_command
from .._named_object import named_batch, named_object
from .check import coord_check

_EPILOG = """\
MODULE:NAME names an object in a module, such as my_package.model:build, or in a file, such as train.py:build.

examples:
  python -m fanin coord-check model:build --widths 64,128,256 --batch data:batch --optimizer model:optimizer
  python -m fanin coord-check model:build --widths 64,128,256 --batch data:pair --loss torch.nn.functional:cross_entropy --json

exit code:
  0  check passed
  1  check failed: the rms of an output, or of its change in training, depends on the width although it should not
  2  invalid arguments or input
"""


def coord_check_command(arguments: Sequence[str]) -> int:
    """Runs `python -m fanin coord-check` with these arguments, and returns its exit code."""
    return run_command(_parser(), arguments, _run)


def _run(options: argparse.Namespace) -> int:
    widths = _widths(options.widths)
    if not options.lr > 0:
        raise ValueError(f"--lr {options.lr:g}: must be positive")
    build, batch = named_object(options.build), named_batch(options.batch)
    loss = None if options.loss is None else named_object(options.loss)
    one_rate = lambda model: torch.optim.Adam(model.parameters(), lr=options.lr)
    optimizer = one_rate if options.optimizer is None else named_object(options.optimizer)
    result = coord_check(
        build, widths=widths, batch=batch, optimizer=optimizer, loss=loss, steps=options.steps, seeds=options.seeds, seed=options.seed
    )
    if options.html is not None:
        Path(options.html).write_text(result.to_html(), encoding="utf-8")
    print(json.dumps(result.to_json(), indent=1, allow_nan=False) if options.json else result)
    return 0 if result.ok else 1


def _widths(text: str) -> list[int]:
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise ValueError(f"--widths {text}: expected widths separated by commas, such as 64,128,256") from None


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "coord-check", "Train models of several widths for a few steps, and say which outputs and changes depend on the width.", _EPILOG
    )
    parser.add_argument("build", metavar="MODULE:NAME", help="a function that takes a width and returns a model")
    parser.add_argument("--widths", required=True, metavar="N,N,...", help="at least two widths, such as 64,128,256")
    parser.add_argument("--batch", metavar="MODULE:NAME", required=True, help="the input of the models, or a function that returns it")
    parser.add_argument("--optimizer", metavar="MODULE:NAME", help="a function that returns the optimizer of a model (default: Adam)")
    parser.add_argument("--lr", type=float, default=0.001, help="the learning rate of all parameters, without --optimizer (default: 0.001)")
    parser.add_argument("--loss", metavar="MODULE:NAME", help="a function of output and targets; --batch is then a pair (inputs, targets)")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="the number of training steps (default: 4)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="the number of models of each width (default: 3)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed for torch.manual_seed (default: 0)")
    parser.add_argument("--html", metavar="FILE", help="also write an HTML page with the table")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table (docs/coord_check.schema.json)")
    return parser
