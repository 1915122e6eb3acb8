"""A model with every scheme in it, and the digest of its full tensors from what each rank holds."""

import hashlib

import numpy as np
import torch
from torch import nn
from torch.nn import init

from fanin.torch._boxes import boxes_of, local_of, view_of

ROWS = 50257  # GPT-2's: neither 2 nor 3 divides it


class Zoo(nn.Module):
    def __init__(self, **where):
        super().__init__()
        self.embed = nn.Embedding(ROWS, 2, padding_idx=3, **where)
        self.up = nn.Linear(2, 53, **where)
        self.down = nn.Linear(53, 6, **where)
        self.square = nn.Linear(17, 17, bias=False, **where)
        self.thin = nn.Linear(24, 19, bias=False, **where)
        self.conv = nn.Conv1d(6, 10, 3, **where)
        self.grouped = nn.Conv2d(8, 12, 3, groups=4, **where)
        self.same = nn.Linear(11, 9, bias=False, **where)
        self.cut = nn.Linear(7, 8, **where)
        self.few = nn.Linear(5, 1, **where)  # fewer rows than ranks
        self.norm = nn.LayerNorm(6, **where)
        self.gates = nn.Parameter(torch.empty(12, 5, **where))
        self.scale = nn.Parameter(torch.empty(13, **where))

    def init_weights(self):
        for module in self.modules():
            if module is not self and hasattr(module, "reset_parameters"):
                module.reset_parameters()
        init.normal_(self.embed.weight, std=0.02)
        init.zeros_(self.embed.weight[self.embed.padding_idx])
        init.xavier_uniform_(self.up.weight, gain=init.calculate_gain("tanh"))
        init.constant_(self.up.bias, 0.5)
        self.down.weight.data.normal_(0.0, 0.1).mul_(0.5)
        init.orthogonal_(self.square.weight, gain=2.0)
        init.sparse_(self.thin.weight, sparsity=0.4)
        init.dirac_(self.conv.weight)
        init.kaiming_normal_(self.grouped.weight, mode="fan_out", nonlinearity="relu")
        init.eye_(self.same.weight)
        init.trunc_normal_(self.cut.weight, std=0.02, a=-0.04, b=0.04)
        init.xavier_normal_(self.few.weight)
        for gate in self.gates.chunk(4):
            init.orthogonal_(gate)
        self.gates.data[3:6].add_(1.0)
        with torch.no_grad():
            # No parameter's draw: torch's generator, the same on every rank.
            self.scale.copy_(torch.rand(13).log())
            self.scale[2:5] = 7.0


RECIPE = """
[init]
"embed.weight"   = "normal(std=0.02)"
"up.weight"      = "xavier_uniform(gain=tanh)"
"down.weight"    = "uniform(-0.1, 0.1)"
"square.weight"  = "orthogonal(gain=2)"
"thin.weight"    = "sparse(0.4)"
"conv.weight"    = "dirac"
"grouped.weight" = "kaiming_normal(mode=fan_out, nonlinearity=relu)"
"same.weight"    = "eye"
"cut.weight"     = "trunc_normal(std=0.02, a=-0.04, b=0.04)"
"few.weight"     = "xavier_normal"
"norm.weight"    = "ones"
"gates"          = "kaiming_uniform(a=sqrt(5))"
"scale"          = "constant(0.25)"
"*.bias"         = "zeros"
"""


def held(module):
    """What this rank holds: name -> (shape, [(start, values)])."""
    parts = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        local = local_of(tensor).detach()
        boxes = [(box.start, view_of(local, box).clone().numpy()) for box in boxes_of(tensor, name)]
        parts[name] = (tuple(tensor.shape), boxes)
    return parts


def digest(ranks):
    """SHA-256 of all full tensors, by name, from what the ranks hold. Every element is there; copies are equal."""
    whole = {}
    for parts in ranks:
        for name, (shape, boxes) in parts.items():
            values, seen = whole.setdefault(name, (np.zeros(shape, np.float32), np.zeros(shape, bool)))
            for start, part in boxes:
                place = tuple(slice(at, at + size) for at, size in zip(start, part.shape))
                before = values[place][seen[place]]
                assert before.tobytes() == part[seen[place]].tobytes(), f"{name}: the copies differ"
                values[place], seen[place] = part, True
    sha = hashlib.sha256()
    for name in sorted(whole):
        values, seen = whole[name]
        assert seen.all(), f"{name}: nobody holds some of it"
        sha.update(name.encode() + str(values.shape).encode() + values.tobytes())
    return sha.hexdigest()
