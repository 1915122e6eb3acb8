"""The pytest plugin: `assert_initialized` and `assert_same_weights`, as fixtures and as functions."""

import copy
import importlib.metadata
import subprocess
import sys

import pytest
import torch
from torch import nn

import fanin.torch
from fanin.torch import assert_same_weights

PROGRAM = """
import sys
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(8))

def test_a_good_model(assert_initialized, assert_same_weights):
    assert_initialized(lambda: nn.Linear(4, 2))
    assert_same_weights(lambda: nn.Linear(4, 2), lambda: nn.Linear(4, 2))

def test_a_weight_that_no_code_wrote(assert_initialized):
    assert_initialized(Scale)

def test_other_weights(assert_same_weights):
    assert_same_weights(nn.Linear(4, 2), nn.Linear(4, 2))
"""


def plugin():
    """Returns the options that load the plugin. If the package is installed, its entry point loads the plugin without options."""
    return [] if importlib.metadata.entry_points(group="pytest11", name="fanin") else ["-p", "fanin.pytest_plugin"]


def test_the_fixtures_pass_and_fail(tmp_path):
    (tmp_path / "test_model.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pytest", "-q", *plugin(), "-p", "no:cacheprovider", "test_model.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "2 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "InitError" in done.stdout and "the weights differ" in done.stdout
    # The traceback ends in the test, not in the code of fanin.
    assert "_same_weights.py" not in done.stdout


def test_the_plugin_does_not_import_torch():
    program = "import sys, fanin.pytest_plugin; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_tensor_with_one_changed_bit_is_named():
    first = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    second = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    second.load_state_dict(first.state_dict())
    assert_same_weights(first, second)
    second[1].running_mean[1] = 1e-30
    with pytest.raises(AssertionError, match="1.running_mean"):
        assert_same_weights(first, second)
    assert_same_weights(first, second, allow="*.running_*")
    with pytest.raises(AssertionError, match="1.num_batches_tracked"):
        second[1].num_batches_tracked += 1
        assert_same_weights(first, second, allow=["*.running_mean"])


def test_zeros_of_different_signs_and_equal_nans_are_compared_by_their_bits():
    weights = torch.tensor([0.0, float("nan")])
    assert_same_weights({"w": weights}, {"w": weights.clone()})
    with pytest.raises(AssertionError, match="the weights differ"):
        assert_same_weights({"w": weights}, {"w": torch.tensor([-0.0, float("nan")])})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_checkpoints_wrappers_and_types_are_compared(dtype, tmp_path):
    model = nn.Linear(8, 4).to(dtype)
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(model.state_dict(), tmp_path / "model.safetensors")
    assert_same_weights(model, tmp_path / "model.safetensors")
    assert_same_weights(nn.DataParallel(model), model)
    with pytest.raises(AssertionError, match="retyped"):
        assert_same_weights(model, copy.deepcopy(model).float())


def test_a_missing_tensor_is_named():
    with pytest.raises(AssertionError, match="removed"):
        assert_same_weights(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), allow="weight")


def test_the_generators_keep_their_states_and_functions_get_the_seed():
    state = torch.get_rng_state()
    assert_same_weights(lambda: nn.Linear(4, 2), lambda: nn.Linear(4, 2), seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(3)
    expected = nn.Linear(4, 2)
    assert_same_weights(lambda: nn.Linear(4, 2), expected, seed=3)


def test_wrong_arguments_are_errors():
    with pytest.raises(ValueError, match="weight is on the meta device"):
        assert_same_weights(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2))
    with pytest.raises(TypeError, match="second: the function returned int"):
        assert_same_weights(nn.Linear(2, 2), lambda: 3)
