"""Finds parameters that differ from their peers.

Peers are the same parameter in different blocks of a model, such as the weights h.*.mlp.c_fc.weight of a transformer.
"""

from __future__ import annotations

import bisect
import math
import statistics
from typing import NamedTuple

from torch import nn

from .._measure import plain_name
from .records import Weights

#: A parameter is reported if its rms differs from the median rms of its nearest peers by more than this factor. The
#: value is between two known factors. Weights scaled by 1/sqrt(layer) are correct: the rms of the first layer is 1.73
#: times the median. Swapped fans are an error: if a layer's output is 4 times as wide as its input, the factor is 2.
FACTOR = 1.8
#: A parameter is compared with at most this many peers: those nearest to it in order of depth.
NEAREST = 3


class Outlier(NamedTuple):
    """A parameter that differs from its peers."""

    weights: Weights
    #: The expected rms: the median rms of the nearest peers. If the rms depends on the fans, each peer's rms is first
    #: converted to the fans of `weights`.
    expected: float
    #: The nearest peers.
    peers: list[Weights]

    @property
    def factor(self) -> float:
        """The rms of the parameter divided by the expected rms."""
        return self.weights.rms / self.expected if self.expected > 0 else math.inf


def roles(model: nn.Module) -> dict[str, tuple[str, str]]:
    """Returns the role of each parameter: a name pattern that matches its peers, and the class of its module.

    The pattern is the parameter's name with "*" in place of each block index. For example, h.3.mlp.weight has the
    pattern h.*.mlp.weight, and layer2.0.bn1.weight of a ResNet has the pattern layer*.*.bn1.weight.

    A name consists of parts separated by dots. A part that is a number, such as the 3 in h.3.mlp, is a block index in
    two cases:

    - The parent module, h, has at least three children of the class of h.3, including h.3.
    - The name of the parent module is a word and a number, such as layer2. The number in this name is then replaced as
      well.

    In a small torch.nn.Sequential, neither case applies. So its convolution and its norm are not peers.
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
            # In layer1.0 and layer2.0 of a ResNet, the name of the stage ends with a number, which is also replaced.
            stage = starred[index - 1].rstrip("0123456789") if index else ""
            if stage and stage != starred[index - 1]:
                starred[index - 1], starred[index] = f"{stage}*", "*"
        found[name] = (".".join(starred), type(modules.get(name.rpartition(".")[0])).__name__)
    return found


def groups(weights: list[Weights]) -> dict[tuple[str, str, tuple[int, ...]], list[Weights]]:
    """Groups parameters by role and shape. Each group is in order of depth."""
    found: dict[tuple[str, str, tuple[int, ...]], list[Weights]] = {}
    for one in weights:
        found.setdefault(one.group, []).append(one)
    return found


def outliers(weights: list[Weights]) -> list[Outlier]:
    """Returns the parameters whose rms differs from the median rms of their nearest peers by more than `FACTOR`.

    A parameter is compared with its peers of the same role and shape if there are at least two such peers. Otherwise,
    as in the stages of a ResNet, it is compared with its peers of all shapes if there are at least three of these. The
    first and the last layer are not compared with other shapes, because they often differ from the other layers.

    A weight is compared with its peers three times: by rms, by rms * sqrt(fan_in), and by rms * sqrt(fan_out). The
    second and the third comparison are for initializers whose rms is proportional to 1/sqrt(fan_in) or 1/sqrt(fan_out).
    The weight is returned only if it is larger by more than `FACTOR` in all three comparisons, or smaller by more than
    `FACTOR` in all three. If it has few values, it must differ by more. Biases are not compared by rms * sqrt(fan_out).
    Parameters without fans, such as those of norms, are compared only by rms.
    """
    fans = {one.module: one.shape for one in weights if one.name.endswith("weight") and len(one.shape) > 1}
    order = {one.name: index for index, one in enumerate(weights)}
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
                nearest = _nearest(bisect.bisect_left(same, order[one.name], key=lambda other: order[other.name]), same)
            elif len(members) >= 4 and one.module not in ends:
                nearest = _nearest(position, members)
            else:
                continue
            outlier = _outlier(one, nearest, fans)
            if outlier is not None:
                found.append(outlier)
    return found


def _nearest(index: int, members: list[Weights]) -> list[Weights]:
    """Returns the `NEAREST` members that are nearest to the member `index`, without that member. `members` is in order of depth."""
    around = [other for other in range(max(0, index - NEAREST), min(len(members), index + NEAREST + 1)) if other != index]
    return [members[other] for other in sorted(around, key=lambda other: (abs(other - index), other))[:NEAREST]]


def _outlier(one: Weights, peers: list[Weights], fans: dict[str, tuple[int, ...]]) -> Outlier | None:
    """Returns an outlier if `one` differs from its peers and most of these agree with each other, else None."""
    if not peers or not all(math.isfinite(other.rms) for other in (one, *peers)):
        return None
    # The last norm of a block often has the weight 0. In a block without a shortcut, the weight 1 is correct.
    if one.constant and one.forward.mean == 1 and not any(other.rms for other in peers):
        return None
    # The rms of n normal values has a relative standard deviation of 1/sqrt(2 n). For small n, large deviations are
    # more frequent than this suggests. So the limit also has a term in 1/n.
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
        # Peers that differ among themselves do not show which rms is normal.
        agreeing = agreeing or 2 * sum(_is_near(size, expected, limit) for size in sizes) > len(peers)
        found.append(Outlier(one, expected, peers))
    nearest = min(found, key=lambda outlier: abs(math.log(outlier.factor)) if 0 < outlier.factor < math.inf else math.inf)
    is_one_sided = all((outlier.factor > 1) == (nearest.factor > 1) for outlier in found)
    return nearest if agreeing and is_one_sided else None


def _is_near(rms: float, expected: float, limit: float) -> bool:
    return rms == expected or (expected > 0 and 1 / limit <= rms / expected <= limit)


def _scales(one: Weights, fans: dict[str, tuple[int, ...]]) -> list[float]:
    """Returns 1, sqrt(fan_in) and, for weights, sqrt(fan_out).

    Initializers make the rms constant, or proportional to 1/sqrt(fan_in) or 1/sqrt(fan_out). The rms times the matching
    number is then equal for peers of all shapes.
    """
    shape = one.shape if len(one.shape) > 1 else fans.get(one.module, ())
    if len(shape) < 2:
        return [1.0]
    receptive = math.prod(shape[2:])
    scales = [1.0, math.sqrt(max(1, shape[1] * receptive)), math.sqrt(max(1, shape[0] * receptive))]
    # torch draws the biases of linear layers from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), so fan_out is not needed for biases.
    return scales if len(one.shape) > 1 else scales[:2]
