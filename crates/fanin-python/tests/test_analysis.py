"""verify, audit, inspect and diff of the Python package return what the command line prints, for files, arrays and modules."""

import copy
import json
import subprocess
import sys

import numpy as np
import processes
import pytest
import torch
from torch import nn

import fanin
import fanin.torch

RECIPE = '[init]\n"*.bias" = "zeros"\n"*" = "kaiming_normal(nonlinearity=relu)"\n'


def module():
    made = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 32))
    fanin.init_module(made, fanin.Recipe(RECIPE), seed=7)
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("analysis")
    (folder / "recipe.toml").write_text(RECIPE)
    good = module().state_dict()
    # safetensors sorts tensors by type and name. For this module, the sorted order is also the order of the module.
    save_file(good, folder / "good.safetensors")
    changed = {name: value.clone() for name, value in good.items()}
    changed["0.weight"][3, 5] += 1
    changed["2.weight"] *= 2
    save_file(changed, folder / "changed.safetensors")
    return folder


def command(folder, *arguments):
    done = subprocess.run([sys.executable, "-m", "fanin", *arguments, "--json"], cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def by_name(report):
    """Returns a report without the name of the source, and with the tensors in the order of their names."""
    report = {name: value for name, value in report.items() if name != "file"}
    return report | {"tensors": sorted(report["tensors"], key=lambda tensor: tensor["name"])}


@pytest.mark.parametrize("name", ["good", "changed"])
def test_results_of_files_are_those_of_the_command_line(files, name, monkeypatch):
    monkeypatch.chdir(files)
    file = f"{name}.safetensors"
    verified = fanin.verify(file, "recipe.toml", seed=7)
    assert verified.as_dict() == command(files, "verify", file, "--recipe", "recipe.toml", "--seed", "7")
    assert verified.ok == bool(verified) == (name == "good")
    assert fanin.audit(file).as_dict() == command(files, "audit", file)
    assert fanin.inspect(file).as_dict() == command(files, "inspect", file)
    assert fanin.inspect(file, "recipe.toml", spectra=False).tensors[0].planned["scheme"]
    assert fanin.diff("good.safetensors", file).as_dict() == command(files, "diff", "good.safetensors", file)


def test_results_of_modules_and_arrays_are_those_of_files(files):
    made = module()
    recipe = fanin.Recipe(RECIPE)
    expected = by_name(fanin.verify(files / "good.safetensors", recipe, seed=7).as_dict())
    arrays = {name: value.numpy() for name, value in made.state_dict().items()}
    for report in (
        fanin.torch.verify(made, recipe, seed=7),
        fanin.verify(made.state_dict(), recipe, seed=7),
        fanin.verify(arrays, recipe, seed=7),
        fanin.verify({name: np.asfortranarray(value) for name, value in arrays.items()}, recipe, seed=7),
    ):
        assert by_name(report.as_dict()) == expected
    expected = by_name(fanin.audit(files / "good.safetensors").as_dict())
    assert by_name(fanin.torch.audit(made).as_dict()) == by_name(fanin.audit(arrays).as_dict()) == expected
    measured = {tensor.name: tensor.measured for tensor in fanin.inspect(files / "good.safetensors").tensors}
    assert {tensor.name: tensor.measured for tensor in fanin.torch.inspect(made).tensors} == measured
    assert fanin.diff(arrays, files / "good.safetensors").same


def test_a_change_of_a_live_module_is_found():
    made = module()
    recipe = fanin.Recipe(RECIPE)
    with torch.no_grad():
        made[0].weight[1, 2] += 1e-6
    report = fanin.torch.verify(made, recipe, seed=7)
    assert [tensor.name for tensor in report.failed] == ["0.weight"] and not report.failed[0].bits
    assert fanin.torch.verify(made, recipe).ok, "without a seed, only the distribution is tested"
    with torch.no_grad():
        made[2].weight.mul_(1.5)
    report = fanin.torch.verify(made, recipe)
    assert "std" in {deviation.test for deviation in report.failed[0].deviations}
    with pytest.raises(AssertionError, match="2.weight"):
        report.raise_if_failed()


def test_every_type_and_memory_order_is_read():
    values = torch.linspace(-2, 2, 24).view(4, 6)
    types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool]
    tensors = {str(dtype): values.abs().to(dtype) for dtype in types}
    tensors |= {"float8": values.to(torch.float8_e4m3fn), "transposed": values.t(), "slice": values[:, ::2], "scalar": values[0, 0]}
    tensors |= {"empty": values[:0], "parameter": nn.Parameter(values)}
    report = fanin.inspect(tensors, spectra=False)
    for tensor in report.tensors:
        expected = tensors[tensor.name].detach().double()
        if expected.numel():
            assert tensor.measured.mean == pytest.approx(expected.mean().item(), abs=1e-12), tensor.name
        assert tensor.shape == list(expected.shape)
    assert fanin.diff(tensors, copy.deepcopy(tensors)).same
    big_endian = {"w": np.arange(5, dtype=">f4")}
    assert fanin.diff(big_endian, {"w": np.arange(5, dtype="f4")}).same


def test_tied_and_wrapped_modules_that_a_recipe_initialized_pass_verification():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(64, 32)
            self.head = nn.Linear(32, 64, bias=False)
            self.head.weight = self.embedding.weight

    made = nn.DataParallel(Tied())
    recipe = fanin.Recipe('[init]\n"*" = "normal(std=0.02)"')
    fanin.init_module(made, recipe, seed=3)
    report = fanin.torch.verify(made, recipe, seed=3)
    assert report.ok and [tensor.name for tensor in report.tensors] == ["embedding.weight"]


def test_results_are_text_html_and_json(files):
    verified = fanin.verify(files / "changed.safetensors", files / "recipe.toml", seed=7)
    audited = fanin.audit({"w": np.full((8, 8), np.nan, "f4")})
    differing = fanin.diff(files / "good.safetensors", files / "changed.safetensors")
    inspected = fanin.inspect(files / "good.safetensors")
    for report, word in ((verified, "0.weight"), (audited, "NaN"), (differing, "changed"), (inspected, "2.weight")):
        assert word in str(report) and word in report._repr_html_()
        assert json.loads(report.to_json()) == report.as_dict()
    assert inspected.to_html().startswith("<!DOCTYPE html>")
    assert not audited and [tensor.name for tensor in audited.failed] == ["w"]


def test_wrong_arguments_are_errors(files, tmp_path):
    recipe = fanin.Recipe(RECIPE)
    with pytest.raises(FileNotFoundError):
        fanin.audit(tmp_path / "no.safetensors")
    with pytest.raises(TypeError, match="mapping from names to arrays"):
        fanin.audit(3)
    with pytest.raises(TypeError, match="complex128 are not supported"):
        fanin.audit({"w": np.ones(2, np.complex128)})
    with pytest.raises(ValueError, match="meta device"):
        with torch.device("meta"):
            made = nn.Linear(2, 2)
        fanin.torch.verify(made, recipe)
    with pytest.raises(ValueError, match="its module is lazy"):
        fanin.torch.audit(nn.LazyLinear(2))
    with pytest.raises(TypeError, match="recipe = 3: must be a Recipe"):
        fanin.torch.verify(nn.Linear(2, 2), 3)
    with pytest.raises(TypeError, match="must be a torch.nn.Module"):
        fanin.torch.inspect({"w": torch.ones(2)})
    with pytest.raises(ValueError, match="alpha"):
        fanin.verify(files / "good.safetensors", recipe, alpha=2.0)
    with pytest.raises(ValueError, match="stream"):
        fanin.verify(files / "good.safetensors", recipe, seed=0, stream="jax")
    with pytest.raises(ValueError, match="unknown recipe|no rule|recipe"):
        fanin.verify(files / "good.safetensors", "gpt3")


def test_jax_arrays_are_read():
    jax = pytest.importorskip("jax")
    arrays = {"w": jax.numpy.ones((3, 4), jax.numpy.bfloat16)}
    assert fanin.diff(arrays, {"w": torch.ones(3, 4, dtype=torch.bfloat16)}).same


def test_each_rank_verifies_its_region_of_a_dtensor(tmp_path):
    first, second = processes.run("verify_dtensors.py", 2, tmp_path)
    assert first["gathered"] and second["gathered"] and first["audited"] == 0
    assert first["good"] and sorted(first["other_seed"]) == ["columns", "copied", "rows", "square"]
    assert first["wrong"] == [] and second["wrong"] == [["columns", False]]
