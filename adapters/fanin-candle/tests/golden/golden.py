"""Writes golden files: .tsv files with values of torch, for the tests.

A golden file has a line for each parameter, with its name, its shape, the bits of its first four values, and a checksum.
The checksum is the sum of i times the bits of value i modulo 2^64, where i counts from 1.
"""

from pathlib import Path

import torch


def write(script: str, model: torch.nn.Module) -> None:
    """Writes the parameters of a model to the .tsv file beside the script."""
    path = Path(script)
    lines = [f"# torch {torch.__version__.split('+')[0]}, tests/golden/{path.name}"]
    for name, parameter in model.named_parameters():
        bits = [int(bit) & 0xFFFFFFFF for bit in parameter.detach().flatten().view(torch.int32)]
        total = sum(bit * (index + 1) for index, bit in enumerate(bits)) % 2**64
        shape = "x".join(map(str, parameter.shape))
        first = " ".join(f"{bit:08x}" for bit in bits[:4])
        lines.append(f"{name}\t{shape}\t{first}\t{total:016x}")
    path.with_suffix(".tsv").write_text("\n".join(lines) + "\n")
