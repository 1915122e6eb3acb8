"""Loads what `fanin init MODEL` writes where it is meant to be loaded, and runs each model once.

    python tests/torch/compare_models.py --fanin target/release/fanin [--all] [--only SUBSTRING]

For every model of `fanin models --json`: a checkpoint is written; its names, shapes and types must be those of the
class, built from the configuration below on torch's meta device (a tied weight may be left out); transformers'
from_pretrained must report nothing missing, unexpected or mismatched, and must hold the file's values, the same ones from
shards that two processes wrote; one forward pass on a random input must be finite. Nothing is downloaded. Without --all, models above 500 MB are left out.
The last line is `N passed, M failed`; the exit code is 1 on failure.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import timm  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

SMALL = 500_000_000  # bytes


def gpt2(layers, heads, width):
    return "GPT2LMHeadModel", transformers.GPT2Config(n_layer=layers, n_head=heads, n_embd=width), torch.float32


def llama(**sizes):
    config = transformers.LlamaConfig(
        vocab_size=128256, num_attention_heads=32, num_key_value_heads=8, rms_norm_eps=1e-5, **sizes
    )
    return "LlamaForCausalLM", config, torch.bfloat16


# name: class of transformers, configuration, type; or model of timm. The published sizes.
MODELS = {
    "gpt2": gpt2(12, 12, 768),
    "gpt2-medium": gpt2(24, 16, 1024),
    "gpt2-large": gpt2(36, 20, 1280),
    "gpt2-xl": gpt2(48, 25, 1600),
    "llama-3.2-1b": llama(
        num_hidden_layers=16, hidden_size=2048, intermediate_size=8192, head_dim=64, tie_word_embeddings=True
    ),
    "llama-3.1-8b": llama(
        num_hidden_layers=32, hidden_size=4096, intermediate_size=14336, head_dim=128, tie_word_embeddings=False
    ),
    "bert-base": ("BertForPreTraining", transformers.BertConfig(), torch.float32),
    "vit-b16": "vit_base_patch16_224",
    "resnet50": "resnet50",
}


def on_meta(name):
    """The model without memory."""
    with torch.device("meta"):
        if isinstance(MODELS[name], str):
            return timm.create_model(MODELS[name], pretrained=False)
        class_name, config, dtype = MODELS[name]
        return getattr(transformers, class_name)(config).to(dtype)


def size(model):
    """Bytes of its tensors, a tied one counted once."""
    tensors = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def faults_of_file(model, state):
    """What in `state`, name -> tensor, is not as the model's own state_dict()."""
    own = model.state_dict(keep_vars=True)
    kept = {id(own[key]) for key in state if key in own}
    missing = [key for key, tensor in own.items() if key not in state and id(tensor) not in kept]
    if missing:
        yield f"missing: {missing[:5]}"
    if unexpected := [key for key in state if key not in own]:
        yield f"unexpected: {unexpected[:5]}"
    for key, tensor in state.items():
        if key in own and (tensor.shape != own[key].shape or tensor.dtype != own[key].dtype):
            yield f"{key}: {tensor.dtype} {list(tensor.shape)}, not {own[key].dtype} {list(own[key].shape)}"
        if not tensor.isfinite().all():
            yield f"{key}: values that are not finite"


def loaded(name, folder, state):
    """The model with the file's values, and what went wrong."""
    if isinstance(MODELS[name], str):
        model = on_meta(name)
        model.load_state_dict(state, strict=True, assign=True)
        return model, []
    class_name, config, _ = MODELS[name]
    config.save_pretrained(folder)
    model, info = getattr(transformers, class_name).from_pretrained(folder, output_loading_info=True)
    faults = [f"from_pretrained: {key}: {list(value)[:5]}" for key, value in info.items() if value]
    own = model.state_dict()
    changed = [key for key in state if key in own and not torch.equal(own[key], state[key])]
    return model, faults + [f"{key}: not the file's values" for key in changed]


def faults_of_shards(fanin, name, state, folder):
    """Whether from_pretrained reads the shards of two processes as it reads the one file."""
    if isinstance(MODELS[name], str):
        return
    folder = folder / "shards"
    for part in ("2/2", "1/2"):
        sharded = ["--max-shard-size", "100MB", "--part", part, "-o", str(folder)]
        subprocess.run([fanin, "init", name, "--seed", "0", "-q", *sharded], check=True)
    if not (folder / "model.safetensors.index.json").exists():
        yield "shards: no index"
    _, wrong = loaded(name, folder, state)
    yield from (f"shards: {fault}" for fault in wrong)


def forward(name, model):
    """The outputs' tensors for a tiny input."""
    torch.manual_seed(0)
    model.eval()
    with torch.no_grad():
        if isinstance(MODELS[name], str):
            return [model(torch.randn(1, 3, 224, 224))]
        output = model(input_ids=torch.randint(0, MODELS[name][1].vocab_size, (1, 8)))
        return [value for value in output.values() if isinstance(value, torch.Tensor)]


def faults(fanin, listed, model, folder):
    name = listed["name"]
    result = subprocess.run(
        [fanin, "init", name, "--seed", "0", "-o", str(folder / "model.safetensors")], capture_output=True, text=True
    )
    if result.returncode != 0:
        yield f"exit code {result.returncode}: {result.stderr.strip()}"
        return
    wanted = MODELS[name] if isinstance(MODELS[name], str) else MODELS[name][0]
    if wanted not in listed.get("loads_in", wanted):
        yield f"fanin says it loads in {listed['loads_in']}, this script in {wanted}"
    state = load_file(folder / "model.safetensors")
    yield from faults_of_file(model, state)
    model, wrong = loaded(name, folder, state)
    yield from wrong
    yield from faults_of_shards(fanin, name, state, folder)
    outputs = forward(name, model)
    if not outputs or not all(output.isfinite().all() for output in outputs):
        yield f"forward pass: {len(outputs)} outputs, not all finite"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fanin", required=True, help="path of the binary")
    parser.add_argument("--all", action="store_true", help="the models above 500 MB too, one at a time")
    parser.add_argument("--only", default="", help="only models whose name contains this")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    models = json.loads(subprocess.check_output([arguments.fanin, "models", "--json"], text=True))
    passed = failed = 0
    for name in sorted(MODELS.keys() - {listed["name"] for listed in models}):
        failed += 1
        print(f"FAIL {name}: fanin models does not list it")
    for listed in models:
        name = listed["name"]
        if arguments.only not in name:
            continue
        if name not in MODELS:
            failed += 1
            print(f"FAIL {name}: this script does not know what loads it")
            continue
        model = on_meta(name)
        if size(model) > SMALL and not arguments.all:
            print(f"skip {name}: {size(model) / 1e6:.0f} MB")
            continue
        with tempfile.TemporaryDirectory() as folder:
            wrong = []
            try:
                for fault in faults(arguments.fanin, listed, model, Path(folder)):
                    wrong.append(fault)
            except Exception as error:  # a model that does not load is a failure of its own, not of the run
                wrong.append(f"{type(error).__name__}: {error}")
        gc.collect()
        passed += not wrong
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {name}: {size(model) / 1e6:.0f} MB")
        print("".join(f"     {fault}\n" for fault in wrong[:10]), end="", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
