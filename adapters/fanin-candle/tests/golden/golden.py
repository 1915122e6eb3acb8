"""The form of the golden files: one line a parameter: name, shape, the bits of its first four values, and a sum of all
bits, each times its place."""

from pathlib import Path

import torch


def write(script: str, model: torch.nn.Module) -> None:
    """Writes a model's parameters beside the script that made it."""
    path = Path(script)
    lines = [f"# torch {torch.__version__.split('+')[0]}, tests/golden/{path.name}"]
    for name, parameter in model.named_parameters():
        bits = [int(bit) & 0xFFFFFFFF for bit in parameter.detach().flatten().view(torch.int32)]
        total = sum(bit * (place + 1) for place, bit in enumerate(bits)) % 2**64
        shape = "x".join(map(str, parameter.shape))
        first = " ".join(f"{bit:08x}" for bit in bits[:4])
        lines.append(f"{name}\t{shape}\t{first}\t{total:016x}")
    path.with_suffix(".tsv").write_text("\n".join(lines) + "\n")
