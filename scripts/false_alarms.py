"""Measures how often `fanin verify` rejects correct checkpoints.

The checkpoints are written with many seeds, several distributions and dtypes, and both streams.

    python scripts/false_alarms.py --fanin target/release/fanin --seeds 200
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

SPECS = {
    "normal": "normal(std=0.02)",
    "shifted": "normal(mean=1, std=0.1)",
    "uniform": "kaiming_uniform(a=sqrt(5))",
    "truncated": "trunc_normal(std=0.02, a=-0.04, b=0.04)",
    "tail": "trunc_normal(std=1, a=3, b=8)",
    "tiny": "normal(std=1e-6)",
    "sparse": "sparse(sparsity=0.3, std=0.01)",
    "orthogonal": "orthogonal(gain=1.4)",
}
SHAPES = {"s": [3, 5], "m": [64, 96], "l": [700, 600]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fanin", required=True)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--alpha", default="0.01")
    arguments = parser.parse_args()
    manifest = {
        f"{name}.{size}.{dtype}": {"dtype": dtype.upper(), "shape": shape}
        for name in SPECS
        for size, shape in SHAPES.items()
        for dtype in ("f32", "f16", "bf16")
        if not (name == "orthogonal" and size == "l")
    }
    recipe = "[init]\n" + "".join(f'"{name}.*" = "{spec}"\n' for name, spec in SPECS.items())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "m.json").write_text(json.dumps(manifest))
        (folder / "r.toml").write_text(recipe)
        fanin = lambda *words: subprocess.run([arguments.fanin, *words], cwd=folder, capture_output=True, text=True)
        for stream in ("native", "torch"):
            alarms, seen = 0, {}
            for seed in range(arguments.seeds):
                made = fanin("init", "r.toml", "--like", "m.json", "--seed", str(seed), "--stream", stream, "--force",
                             "-q", "-o", "x.safetensors")
                assert made.returncode == 0, made.stderr
                ran = fanin("verify", "x.safetensors", "--recipe", "r.toml", "--alpha", arguments.alpha, "--json", "-q")
                assert ran.returncode in (0, 1), ran.stderr
                report = json.loads(ran.stdout)
                alarms += not report["ok"]
                for tensor in report["tensors"]:
                    for deviation in tensor["deviations"]:
                        key = (tensor["name"], deviation["test"])
                        seen[key] = seen.get(key, 0) + 1
                for deviation in report["rules"]:
                    seen[deviation["text"][:40]] = seen.get(deviation["text"][:40], 0) + 1
            print(f"{stream}: {alarms} alarms in {arguments.seeds} correct files at alpha {arguments.alpha}: {seen}")


if __name__ == "__main__":
    main()
