"""float8: fanin rounds values as torch does, and fills tensors in place."""

import numpy as np
import pytest

import fanin

torch = pytest.importorskip("torch")

TYPES = [("f8_e4m3", torch.float8_e4m3fn), ("f8_e5m2", torch.float8_e5m2)]


@pytest.mark.parametrize(("name", "torch_dtype"), TYPES)
def test_rounding_is_that_of_torch_for_all_bfloat16_and_their_midpoints(name, torch_dtype):
    bits = np.arange(1 << 16, dtype=np.uint32) << 16
    offsets = np.array([0, 1, 0x7FFF, 0x8000, 0xFFFF], np.uint32)
    values = (bits[:, None] | offsets).ravel().view(np.float32)
    # Only values up to the largest value of the type are tested, because a larger constant is an error.
    largest = float(torch.finfo(torch_dtype).max)
    values = values[np.isfinite(values) & (np.abs(values) <= largest)]
    with pytest.raises(ValueError, match=f"largest value {largest:.0f}"):
        fanin.filled(1, f"constant({2 * largest})", dtype=name)
    chosen = np.unique(values[:: max(1, len(values) // 4000)])
    for value in chosen:
        found = fanin.filled(1, f"constant({float(value)!r})", dtype=name)
        expected = torch.tensor([value]).to(torch_dtype).view(torch.uint8).numpy()
        assert found[0] == expected[0], value


@pytest.mark.parametrize(("name", "torch_dtype"), TYPES)
def test_tensors_are_filled_in_place_with_f32_values_rounded_once(name, torch_dtype):
    wide = torch.empty(300, 7)
    fanin.fill(wide, "normal(std=0.5)", seed=3, name="w")
    expected = wide.to(torch_dtype).view(torch.uint8)
    narrow = torch.empty(300, 7, dtype=torch_dtype)
    assert fanin.fill(narrow, "normal(std=0.5)", seed=3, name="w") is narrow
    assert torch.equal(narrow.view(torch.uint8), expected)
    assert np.array_equal(fanin.filled((300, 7), "normal(std=0.5)", dtype=name, seed=3, name="w"), expected.numpy())
    turned = torch.empty(7, 300, dtype=torch_dtype).t()
    fanin.fill(turned, "normal(std=0.5)", seed=3, name="w")
    assert torch.equal(turned.contiguous().view(torch.uint8), expected)
    ml_dtypes = pytest.importorskip("ml_dtypes")
    foreign = np.empty((300, 7), getattr(ml_dtypes, str(torch_dtype).removeprefix("torch.")))
    fanin.fill(foreign, "normal(std=0.5)", seed=3, name="w")
    assert np.array_equal(foreign.view(np.uint8), expected.numpy())


@pytest.mark.parametrize(("name", "torch_dtype"), TYPES)
def test_modules_of_float8_are_filled(name, torch_dtype):
    layer = torch.nn.Linear(16, 8)
    layer.weight = torch.nn.Parameter(layer.weight.detach().to(torch_dtype), requires_grad=False)
    fanin.init_module(layer, fanin.Recipe('[init]\n"bias" = "zeros"\n"weight" = "orthogonal"'), seed=1)
    wide = fanin.filled((8, 16), "orthogonal", seed=1, name="weight")
    assert torch.equal(layer.weight.view(torch.uint8), torch.from_numpy(wide).to(torch_dtype).view(torch.uint8))
