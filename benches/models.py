"""Times the construction of models in three ways: by torch alone, with `fast_init()`, and with `fast_init(defer=True)`.

`cargo xtask bench --models` runs this script. Each model is first built once in each way. The weights, and the final state of the
generator, must be the same as with torch alone. Then the construction is timed. In each round, the model is built in all
three ways, in the same process.

Large models are measured twice. The first measurement uses newly allocated memory, as in a process that builds one model. The
second measurement is made in a separate process, which reuses its memory from one build to the next. The difference between
the two is the time of page faults.
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
from functools import partial
from pathlib import Path
from typing import Any, Callable, ContextManager

import torch

import fanin.torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import model_configs  # noqa: E402

#: The time in seconds after which no further round of a model is started. Every model gets at least three rounds.
BUDGET = 150.0
ROUNDS = 5

WAYS: dict[str, Callable[[], ContextManager[Any]]] = {
    "plain": contextlib.nullcontext,
    "fast_init": fanin.torch.fast_init,
    "deferred": lambda: fanin.torch.fast_init(defer=True),
}


#: The models. Each entry has a name, the function that builds the model, and two goals: the speedups over torch alone that
#: `fast_init()` and `fast_init(defer=True)` should reach. None means that there is no goal.
MODELS = [
    ("GPT-2 large (transformers)", model_configs.build_gpt2_large, (5, 12)),
    ("Llama, 1.2B (transformers)", model_configs.build_llama_1b, (5, 12)),
    ("ViT-L (timm)", partial(model_configs.timm_model, "vit_large_patch16_224"), (4, None)),
    ("ResNet-50 (torchvision)", model_configs.torchvision_resnet50, (1, 1)),
    ("GPT-2, 2 layers of 64", model_configs.build_two_layer_gpt2, (1, 1)),
    ("two Linear layers of 64", model_configs.build_mlp, (1, 1)),
]


def build(builder: Callable[[], torch.nn.Module], way: str) -> tuple[float, torch.nn.Module]:
    """Builds a model in one of `WAYS`. Returns the time in seconds, and the model."""
    torch.manual_seed(0)
    started = time.perf_counter()
    with WAYS[way]():
        model = builder()
    return time.perf_counter() - started, model


def digest(model: torch.nn.Module) -> str:
    """Returns a hash of the names and values in the state_dict of a model."""
    total = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        total.update(name.encode())
        total.update(memoryview(value.contiguous().view(-1).numpy()).cast("B"))
    return total.hexdigest()


def measure(name: str, builder: Callable[[], torch.nn.Module], quick: bool) -> dict[str, Any]:
    """Checks that all ways give the same weights, and measures them. Returns the median and the minimum time of each way."""
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    expected = None
    for way in WAYS:
        _, model = build(builder, way)
        found = digest(model), torch.get_rng_state()
        expected = expected or found
        if found[0] != expected[0] or not torch.equal(found[1], expected[1]):
            sys.exit(f"{name}, {way}: the weights or the generator differ from those of torch alone")
        del model
        gc.collect()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    begun = time.perf_counter()
    while len(times["plain"]) < (1 if quick else ROUNDS):
        for way in WAYS:
            # A small model is built many times in each round, because one build is too short for the clock.
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
    """Like `measure`, in a separate process in which glibc's allocator does not return freed memory to the system."""
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
