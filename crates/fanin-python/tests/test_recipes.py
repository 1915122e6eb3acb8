"""With one recipe and seed, `init_module`, `write_checkpoint` and `fanin init` produce the same values."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fanin

RECIPE = fanin.Recipe(
    """
[vars]
std = 0.02
[init]
"*.num_batches_tracked" = "zeros"
"*.running_mean" = "zeros"
"*.running_var"  = "ones"
"*.bias"         = "zeros"
"1.weight"       = "ones"
"*"              = "normal(std=std)"
"""
)


def module(**options):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 8), nn.Linear(8, 8, bias=False))
    net[3].weight = net[2].weight
    return net.to(**options)


def test_a_module_is_filled_by_name():
    net = module()
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(9)
    planned = fanin.init_module(net, RECIPE, seed=3, settings={"std": 0.5})
    assert [p.name for p in planned] == [n for n in net.state_dict() if n != "3.weight"]
    assert (net[2].weight == torch.from_numpy(fanin.filled((8, 8), "normal(std=0.5)", seed=3, name="2.weight"))).all()
    assert net[2].weight.requires_grad and net[2].weight.is_leaf and net[3].weight is net[2].weight
    assert net[1].num_batches_tracked == 0 and (net[1].running_var == 1).all()
    last = module().to(memory_format=torch.channels_last)
    wrapped = nn.DataParallel(last)
    assert [p.name for p in fanin.init_module(wrapped, RECIPE, seed=3, settings={"std": 0.5})] == [p.name for p in planned]
    assert (last[0].weight == net[0].weight).all()
    half = module(dtype=torch.bfloat16)
    fanin.init_module(half, RECIPE, seed=3, settings={"std": 0.5})
    assert (half[0].weight == net[0].weight.bfloat16()).all()


def test_a_module_is_filled_completely_or_not_at_all():
    net = module()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for bad, needle in [
        (fanin.Recipe('[init]\n"*.bias" = "zeros"'), "no rule matches"),
        (fanin.Recipe('[init]\n"*.bais" = "zeros"\n"*" = "zeros"'), "unused rule"),
        (fanin.Recipe('[init]\n"0.*" = "zeros"\n"*" = "xavier_normal"'), "fewer than 2"),
    ]:
        with pytest.raises(ValueError, match=needle):
            fanin.init_module(net, bad)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with pytest.raises(ValueError, match="to_empty"):
        fanin.init_module(module(device="meta"), RECIPE)
    empty = module(device="meta").to_empty(device="cpu")
    empty[3].weight = empty[2].weight  # Ties the weights again, because to_empty has separated them.
    fanin.init_module(empty, RECIPE, seed=3)
    fanin.init_module(net, RECIPE, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), empty.state_dict().values()))


def test_module_file_and_command_have_the_same_values(tmp_path):
    from torchvision.models import resnet50

    net = resnet50()
    fanin.init_module(net, "resnet50", seed=11)
    path = tmp_path / "ours.safetensors"
    fanin.write_checkpoint("resnet50", path, seed=11)
    loaded = load_file(path)
    state = net.state_dict()
    for name, tensor in loaded.items():
        assert torch.equal(tensor, state[name]), name
    with pytest.raises(ValueError, match="exists already"):
        fanin.write_checkpoint("resnet50", path, seed=11)
    other = tmp_path / "commands.safetensors"
    command = [sys.executable, "-m", "fanin", "init", "resnet50", "--seed", "11", "-o", str(other)]
    subprocess.run(command, check=True, capture_output=True)
    assert other.read_bytes() == path.read_bytes()
    fanin.write_checkpoint("resnet50", path, seed=11, dtype="bf16", force=True)
    assert fanin.manifest(path)[0][1] == "BF16"


def test_shards_have_the_values_of_one_file(tmp_path):
    fanin.write_checkpoint("resnet50", tmp_path / "one.safetensors", seed=3)
    for i in (2, 1):
        fanin.write_checkpoint("resnet50", tmp_path / "many", seed=3, max_shard_size="40MB", part=(i, 2))
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    one = load_file(tmp_path / "one.safetensors")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in one.values())
    shards = {file: load_file(tmp_path / "many" / file) for file in set(index["weight_map"].values())}
    assert len(shards) == 3 and index["weight_map"].keys() == one.keys()
    assert all(torch.equal(shards[file][name], one[name]) for name, file in index["weight_map"].items())
    fanin.write_checkpoint("resnet50", tmp_path / "many", seed=3, max_shard_size=40_000_000, resume=True)


def test_a_recipe_file_is_applied_to_the_names_of_a_checkpoint(tmp_path):
    save_file({"a.weight": torch.zeros(4, 6), "a.bias": torch.zeros(4)}, tmp_path / "like.safetensors")
    (tmp_path / "r.toml").write_text('[vars]\nn = 2\n[init]\n"*.bias" = "zeros"\n"*" = "normal(std=1/n)"\n')
    out = tmp_path / "out.safetensors"
    fanin.write_checkpoint(tmp_path / "r.toml", out, like=tmp_path / "like.safetensors", settings={"n": 4}, seed=2)
    expected = fanin.filled((4, 6), "normal(std=0.25)", seed=2, name="a.weight")
    np.testing.assert_array_equal(load_file(out)["a.weight"].numpy(), expected)
    again, recipe = tmp_path / "again.safetensors", fanin.Recipe.read(tmp_path / "r.toml")
    fanin.write_checkpoint(recipe, again, like=tmp_path / "like.safetensors", settings={"n": 4}, seed=2)
    assert again.read_bytes() == out.read_bytes()


def test_a_module_is_filled_by_a_recipe_with_copies_skips_and_ties():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.register_buffer("position_ids", torch.zeros(1, 6, dtype=torch.int64))
            self.register_buffer("phases", torch.ones(2, dtype=torch.complex64))
            self.register_buffer("wide", torch.ones(2, dtype=torch.complex128))
            self.register_buffer("table", torch.full((3,), 7.0))

    recipe = fanin.Recipe(
        """
        [init]
        "position_ids" = "arange"
        "phases" = "skip"
        "wide" = "copy"
        "table" = "copy"
        "*" = "normal(std=0.02)"
        [tie]
        "head.weight" = "embed.weight"
        """
    )
    net = Net()
    planned = {one.name: one for one in fanin.init_module(net, recipe, seed=3)}
    assert (net.head.weight == net.embed.weight).all() and net.position_ids.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert (net.table == 7).all() and (net.phases == 1).all()
    assert (net.wide == 1).all() and (planned["wide"].dtype, planned["phases"].dtype) == ("complex128", "C64")
    assert planned["head.weight"].source == "embed.weight" and planned["table"].spec is None
    assert planned["table"].scheme == "copy" and planned["embed.weight"].source == "embed.weight"
    with pytest.raises(ValueError, match="recipe:3:12: .*fanin cannot draw values of dtype C64"):
        fanin.init_module(net, fanin.Recipe('[init]\nposition_ids = "arange"\n"phases" = "ones"\n"wide" = "skip"\n"*" = "zeros"'))
    with pytest.raises(TypeError, match="wide: a tensor of torch.complex128 cannot be filled: the recipe must copy or skip"):
        fanin.init_module(net, fanin.Recipe('[init]\n"phases" = "skip"\n"*" = "zeros"'))


def test_explain_and_draft_return_what_the_command_prints():
    explanation = fanin.explain(fanin.kaiming_normal(mode="fan_out"), (128, 16, 3, 3), groups=4)
    assert (explanation["fan_out"], explanation["formula_fan_out"]) == (288, 1152)
    with pytest.raises(ValueError, match="kernel_in_out"):
        fanin.explain("normal", (2, 2), layout="nchw")
    with pytest.raises(ValueError, match="layers = 0"):
        fanin.explain("normal", (2, 2), layers=[0])
    draft = fanin.Recipe.draft("vit-b16")
    assert len(fanin.Recipe(draft).plan(fanin.manifest("vit-b16"))) == len(fanin.manifest("vit-b16"))


def test_the_recipe_schema_accepts_and_rejects_the_same_recipes_as_the_parser():
    tomllib = pytest.importorskip("tomllib")
    import json
    from pathlib import Path

    import jsonschema

    root = Path(__file__).resolve().parents[3]
    schema = json.loads((root / "docs/recipe.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    models = sorted((root / "crates/fanin-recipe/models").glob("*.toml"))
    page = (root / "docs/recipes.md").read_text(encoding="utf-8")
    examples = [part.split("```")[0] for part in page.split("```toml\n")[1:]]
    texts = [path.read_text(encoding="utf-8") for path in models] + [fanin.Recipe.draft(name) for name in fanin.models()]
    assert len(models) > 5 and len(examples) > 5
    for text in texts + [text for text in examples if "nrmal" not in text]:
        assert not list(validator.iter_errors(tomllib.loads(text))), text
        fanin.Recipe(text)
    for text in [
        '[init]\n"*" = "nrmal(std=0.02)"',
        '[init]\n"*" = 3',
        "[vars]\nn = 3",
        '[int]\n"*" = "zeros"\n[init]\n"*" = "zeros"',
        '[init]\n"*" = "zeros"\n[vars]\nfan_in = 3',
        '[init]\n"*" = "zeros"\n[vars]\nn = { cuont = "*" }',
        '[init]\n"*" = "zeros"\n[vars]\nn = "three"',
        '[init]\n"*" = "zeros"\n[dtype]\n"*" = "f15"',
        '[init]\n"*" = "zeros"\n[tie]\na = true',
        "extends = 3",
    ]:
        assert list(validator.iter_errors(tomllib.loads(text))), text
        with pytest.raises(ValueError, match="recipe:"):
            fanin.Recipe(text).plan([("a", "F32", [2])])
