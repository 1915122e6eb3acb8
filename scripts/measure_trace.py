"""Measures `fanin.torch.trace_init` on models of usual sizes.

    python scripts/measure_trace.py [MODEL ...]

The script prints the table of docs/trace.md: the time that the trace takes, the size of the replay file, and whether the replay
reproduces the tensors exactly. Each time is the smallest CPU time of three builds of the model.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

import fanin
from fanin.torch import trace_init

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
}


def build(make) -> nn.Module:
    torch.manual_seed(0)
    return make()


def best(function) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    print("| model | tensors | built in | traced in | ratio | replay | tensors with other bytes |")
    print("|---|---|---|---|---|---|---|")
    for name, make in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        build(make)
        plain, traced = best(lambda: build(make)), best(lambda: trace_init(lambda: build(make)))
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
            f"| {name} | {len(expected)} | {plain:.3f} s | {traced:.3f} s | {traced / plain:.2f} | {len(text) / 1000:.1f} kB "
            f"| {len(different)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
