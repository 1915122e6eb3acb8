"""Measures how well `fanin audit` distinguishes trained weights from untrained weights.

    python scripts/trained_or_fresh.py --fanin target/release/fanin [--seeds 1001 1002 1003] [--steps 0 10 400] [--fresh 100]
                                       [--keep FOLDER]

The script trains small networks (a GPT, a convolutional network, an MLP) with SGD and AdamW. They predict the next byte
of the source text of Python's standard library. The script audits the networks after several numbers of steps.

`audit` also searches for the weights among the values that torch draws with a few seeds, such as 0 and 42. If a network
was initialized with one of these seeds, `audit` can compare its weights with their initial values. So `audit`
recognizes more of these weights as trained.

With --fresh, the script also audits freshly initialized models of timm and transformers. None of their weights should
be called trained. With --keep, the script stores the checkpoints, and a second run does not train again. docs/checks.md
shows the results.
"""

import argparse
import contextlib
import json
import math
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

STEPS = (0, 10, 50, 100, 400, 1000)
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


def parameters(model):
    """Returns the parameters of a model by name. A tied parameter has only its first name in the state_dict."""
    known, tensors = set(), {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in known and "running" not in name and "num_batches" not in name:
            known.add(value.data_ptr())
            tensors[name] = value.detach().clone().contiguous()
    return tensors


def train(model_type, optimizer_of, seed, steps, path_of):
    """Trains a model, and saves it at `path_of(step)` for each of `steps`."""
    data = text()
    torch.manual_seed(seed)
    model = model_type()
    optimizer = optimizer_of(model.parameters())
    for step in range(max(steps) + 1):
        if step in steps:
            save_file(parameters(model), path_of(step))
        start = torch.randint(len(data) - CONTEXT - 1, (32,))
        x = torch.stack([data[s : s + CONTEXT] for s in start])
        y = torch.stack([data[s + 1 : s + CONTEXT + 1] for s in start])
        out = model(x)
        loss = nn.functional.cross_entropy(out.flatten(0, 1), y[:, -out.shape[1] :].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


VERDICTS = ("not fresh", "seed found", "cannot tell", "fresh")


def verdict(tensor):
    """Returns one of `VERDICTS`.

    "seed found" means that torch drew the matrix with a common seed, such as 42, and that most values were changed
    after the draw. Such a matrix is not fresh.
    """
    if tensor["kind"] in ("fresh", "orthogonal"):
        return "fresh"
    if tensor["kind"] == "compatible with fresh":
        return "cannot tell"
    by_seed = any(note.startswith("has the values that torch draws") for note in tensor["notes"])
    return "seed found" if by_seed else "not fresh"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fanin", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1001, 1002, 1003])
    parser.add_argument("--steps", type=int, nargs="*", default=STEPS)
    parser.add_argument("--keep", type=Path, help="a folder in which the checkpoints are stored")
    parser.add_argument("--fresh", type=int, default=0, help="the number of fresh models of timm and transformers")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    steps = arguments.steps

    def audit(file):
        ran = subprocess.run([arguments.fanin, "audit", str(file), "--json", "-q"], capture_output=True, text=True)
        assert ran.returncode in (0, 1), ran.stderr
        return [tensor for tensor in json.loads(ran.stdout)["tensors"] if len(tensor["shape"]) >= 2]

    with contextlib.ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        print("| model | optimizer | " + " | ".join(f"{step} steps" for step in steps) + " |")
        print("|---|---|" + "---|" * len(steps))
        total = {step: Counter() for step in steps}
        for model_type in (GPT, CNN, MLP):
            for name, optimizer_of in OPTIMIZERS.items():
                counts = {step: Counter() for step in steps}
                for seed in arguments.seeds:

                    def path_of(step):
                        return folder / f"trained-{model_type.__name__}-{name.replace(' ', '_')}-{seed}-{step}.safetensors"

                    if not all(path_of(step).exists() for step in steps):
                        train(model_type, optimizer_of, seed, steps, path_of)
                    for step in steps:
                        for tensor in audit(path_of(step)):
                            found = verdict(tensor)
                            counts[step][found] += 1
                            if arguments.verbose and (found in ("fresh", "cannot tell")) == (step > 0):
                                print(model_type.__name__, name, seed, step, tensor["name"], tensor["kind"], tensor["notes"])
                cells = [" / ".join(str(counts[step][found]) for found in VERDICTS) for step in steps]
                print(f"| {model_type.__name__} | {name} | " + " | ".join(cells) + " |", flush=True)
                for step in steps:
                    total[step] += counts[step]
        cells = [" / ".join(str(total[step][found]) for found in VERDICTS) for step in steps]
        print("| all | | " + " | ".join(cells) + " |")
        for what, verdicts in (("without seeds", VERDICTS[:1]), ("with seeds", VERDICTS[:2])):
            found = {step: sum(total[step][name] for name in verdicts) for step in steps}
            rates = [f"{100 * found[step] / max(1, sum(total[step].values())):.1f} %" for step in steps]
            print(f"| not fresh, {what} | | " + " | ".join(rates) + " |")

        kinds = Counter()
        file = folder / "fresh.safetensors"
        for name, model in fresh_models(arguments.fresh):
            save_file(parameters(model), file)
            for tensor in audit(file):
                kinds[tensor["kind"]] += 1
                if tensor["kind"] == "trained or other" or tensor["problems"]:
                    print(f"not fresh: {name} {tensor['name']} {tensor['shape']} {tensor['notes']} {tensor['problems']}")
        if arguments.fresh:
            print(f"fresh matrices of {arguments.fresh} models: {dict(kinds)}")


def fresh_models(count):
    """Yields (name, model) for `count` freshly initialized small models: one third from timm, the others from transformers."""
    import check_init_sweep as sweep

    # Matrices with fewer than 64 rows or columns are too small for most tests.
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
