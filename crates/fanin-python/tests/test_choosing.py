"""docs/choosing.md shows the numbers of docs/choosing.json, its pictures are small, and its recipes fit its networks."""

import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def scripts():
    """A function that imports a module of scripts/choosing by its name."""
    sys.path.insert(0, str(ROOT / "scripts" / "choosing"))
    yield importlib.import_module
    sys.path.pop(0)


RESULTS = json.loads((DOCS / "choosing.json").read_text())


def test_the_page_shows_the_measured_numbers(scripts):
    page = (DOCS / "choosing.md").read_text()
    assert scripts("page").render(page, RESULTS) == page
    assert page.count("<!-- measured: ") == len(RESULTS["experiments"]) + 2 == page.count("<!-- end -->")
    changed = json.loads(json.dumps(RESULTS))
    changed["experiments"]["mlp-relu"]["schemes"][1]["score"][1] = 0.123
    assert scripts("page").render(page, changed) != page


def test_there_are_results_for_every_experiment_and_scheme(scripts):
    experiments = scripts("experiments").EXPERIMENTS
    assert list(RESULTS["experiments"]) == [one.key for one in experiments]
    for one in experiments:
        measured = RESULTS["experiments"][one.key]["schemes"]
        assert [(two["name"], two["recipe"]) for two in measured] == [(two.name, two.recipe) for two in one.schemes]
        assert all(len(two["signal"]) == len(two["gradient"]) == len(one.points) for two in measured)
        assert all(len(two["score"]) == RESULTS["seeds"] for two in measured)


def test_pictures_are_small_and_have_dark_colours():
    for key in RESULTS["experiments"]:
        text = (DOCS / "choosing" / f"{key}.svg").read_text()
        assert len(text.encode()) < 60_000 and "prefers-color-scheme: dark" in text, key


def test_every_recipe_fits_its_network_and_the_signal_is_measured_at_each_point(scripts):
    experiments, training, signals = (scripts(name) for name in ("experiments", "training", "signals"))
    for one in experiments.EXPERIMENTS:
        for scheme in one.schemes:
            model = training.initialized(one, scheme, 0, is_deep=True)
            inputs = torch.rand(8, 2) if one.fits_picture else torch.randn(8, 1, 8, 8)
            forward, backward = signals.curves(one, model, inputs, 0)
            assert len(forward) == len(backward) == len(one.points)
            assert forward[0] == backward[-1] == 1


@pytest.mark.parametrize(
    ("name", "factor"), [("Xavier", 0.5), ("Kaiming", 1.0), ("orthogonal, gain sqrt(2)", 1.0)]
)  # fmt: skip
def test_measured_slopes_are_those_of_theory(name, factor):
    """In theory, a layer with relu multiplies the mean square of the signal by `factor`, which is `gain**2 / 2`.

    The slope of ln(mean square) per layer is then ln(factor). The measured slope is smaller, because the measured curve
    is a geometric mean over networks of finite width n. For Gaussian weights and one input, the expected slope is about
    ln(factor) - 5 / (2 n) (Hanin and Nica 2020).
    """
    scheme = next(one for one in RESULTS["experiments"]["mlp-relu"]["schemes"] if one["name"] == name)
    inner = scheme["signal"][:-1]
    slope = math.log(inner[-1] / inner[0]) / (len(inner) - 1)
    assert slope == pytest.approx(math.log(factor), abs=0.06)
