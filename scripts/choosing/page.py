"""Writes the blocks of docs/choosing.md that show results: tables, and sentences with numbers. Comments mark these blocks."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, RESULTS = DOCS / "choosing.md", DOCS / "choosing.json"
BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Results = dict[str, Any]


def dumps(results: Results) -> str:
    """Returns the results as JSON, with each list of numbers on one line."""
    text = json.dumps(results, indent=1)
    return re.sub(r"\[[\s\d.,e+\-\[\]]*\]", lambda found: re.sub(r"\s+", "", found[0]).replace(",", ", "), text) + "\n"


def render(page: str, results: Results) -> str:
    """Returns the page, in which the blocks that show results have been written again from `results`."""
    return BLOCK.sub(lambda found: found[1] + block(found[2], results) + found[3], page)


def block(name: str, results: Results) -> str:
    """Returns the text of the block `name` of docs/choosing.md."""
    if name == "conclusions":
        return conclusions(results)
    if name == "how":
        return how(results)
    return table(results["experiments"][name], f"choosing/{name}.svg")


def how(results: Results) -> str:
    machine = results["machine"]
    return (
        f"Curves are geometric means of {results['signal_seeds']} seeds. Networks were trained with {results['seeds']} seeds; the learning\n"
        f"rate is that with the lowest loss for the first seed. The run took {machine['seconds of processors'] / 60:.0f} minutes of one "
        f"processor, with torch {machine['torch']}.\n"
    )


def table(experiment: dict[str, Any], picture: str) -> str:
    """Returns the picture and the table of an experiment."""
    unit = experiment["unit"]
    score = "1 - error / variance, held out" if experiment["fits_picture"] else "accuracy, held out"
    lines = [
        f"![signal, gradient and loss]({picture})",
        "",
        f"| initialization | signal after {experiment['depth']} {unit}s | gradient | loss after {experiment['steps']} steps | {score} |",
        "|---|---|---|---|---|",
    ]
    for one in experiment["schemes"]:
        low, middle, high = one["loss"][-1]
        cells = (factor(one["signal"][-1]), factor(one["gradient"][0]), loss(middle), scores(one["score"]))
        lines.append(f"| {one['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def factor(value: float) -> str:
    """Returns the text of a ratio of mean squares, such as "x 0.12" or "x 2e-15"."""
    if value <= 1e-30 or value >= 1e30:
        return "below 1e-30" if value < 1 else "above 1e30"
    return f"x {value:.1e}".replace("e-0", "e-").replace("e+0", "e") if value < 0.01 or value >= 100 else f"x {value:.2g}"


def loss(value: float) -> str:
    return "not finite" if value >= 1e8 else f"{value:.2g}"


def scores(values: list[float]) -> str:
    """Returns the median of the scores of all seeds as text, with their range in parentheses."""
    return f"{statistics.median(values):.0%} ({min(values):.0%} to {max(values):.0%})"


def scheme(results: Results, key: str, name: str) -> dict[str, Any]:
    return next(one for one in results["experiments"][key]["schemes"] if one["name"] == name)


def conclusions(results: Results) -> str:
    """Returns the table of recommendations. The reasons in the table quote measured numbers."""

    def score(key: str, name: str) -> str:
        return f"{statistics.median(scheme(results, key, name)['score']):.0%}"

    def signal(key: str, name: str) -> str:
        return factor(scheme(results, key, name)["signal"][-1])

    def gradient(key: str, name: str) -> str:
        return factor(scheme(results, key, name)["gradient"][0])

    lines = ["| layer | activation | use this | because |", "|---|---|---|---|"]
    lines += [f"| {layer} | {activation} | {use} | {because(score, signal, gradient)} |" for layer, activation, use, because in ADVICE]
    return "\n".join(lines) + "\n"


Words = Callable[[str, str], str]

#: The rows of the table of recommendations: layer, activation, initialization, and a function that returns the reason.
ADVICE: list[tuple[str, str, str, Callable[[Words, Words, Words], str]]] = [
    (
        "Linear, deep",
        "relu",
        "`orthogonal(gain=relu)` or `kaiming_normal(nonlinearity=relu)`, biases 0",
        lambda score, signal, gradient: (
            f"accuracy {score('mlp-relu', 'orthogonal, gain sqrt(2)')} and {score('mlp-relu', 'Kaiming')}; Xavier's gradient is "
            f"{gradient('mlp-relu', 'Xavier')} after 50 layers and nothing is learned ({score('mlp-relu', 'Xavier')})"
        ),
    ),
    (
        "Linear, deep",
        "tanh",
        "`xavier_normal` or `orthogonal`, gain 1, biases 0",
        lambda score, signal, gradient: (
            f"accuracy {score('mlp-tanh', 'Xavier, gain 1')} and {score('mlp-tanh', 'orthogonal, gain 1')}; with gain 5/3 the "
            f"gradient grows {gradient('mlp-tanh', 'Xavier, gain 5/3')} and accuracy is {score('mlp-tanh', 'Xavier, gain 5/3')}"
        ),
    ),
    (
        "Linear, deep, without norms",
        "gelu",
        "`normal(std=sqrt(1.983/fan_in))`, biases `normal(std=sqrt(0.173))`",
        lambda score, signal, gradient: (
            f"accuracy {score('mlp-gelu', 'critical, random biases')}; with relu's gain the signal is "
            f"{signal('mlp-gelu', 'Kaiming, relu' + chr(39) + 's gain')} and accuracy "
            f"{score('mlp-gelu', 'Kaiming, relu' + chr(39) + 's gain')}"
        ),
    ),
    (
        "Linear, deep",
        "selu",
        "`normal(std=1/sqrt(fan_in))` (LeCun), biases 0",
        lambda score, signal, gradient: (
            f"signal {signal('mlp-selu', 'LeCun')}, accuracy {score('mlp-selu', 'LeCun')}; gain 3/4 loses signal "
            f"({signal('mlp-selu', 'Kaiming, gain 3/4')}) and still learns; with relu's gain the gradient grows "
            f"{gradient('mlp-selu', 'Kaiming, relu' + chr(39) + 's gain')}"
        ),
    ),
    (
        "Conv, no residual connections",
        "tanh",
        "residual connections; without them `delta_orthogonal`, or `xavier_normal(gain=tanh)` if maps are as small as here",
        lambda score, signal, gradient: (
            f"accuracy {score('cnn-plain', 'delta-orthogonal')} and {score('cnn-plain', 'Xavier, gain 5/3')}; gain 1: "
            f"{score('cnn-plain', 'Xavier, gain 1')}, because zeros at the border of the maps leave "
            f"{signal('cnn-plain', 'Xavier, gain 1')} of the signal"
        ),
    ),
    (
        "Conv, residual, no norm",
        "relu",
        "`kaiming_normal(nonlinearity=relu)`; last layer of each branch `zeros`, or divided by sqrt(number of branches)",
        lambda score, signal, gradient: (
            f"accuracy {score('cnn-residual', 'Kaiming, branch zero')} and {score('cnn-residual', 'Kaiming, branch / sqrt(blocks)')}; "
            f"Kaiming alone grows {signal('cnn-residual', 'Kaiming')} and gives {score('cnn-residual', 'Kaiming')}"
        ),
    ),
    (
        "Conv, residual, BatchNorm",
        "relu",
        "`kaiming_normal(nonlinearity=relu)`, norms 1",
        lambda score, signal, gradient: f"accuracy {score('cnn-residual', 'Kaiming, BatchNorm')}",
    ),
    (
        "Transformer, post-norm",
        "gelu",
        "`linear_default` (torch's default); in deeper networks DeepNorm, which also changes the residual sum",
        lambda score, signal, gradient: (
            f"accuracy {score('transformer-post', 'torch default')}, DeepNorm: {score('transformer-post', 'DeepNorm')}, Xavier: "
            f"{score('transformer-post', 'Xavier')}, std 0.02: "
            f"{score('transformer-post', 'normal, std 0.02')}"
        ),
    ),
    (
        "Transformer, pre-norm",
        "gelu",
        "std near 1/sqrt(width); last layer of each branch divided by sqrt(number of branches)",
        lambda score, signal, gradient: (
            f"accuracy {score('transformer-pre', 'Xavier, branch / sqrt(sublayers)')}; the stream grows "
            f"{signal('transformer-pre', 'Xavier, branch / sqrt(sublayers)')} instead of {signal('transformer-pre', 'Xavier')}"
        ),
    ),
    (
        "RNN",
        "tanh",
        "`orthogonal` for hidden to hidden",
        lambda score, signal, gradient: (
            f"accuracy {score('rnn', 'tanh, orthogonal')}, torch's default {score('rnn', 'tanh, torch default')}: its gradient over "
            f"63 steps is {gradient('rnn', 'tanh, torch default')}"
        ),
    ),
    (
        "RNN",
        "relu",
        "`eye` for hidden to hidden",
        lambda score, signal, gradient: (
            f"accuracy {score('rnn', 'relu, identity')}, torch's default {score('rnn', 'relu, torch default')}"
        ),
    ),
    (
        "LSTM",
        "",
        "`orthogonal` by gate, bias of the forget gate 1",
        lambda score, signal, gradient: (
            f"accuracy {score('rnn', 'LSTM, orthogonal, forget bias 1')}, torch's default {score('rnn', 'LSTM, torch default')}"
        ),
    ),
    (
        "SIREN",
        "sin(30 x)",
        "`siren_first` for the first layer, `siren` for the others",
        lambda score, signal, gradient: (
            f"{score('siren', 'SIREN')} of the variance of held-out pixels, torch's default {score('siren', 'torch default')}"
        ),
    ),
]
