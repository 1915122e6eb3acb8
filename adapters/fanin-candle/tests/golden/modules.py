"""Writes modules.tsv: the parameters of torch.nn modules with their default initialization.

The modules are built by torch 2.15 after torch.manual_seed(0).
"""

import golden
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
golden.write(__file__, Net())
