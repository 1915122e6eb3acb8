"""`fanin.torch.manifest` writes a file with the tensors of a module on the meta device. `fanin.Recipe.draft` reads this file."""

import json

import pytest
import torch

import fanin
import fanin.torch


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=100, n_positions=16, initializer_range=0.5)
    return transformers.GPT2LMHeadModel(config)


def test_the_manifest_of_a_module_on_the_meta_device_is_that_of_its_checkpoint(tmp_path):
    with torch.device("meta"):
        rows = fanin.torch.manifest(gpt2(), tmp_path / "m.json")
    gpt2().save_pretrained(tmp_path / "model")
    assert sorted(rows) == sorted(fanin.manifest(tmp_path / "model"))
    assert fanin.manifest(tmp_path / "m.json") == rows


def test_a_drafted_recipe_has_the_standard_deviations_of_the_model_code(tmp_path):
    with torch.device("meta"):
        model = gpt2()
        rows = fanin.torch.manifest(model, tmp_path / "m.json")
    text = fanin.Recipe.draft(tmp_path / "m.json")
    assert "initializer_range = 0.5 # config.json" in text and "\n# CHECK" not in text
    stds = {one.name: one.std for one in fanin.Recipe(text).plan(rows)}
    assert stds["transformer.h.1.mlp.c_proj.weight"] == pytest.approx(0.5 / 2)
    model = model.to_empty(device="cpu")
    fanin.init_module(model, fanin.Recipe(text), seed=1)
    assert float(model.transformer.wte.weight.std()) == pytest.approx(0.5, rel=0.1)


def test_a_tied_tensor_has_the_name_under_which_it_is_saved(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, vocab_size=50)
    with torch.device("meta"):
        model = transformers.BertForMaskedLM(transformers.BertConfig(**sizes))
    names = [name for name, _, _ in fanin.torch.manifest(torch.compile(model))]
    assert "bert.embeddings.word_embeddings.weight" in names and "cls.predictions.decoder.weight" not in names
    assert len(set(names)) == len(names)


def test_buffers_types_and_plain_modules_are_listed(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(4, 8, dtype=torch.bfloat16), torch.nn.BatchNorm1d(8))
    rows = fanin.torch.manifest(module, tmp_path / "plain.json")
    assert ("0.weight", "BF16", [8, 4]) in rows and ("1.num_batches_tracked", "I64", []) in rows
    assert "__metadata__" not in json.loads((tmp_path / "plain.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["plain.json"]


@pytest.mark.parametrize(
    ("module", "path", "error", "match"),
    [
        (3, None, TypeError, "must be a torch.nn.Module, got int"),
        (torch.nn.LazyLinear(3), None, ValueError, "run a forward pass first"),
        (torch.nn.Linear(2, 2), "m.safetensors", ValueError, "must end with .json"),
        (torch.nn.Linear(2, 2), "model.safetensors.index.json", ValueError, "not with .index.json"),
        (torch.nn.Linear(2, 2), "no/such/folder/m.json", FileNotFoundError, "no/such/folder"),
    ],
)
def test_a_wrong_module_or_path_is_an_error(module, path, error, match):
    with pytest.raises(error, match=match):
        fanin.torch.manifest(module, path)
