"""Compares drafts of `fanin recipe` with the real initialization of models of transformers and timm.

    python scripts/draft_sweep.py build FOLDER --models transformers     # or another group of models in MODELS
    python scripts/draft_sweep.py compare FOLDER --models transformers
    python scripts/draft_sweep.py summary FOLDER
    python scripts/draft_sweep.py show FOLDER --only t5

`build` builds each model from its configuration with two seeds. It writes a summary of each tensor (see
`draft_evidence.py`), the model's config.json, and a model.safetensors with a header and no values. Models that are
already in the folder are skipped, so `build` can be interrupted and continued.

`compare` drafts two recipes for each model: one from model.safetensors and config.json, and one from model.safetensors
alone. It fills each tensor by both recipes, and compares the values with the summary. In a draft, the mark CHECK means
that a line is a guess. For each recipe, `compare` counts the tensors in four classes: right, right with CHECK, wrong
with CHECK, and wrong. The classes right and wrong are those without CHECK.
"""

from __future__ import annotations

import argparse
import collections
import gc
import json
import os
import pickle
import re
import signal
import struct
import sys
import tempfile
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import draft_models
import numpy as np
import torch
from check_init_sweep import Timeout, limit
from draft_evidence import difference, evidence, thinned

import fanin

SEEDS = 2

MODELS = {
    "transformers": lambda: draft_models.TRANSFORMERS,
    "timm": lambda: draft_models.TIMM,
    "held-out-transformers": draft_models.held_out_transformers,
    "held-out-timm": draft_models.held_out_timm,
    "second-held-out-transformers": draft_models.second_held_out_transformers,
    "second-held-out-timm": draft_models.second_held_out_timm,
    "known-transformers": draft_models.known_transformers,
    "known-timm": draft_models.known_timm,
}

STORED = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.bool: "BOOL", torch.uint8: "U8", torch.complex64: "C64",
}  # fmt: skip


def saved(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the tensors that the library saves. A tied tensor has only the name under which it is saved."""
    state = model.state_dict(keep_vars=True)
    aliases = getattr(model, "all_tied_weights_keys", {})
    kept = {name: tensor for name, tensor in state.items() if state.get(aliases.get(name)) is not tensor}
    return {name: tensor.detach() for name, tensor in kept.items()}


def build(name: str, library: str, folder: Path) -> None:
    """Builds a model with each seed, and writes three files: summaries of the tensors, config.json, and a safetensors header."""
    make = draft_models.transformers_model(name) if library == "transformers" else draft_models.timm_model(name)
    samples: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    header: dict[str, Any] = {}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = make()
        for key, tensor in saved(model).items():
            if tensor.is_complex():
                tensor = torch.view_as_real(tensor).contiguous()
            values = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
            samples[key].append(thinned(values).copy())
            header[key] = (STORED[tensor.dtype], list(tensor.shape), tensor.numel() * tensor.element_size())
        if seed == 0:
            write_config(model, library, folder / "config.json")
        del model
        gc.collect()
    if not header:
        raise ValueError("the library saves no tensors of this model")
    write_header(header, folder / "model.safetensors")
    kept = {}
    for key in list(samples):
        kept[key] = evidence(samples.pop(key))
    # The file is written under another name and then renamed, because a model that has evidence.pickle is not built again.
    part = folder / "evidence.part"
    with open(part, "wb") as file:
        pickle.dump(kept, file)
    part.replace(folder / "evidence.pickle")


def write_config(model: Any, library: str, path: Path) -> None:
    if library == "timm":
        from timm.models._hub import save_config_for_hf

        save_config_for_hf(model, str(path))
    else:
        model.config.architectures = [type(model).__name__]
        model.config.to_json_file(path)


def write_header(tensors: dict[str, Any], path: Path) -> None:
    """Writes a safetensors file with a header and no values. The file is sparse: the values need no disk space."""
    end, entries = 0, {}
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def build_all(options: argparse.Namespace) -> None:
    library = options.models.rpartition("-")[2]
    start, found = time.monotonic(), 0
    for name in MODELS[options.models]():
        if found == options.count or time.monotonic() - start > options.total:
            break
        folder = options.folder / options.models / name
        if options.only not in name or (folder / "failed").exists():
            continue
        found += 1
        if (folder / "evidence.pickle").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        try:
            limit(options.seconds)
            build(name, library, folder)
            print(f"{name}: {time.monotonic() - begin:.1f} s", flush=True)
        except (Exception, Timeout) as error:
            (folder / "failed").write_text(f"{type(error).__name__}: {error}")
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            found -= 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def checked_patterns(draft: str) -> dict[str, bool]:
    """Maps the pattern of each rule of a draft to whether the comment above the rule begins with CHECK."""
    found, above = {}, ""
    for line in draft.splitlines():
        if line.startswith('"'):
            (pattern,) = tomllib.loads(line)
            found[pattern] = above.startswith("# CHECK")
        above = line
    return found


def compare(folder: Path, with_config: bool) -> dict[str, Any]:
    """Counts a model's tensors in four classes: the draft is right or wrong, and is marked with CHECK or not.

    Also returns the tensors for which the draft is wrong.
    """
    with open(folder / "evidence.pickle", "rb") as file:
        real = pickle.load(file)
    if with_config:
        text = fanin.Recipe.draft(folder / "model.safetensors")
    else:
        # The file is linked and not copied, because a copy of the hole in the file would need disk space.
        with tempfile.TemporaryDirectory() as other:
            (Path(other) / "model.safetensors").symlink_to((folder / "model.safetensors").resolve())
            text = fanin.Recipe.draft(Path(other) / "model.safetensors")
    checked = checked_patterns(text)
    counts, wrong = collections.Counter(), []
    recipe = fanin.Recipe(text)
    for one in recipe.plan(fanin.manifest(folder / "model.safetensors")):
        why = tensor_difference(one, real[one.name])
        check = checked[one.pattern]
        counts[f"{'wrong' if why else 'right'}{' with CHECK' if check else ''}"] += 1
        if why:
            wrong.append({"name": one.name, "shape": one.shape, "scheme": one.scheme, "check": check, "why": why})
    return {"counts": counts, "wrong": wrong}


def tensor_difference(one: Any, real: dict[str, Any]) -> str | None:
    """Compares the draft's values of a tensor with the real values. Returns a text that says how they differ, or None.

    `one` is the draft's plan of the tensor. `real` is the summary of the real values.
    """
    if one.scheme in ("copy", "skip"):
        return None if real["fixed"] == real["count"] else "random, the draft copies it"
    if one.scheme == "arange" or one.integer is not None:
        values = np.full(one.shape, one.integer) if one.integer is not None else np.broadcast_to(np.arange(one.shape[-1]), one.shape)
        return difference(real, evidence([values] * 2))
    dtype = {"F64": "float64", "F16": "float16"}.get(one.dtype, "float32")
    samples = [fanin.filled(tuple(one.shape), one.spec, dtype=dtype, seed=seed, name=one.source) for seed in range(SEEDS)]
    return difference(real, evidence(samples))


def compare_all(options: argparse.Namespace) -> None:
    for folder in sorted((options.folder / options.models).iterdir()):
        if options.only not in folder.name or not (folder / "evidence.pickle").exists():
            continue
        row = {"with config.json": compare(folder, True), "without": compare(folder, False)}
        (folder / "result.json").write_text(json.dumps(row))
        with_config = row["with config.json"]
        unmarked = [one for one in with_config["wrong"] if not one["check"]]
        print(f"{folder.name}: {dict(with_config['counts'])}", flush=True)
        for one in (unmarked if not options.all else with_config["wrong"])[: options.show]:
            print(f"    {'CHECK ' if one['check'] else ''}{one['name']} {one['shape']} {one['scheme']}: {one['why']}")


def summary(folder: Path) -> None:
    """Prints a table of how many tensors have right and wrong drafts. Drafts that are marked with CHECK are counted separately."""
    print("| models | config.json | models | tensors | right | right with CHECK | wrong with CHECK | wrong |")
    print("|---|---|---|---|---|---|---|---|")
    for group in MODELS:
        results = [json.loads(path.read_text()) for path in sorted((folder / group).glob("*/result.json"))]
        for mode, label in (("with config.json", "yes"), ("without", "no")):
            counts: collections.Counter[str] = collections.Counter()
            for result in results:
                counts.update(result[mode]["counts"])
            total = sum(counts.values())
            if total:
                shares = [f"{100 * counts[one] / total:.1f} %" for one in ("right", "right with CHECK", "wrong with CHECK")]
                print(f"| {group} | {label} | {len(results)} | {total:,} | {' | '.join(shares)} | {counts['wrong']:,} |")


def show(options: argparse.Namespace) -> None:
    """Prints the draft of a recipe for each model. Each line begins with the name of the model."""
    for folder in sorted((options.folder / options.models).iterdir()):
        if options.only in folder.name and (folder / "model.safetensors").exists():
            print(re.sub("^", f"{folder.name}: ", fanin.Recipe.draft(folder / "model.safetensors"), flags=re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("build", "compare", "summary", "show"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", choices=MODELS, default="transformers")
    parser.add_argument("--only", default="", help="only models whose name has this text")
    parser.add_argument("--count", type=int, default=10**9, help="the number of models")
    parser.add_argument("--seconds", type=int, default=600, help="the time limit of one model, in seconds of CPU time")
    parser.add_argument("--total", type=float, default=float("inf"), help="stop after this many seconds")
    parser.add_argument("--show", type=int, default=6, help="the number of wrong tensors to print of each model")
    parser.add_argument("--all", action="store_true", help="also print wrong tensors that are marked with CHECK")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    match options.command:
        case "build":
            build_all(options)
        case "compare":
            compare_all(options)
        case "summary":
            summary(options.folder)
        case "show":
            show(options)


if __name__ == "__main__":
    sys.exit(main())
