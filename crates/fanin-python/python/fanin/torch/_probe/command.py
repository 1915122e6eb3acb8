"""The command `python -m fanin probe`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence

from .._command import command_parser, run_command
from .._named_object import named_batch, named_object
from .probe import probe
from .result import Probe

_EPILOG = """\
MODULE:NAME names an object in a module, such as my_package.model:build, or in a file, such as train.py:build.

examples:
  python -m fanin probe my_package.model:build --batch my_package.data:batch --html report.html
  python -m fanin probe model:build --batch data:batch --loss torch.nn.functional:cross_entropy --seeds 3
  python -m fanin probe model:build --batch data:batch --fail-on slope=0.05 --fail-on problems

exit code:
  0  check passed
  1  check failed: a condition of --fail-on is met; without --fail-on: a finding is a problem
  2  invalid arguments or input
"""

#: The names that --fail-on accepts before "=". "signal" and "gradient" each limit one slope. "slope" limits both slopes.
_BOUNDS = ("slope", "signal", "gradient")


def probe_command(arguments: Sequence[str]) -> int:
    """Runs `python -m fanin probe` with these arguments, and returns its exit code."""
    return run_command(_parser(), arguments, _run)


def _run(options: argparse.Namespace) -> int:
    limits = [_limit(text) for text in options.fail_on or ["problems"]]
    model, batch = named_object(options.model), named_batch(options.batch)
    loss = None if options.loss is None else named_object(options.loss)
    result = probe(model, batch, loss=loss, seeds=options.seeds, seed=options.seed, advise=not options.no_advice)
    if options.html is not None:
        result.to_html(options.html)
    if options.json:
        print(json.dumps(result.to_json(), indent=1, allow_nan=False))
    else:
        print(result)
        if result.advice:
            print("\nA recipe with these changes, for fanin.init_module:\n\n" + result.recipe_patch())
    failed = [text for limit in limits if (text := limit(result)) is not None]
    for text in failed:
        print(f"check failed: {text}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("probe", "Measure how signals and gradients change along the depth of a model, and advise changes.", _EPILOG)
    parser.add_argument("model", metavar="MODULE:NAME", help="a function that builds the model, or the model itself")
    parser.add_argument("--batch", metavar="MODULE:NAME", required=True, help="the input of the model, or a function that returns it")
    parser.add_argument("--loss", metavar="MODULE:NAME", help="a function of output and targets; --batch is then a pair (inputs, targets)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="build and measure the model with N seeds (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed for torch.manual_seed (default: 0)")
    parser.add_argument("--html", metavar="FILE", help="also write an HTML page with charts")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table (docs/probe.schema.json)")
    parser.add_argument("--no-advice", action="store_true", help="do not try changes on copies of the model")
    parser.add_argument(
        "--fail-on",
        action="append",
        metavar="WHAT",
        help='when to exit with code 1: "problems" (the default: a finding is a problem), or "signal=X", "gradient=X" or "slope=X": '
        "the absolute slope of the signal, of the gradient or of either is above X; may be given several times",
    )
    return parser


def _limit(text: str) -> Callable[[Probe], str | None]:
    """Parses an argument of --fail-on, and returns a function that checks a probe.

    The function returns a message if the check fails, else None.
    """
    if text == "problems":
        return _problems
    name, equals, value = text.partition("=")
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    if name not in _BOUNDS or not equals or not bound >= 0:
        raise ValueError(f'--fail-on {text}: expected "problems", or one of {", ".join(_BOUNDS)} with a bound, such as slope=0.05')

    def exceeded(result: Probe) -> str | None:
        fits = {"signal": result.forward, "gradient": result.backward}
        for what, fit in fits.items():
            if name not in ("slope", what):
                continue
            if fit is None:
                return f"the {what} has no slope: a value along the depth is 0, not finite or missing"
            if abs(fit.slope) > bound:
                return f"the slope of the {what} is {fit.slope:+.4f} a {result.unit}: the bound is {bound:g}"
        return None

    return exceeded


def _problems(result: Probe) -> str | None:
    count = sum(one.level == "problem" for one in result.findings)
    return f"{count} problem{'s' * (count != 1)}" if count else None
