"""Measures how `fanin audit` classifies weights: freshly initialized, damaged and trained ones.

    python scripts/audit_calibration.py --fanin target/release/fanin > results

- Freshly initialized weights of models of transformers and timm. Every random tensor of at least 64 values should be
  classified as fresh. Reported problems should be properties of the model, such as two tensors with the same values.
- Damaged weights: up to four large weights of each model. A copy of each weight is made for each kind of damage.
  `fanin audit` should notice every damage.
- Trained weights: a small network is trained on a random task with Adam. The script prints the classification after 0,
  100, 500 and 1500 steps.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors.torch import save_file

import model_configs


def models(seed):
    """Builds each model with the seed `seed`. Yields pairs of the name and the model."""
    for name, build in model_configs.AUDITED.items():
        torch.manual_seed(seed)
        yield name, build()


def damages(weight):
    """Returns functions that damage a copy of `weight` in place, each in a different way."""
    std, rows = weight.std(), weight.shape[0]

    def nan(w):
        w.view(-1)[7] = float("nan")

    def zero_shard(w):
        w[: rows // 4] = 0

    def two_shards(w):
        w[rows // 2 : rows // 2 * 2] = w[: rows // 2].clone()

    def clamped(w):
        w.clamp_(-1.5 * std, 1.5 * std)

    def outlier(w):
        w.view(-1)[5] = 100 * std

    def garbage(w):
        w.view(-1)[: w.numel() // 4] = torch.randint(1, 2**31 - 2**24, (w.numel() // 4,), dtype=torch.int32).view(torch.float32)

    def rows_of_other_size(w):
        w *= torch.exp(0.15 * torch.randn([rows] + [1] * (w.dim() - 1)))

    def two_scales(w):
        w[: rows // 2] *= 1.2

    return [nan, zero_shard, two_shards, clamped, outlier, garbage, rows_of_other_size, two_scales]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fanin", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.safetensors"

        def audit(tensors):
            save_file(tensors, file)
            ran = subprocess.run([arguments.fanin, "audit", str(file), "--json", "-q"], capture_output=True, text=True)
            assert ran.returncode in (0, 1), ran.stderr
            return {tensor["name"]: tensor for tensor in json.loads(ran.stdout)["tensors"]}

        seen = missed = alarms = 0
        caught, tried = {}, {}
        for seed in range(arguments.seeds):
            for name, model in models(seed):
                tensors, known = {}, set()
                for key, value in model.state_dict().items():
                    if value.data_ptr() not in known:
                        known.add(value.data_ptr())
                        tensors[key] = value.detach().clone().contiguous()
                for dtype in (torch.float32, torch.bfloat16):
                    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
                    for key, tensor in audit(cast).items():
                        if tensor["kind"] in ("fresh", "compatible with fresh", "orthogonal", "trained or other", "uninitialized"):
                            seen += 1
                            if tensor["kind"] not in ("fresh", "compatible with fresh", "orthogonal"):
                                missed += 1
                                print(f"not fresh: {name} {dtype} {key} {tensor['shape']} std {tensor['std']:.3g}")
                        if tensor["problems"]:
                            alarms += 1
                            print(f"problem: {name} {dtype} {key}: {tensor['problems']}")
                if seed > 0:
                    continue
                large = [k for k, v in tensors.items() if v.dim() >= 2 and v.numel() >= 20000 and v.shape[0] >= 32]
                for key in large[:: max(1, len(large) // 4)][:4]:
                    for damage in damages(tensors[key]):
                        damaged = {key: tensors[key].clone()}
                        damage(damaged[key])
                        found = audit(damaged)[key]
                        tried[damage.__name__] = tried.get(damage.__name__, 0) + 1
                        noticed = bool(found["problems"]) or found["kind"] not in ("fresh", "compatible with fresh", "orthogonal")
                        caught[damage.__name__] = caught.get(damage.__name__, 0) + noticed
                        if not noticed:
                            print(f"not noticed: {damage.__name__} {name} {key} {tensors[key].shape}: {found['distribution']}")
        print(f"fresh: {seen} random tensors, {missed} not classified as fresh, {alarms} problems")
        for name, count in tried.items():
            print(f"damage {name}: noticed {caught[name]} of {count}")

        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256),
                                  torch.nn.ReLU(), torch.nn.Linear(256, 64))
        target = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 64))
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        for step in range(1501):
            if step in (0, 100, 500, 1500):
                kinds = {k: t["kind"] for k, t in audit({k: v.detach().clone() for k, v in net.state_dict().items()
                                                         if v.dim() == 2}).items()}
                print(f"after {step} steps of Adam: {kinds}")
            x = torch.randn(128, 64)
            loss = ((net(x) - target(x).detach()) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


if __name__ == "__main__":
    main()
