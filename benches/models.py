"""Times the construction of models in three ways: by torch alone, with `fast_init()`, and with `fast_init(defer=True)`.

`cargo xtask bench --models` runs this script. Each model is first built once in each way. The weights must be the same
as with torch alone, and so must the final state of the generator. Then the construction is timed. Each round builds the
model in all three ways, in the same process.

Two times are measured: the wall time, and the CPU time of all threads in user mode. The CPU time does not include page faults.

On Linux, large models are measured twice. The first measurement uses newly allocated memory, as in a process that
builds one model. The second measurement is made in a separate process, which reuses its memory from one build to the
next. The difference is the time of page faults.

Finally, `MANY` small models are built in the three ways. `fast_init()` must not slow down the construction of a model that takes
longer than `SHORT`.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import resource
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

#: The time in seconds after which no further round of a model is started. Every model gets at least three rounds. If
#: `quick` is true, every model gets one round.
BUDGET = 150.0
ROUNDS = 5

#: The number of small models: half are models of timm, and half are models of transformers. They show whether
#: `fast_init()` slows down the construction of a model.
MANY = 60
#: Small models that torch alone builds in less than this time in seconds are left out of the results.
SHORT = 0.02
#: The number of rounds of each small model.
MANY_ROUNDS = 5

WAYS: dict[str, Callable[[], ContextManager[Any]]] = {
    "plain": contextlib.nullcontext,
    "fast_init": fanin.torch.fast_init,
    "deferred": lambda: fanin.torch.fast_init(defer=True),
}


#: The models. Each entry has a name, the function that builds the model, and two goals. The goals are the speedups over
#: torch alone of `fast_init()` and of `fast_init(defer=True)`. None if there is no goal.
MODELS = [
    ("GPT-2 large (transformers)", model_configs.build_gpt2_large, (5, 12)),
    ("Llama, 1.2B (transformers)", model_configs.build_llama_1b, (5, 12)),
    ("ViT-L (timm)", partial(model_configs.timm_model, "vit_large_patch16_224"), (4, None)),
    ("ResNet-50 (torchvision)", model_configs.torchvision_resnet50, (1, 1)),
    ("GPT-2, 2 layers of 64", model_configs.build_two_layer_gpt2, (1, 1)),
    ("two Linear layers of 64", model_configs.build_mlp, (1, 1)),
]


def build(builder: Callable[[], torch.nn.Module], way: str) -> tuple[float, float, torch.nn.Module]:
    """Builds a model in one of `WAYS`. Returns the wall time and the user CPU time in seconds, and the model."""
    torch.manual_seed(0)
    user = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    started = time.perf_counter()
    with WAYS[way]():
        model = builder()
    wall = time.perf_counter() - started
    return wall, resource.getrusage(resource.RUSAGE_SELF).ru_utime - user, model


def digest(model: torch.nn.Module) -> str:
    """Returns a hash of the names and values in the state_dict of a model."""
    total = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        total.update(name.encode())
        total.update(memoryview(value.contiguous().view(-1).numpy()).cast("B"))
    return total.hexdigest()


def measure(name: str, builder: Callable[[], torch.nn.Module], quick: bool) -> dict[str, Any]:
    """Checks that a model has the same weights in all `WAYS`. Returns the median and minimum time of building it in each way."""
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    compare(name, builder)
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    begun = time.perf_counter()
    while len(times["plain"]) < (1 if quick else ROUNDS):
        for way in WAYS:
            # A small model is built many times in each round, because one build is too short for the clock.
            wall, user, model = build(builder, way)
            del model
            repeats = min(200, max(1, round(0.1 / wall)))
            for _ in range(repeats - 1):
                more, more_user, model = build(builder, way)
                wall, user = wall + more, user + more_user
                del model
            times[way].append((wall / repeats, user / repeats))
            gc.collect()
        if time.perf_counter() - begun > BUDGET and len(times["plain"]) >= 3:
            break
    print(f"{len(times['plain'])} rounds", file=sys.stderr)
    return {
        "name": name,
        "seconds": {way: statistics.median(wall for wall, _ in of_way) for way, of_way in times.items()},
        "least": {way: min(wall for wall, _ in of_way) for way, of_way in times.items()},
        "user": {way: min(user for _, user in of_way) for way, of_way in times.items()},
    }


def compare(name: str, builder: Callable[[], torch.nn.Module]) -> None:
    """Builds a model once in each of `WAYS`. Ends the program if the weights or the generator states differ."""
    expected = None
    for way in WAYS:
        model = build(builder, way)[-1]
        found = digest(model), torch.get_rng_state()
        expected = expected or found
        if found[0] != expected[0] or not torch.equal(found[1], expected[1]):
            sys.exit(f"{name}, {way}: the weights or the generator differ from those of torch alone")
        del model
        gc.collect()


def measure_many(quick: bool) -> list[dict[str, Any]]:
    """Builds `MANY` small models in all `WAYS`. Returns the shortest wall time for each model and way.

    Models that torch alone builds in less than `SHORT` seconds are left out. If `quick` is true, only every 20th model
    is built.
    """
    import draft_models

    of_timm = [(name, draft_models.timm_model(name)) for name in draft_models.TIMM[: MANY // 2]]
    of_transformers = [(name, draft_models.transformers_model(name)) for name in draft_models.TRANSFORMERS[: MANY // 2]]
    results = []
    for name, builder in [*of_timm, *of_transformers][:: 20 if quick else 1]:
        compare(name, builder)
        least = dict.fromkeys(WAYS, float("inf"))
        for _ in range(MANY_ROUNDS):
            for way in WAYS:
                wall, _, model = build(builder, way)
                least[way] = min(least[way], wall)
                del model
        gc.collect()
        print(f"{name}: {least['plain']:.3f} s", *(f"{least['plain'] / least[way]:.2f}" for way in WAYS), file=sys.stderr)
        if least["plain"] >= SHORT:
            results.append({"name": name, "least": least})
    return results


def many_text(results: list[dict[str, Any]]) -> str:
    """Returns the least and the median speedup of the models of `measure_many`, as text."""
    if not results:
        return f"None of the models took over {SHORT * 1000:.0f} ms to build."
    speedups = {way: sorted((r["least"]["plain"] / r["least"][way], r["name"]) for r in results) for way in ("fast_init", "deferred")}
    texts = []
    for way, call in (("fast_init", "fast_init()"), ("deferred", "fast_init(defer=True)")):
        ratios = [ratio for ratio, _ in speedups[way]]
        worst, name = speedups[way][0]
        texts.append(f"With `{call}`, the smallest speedup is {worst:.2f}x ({name}), and the median {statistics.median(ratios):.1f}x.")
    return f"{len(results)} models of timm and transformers take torch over {SHORT * 1000:.0f} ms to build. " + " ".join(texts)


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
    lines = [
        "| model | torch alone | `fast_init()` | in user time | goal | `fast_init(defer=True)` | in user time | goal |",
        "|---" * 8 + "|",
    ]
    for result in results:
        seconds, least, user, goals = result["seconds"], result["least"], result["user"], result["goals"]
        cells = [result["name"], f"{seconds['plain']:.3g} s"]
        for way, goal in zip(("fast_init", "deferred"), goals):
            ratios = (of["plain"] / of[way] for of in (seconds, least))
            cells += ["{:.2g}x ({:.2g}x)".format(*ratios), f"{user['plain'] / max(user[way], 1e-9):.2g}x", f"{goal}x" if goal else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    json.dump(next(measure(name, builder, False) for name, builder, _ in MODELS if name == sys.argv[1]), sys.stdout)
