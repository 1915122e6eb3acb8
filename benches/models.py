"""Models built plainly, under `fast_init()` and under `fast_init(defer=True)`, by turns in one process.

`cargo xtask bench --models` calls this. Each builder's own code runs as it is. After every build the generator's state,
and once the weights, are held against those of the plain one; only the building is timed.

Large models are built twice over: in new memory, as a process that builds one model does, and, in a process of their own,
in memory that the process keeps from one build to the next. What the first costs more is the system's: pages that are
found and cleared, whoever writes there.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any, Callable, ContextManager

import torch

import fanin.torch

#: Seconds that a model may take, all rounds and ways together, before it has had three rounds.
BUDGET = 150.0
ROUNDS = 5

WAYS: dict[str, Callable[[], ContextManager[Any]]] = {
    "plain": contextlib.nullcontext,
    "fast_init": fanin.torch.fast_init,
    "deferred": lambda: fanin.torch.fast_init(defer=True),
}


def gpt2(layers: int, heads: int, width: int) -> Callable[[], torch.nn.Module]:
    from transformers import GPT2Config, GPT2LMHeadModel

    return lambda: GPT2LMHeadModel(GPT2Config(n_layer=layers, n_head=heads, n_embd=width))


def llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=128256,
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=16,
            num_attention_heads=32,
            num_key_value_heads=8,
            tie_word_embeddings=True,
        )
    )


def vit_large() -> torch.nn.Module:
    import timm

    return timm.create_model("vit_large_patch16_224")


def resnet50() -> torch.nn.Module:
    import torchvision

    return torchvision.models.resnet50()


def mlp() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


#: Name, builder, and the times sooner that fast_init, and waiting, are to reach.
MODELS = [
    ("GPT-2 large (transformers)", gpt2(36, 20, 1280), (5, 12)),
    ("Llama, 1.2B (transformers)", llama, (5, 12)),
    ("ViT-L (timm)", vit_large, (4, None)),
    ("ResNet-50 (torchvision)", resnet50, (1, 1)),
    ("GPT-2, 2 layers of 64", gpt2(2, 2, 64), (1, 1)),
    ("two Linear layers of 64", mlp, (1, 1)),
]


def build(builder: Callable[[], torch.nn.Module], way: str) -> tuple[float, torch.nn.Module]:
    torch.manual_seed(0)
    started = time.perf_counter()
    with WAYS[way]():
        model = builder()
    return time.perf_counter() - started, model


def digest(model: torch.nn.Module) -> str:
    total = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        total.update(name.encode())
        total.update(memoryview(value.contiguous().view(-1).numpy()).cast("B"))
    return total.hexdigest()


def measure(name: str, builder: Callable[[], torch.nn.Module], quick: bool) -> dict[str, Any]:
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    wanted = None
    for way in WAYS:
        _, model = build(builder, way)
        found = digest(model), torch.get_rng_state()
        wanted = wanted or found
        if found[0] != wanted[0] or not torch.equal(found[1], wanted[1]):
            sys.exit(f"{name}, {way}: not the weights or not the generator of torch alone")
        del model
        gc.collect()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    begun = time.perf_counter()
    while len(times["plain"]) < (1 if quick else ROUNDS):
        for way in WAYS:
            # What is too short for the clock is built many times.
            seconds, model = build(builder, way)
            del model
            repeats = min(200, max(1, round(0.1 / seconds)))
            for _ in range(repeats - 1):
                more, model = build(builder, way)
                seconds += more
                del model
            times[way].append(seconds / repeats)
            gc.collect()
        if time.perf_counter() - begun > BUDGET and len(times["plain"]) >= 3:
            break
    print(f"{len(times['plain'])} rounds", file=sys.stderr)
    return {
        "name": name,
        "seconds": {way: statistics.median(of_way) for way, of_way in times.items()},
        "least": {way: min(of_way) for way, of_way in times.items()},
    }


def main(quick: bool, only: str | None) -> list[dict[str, Any]]:
    results = []
    for name, builder, goals in MODELS:
        large = max(goal or 0 for goal in goals) > 1
        if (only and only not in name) or (quick and large):
            continue
        results.append({**measure(name, builder, quick), "goals": goals})
        if large and sys.platform == "linux":
            results.append({**in_kept_memory(name), "goals": goals})
    return results


def in_kept_memory(name: str) -> dict[str, Any]:
    """Measures a model in a process whose allocator gives nothing back to the system (glibc's, by its own variables)."""
    variables = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
    command = [sys.executable, __file__, name]
    child = subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, check=False)
    if child.returncode:
        sys.exit(child.returncode)
    return {**json.loads(child.stdout), "name": f"{name}, memory kept"}


def table(results: list[dict[str, Any]]) -> str:
    lines = ["| model | plain | `fast_init()` | goal | `fast_init(defer=True)` | goal |", "|---|---|---|---|---|---|"]
    for result in results:
        seconds, least, goals = result["seconds"], result["least"], result["goals"]
        cells = [result["name"], f"{seconds['plain']:.3g} s"]
        for way, goal in zip(("fast_init", "deferred"), goals):
            ratios = (of["plain"] / of[way] for of in (seconds, least))
            cells += ["{:.2g}x ({:.2g}x)".format(*ratios), f"{goal}x" if goal else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    json.dump(next(measure(name, builder, False) for name, builder, _ in MODELS if name == sys.argv[1]), sys.stdout)
