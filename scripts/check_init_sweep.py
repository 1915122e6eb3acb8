"""Runs `fanin.torch.check_init` on a small model of each model class of transformers, or on small models of timm.

    python scripts/check_init_sweep.py transformers --via eager,meta --output transformers.jsonl
    python scripts/check_init_sweep.py timm --output timm.jsonl
    python scripts/check_init_sweep.py --summary transformers.jsonl
    python scripts/check_init_sweep.py --confirm transformers.jsonl

Nothing is downloaded. Models of transformers are built from configurations, in which fields with known names, such as
hidden_size, are reduced. The check of a model takes at most --seconds of CPU time. Its result is appended to the output
file as one line of JSON. Models with a result in the output file are skipped. A sweep can therefore be interrupted and
continued.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch import nn

import fanin.torch

#: Models with more parameters than this are not built.
LARGEST = 20_000_000

#: Reduced values of a configuration's fields. A field gets the value of the first function that is true for its name.
#: Smaller fields keep their value.
SIZES: list[tuple[Callable[[str], bool], int]] = [
    (lambda name: name in ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "num_blocks"), 2),
    (lambda name: name.endswith(("_layers", "_depth")) and name.startswith(("num_", "encoder", "decoder", "n_")), 2),
    (lambda name: "key_value_heads" in name or "kv_heads" in name or name == "num_kv_heads", 2),
    (lambda name: name.endswith(("attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads")), 4),
    (lambda name: name in ("head_dim", "attention_head_dim", "kv_channels", "d_kv"), 8),
    (lambda name: name in ("hidden_size", "d_model", "n_embd", "embed_dim", "dim", "hidden_dim", "embedding_size"), 32),
    (lambda name: name in ("projection_dim", "decoder_hidden_size", "vision_feature_size", "encoder_hidden_size"), 32),
    (lambda name: "intermediate_size" in name or name.endswith(("ffn_dim", "d_ff", "n_inner", "dim_feedforward")), 64),
    (lambda name: name in ("vocab_size", "text_vocab_size", "audio_vocab_size"), 300),
    (lambda name: name in ("max_position_embeddings", "n_positions", "max_source_positions", "max_target_positions"), 64),
    (lambda name: name in ("num_experts", "num_local_experts", "n_routed_experts"), 4),
    (lambda name: name in ("num_experts_per_tok", "top_k"), 2),
]


class Timeout(BaseException):
    """Raised when a class takes too long. It is derived from BaseException, so that no library catches it."""


def limit(seconds: int) -> None:
    """Raises Timeout after `seconds` seconds of CPU time. `signal.setitimer(signal.ITIMER_PROF, 0)` cancels this."""

    def stop(*_: Any) -> None:
        raise Timeout(f"more than {seconds} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def shrink(config: Any, level: int) -> None:
    """Reduces the sizes in a configuration and in its nested configurations.

    Level 1 reduces all fields of `SIZES`, lists of depths, lists of layer types, and token ids of 300 or more. Level 2
    reduces only numbers of layers, lists of layer types, and sizes of vocabularies.
    """
    for name, value in list(vars(config).items()):
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            shrink(value, level)
        elif isinstance(value, bool):
            continue
        elif isinstance(value, int):
            size = next((size for matches, size in SIZES if matches(name)), None)
            if size is not None and value > size and (level == 1 or "layers" in name or "vocab" in name or name == "n_layer"):
                set_field(config, name, size)
            elif name.endswith("token_id") and value >= 300 and level == 1:
                set_field(config, name, 1)
        elif isinstance(value, (list, tuple)) and name in ("depths", "depth") and level == 1:
            set_field(config, name, type(value)(1 for _ in value))
        elif isinstance(value, (list, tuple)) and name in ("layer_types", "mlp_layer_types", "layers_block_type") and len(value) > 2:
            set_field(config, name, type(value)(value[:2]))


def set_field(config: Any, name: str, value: Any) -> None:
    try:
        setattr(config, name, value)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        pass


def transformers_classes() -> Iterator[tuple[str, type]]:
    """Yields all model classes of transformers, each with its name in the form package.Class."""
    import transformers
    from transformers import PreTrainedModel

    seen = set()
    for info in pkgutil.iter_modules(transformers.models.__path__):
        package = importlib.import_module(f"transformers.models.{info.name}")
        for name in sorted(dir(package)):
            if not info.ispkg or not name[0].isupper():
                continue
            try:
                found = getattr(package, name)
            except Exception:
                continue
            if not inspect.isclass(found) or not issubclass(found, PreTrainedModel) or found in seen:
                continue
            if found.__name__.endswith("PreTrainedModel") or getattr(found, "config_class", None) is None:
                continue
            seen.add(found)
            yield f"{info.name}.{found.__name__}", found


def transformers_build(model: type, largest: int = LARGEST) -> Callable[[], nn.Module]:
    """Returns a function that builds a small instance of `model`, a model class of transformers.

    Raises ValueError if no model with at most `largest` parameters can be built.
    """
    errors = []
    for level in (1, 2, 3):
        def build(level: int = level) -> nn.Module:
            config = model.config_class()
            if level < 3:
                shrink(config, level)
            return model(config)

        try:
            with torch.device("meta"):
                size = sum(parameter.numel() for parameter in build().parameters())
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}".splitlines()[0][:160])
            continue
        if size <= largest:
            return build
        errors.append(f"{size} parameters")
    raise ValueError("; ".join(dict.fromkeys(errors)))


def timm_builds(count: int, largest: int = LARGEST) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Yields up to `count` architectures of timm with at most `largest` parameters, one from each module that defines models."""
    import timm

    found = 0
    for module in sorted(timm.list_modules()):
        for name in timm.list_models(module=module):
            def build(name: str = name) -> nn.Module:
                return timm.create_model(name, pretrained=False)

            with torch.device("meta"):
                try:
                    size = sum(parameter.numel() for parameter in build().parameters())
                except Exception:
                    continue
            if size <= largest:
                yield f"{module}.{name}", build
                found += 1
                break
        if found == count:
            return


def check(build: Callable[[], nn.Module], via: str) -> dict[str, Any]:
    report = fanin.torch.check_init(build, via=via)
    result = report.as_dict() | {"build_seconds": report.build_seconds}
    return result


def sweep(options: argparse.Namespace) -> None:
    done = set()
    if options.output.exists():
        done = {json.loads(line)["name"] for line in options.output.read_text().splitlines()}
    if options.library == "timm":
        models: Iterator[tuple[str, Any]] = timm_builds(options.count, options.largest)
    else:
        models = transformers_classes()
    start = time.monotonic()
    with open(options.output, "a", encoding="utf-8") as output:
        for name, model in models:
            if name in done or options.only not in name or name < options.first:
                continue
            if time.monotonic() - start > options.total:
                print("stopped: run again to continue")
                return
            row: dict[str, Any] = {"name": name}
            try:
                limit(options.seconds)
                build = model if options.library == "timm" else transformers_build(model, options.largest)
                row |= check(build, options.via)
            except (Exception, Timeout) as error:
                row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            output.write(json.dumps(row) + "\n")
            output.flush()


def summary(path: Path) -> None:
    """Prints the number of model classes in a file of results, and the findings of each model class."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    built = [row for row in rows if "error" not in row]
    wrong = [row for row in built if row["findings"]]
    print(f"{len(rows)} classes, {len(built)} built, {len(wrong)} with findings")
    for row in wrong:
        kinds = collections.defaultdict(list)
        for finding in row["findings"]:
            kinds[finding["kind"]].append(finding["name"])
        for kind, names in kinds.items():
            print(f"{row['name']}: {kind}: {len(names)}: {', '.join(names[:3])}")


def confirm(path: Path, largest: int) -> None:
    """Checks again, by another method, tensors that `check_init` found unwritten.

    Models with more than `largest` parameters are left out.

    Only tensors that were found unwritten on the path "meta" of `check_init`, and not on the path "eager", are checked.

    All tensors of a model are filled with the number 3. Then `init_weights()` is called. A tensor that still has a 3 is
    unwritten.

    Not every class is examined. Classes of one package form a group if the names of their unwritten tensors end with
    the same components, such as "bias" and "weight". Only the first class of each group that can be built is examined.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    families = set()
    for row in rows:
        found = [one for one in row.get("findings", ()) if one["kind"] == "unwritten" and one["via"] == ["meta"]]
        family = row["name"].partition(".")[0], tuple(sorted({one["name"].split(".")[-1] for one in found}))
        if not found or family in families:
            continue
        with torch.device("meta"):
            package, _, name = row["name"].partition(".")
            try:
                found_class = getattr(importlib.import_module(f"transformers.models.{package}"), name)
                model = transformers_build(found_class, largest)()
            except ValueError as error:
                print(f"{row['name']}: not built: {error}", flush=True)
                continue
        families.add(family)
        model.to_empty(device="cpu")
        tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
        number = {name: torch.tensor(3).to(tensor.dtype) for name, tensor in tensors.items()}
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.fill_(number[name])
        model.init_weights()
        tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
        left = [one["name"] for one in found if one["name"] in tensors and bool((tensors[one["name"]] == number[one["name"]]).any())]
        names = {one["name"] for one in found}
        print(f"{row['name']}: {len(left)} of {len(found)} confirmed", *sorted(names - set(left))[:3], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", nargs="?", choices=("transformers", "timm"))
    parser.add_argument("--via", default="eager")
    parser.add_argument("--output", type=Path, default=Path("check_init.jsonl"))
    parser.add_argument("--only", default="", help="check only classes whose name has this text")
    parser.add_argument("--first", default="", help="leave out classes whose name is before this one in alphabetical order")
    parser.add_argument("--count", type=int, default=60, help="the number of architectures of timm")
    parser.add_argument("--largest", type=int, default=LARGEST, help="the limit on the number of parameters of a model")
    parser.add_argument("--seconds", type=int, default=60, help="the limit of CPU time for one class")
    parser.add_argument("--total", type=float, default=float("inf"), help="stop after this many seconds")
    parser.add_argument("--confirm", type=Path, metavar="FILE", help="instead of a sweep, confirm the findings in FILE without check_init")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="instead of a sweep, print a summary of the results in FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.summary:
        summary(options.summary)
    elif options.confirm:
        confirm(options.confirm, options.largest)
    elif options.library is None:
        parser.error("name a library")
    else:
        sweep(options)


if __name__ == "__main__":
    sys.exit(main())
