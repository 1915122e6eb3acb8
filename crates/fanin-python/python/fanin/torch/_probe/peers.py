"""Peers: parameters with the same role in different blocks, such as the weights h.*.mlp.c_fc.weight of a transformer."""

from __future__ import annotations

import bisect
import math
import statistics
from typing import NamedTuple

from torch import nn

from .._measure import plain_name
from .records import Weights

#: The rms of a weight may differ by this factor from the median of its nearest peers. 1/sqrt(layer) scaling (depth_scaled, T-Fixup)
#: gives the first layer a factor of 1.73. Swapped fans in a layer that widens 4 times give a factor of 2.
FACTOR = 1.8
#: How many peers a parameter is compared with: the nearest in order of depth.
NEAREST = 3


class Outlier(NamedTuple):
    """A parameter that differs from its peers."""

    weights: Weights
    #: The median rms of the nearest peers. If fans differ and the peers' rms depends on them, this is for the fans of `weights`.
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
    """Returns the parameters whose rms differs from the median of their nearest peers by more than `FACTOR`.

    Peers have the same role and the same shape. If a parameter has fewer than two such peers, as in the stages of a ResNet, it is
    compared with those of other shapes, unless it belongs to the first or the last layer, which often differ from the others. It
    differs from its peers if no dependence on the fans makes the sizes agree.
    """
    fans = {one.module: one.shape for one in weights if one.name.endswith("weight") and len(one.shape) > 1}
    places = {one.name: place for place, one in enumerate(weights)}
    ends = {*list(fans)[:1], *list(fans)[-1:]}
    by_role: dict[tuple[str, str], list[Weights]] = {}
    for one in weights:
        by_role.setdefault(one.role, []).append(one)
    found = []
    for members in by_role.values():
        by_shape: dict[tuple[int, ...], list[Weights]] = {}
        for one in members:
            by_shape.setdefault(one.shape, []).append(one)
        for position, one in enumerate(members):
            same = by_shape[one.shape]
            if len(same) >= 3:
                nearest = _nearest(bisect.bisect_left(same, places[one.name], key=lambda other: places[other.name]), same)
            elif len(members) >= 4 and one.module not in ends:
                nearest = _nearest(position, members)
            else:
                continue
            outlier = _compared(one, nearest, fans)
            if outlier is not None:
                found.append(outlier)
    return found


def _nearest(index: int, members: list[Weights]) -> list[Weights]:
    """Returns the peers that are nearest to a parameter in order of depth."""
    around = [other for other in range(max(0, index - NEAREST), min(len(members), index + NEAREST + 1)) if other != index]
    return [members[other] for other in sorted(around, key=lambda other: (abs(other - index), other))[:NEAREST]]


def _compared(one: Weights, peers: list[Weights], fans: dict[str, tuple[int, ...]]) -> Outlier | None:
    """Returns an outlier if a parameter differs from its peers, and these agree with each other."""
    if not peers or not all(math.isfinite(other.rms) for other in (one, *peers)):
        return None
    # Norm weights that begin at 0 end residual branches. In a block without a shortcut, the same norm begins at 1.
    if one.constant and one.forward.mean == 1 and not any(other.rms for other in peers):
        return None
    # The rms of n random values varies by 1/sqrt(2 n) of itself, and that of a few values often by more.
    count = max(1, one.forward.count)
    limit = FACTOR * (1 + 2 / math.sqrt(2 * count) + 16 / count)
    scales = [_scales(other, fans) for other in (one, *peers)]
    found: list[Outlier] = []
    agreeing = False
    for own, *others in zip(*scales):
        sizes = [other.rms * scale / own for other, scale in zip(peers, others)]
        expected = statistics.median(sizes)
        if _is_near(one.rms, expected, limit):
            return None
        # The peers are only evidence if they agree with each other.
        agreeing = agreeing or 2 * sum(_is_near(size, expected, limit) for size in sizes) > len(peers)
        found.append(Outlier(one, expected, peers))
    nearest = min(found, key=lambda outlier: abs(math.log(outlier.factor)) if 0 < outlier.factor < math.inf else math.inf)
    is_one_sided = all((outlier.factor > 1) == (nearest.factor > 1) for outlier in found)
    return nearest if agreeing and is_one_sided else None


def _is_near(rms: float, expected: float, limit: float) -> bool:
    return rms == expected or (expected > 0 and 1 / limit <= rms / expected <= limit)


def _scales(one: Weights, fans: dict[str, tuple[int, ...]]) -> list[float]:
    """Returns the factors of the rms that could be equal for all peers: 1, sqrt(fan_in) and, for weights, sqrt(fan_out)."""
    shape = one.shape if len(one.shape) > 1 else fans.get(one.module, ())
    if len(shape) < 2:
        return [1.0]
    receptive = math.prod(shape[2:])
    scales = [1.0, math.sqrt(max(1, shape[1] * receptive)), math.sqrt(max(1, shape[0] * receptive))]
    # torch draws biases from U(+-1/sqrt(fan_in)).
    return scales if len(one.shape) > 1 else scales[:2]
