"""lsuv_ scales weights so that the output of each layer has variance 1, and changes nothing but the weights."""

import pytest
import torch
from conftest import same
from torch import nn

from fanin.torch import lsuv_


class Mixed(nn.Module):
    """A model with a layer that is called three times, a batch norm, dropout, a convolution, and a head tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 64)
        self.shared, self.last = nn.Linear(64, 64), nn.Linear(64, 64)
        self.norm, self.drop = nn.BatchNorm1d(64), nn.Dropout()
        self.conv = nn.Conv1d(1, 8, 3, padding=1)
        self.head = nn.Linear(64, 30, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        x = torch.relu(self.shared(self.embed(ids)))
        x = self.drop(torch.relu(self.shared(x)))
        x = self.norm(self.last(torch.tanh(self.shared(x))))
        return self.conv(x[:, None]), self.head(x)


def outputs(model, batch):
    """Returns the variance of the outputs of each layer, over all calls of the layer."""
    found = {}
    handles = [
        module.register_forward_hook(lambda module, args, output, name=name: found.setdefault(name, []).append(output.flatten()))
        for name, module in model.named_modules()
        if name in ("shared", "last", "conv")
    ]
    with torch.no_grad():
        model(batch)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(values).double().var(correction=0).item() for name, values in found.items()}


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_outputs_of_layers_have_variance_1(orthogonal):
    torch.manual_seed(0)
    model, batch = Mixed().eval(), torch.randint(0, 30, (256,))
    model.norm.train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    variances = lsuv_(model, batch, orthogonal=orthogonal)
    if not orthogonal:
        assert torch.equal(generator, torch.get_rng_state())
    assert list(variances) == ["shared", "last", "conv"]
    changed = {name for name, tensor in model.state_dict().items() if not same(tensor, state[name])}
    assert changed == {"shared.weight", "last.weight", "conv.weight"}
    assert model.norm.training and not model.training and not model.shared._forward_hooks
    for name, variance in outputs(model, batch).items():
        assert abs(variance - 1) <= 0.02 and variance == pytest.approx(variances[name], rel=1e-4)


def test_the_orthogonal_matrices_are_drawn_from_the_given_generator():
    def weights(seed):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
        lsuv_(model, torch.ones(4, 8).cumsum(0), generator=torch.Generator().manual_seed(seed))
        return model[2].weight

    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert torch.allclose(first @ first.T, torch.eye(8) * (first @ first.T)[0, 0], atol=1e-5)


def test_wrong_arguments_and_layers_that_cannot_be_scaled_are_errors():
    with pytest.raises(ValueError, match="the output of 0 has variance 0: its input is constant or not finite"):
        lsuv_(nn.Sequential(nn.Linear(4, 4, bias=False)), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="ReLU has no linear layer and no convolution"):
        lsuv_(nn.ReLU(), torch.ones(3, 4))
    with pytest.raises(ValueError, match="tolerance = 0"):
        lsuv_(nn.Linear(4, 4), torch.ones(3, 4), tolerance=0)
    model = nn.Linear(8, 8)
    nn.init.normal_(model.bias, std=5)
    with pytest.raises(RuntimeError, match="or set its bias to 0"):
        lsuv_(model, torch.randn(64, 8))
