"""Checks that `fanin init --stream torch` draws all tensors from one generator in sequence, like a loop in torch.

    python tests/torch/compare_init_order.py --fanin target/release/fanin

The tensors of the checkpoint are not in alphabetical order. After a draw of fewer than 16 normals, the generator may
store the second normal of a pair. A later tensor then uses this normal.

If the command is run twice, it must write the same file. A tensor without a rule, a rule without a tensor and an
invalid spec must be errors. The last line of the output is `N passed, M failed`. The exit code is 1 if a check fails.
"""

import argparse
import json
import math
import struct
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from compare_fill import DTYPES, Case, difference, torch_fill
from safetensors.torch import load_file

#: The rules of the recipe: a spec for each pattern.
RECIPE = {
    "*.bias": "zeros",
    "*.scale": "normal(mean=1, std=0.02)",
    "head.*": "trunc_normal(std=0.02, a=-0.04, b=0.04)",
    "conv.*": "kaiming_uniform(a=sqrt(5))",
    "mix.*": "sparse(sparsity=0.4)",
    "turn.*": "orthogonal(gain=relu)",
    "gate.*": "uniform(a=-0.1, b=0.1)",
    "*": "normal(std=0.02)",
}
#: The tensors in the order of the file: name, type and shape. torch draws fewer than 16 normals in pairs. Its generator
#: may keep the second normal of a pair for a later tensor.
SMALL = [
    ("z.weight", "F32", (3, 5)),
    ("conv.weight", "F32", (4, 3, 3, 3)),
    ("norm.scale", "F32", (7,)),
    ("norm.bias", "F32", (7,)),
    ("embed.weight", "F32", (19, 13)),
    ("mix.weight", "F32", (5, 3)),
    ("a.scale", "F32", (1,)),
    ("turn.weight", "F32", (4, 6)),
    ("gate.weight", "F32", (2, 9)),
    ("head.weight", "F32", (3, 4)),
    ("b.weight", "F32", (2, 2)),
]
MIXED = [(name, kind, shape) for (name, _, shape), kind in zip(SMALL, ["F64", "F16", "F32", "BF16"] * 3)]
MIXED = [tensor for tensor in MIXED if tensor[0] != "turn.weight"]  # torch has no QR factorization for f16
MIXED += [("turn.weight", "F64", (6, 4)), ("last.weight", "F16", (1,)), ("very.last", "F64", (1,))]


def write_checkpoint(path, tensors):
    """Writes a safetensors file of zeros. The tensors in the header are in the order of `tensors`."""
    header, end = {}, 0
    for name, kind, shape in tensors:
        start, end = end, end + math.prod(shape) * DTYPES[kind.lower()].itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def write_recipe(path, rules):
    # JSON strings without control characters and surrogates are also TOML strings. `rules` contains neither.
    path.write_text("[init]\n" + "".join(f"{json.dumps(rule)} = {json.dumps(spec)}\n" for rule, spec in rules.items()))


def expected(tensors, seed):
    """Fills the tensors with torch, in sequence, from one generator. Yields name, case and values of each tensor."""
    torch.manual_seed(seed)
    for name, kind, shape in tensors:
        tensor = torch.empty(shape, dtype=DTYPES[kind.lower()])
        spec = next(spec for rule, spec in RECIPE.items() if fnmatchcase(name, rule))
        torch_fill(tensor, spec)
        yield name, Case(spec, shape, kind.lower(), seed), tensor


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fanin", required=True, help="path of the binary")
    fanin = parser.parse_args().fanin
    tally = {True: 0, False: 0}

    def report(name, wrong):
        tally[not wrong] += 1
        if wrong:
            print(f"FAIL {name}\n     {wrong}")

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        recipe = folder / "recipe.toml"

        def init(like, out, *more):
            write_checkpoint(folder / "like.safetensors", like)
            return subprocess.run(
                [fanin, "init", str(recipe), "--like", str(folder / "like.safetensors"), "--stream", "torch",
                 "--seed", "7", "-o", str(out), *more],
                capture_output=True, text=True)  # fmt: skip

        write_recipe(recipe, RECIPE)
        for label, tensors in (("f32", SMALL), ("mixed types", MIXED), ("reversed", SMALL[::-1])):
            out = folder / f"{label}.safetensors"
            result = init(tensors, out)
            if result.returncode != 0:
                report(label, f"exit code {result.returncode}: {result.stderr.strip()}")
                continue
            found = load_file(out)
            names = {name for name, _, _ in tensors}
            report(f"{label}: names", set(found) != names and f"expected {sorted(names)}, got {sorted(found)}")
            for name, case, tensor in expected(tensors, 7):
                if name in found:
                    report(f"{label}: {name}: {case}", difference(case, {"weight": found[name]}, tensor))
            first = out.read_bytes()
            again = init(tensors, out, "--force")
            report(f"{label}: the same file again", again.returncode != 0 or out.read_bytes() != first)

        for label, rules, word in (
            ("a tensor without a rule", {"*.weight": "zeros"}, "norm.scale"),
            ("a rule without a tensor", {"nothing.*": "ones", "*": "zeros"}, "nothing.*"),
            ("an invalid spec", {"*": "normal(std=)"}, "normal(std=)"),
        ):
            write_recipe(recipe, rules)
            out = folder / "refused.safetensors"
            result = init(SMALL, out)
            good = result.returncode == 2 and word in result.stderr and not out.exists()
            report(label, not good and f"exit code {result.returncode}, file {out.exists()}: {result.stderr.strip()}")
    print(f"{tally[True]} passed, {tally[False]} failed")
    return 1 if tally[False] else 0


if __name__ == "__main__":
    sys.exit(main())
