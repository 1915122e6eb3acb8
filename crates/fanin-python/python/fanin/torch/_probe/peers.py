"""Peers: parameters with the same role in different blocks, such as the weights h.*.mlp.c_fc.weight of a transformer."""

from __future__ import annotations

import math
import statistics
from typing import NamedTuple

from torch import nn

from .._measure import plain_name
from .records import Weights

#: The rms of a weight may differ by this factor from the median of its nearest peers. 1/sqrt(layer) scaling (depth_scaled, T-Fixup)
#: gives the first layer a factor of 1.73. Swapped fans in a layer that widens 4 times give a factor of 2.
FACTOR = 1.9
#: How many peers a parameter is compared with: the nearest in order of depth.
NEAREST = 3


class Outlier(NamedTuple):
    """A parameter that differs from its peers."""

    weights: Weights
    #: The median rms of the nearest peers.
    expected: float
    peers: list[Weights]

    @property
    def factor(self) -> float:
        return self.weights.rms / self.expected if self.expected > 0 else math.inf


def roles(model: nn.Module) -> dict[str, tuple[str, str]]:
    """Returns, for each parameter, a pattern of its peers' names, and the class of its module.

    In the pattern, a number is "*" if at least three modules of the same class are side by side there. So h.3.mlp.weight has the
    pattern h.*.mlp.weight, and layer2.0.bn1.weight of a ResNet has layer*.*.bn1.weight. The conv and the norm of a block that is
    a Sequential are not peers.
    """
    modules = {plain_name(name): module for name, module in model.named_modules()}
    classes: dict[str, list[str]] = {}
    for name, module in modules.items():
        classes.setdefault(name.rpartition(".")[0], []).append(type(module).__name__)
    found = {}
    for full, _ in model.named_parameters():
        name = plain_name(full)
        parts = name.split(".")
        starred = list(parts)
        for index, part in enumerate(parts[:-1]):
            path, parent = ".".join(parts[: index + 1]), ".".join(parts[:index])
            if not part.isdigit() or path not in modules:
                continue
            if classes[parent].count(type(modules[path]).__name__) >= 3:
                starred[index] = "*"
            elif not index or not parts[index - 1][-1:].isdigit() or parts[index - 1].isdigit():
                continue
            # layer1.0 and layer2.0 of a ResNet: the stages have names that end with numbers.
            stage = starred[index - 1].rstrip("0123456789") if index else ""
            if stage and stage != starred[index - 1]:
                starred[index - 1], starred[index] = f"{stage}*", "*"
        found[name] = (".".join(starred), type(modules.get(name.rpartition(".")[0])).__name__)
    return found


def groups(weights: list[Weights]) -> dict[tuple[str, str, tuple[int, ...]], list[Weights]]:
    """Returns the parameters by role, class and shape, each group in order of depth."""
    found: dict[tuple[str, str, tuple[int, ...]], list[Weights]] = {}
    for one in weights:
        found.setdefault(one.group, []).append(one)
    return found


def outliers(weights: list[Weights]) -> list[Outlier]:
    """Returns the parameters whose rms differs from the median of their nearest peers by more than `FACTOR`."""
    found = []
    for members in groups(weights).values():
        if len(members) < 3:
            continue
        for index, one in enumerate(members):
            others = sorted((other for other in range(len(members)) if other != index), key=lambda other: (abs(other - index), other))
            peers = [members[other] for other in others[:NEAREST]]
            if not all(math.isfinite(peer.rms) for peer in (one, *peers)):
                continue
            expected = statistics.median(peer.rms for peer in peers)
            # The rms of n random values varies by 1/sqrt(2 n) of itself. For short parameters, the factor is greater.
            limit = FACTOR * (1 + 4 / math.sqrt(2 * max(1, one.forward.count)))
            if one.rms == expected or (expected > 0 and 1 / limit <= one.rms / expected <= limit):
                continue
            # A peer is only evidence if the peers agree with each other.
            agreeing = sum(peer.rms == expected or (expected > 0 and 1 / limit <= peer.rms / expected <= limit) for peer in peers)
            if 2 * agreeing > len(peers):
                found.append(Outlier(one, expected, peers))
    return found
