"""Writes the manifests of the built-in models: crates/fanin-recipe/models/NAME.json.

    pip install torch torchvision transformers timm && python scripts/manifests.py [--check]

A manifest is the header of a safetensors file without the offsets: it maps each tensor's name to dtype and shape, in the order
of the model's state_dict(). Every model is built on torch's meta device from its configuration in `model_configs.py`. Nothing
is downloaded and no weight is allocated, so all models together take seconds.

With --check, nothing is written. The manifests in the repository are compared with new ones. Every recipe is applied to every
model that uses it. Each tensor must match a rule, and each rule must match a tensor that no earlier rule matches. All errors
are printed. The exit code is 1 if there is an error.
"""

import json
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import timm
import torch
import transformers
from model_configs import BUILT_IN, torchvision_resnet50

MODELS = Path(__file__).resolve().parent.parent / "crates" / "fanin-recipe" / "models"
DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}


def entries(model):
    """Returns the state_dict with only one name for each tied tensor: the name under which save_pretrained saves the tensor."""
    state = model.state_dict(keep_vars=True)
    aliases = getattr(model, "all_tied_weights_keys", {})  # maps each other name to the saved name
    kept = {name: tensor for name, tensor in state.items() if state.get(aliases.get(name)) is not tensor}
    assert len({id(tensor) for tensor in kept.values()}) == len(kept), "a tensor under two names"
    return kept


def manifest(name):
    """Returns the JSON text of a model's manifest."""
    built_in = BUILT_IN[name]
    model = built_in.on_meta()
    package = timm if built_in.config is None else transformers
    metadata = {
        "model": name,
        "loads_in": built_in.loads_in,
        "made_with": f"{package.__name__} {package.__version__}",
        "parameters": str(sum(parameter.numel() for parameter in model.parameters())),  # a tied parameter counts once
        "recipe": built_in.recipe,
    }
    lines = {"__metadata__": metadata}
    for key, tensor in entries(model).items():
        lines[key] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape)}
    pair = "{}:{}".format
    body = ",\n".join(pair(json.dumps(key), json.dumps(value, separators=(",", ":"))) for key, value in lines.items())
    return "{\n" + body + "\n}\n"


def read_recipe(file):
    """Reads and returns a recipe. If the recipe extends a base recipe, the rules of the base recipe are appended."""
    recipe = tomllib.loads((MODELS / file).read_text())
    if "extends" not in recipe:
        return recipe
    base = read_recipe(BUILT_IN[recipe["extends"]].recipe)
    return {key: {**recipe.get(key, {}), **base.get(key, {}), **recipe.get(key, {})} for key in ("vars", "init", "tie")}


def recipe_errors(name, text):
    """Yields an error message for each tensor without a rule, each rule without a tensor, and each undefined name in a spec."""
    tensors = [key for key in json.loads(text) if key != "__metadata__"]
    recipe = read_recipe(BUILT_IN[name].recipe)
    variables = recipe.get("vars", {})
    unused = dict(recipe["init"])
    for tensor in tensors:
        rule = next((pattern for pattern in recipe["init"] if fnmatchcase(tensor, pattern)), None)
        if rule is None:
            yield f"no rule matches {tensor}"
        unused.pop(rule, None)
    yield from (f"rule {pattern!r} matches no tensor" for pattern in unused)
    yield from (f"the tie {tie!r} names no tensor" for tie in recipe.get("tie", {}).items() if not {*tie} & {*tensors})
    for pattern, spec in recipe["init"].items():
        arguments = spec.partition("(")[2]
        for word in re.findall(r"\b[a-z_]\w*\b(?!\s*[=(])", arguments):  # words that are neither keys nor functions
            if word not in {*variables, "fan_in", "fan_out", "relu"}:
                yield f"{spec!r} of rule {pattern!r}: {word} is not defined"


def torchvision_errors():
    """Checks that a checkpoint of timm's resnet50 also loads in the model of torchvision. Yields an error if it does not."""
    with torch.device("meta"):
        models = (BUILT_IN["resnet50"].build(), torchvision_resnet50())
    of_timm, of_torchvision = ([(key, value.shape) for key, value in entries(model).items()] for model in models)
    if of_timm != of_torchvision:
        yield "timm and torchvision disagree on names, order or shapes"


def main(check):
    errors = []
    for name in BUILT_IN:
        text = manifest(name)
        path = MODELS / f"{name}.json"
        if not check:
            path.write_text(text)
        elif not path.is_file():
            errors.append(f"{name}: no {path.name}")
        elif path.read_text() != text:
            old, new = set(path.read_text().splitlines()), set(text.splitlines())
            changed = [f"  - {line}" for line in old - new] + [f"  + {line}" for line in new - old]
            errors.append("\n".join([f"{path.name} differs" + ("" if changed else " in its order"), *changed[:10]]))
        if check:
            errors += [f"{name}: {error}" for error in recipe_errors(name, text)]
        values = json.loads(text)
        print(f"{name:14} {len(values) - 1:4} entries {int(values['__metadata__']['parameters']):14,} parameters")
    if check:
        errors += [f"resnet50: {error}" for error in torchvision_errors()]
        used = {built_in.recipe for built_in in BUILT_IN.values()}
        errors += [f"{path.name}: no model uses it" for path in MODELS.glob("*.toml") if path.name not in used]
    print(*errors, sep="\n", file=sys.stderr, end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    sys.exit(main(check=sys.argv[1:] == ["--check"]))
