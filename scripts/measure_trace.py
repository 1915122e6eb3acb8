"""Measures `fanin.torch.trace_init` and `check_init` on models of usual sizes.

    python scripts/measure_trace.py [MODEL ...]
    python scripts/measure_trace.py --cost [MODEL ...]

Without --cost, the script prints the table of docs/trace.md: the time of a traced build and the size of the replay
file. It also prints how many tensors the replay does not reproduce exactly.

With --cost, the script prints the table of docs/dev/check-init.md. The times of `trace_init`, `check_init` and a
dispatch mode that does nothing are divided by the time of one build.

Each time is the smallest CPU time of at least three runs. The compared functions run alternately, so the load of the
machine affects all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import fanin
from fanin.torch import check_init, trace_init
from fanin.torch._call_operator import call_operator

sys.path.insert(0, str(Path(__file__).resolve().parent))
import model_configs


def t5_small() -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(T5Config())


def torchvision_model(name: str) -> nn.Module:
    import torchvision

    return getattr(torchvision.models, name)()


MODELS = {
    "GPT-2 small": model_configs.BUILT_IN["gpt2"].build,
    "ResNet-50": model_configs.torchvision_resnet50,
    "ViT-B/16": lambda: torchvision_model("vit_b_16"),
    "Llama, tiny": model_configs.small_llama,
    "Swin-T": lambda: torchvision_model("swin_t"),
    "T5 small": t5_small,
    "BERT base": model_configs.BUILT_IN["bert-base"].build,
    "LSTM, 2 x 512": lambda: nn.LSTM(512, 512, 2),
    "100 linear layers of 32 x 32": lambda: nn.Sequential(*[nn.Linear(32, 32) for _ in range(100)]),
}


class Nothing(TorchDispatchMode):
    """A dispatch mode that only calls each operator, in the same way as `trace_init` and `check_init` do."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return call_operator(operator, args, kwargs)


def in_mode(make) -> None:
    with Nothing():
        build(make)


def build(make) -> nn.Module:
    torch.manual_seed(0)
    return make()


def best(functions, seconds: float = 0.0) -> list[float]:
    """Returns the smallest CPU time of each function, in seconds.

    Each function is called at least three times. The calls are repeated until they take `seconds` of CPU time in total.
    """
    times: list[list[float]] = [[] for _ in functions]
    begin = time.process_time()
    while len(times[0]) < 3 or time.process_time() - begin < seconds:
        for function, each in zip(functions, times):
            start = time.process_time()
            function()
            each.append(time.process_time() - start)
    return [min(each) for each in times]


def print_costs(names: list[str]) -> None:
    print("| model | tensors | one build | dispatch mode that does nothing | trace_init | check_init |")
    print("|---|---|---|---|---|---|")
    for name in names:
        make = MODELS[name]
        tensors = len(trace_init(make))
        check_init(make)
        functions = lambda: build(make), lambda: in_mode(make), lambda: trace_init(lambda: build(make)), lambda: check_init(make)
        plain, mode, trace, check = best(functions, 10.0)
        time_text = f"{plain * 1000:.1f} ms" if plain < 0.1 else f"{plain:.2f} s"
        print(f"| {name} | {tensors} | {time_text} | {mode / plain:.2f} | {trace / plain:.2f} | {check / plain:.2f} |", flush=True)


def print_replays(names: list[str]) -> None:
    print("| model | tensors | build | traced build, divided by the build | size of the replay | tensors with other bytes |")
    print("|---|---|---|---|---|---|")
    for name in names:
        make = MODELS[name]
        build(make)
        plain, traced = best((lambda: build(make), lambda: trace_init(lambda: build(make))))
        text = trace_init(lambda: build(make)).replay()
        expected = build(make).state_dict()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            (path / "replay.toml").write_text(text)
            fanin.write_checkpoint(path / "replay.toml", path / "w.safetensors", stream="torch")
            from safetensors.torch import load_file

            got = load_file(path / "w.safetensors")
        different = [key for key, tensor in expected.items() if not torch.equal(tensor, got[key])]
        print(
            f"| {name} | {len(expected)} | {plain:.3f} s | {traced / plain:.2f} | {len(text) / 1000:.1f} kB "
            f"| {len(different)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true", help="measure the times of trace_init and check_init instead of replays")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(MODELS)}; all of them if none is given")
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown model {unknown[0]!r}: expected {', '.join(map(repr, MODELS))}")
    torch.set_num_threads(1)
    names = options.models or list(MODELS)
    print_costs(names) if options.cost else print_replays(names)


if __name__ == "__main__":
    main()
