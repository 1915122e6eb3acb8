"""Writes modules.tsv: what torch's modules start with after torch.manual_seed(0), as torch 2.15 has it.

One line a parameter: name, shape, the bits of its first four values, and a sum of all bits, each times its place.
"""

from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 32)
        self.norm = nn.LayerNorm(32)
        self.conv = nn.Conv1d(32, 16, 3)
        self.fc1 = nn.Linear(16, 64)
        self.fc2 = nn.Linear(64, 10, bias=False)
        self.head = nn.Linear(10, 3)


torch.manual_seed(0)
lines = [f"# torch {torch.__version__.split('+')[0]}, tests/golden/modules.py"]
for name, parameter in Net().named_parameters():
    bits = [int(bit) & 0xFFFFFFFF for bit in parameter.detach().flatten().view(torch.int32)]
    total = sum(bit * (place + 1) for place, bit in enumerate(bits)) % 2**64
    shape = "x".join(map(str, parameter.shape))
    first = " ".join(f"{bit:08x}" for bit in bits[:4])
    lines.append(f"{name}\t{shape}\t{first}\t{total:016x}")
Path(__file__).with_suffix(".tsv").write_text("\n".join(lines) + "\n")
