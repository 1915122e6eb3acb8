"""The reports of probe (advice, JSON, the HTML page, text and plots), and the command that prints them."""

import copy
import json
import math
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from conftest import run_fanin, same
from torch import nn

import fanin
from fanin.torch import probe

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "probe.schema.json").read_text())


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def vanishing():
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.ReLU())])
    return model, torch.randn(16, 64), probe(model, torch.randn(16, 64))


def test_advice_helps_when_it_is_applied(vanishing):
    model, batch, result = vanishing
    assert not result.ok and result.advice
    assert fanin.Recipe(result.recipe_patch()) is not None
    cured = copy.deepcopy(model)
    fanin.init_module(cured, fanin.Recipe(result.recipe_patch()), seed=0)
    assert probe(cured, batch, advise=False).ok
    assert not probe(model, batch, advise=False).advice


@pytest.mark.parametrize(
    "kind, limit, before, worse, better", [("attention", 0.2, 0.1, 0.02, 0.3), ("peers", 1.8, 0.5, 0.1, 1.2), ("gain", 30, 90, 400, 10)]
)
def test_a_change_helps_only_if_the_problem_becomes_less_severe(kind, limit, before, worse, better):
    from fanin.torch._probe.advice import _severity
    from fanin.torch._probe.finding import Finding

    def severity(value):
        return _severity(Finding(kind, "problem", "block", "", value, limit))

    assert severity(worse) > 2 * severity(before)
    assert severity(better) < severity(before) / 2


def test_a_recipe_patch_without_advice_changes_nothing():
    model = nn.Linear(4, 4)
    patch = probe(model, torch.randn(3, 4)).recipe_patch()
    before = copy.deepcopy(model.state_dict())
    fanin.init_module(model, fanin.Recipe(patch))
    assert all(same(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_json_matches_the_schema(vanishing):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    report = json.loads(json.dumps(vanishing[2].to_json(), allow_nan=False))
    jsonschema.validate(report, SCHEMA)
    assert len(report["trunk"]) == 20 and report["layers"][report["trunk"][3]]["name"] == "6"
    broken = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    nn.init.constant_(broken[0].weight, math.nan)
    jsonschema.validate(json.loads(json.dumps(probe(broken, torch.randn(3, 4)).to_json(), allow_nan=False)), SCHEMA)
    report["layers"][0]["news"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, SCHEMA)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.rows = [], [], 0

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self.rows += tag == "tr"
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag == "path"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_page_is_well_formed_and_loads_nothing(vanishing, tmp_path):
    class Model(nn.Sequential):
        pass

    Model.__name__ = '<script>alert("x")</script>'
    for name, result in (("vanishing", vanishing[2]), ("odd", probe(Model(nn.Linear(4, 4)), torch.randn(3, 4)))):
        file = tmp_path / f"{name}.html"
        text = result.to_html(file)
        assert file.read_text(encoding="utf-8") == text and "alert(" not in text.replace("alert(&quot;", "")
        tags = Tags()
        tags.feed(text)
        assert not tags.open and not tags.links and tags.rows > len(result.layers)
        assert "http" not in re.sub(r'http-equiv|"http://www.w3.org/[^"]*"', "", text)
    assert 'class="fanin-probe"' in vanishing[2]._repr_html_() and "<script" not in vanishing[2]._repr_html_()


def test_text_shows_findings_slopes_and_sparklines(vanishing):
    text = str(vanishing[2])
    for part in ("the gradient falls by 8", "Tried on a copy", "kaiming_normal(nonlinearity=relu)", "▁", "█", "chi = 0.1"):
        assert part in text, part
    assert max(map(len, text.splitlines())) < 250 and repr(vanishing[2]).startswith("Probe(Sequential, ")


def test_plot_draws_or_says_that_matplotlib_is_missing(vanishing):
    try:
        import matplotlib
    except ImportError:
        with pytest.raises(ImportError, match="plot\\(\\) needs matplotlib"):
            vanishing[2].plot()
    else:
        matplotlib.use("agg")
        assert len(vanishing[2].plot()) == 2

    class Panel:
        def __init__(self):
            self.lines = []

        def plot(self, x, y, *style, **options):
            self.lines.append((x, y))

        def set(self, **options):
            assert options["yscale"] == "log"

        def legend(self):
            pass

    panels = Panel(), Panel()
    assert vanishing[2].plot(panels) == panels
    assert [len(y) for panel in panels for _, y in panel.lines] == [20] * 4


PROGRAM = """
import torch
from torch import nn

def build():
    return nn.Sequential(*[layer for _ in range(12) for layer in (nn.Linear(32, 32), nn.ReLU())])

def batch():
    return torch.randn(8, 32)

def pair():
    return torch.randn(8, 32), torch.randint(0, 32, (8,))
"""


def test_the_command_exits_with_1_on_problems(tmp_path):
    (tmp_path / "mine.py").write_text(PROGRAM)

    run = partial(run_fanin, tmp_path, "probe")

    gate = run("mine:build", "--batch", "mine:batch", "--fail-on", "slope=0.05", "--html", "report.html", "--no-advice")
    assert gate.returncode == 1 and "the bound is 0.05" in gate.stderr and "Sequential" in gate.stdout
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    loose = run("mine:build", "--batch", "mine:pair", "--loss", "torch.nn.functional:cross_entropy", "--json", "--fail-on", "slope=9")
    assert loose.returncode == 0, loose.stderr
    assert json.loads(loose.stdout)["loss"]["classes"] == 32
    wrong = run("mine:biuld", "--batch", "mine:batch")
    assert wrong.returncode == 2 and "mine has no 'biuld'" in wrong.stderr
