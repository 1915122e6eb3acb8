"""Loads the checkpoints of `fanin init MODEL` with transformers or timm, and runs each model once.

    python tests/torch/compare_models.py --fanin target/release/fanin [--all] [--only SUBSTRING]

The script writes and checks a checkpoint for every model of `fanin models --json`:
- The names, shapes and types must equal those of the model on torch's meta device (see `scripts/model_configs.py`). For
  a tied weight, one name in the file is enough.
- transformers' from_pretrained must report no missing, unexpected or mismatched tensor. It must load the values of the
  file. The same must hold for a checkpoint whose shards are written by two processes.
- A forward pass on a random input must give finite values.

Nothing is downloaded. Without --all, models of more than 500 MB are skipped. The last line of the output is
`N passed, M failed`. The exit code is 1 if a model fails.
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

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from model_configs import BUILT_IN  # noqa: E402

SMALL = 500_000_000  # bytes


def size(model):
    """Returns the number of bytes of a model's tensors. A tied tensor counts once."""
    tensors = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def errors_of_file(model, state):
    """Yields a message for each difference between `state` (name -> tensor) and the state_dict() of the model."""
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
    """Loads the checkpoint in `folder`. Returns the model and a list of errors. `state` has the tensors of the checkpoint."""
    if BUILT_IN[name].config is None:
        model = BUILT_IN[name].on_meta()
        model.load_state_dict(state, strict=True, assign=True)
        return model, []
    BUILT_IN[name].config().save_pretrained(folder)
    model, info = getattr(transformers, BUILT_IN[name].name).from_pretrained(folder, output_loading_info=True)
    errors = [f"from_pretrained: {key}: {list(value)[:5]}" for key, value in info.items() if value]
    own = model.state_dict()
    changed = [key for key in state if key in own and not torch.equal(own[key], state[key])]
    return model, errors + [f"{key}: not the file's values" for key in changed]


def errors_of_shards(fanin, name, state, folder):
    """Writes shards from two processes, and loads them. Yields an error for each value that differs from `state`."""
    if BUILT_IN[name].config is None:
        return
    folder = folder / "shards"
    for part in ("2/2", "1/2"):
        sharded = ["--max-shard-size", "100MB", "--part", part, "-o", str(folder)]
        subprocess.run([fanin, "init", name, "--seed", "0", "-q", *sharded], check=True)
    if not (folder / "model.safetensors.index.json").exists():
        yield "shards: no index"
    _, errors = loaded(name, folder, state)
    yield from (f"shards: {error}" for error in errors)


def forward(name, model):
    """Runs the model on a tiny input, and returns the output tensors."""
    torch.manual_seed(0)
    model.eval()
    with torch.no_grad():
        if BUILT_IN[name].config is None:
            return [model(torch.randn(1, 3, 224, 224))]
        output = model(input_ids=torch.randint(0, model.config.vocab_size, (1, 8)))
        return [value for value in output.values() if isinstance(value, torch.Tensor)]


def find_errors(fanin, listed, model, folder):
    """Writes and checks a checkpoint of a model. Yields a message for each error."""
    name = listed["name"]
    result = subprocess.run(
        [fanin, "init", name, "--seed", "0", "-o", str(folder / "model.safetensors")], capture_output=True, text=True
    )
    if result.returncode != 0:
        yield f"exit code {result.returncode}: {result.stderr.strip()}"
        return
    expected = BUILT_IN[name].name
    if expected not in listed.get("loads_in", expected):
        yield f"fanin models lists it for {listed['loads_in']}, model_configs.py for {expected}"
    state = load_file(folder / "model.safetensors")
    yield from errors_of_file(model, state)
    model, errors = loaded(name, folder, state)
    yield from errors
    yield from errors_of_shards(fanin, name, state, folder)
    outputs = forward(name, model)
    if not outputs or not all(output.isfinite().all() for output in outputs):
        yield f"forward pass: {len(outputs)} outputs, not all finite"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fanin", required=True, help="path of the binary")
    parser.add_argument("--all", action="store_true", help="also check models of more than 500 MB, one at a time")
    parser.add_argument("--only", default="", help="only models whose name contains this")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    models = json.loads(subprocess.check_output([arguments.fanin, "models", "--json"], text=True))
    passed = failed = 0
    for name in sorted(BUILT_IN.keys() - {listed["name"] for listed in models}):
        failed += 1
        print(f"FAIL {name}: fanin models does not list it")
    for listed in models:
        name = listed["name"]
        if arguments.only not in name:
            continue
        if name not in BUILT_IN:
            failed += 1
            print(f"FAIL {name}: model_configs.py does not have it")
            continue
        model = BUILT_IN[name].on_meta()
        if size(model) > SMALL and not arguments.all:
            print(f"skip {name}: {size(model) / 1e6:.0f} MB")
            continue
        with tempfile.TemporaryDirectory() as folder:
            errors = []
            try:
                for error in find_errors(arguments.fanin, listed, model, Path(folder)):
                    errors.append(error)
            except Exception as error:  # a model that does not load must not stop the script
                errors.append(f"{type(error).__name__}: {error}")
        gc.collect()
        passed += not errors
        failed += bool(errors)
        print(f"{'FAIL' if errors else 'ok  '} {name}: {size(model) / 1e6:.0f} MB")
        print("".join(f"     {error}\n" for error in errors[:10]), end="", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
