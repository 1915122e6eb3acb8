"""Measures how well `fanin audit` distinguishes trained weights from fresh ones. docs/checks.md has the results.

    python scripts/trained_or_fresh.py --fanin target/release/fanin [--seeds 3] [--fresh 100]

Small networks (a GPT, a convolutional network, an MLP) are trained with SGD and AdamW to predict the next byte of the source text
of Python's standard library. They are audited after several numbers of steps. With --fresh, freshly initialized models of timm and
transformers are also audited. None of their weights should be called trained.
"""

import argparse
import json
import math
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

STEPS = (0, 10, 50, 100, 400)
CONTEXT = 32


class Block(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.qkv, self.proj, self.up, self.down):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        for layer in (self.proj, self.down):
            nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.ln_1(x)).split(c, 2))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(nn.functional.gelu(self.up(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, width=96, layers=3):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        for embedding in (self.wte, self.wpe):
            nn.init.normal_(embedding.weight, std=0.02)
        self.h = nn.Sequential(*(Block(width, 4, layers) for _ in range(layers)))
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, 256, bias=False)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, x):
        x = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        return self.head(self.ln_f(self.h(x)))


class CNN(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.emb = nn.Embedding(256, width)
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(3))
        self.head = nn.Linear(width, 256)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")

    def forward(self, x):
        x = self.emb(x).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms):
            x = x + torch.relu(norm(conv(x)))
        return self.head(x.mean(2)).unsqueeze(1)


class MLP(nn.Module):
    def __init__(self, width=192):
        super().__init__()
        self.emb = nn.Embedding(256, 16)
        self.layers = nn.Sequential(nn.Linear(16 * CONTEXT, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                    nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 256))

    def forward(self, x):
        return self.layers(self.emb(x).flatten(1)).unsqueeze(1)


OPTIMIZERS = {
    "SGD 0.1": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "SGD 0.01": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "AdamW 1e-3": lambda p: torch.optim.AdamW(p, 1e-3),
    "AdamW 3e-4": lambda p: torch.optim.AdamW(p, 3e-4),
}


def text():
    folder = Path(json.__file__).parent.parent
    return torch.tensor(list(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))[:60])))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fanin", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", type=int, default=0, help="the number of fresh models of timm and transformers")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    data = text()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.safetensors"

        def audit(model):
            known, tensors = set(), {}
            for name, value in model.state_dict().items():
                if value.data_ptr() not in known and "running" not in name and "num_batches" not in name:
                    known.add(value.data_ptr())
                    tensors[name] = value.detach().clone().contiguous()
            save_file(tensors, file)
            ran = subprocess.run([arguments.fanin, "audit", str(file), "--json", "-q"], capture_output=True, text=True)
            assert ran.returncode in (0, 1), ran.stderr
            return json.loads(ran.stdout)["tensors"]

        print("| model | optimizer | " + " | ".join(f"{steps} steps" for steps in STEPS) + " |")
        caught, total = Counter(), Counter()
        for model_type in (GPT, CNN, MLP):
            for name, optimizer_of in OPTIMIZERS.items():
                cells = []
                counts = {steps: [0, 0] for steps in STEPS}
                for seed in range(arguments.seeds):
                    torch.manual_seed(seed)
                    model = model_type()
                    optimizer = optimizer_of(model.parameters())
                    for step in range(max(STEPS) + 1):
                        if step in STEPS:
                            for tensor in audit(model):
                                if len(tensor["shape"]) >= 2:
                                    fresh = tensor["kind"] in ("fresh", "compatible with fresh", "orthogonal")
                                    counts[step][0] += not fresh
                                    counts[step][1] += 1
                                    if arguments.verbose and fresh == (step > 0):
                                        print(model_type.__name__, name, step, tensor["name"], tensor["kind"], tensor["notes"])
                        start = torch.randint(len(data) - CONTEXT - 1, (32,))
                        x = torch.stack([data[s : s + CONTEXT] for s in start])
                        y = torch.stack([data[s + 1 : s + CONTEXT + 1] for s in start])
                        out = model(x)
                        loss = nn.functional.cross_entropy(out.flatten(0, 1), y[:, -out.shape[1] :].flatten())
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                for steps in STEPS:
                    cells.append(f"{counts[steps][0]} of {counts[steps][1]}")
                    caught[steps] += counts[steps][0]
                    total[steps] += counts[steps][1]
                print(f"| {model_type.__name__} | {name} | " + " | ".join(cells) + " |", flush=True)
        print("| all | | " + " | ".join(f"{100 * caught[s] / total[s]:.1f} %" for s in STEPS) + " |")

        kinds = Counter()
        for name, model in fresh_models(arguments.fresh):
            for tensor in audit(model):
                if len(tensor["shape"]) >= 2:
                    kinds[tensor["kind"]] += 1
                    if tensor["kind"] == "trained or other" or tensor["problems"]:
                        print(f"not fresh: {name} {tensor['name']} {tensor['shape']} {tensor['notes']} {tensor['problems']}")
        if arguments.fresh:
            print(f"fresh matrices of {arguments.fresh} models: {dict(kinds)}")


def fresh_models(count):
    """Yields `count` freshly initialized small models with their names, a third of them of timm and the others of transformers."""
    import check_init_sweep as sweep

    # Matrices with a side below 64 are too small for most tests.
    sweep.SIZES = [(matches, size * 3 if size in (32, 64) else size) for matches, size in sweep.SIZES]
    timm = count // 3
    for name, build in sweep.timm_builds(timm):
        torch.manual_seed(0)
        yield name, build()
    seen = set()
    for name, model in sweep.transformers_classes():
        family = name.split(".")[0]
        if len(seen) == count - timm:
            return
        if family in seen:
            continue
        try:
            build = sweep.transformers_build(model)
            torch.manual_seed(0)
            built = build()
        except Exception:
            continue
        seen.add(family)
        yield name, built


if __name__ == "__main__":
    main()
