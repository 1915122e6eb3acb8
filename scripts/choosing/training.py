"""Trains one network from one initialization on scikit-learn's digits."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import fanin.torch
from experiments import Experiment, Scheme

#: The number of images in the training set. The other 397 are held out.
TRAIN = 1400
BATCH = 64


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Returns the 1797 images of 8 x 8 pixels and their labels, shuffled with a fixed seed.

    The pixels have mean 0 and variance 1.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return ((x - x.mean()) / x.std())[order], torch.tensor(labels)[order]


@cache
def picture() -> tuple[Tensor, Tensor, Tensor]:
    """Returns the coordinates and the brightness of 48 x 48 pixels, and a mask of the pixels in the training set.

    The picture shows nine digits. They are enlarged to twice their size, so that the picture is smooth. About half of
    the pixels are in the training set.
    """
    images = digits()[0][:9].reshape(3, 3, 8, 8).transpose(1, 2).reshape(1, 1, 24, 24)
    large = nn.functional.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False).reshape(-1, 1)
    line = torch.linspace(-1, 1, 48)
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    chosen = torch.rand(len(points), generator=torch.Generator().manual_seed(0)) < 0.5
    return points, large, chosen


def initialized(experiment: Experiment, scheme: Scheme, seed: int, *, is_deep: bool = False) -> nn.Module:
    """Returns a new network that is initialized by a scheme."""
    build = scheme.build or experiment.build
    model = build(**experiment.deep) if is_deep else build()
    fanin.torch.init_module(model, fanin.Recipe(scheme.recipe), seed=seed)
    return model


def train(experiment: Experiment, scheme: Scheme, rate: float, seed: int) -> dict[str, Any]:
    """Trains one network. Returns its loss at each step, and its score on held-out data.

    The score is the accuracy for digits, and max(0, 1 - error / variance) for the picture. Training ends after a loss
    that is not finite.
    """
    model = initialized(experiment, scheme, seed).train()
    make = {"sgd": lambda one: torch.optim.SGD(one, rate, momentum=0.9), "adam": lambda one: torch.optim.Adam(one, rate)}
    optimizer = make[experiment.optimizer](model.parameters())
    numbers = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    for _ in range(experiment.steps):
        loss = _picture_loss(model) if experiment.fits_picture else _digits_loss(model, numbers)
        optimizer.zero_grad()
        loss.backward()
        if experiment.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), experiment.clip)
        optimizer.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break
    with torch.no_grad():
        score = _picture_score(model.eval()) if experiment.fits_picture else _accuracy(model.eval())
    return {"loss": losses, "score": score}


def _digits_loss(model: nn.Module, numbers: torch.Generator) -> Tensor:
    x, y = digits()
    rows = torch.randint(TRAIN, (BATCH,), generator=numbers)
    return nn.functional.cross_entropy(model(x[rows]), y[rows])


def _accuracy(model: nn.Module) -> float:
    x, y = digits()
    return float((model(x[TRAIN:]).argmax(1) == y[TRAIN:]).float().mean())


def _picture_loss(model: nn.Module) -> Tensor:
    points, large, chosen = picture()
    return nn.functional.mse_loss(model(points[chosen]), large[chosen])


def _picture_score(model: nn.Module) -> float:
    points, large, chosen = picture()
    error = nn.functional.mse_loss(model(points[~chosen]), large[~chosen])
    return max(0.0, 1 - float(error / large[~chosen].var()))
