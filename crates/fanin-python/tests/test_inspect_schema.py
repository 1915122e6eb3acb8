"""The output of `fanin inspect --json` matches the schema in docs/inspect.schema.json."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "inspect.schema.json").read_text())
RECIPE = """[init]
"flat" = "constant(3)"
"draw.*" = "normal(std=0.5)"
"truncated" = "trunc_normal(std=0.02, a=-0.04, b=0.04)"
"turn" = "orthogonal"
"*" = "zeros"
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a recipe and a checkpoint of unusual tensors, some of which are non-finite, empty or constant."""
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    q, _ = np.linalg.qr(random.standard_normal((40, 24)))
    tensors = {
        "draw.half": random.standard_normal((64, 32)).astype(np.float16) / 2,
        "draw.nan": np.array([[np.nan, np.inf], [0.5, -np.inf]], np.float32),
        "draw.non_finite": np.full((2, 3), np.nan),
        "truncated": np.clip(random.standard_normal((30, 70)) * 0.02, -0.04, 0.04).astype(np.float32),
        "turn": q.astype(np.float32),
        "flat": np.full(7, 3.0, np.float64),
        "steps": np.array(-3, np.int64),
        "mask": np.array([True, False]),
        "empty": np.empty((0, 4), np.float32),
        '<script>alert("x")</script>': np.ones((3, 3), np.float32),
    }
    save_file(tensors, folder / "x.safetensors", metadata={"format": "np", "odd": "\u2028\n</script>"})
    (folder / "r.toml").write_text(RECIPE)
    return folder


def inspect(folder, *more, file="x.safetensors"):
    command = [sys.executable, "-m", "fanin", "inspect", file, "--json", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("more", [(), ("--recipe", "r.toml"), ("--no-spectra",)])
def test_the_output_matches_the_schema(checkpoint, more):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    report = inspect(checkpoint, *more)
    jsonschema.validate(report, SCHEMA)
    for tensor in report["tensors"]:
        assert (tensor["planned"] is not None) == ("r.toml" in more)
        matrix = tensor["name"] in ("draw.half", "truncated", "turn") or "script" in tensor["name"]
        assert (tensor["spectrum"] is not None) == (matrix and "--no-spectra" not in more)
        measured = tensor["measured"]
        histogram = measured["histogram"]
        edges, counts = histogram["edges"], histogram["counts"]
        assert len(edges) == (len(counts) + 1 if counts else 0) and edges == sorted(edges)
        assert sum(counts) == tensor["values"] - measured["nans"] - measured["infinite"]
        if counts:
            assert (edges[0], edges[-1]) == (measured["min"], measured["max"])
        if histogram["planned"] is not None:
            assert len(histogram["planned"]) == len(counts)
    assert sum(tensor["values"] for tensor in report["tensors"]) == report["totals"]["values"]
    warned = {warning["tensor"] for warning in report["warnings"]}
    assert {"draw.nan", "draw.non_finite"} <= warned and ("steps" in warned) == ("r.toml" in more), report["warnings"]


def test_singular_values_are_those_of_numpy(checkpoint):
    random = np.random.default_rng(1)
    tensors = {
        "conv": random.standard_normal((12, 5, 3, 3)).astype(np.float32),
        "low": np.outer(np.arange(1.0, 6), np.arange(1.0, 4)).astype(np.float32),
        "large": random.standard_normal((1500, 1400)).astype(np.float32),
    }
    save_file(tensors, checkpoint / "y.safetensors")
    report = inspect(checkpoint, file="y.safetensors")
    found = {tensor["name"]: tensor["spectrum"] for tensor in report["tensors"]}
    expected = {name: np.linalg.svd(w.reshape(len(w), -1).astype(np.float64), compute_uv=False) for name, w in tensors.items()}
    assert (found["conv"]["rows"], found["conv"]["columns"], found["conv"]["method"]) == (12, 45, "exact")
    assert found["conv"]["norm"] == pytest.approx(expected["conv"][0], rel=1e-12)
    assert found["conv"]["condition"] == pytest.approx(expected["conv"][0] / expected["conv"][-1], rel=1e-11)
    assert found["low"]["condition"] is None and any("rank-deficient" in w["text"] for w in report["warnings"])
    large = found["large"]
    assert large["method"] == "lanczos" and 0.99 * expected["large"][0] < large["norm"] <= expected["large"][0] * (1 + 1e-7)
    assert large["least"] >= expected["large"][-1] and large["error"] < 0.03


def test_the_schema_rejects_other_documents(checkpoint):
    report = inspect(checkpoint)
    for change in (
        lambda report: report.pop("totals"),
        lambda report: report.update(format="fanin-inspect-0"),
        lambda report: report["tensors"][0].update(news=1),
        lambda report: report["tensors"][0].update(dtype="F8"),
        lambda report: report["tensors"][0]["measured"].update(zeros=-1),
    ):
        changed = json.loads(json.dumps(report))
        change(changed)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, SCHEMA)
