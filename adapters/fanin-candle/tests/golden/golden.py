"""Writes golden files for the tests. A golden file is a .tsv file with values of torch.

A golden file has a line for each parameter. The line contains the parameter's name and shape, the bits of its first four
values, and a checksum. The checksum is `1*b[1] + 2*b[2] + ...` modulo 2^64, where `b[i]` are the bits of the i-th value.
"""

from pathlib import Path

import torch


def write(script: str, model: torch.nn.Module) -> None:
    """Writes the parameters of `model` to a .tsv file with the same path as `script`, apart from the extension."""
    path = Path(script)
    lines = [f"# torch {torch.__version__.split('+')[0]}, tests/golden/{path.name}"]
    for name, parameter in model.named_parameters():
        bits = [int(bit) & 0xFFFFFFFF for bit in parameter.detach().flatten().view(torch.int32)]
        total = sum(bit * (index + 1) for index, bit in enumerate(bits)) % 2**64
        shape = "x".join(map(str, parameter.shape))
        first = " ".join(f"{bit:08x}" for bit in bits[:4])
        lines.append(f"{name}\t{shape}\t{first}\t{total:016x}")
    path.with_suffix(".tsv").write_text("\n".join(lines) + "\n")
