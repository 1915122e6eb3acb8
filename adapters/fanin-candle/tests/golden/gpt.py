"""Writes gpt.tsv: the parameters of a GPT-2 with two layers, drawn by torch.nn.init (torch 2.15) after torch.manual_seed(0).

The layers have the same names, shapes and order as in bigcode.rs of candle-transformers. In that model, all attention heads
share one key head and one value head.
"""

from math import sqrt

import golden
import torch
from torch import nn

LAYERS, HIDDEN, HEADS = 2, 32, 4


def block():
    return nn.ModuleDict({
        "ln_1": nn.LayerNorm(HIDDEN),
        "attn": nn.ModuleDict({
            "c_attn": nn.Linear(HIDDEN, HIDDEN + 2 * (HIDDEN // HEADS)),
            "c_proj": nn.Linear(HIDDEN, HIDDEN),
        }),
        "ln_2": nn.LayerNorm(HIDDEN),
        "mlp": nn.ModuleDict({
            "c_fc": nn.Linear(HIDDEN, 4 * HIDDEN),
            "c_proj": nn.Linear(4 * HIDDEN, HIDDEN),
        }),
    })


model = nn.ModuleDict({
    "transformer": nn.ModuleDict({
        "wte": nn.Embedding(256, HIDDEN),
        "wpe": nn.Embedding(8, HIDDEN),
        "h": nn.ModuleList(block() for _ in range(LAYERS)),
        "ln_f": nn.LayerNorm(HIDDEN),
    })
})
torch.manual_seed(0)
for name, parameter in model.named_parameters():
    if name.endswith(".bias"):
        nn.init.zeros_(parameter)
    elif ".ln_" in name:
        nn.init.ones_(parameter)
    else:
        nn.init.normal_(parameter, std=0.02 / sqrt(2 * LAYERS) if "c_proj" in name else 0.02)
golden.write(__file__, model)
