"""The sums that probe computes are exact, and observing a model does not change the model."""

import random
import warnings

import numpy as np
import pytest
import torch
from conftest import same
from torch import nn

from fanin.torch._measure import moments, observed, tensors_of
from fanin.torch._preserve import preserved


@pytest.mark.parametrize("shape,axis", [((3, 70, 40, 40), 1), ((5, 7, 9000), -1), ((4, 9), -1), ((6,), 0), ((), 0), ((0, 3), 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_moments_are_sums_in_f64(shape, axis, dtype):
    torch.manual_seed(0)
    tensor = torch.relu(torch.randn(shape, dtype=torch.float64)).to(dtype)
    found = moments(tensor, unit_axis=axis, batch=shape[0] if shape else None, count_zeros=True)
    exact = tensor.double()
    assert found.count == exact.numel()
    if not found.count:
        return
    assert found.q == pytest.approx(float(exact.square().mean()), rel=1e-13)
    assert found.mean == pytest.approx(float(exact.mean()), rel=1e-13)
    assert found.zeros == int((exact == 0).sum())
    if shape:
        units = exact.transpose(0, axis).flatten(1) if exact.dim() > 1 else exact[:, None]
        assert found.dead_share == float((units == 0).all(1).double().mean())
        assert found.channel_square_mean == pytest.approx(float(units.mean(1).square().mean()), rel=1e-12)
        if units.shape[1] > 1:
            assert found.channel_variance == pytest.approx(float(units.var(1).mean()), rel=1e-10)
    if len(shape) > 1:
        assert torch.allclose(found.examples, exact.square().flatten(1).mean(1), rtol=1e-13)


def test_added_moments_are_those_of_the_joined_tensors():
    a, b = torch.randn(4, 6), torch.randn(3, 6)
    both = moments(a, unit_axis=1, batch=4)
    both.add(moments(b, unit_axis=1, batch=3))
    joined = moments(torch.cat([a, b]), unit_axis=1, batch=7)
    assert both.q == pytest.approx(joined.q) and both.channel_variance == pytest.approx(joined.channel_variance)
    assert torch.allclose(both.examples, joined.examples)


class Changing(nn.Module):
    """A module whose forward pass changes buffers, attributes, the training mode, its input and the states of generators."""

    def __init__(self):
        super().__init__()
        self.linear = torch.compile(nn.Linear(6, 6))
        self.norm = nn.BatchNorm1d(6)
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("replaced", torch.tensor([-0.0, float("nan")]))
        self.calls = 0

    def forward(self, x):
        self.steps += 1
        self.replaced = self.replaced + 1
        self.calls += 1
        self.cache = x
        self.train()
        random.random(), np.random.rand()
        return torch.relu_(self.norm(self.linear(self.linear(x)))) + torch.rand(6)


def test_observing_a_model_does_not_change_it():
    model = Changing().eval()
    model.norm.train()
    model.linear.weight.grad = torch.ones(6, 6)
    gradient = model.linear.weight.grad
    state = {name: tensor.clone() for name, tensor in model.state_dict(keep_vars=True).items()}
    attributes = {name: dict(module.__dict__) for name, module in model.named_modules()}
    generators = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    labels = []
    with torch.no_grad(), preserved(model), observed(model, lambda call, inputs, outputs: labels.append(call.label)):
        model(torch.randn(5, 6)).sum().backward()
        assert model.calls == 1 and model.linear.weight.grad is not gradient and model.training
    assert labels == ["linear", "linear#2", "norm", "(model)"]
    assert all(same(tensor, state[name]) for name, tensor in model.state_dict().items())
    for name, module in model.named_modules():
        assert module.__dict__.keys() == attributes[name].keys()
        assert all(value is attributes[name][key] for key, value in module.__dict__.items())
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert model.linear.weight.grad is gradient and bool((gradient == 1).all()) and model.norm.weight.grad is None
    assert torch.equal(torch.get_rng_state(), generators[0]) and random.getstate() == generators[1]
    assert (np.random.get_state()[1] == generators[2]).all() and torch.is_grad_enabled()


def test_a_model_that_cannot_be_restored_is_an_error():
    class Writes(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                self.bias.add_(1)
            return super().forward(x)

    with pytest.raises(RuntimeError, match="writes to its parameter bias"):
        with preserved(model := Writes(2, 2)):
            model(torch.zeros(1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lazy = nn.LazyLinear(3)
    with pytest.raises(ValueError, match="weight has no shape yet"), preserved(lazy):
        pass
    with pytest.raises(ValueError, match="weight is on the meta device"), preserved(nn.Linear(2, 2, device="meta")):
        pass


def test_tensors_are_found_in_nested_outputs():
    from transformers.modeling_outputs import BaseModelOutput

    a, b = torch.ones(2), torch.zeros(3)
    assert [id(one) for one in tensors_of([a, {"x": (b, torch.tensor(1))}, None, 3])] == [id(a), id(b)]
    assert [id(one) for one in tensors_of(BaseModelOutput(last_hidden_state=a, hidden_states=(b,)))] == [id(a), id(b)]
