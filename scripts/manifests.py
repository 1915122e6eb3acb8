"""Makes the manifests of the built-in models: crates/fanin-cli/models/NAME.json.

    pip install torch torchvision transformers timm && python scripts/manifests.py [--check]

A manifest is the header of a safetensors file without the offsets: name -> dtype and shape, in the order of the
model's state_dict(). Every model is built from a configuration written down here, on torch's meta device: nothing is
downloaded, no weight is allocated, and all of them together take seconds.

With --check nothing is written. The manifests on disk are compared with the ones made now, and every recipe is held
against every model it serves: each tensor needs a rule, and each rule a tensor that no earlier rule took. Any
difference is printed, and the exit code is 1.
"""

import json
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import timm
import torch
import torchvision
import transformers
from transformers import BertConfig, BertForPreTraining, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

MODELS = Path(__file__).resolve().parent.parent / "crates" / "fanin-cli" / "models"
DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}


def gpt2(layers, heads, width):
    config = GPT2Config(n_layer=layers, n_head=heads, n_embd=width, n_positions=1024, vocab_size=50257)
    return lambda: GPT2LMHeadModel(config)


def llama(layers, width, intermediate, head_dim, tied):
    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=intermediate,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=head_dim,
        vocab_size=128256,
        tie_word_embeddings=tied,
    )
    return lambda: LlamaForCausalLM(config).to(torch.bfloat16)


def bert():
    return BertForPreTraining(
        BertConfig(
            num_hidden_layers=12,
            hidden_size=768,
            intermediate_size=3072,
            num_attention_heads=12,
            max_position_embeddings=512,
            type_vocab_size=2,
            vocab_size=30522,
        )
    )


# name: (what loads the checkpoint, its builder, the recipe)
BUILT_IN = {
    "gpt2": ("transformers.GPT2LMHeadModel", gpt2(12, 12, 768), "gpt2.toml"),
    "gpt2-medium": ("transformers.GPT2LMHeadModel", gpt2(24, 16, 1024), "gpt2.toml"),
    "gpt2-large": ("transformers.GPT2LMHeadModel", gpt2(36, 20, 1280), "gpt2.toml"),
    "gpt2-xl": ("transformers.GPT2LMHeadModel", gpt2(48, 25, 1600), "gpt2.toml"),
    "llama-3.2-1b": ("transformers.LlamaForCausalLM", llama(16, 2048, 8192, 64, True), "llama-3.2.toml"),
    "llama-3.1-8b": ("transformers.LlamaForCausalLM", llama(32, 4096, 14336, 128, False), "llama.toml"),
    "bert-base": ("transformers.BertForPreTraining", bert, "bert.toml"),
    "vit-b16": (
        "timm.create_model('vit_base_patch16_224')",
        lambda: timm.create_model("vit_base_patch16_224"),
        "vit.toml",
    ),
    "resnet50": (
        "timm.create_model('resnet50'), torchvision.models.resnet50()",
        lambda: timm.create_model("resnet50"),
        "resnet50.toml",
    ),
}


def build(builder):
    with torch.device("meta"):
        return builder()


def entries(model):
    """The state_dict without second names of one tensor: the names that save_pretrained leaves in the file."""
    state = model.state_dict(keep_vars=True)
    aliases = getattr(model, "all_tied_weights_keys", {})  # transformers: second name -> the name that is kept
    kept = {name: tensor for name, tensor in state.items() if state.get(aliases.get(name)) is not tensor}
    assert len({id(tensor) for tensor in kept.values()}) == len(kept), "a tensor under two names"
    return kept


def manifest(name):
    loads_in, builder, recipe = BUILT_IN[name]
    model = build(builder)
    package = {"transformers": transformers, "timm": timm}[loads_in.split(".")[0]]
    metadata = {
        "model": name,
        "loads_in": loads_in,
        "made_with": f"{package.__name__} {package.__version__}",
        "parameters": str(sum(parameter.numel() for parameter in model.parameters())),  # a shared one counts once
        "recipe": recipe,
    }
    lines = {"__metadata__": metadata}
    for key, tensor in entries(model).items():
        lines[key] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape)}
    pair = "{}:{}".format
    body = ",\n".join(pair(json.dumps(key), json.dumps(value, separators=(",", ":"))) for key, value in lines.items())
    return "{\n" + body + "\n}\n"


def whole(file):
    """A recipe with what it extends: its own rules first."""
    recipe = tomllib.loads((MODELS / file).read_text())
    if "extends" not in recipe:
        return recipe
    base = whole(BUILT_IN[recipe["extends"]][2])
    return {key: {**recipe.get(key, {}), **base.get(key, {}), **recipe.get(key, {})} for key in ("vars", "init", "tie")}


def recipe_faults(name, text):
    """Tensors without a rule, rules without a tensor, and names in a spec that nothing defines."""
    tensors = [key for key in json.loads(text) if key != "__metadata__"]
    recipe = whole(BUILT_IN[name][2])
    variables = recipe.get("vars", {})
    unused = dict(recipe["init"])
    for tensor in tensors:
        rule = next((pattern for pattern in recipe["init"] if fnmatchcase(tensor, pattern)), None)
        if rule is None:
            yield f"no rule for {tensor}"
        unused.pop(rule, None)
    yield from (f"rule {pattern!r} gets no tensor" for pattern in unused)
    yield from (f"the tie {tie!r} names no tensor" for tie in recipe.get("tie", {}).items() if not {*tie} & {*tensors})
    for pattern, spec in recipe["init"].items():
        arguments = spec.partition("(")[2]
        for word in re.findall(r"\b[a-z_]\w*\b(?!\s*[=(])", arguments):  # neither a key nor a function
            if word not in {*variables, "fan_in", "fan_out", "relu"}:
                yield f"{spec!r} of rule {pattern!r}: what is {word}?"


def torchvision_faults():
    """A checkpoint of resnet50 has to load in torchvision's model too."""
    ours, theirs = (entries(build(BUILT_IN["resnet50"][1])), entries(build(torchvision.models.resnet50)))
    if [(key, value.shape) for key, value in ours.items()] != [(key, value.shape) for key, value in theirs.items()]:
        yield "timm and torchvision disagree on names, order or shapes"


def main(check):
    faults = []
    for name in BUILT_IN:
        text = manifest(name)
        path = MODELS / f"{name}.json"
        if not check:
            path.write_text(text)
        elif not path.is_file():
            faults.append(f"{name}: no {path.name}")
        elif path.read_text() != text:
            old, new = set(path.read_text().splitlines()), set(text.splitlines())
            changed = [f"  - {line}" for line in old - new] + [f"  + {line}" for line in new - old]
            faults.append("\n".join([f"{path.name} differs" + ("" if changed else " in its order"), *changed[:10]]))
        if check:
            faults += [f"{name}: {fault}" for fault in recipe_faults(name, text)]
        values = json.loads(text)
        print(f"{name:14} {len(values) - 1:4} entries {int(values['__metadata__']['parameters']):14,} parameters")
    if check:
        faults += [f"resnet50: {fault}" for fault in torchvision_faults()]
        served = {recipe for _, _, recipe in BUILT_IN.values()}
        faults += [f"{path.name}: no model uses it" for path in MODELS.glob("*.toml") if path.name not in served]
    print(*faults, sep="\n", file=sys.stderr, end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    sys.exit(main(check=sys.argv[1:] == ["--check"]))
