"""With torch.distributed, a model has the same weights on any mesh as in one process."""

import sys

import pytest
import torch

import fanin
import fanin.torch
import processes

sys.path.insert(0, str(processes.RANKS))
from digests import digest, local_regions  # noqa: E402
from model_configs import EVERY_SCHEME_RECIPE, EveryScheme  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")


def one_process():
    """Fills a model in one process, by a recipe and then by the model's own code. Returns the digests after each fill."""
    model = EveryScheme()
    fanin.torch.init_module(model, fanin.Recipe(EVERY_SCHEME_RECIPE), seed=7)
    recipe = digest([local_regions(model)])
    with fanin.torch.sharded_init(model, seed=7):
        model.init_weights()
    own = digest([local_regions(model)])
    return {"recipe": recipe, "own": own, "meta": own}


def test_every_mesh_has_the_weights_of_one_process(tmp_path):
    found = processes.run("meshes.py", 6, tmp_path)[0]
    assert len(found) == 8
    assert found == dict.fromkeys(found, one_process())


def test_init_weights_of_transformers_gives_the_same_weights_on_any_mesh(tmp_path):
    """transformers' own init_weights fills Llama. The digests and the losses are bitwise equal on all meshes."""
    one = processes.run("llama.py", 1, tmp_path)[0]["one"]
    found = processes.run("llama.py", 4, tmp_path)[0]
    assert len(found) == 4 and found == dict.fromkeys(found, one)


def test_torch_itself_fills_dtensors_wrongly(tmp_path):
    """The errors of torch that docs/distributed.md describes still occur. If this test fails, revise the docs."""
    found = processes.run("torch_dtensor_init.py", 4, tmp_path)[0]
    assert found["repeated"] and found["dirac_is_zero"] and found["eye_raises"] and found["sparse_raises"]
    assert found["orthogonal_is_off_by"] > 0.1


def test_distributed_checkpoints_load_on_any_number_of_ranks(tmp_path):
    """Jobs of three ranks and of one rank load a checkpoint that two ranks saved.

    Jobs of two ranks and of one rank load checkpoints that fanin wrote with the file layout "dcp".
    """
    from safetensors.torch import load_file, save_file
    from torch.distributed.checkpoint._consolidate_hf_safetensors import consolidate_safetensors_files

    one = one_process()["recipe"]
    store = tmp_path / "saved"
    assert processes.run("dcp.py", 2, tmp_path, store, "save")[0] == one
    assert processes.run("dcp.py", 3, tmp_path, store, "load")[0] == one
    assert processes.run("dcp.py", 1, tmp_path, store, "load")[0] == one
    (tmp_path / "model.toml").write_text(EVERY_SCHEME_RECIPE)
    save_file(dict(EveryScheme().state_dict()), tmp_path / "model.safetensors")

    def write(folder, **options):
        fanin.write_checkpoint(
            tmp_path / "model.toml", tmp_path / folder, like=tmp_path / "model.safetensors", seed=7, layout="dcp", **options
        )

    for part in (3, 1, 2):
        write("parts/", part=(part, 3))
    write("files/", max_shard_size="100kB")
    assert len(list((tmp_path / "parts").iterdir())) == 3 and len(list((tmp_path / "files").iterdir())) > 4
    assert processes.run("dcp.py", 2, tmp_path, tmp_path / "parts", "hf")[0] == one
    assert processes.run("dcp.py", 1, tmp_path, tmp_path / "files", "hf")[0] == one
    (tmp_path / "whole").mkdir()
    names = dict.fromkeys(EveryScheme().state_dict(), 1)
    consolidate_safetensors_files(str(tmp_path / "files"), str(tmp_path / "whole"), names)
    model = EveryScheme()
    model.load_state_dict(load_file(tmp_path / "whole" / "model-00001-of-00001.safetensors"))
    assert digest([local_regions(model)]) == one


@pytest.mark.parametrize("ranks", [1, 2])
def test_wrapped_models_have_the_weights_of_one_process(ranks, tmp_path):
    """The models are wrapped by DDP, FSDP1 or FSDP2 with CPU offload, or are split as DeepSpeed ZeRO-3 splits them."""
    for found in processes.run("wrappers.py", ranks, tmp_path):
        assert found["compared"] > 200
        errors = found["errors"]
        assert "are gathered at present" in errors["gathered"] or ranks == 1
        assert "that is not a parameter" in errors["a part of a result"]
        assert "head.weight" in errors["ds_shape"] and "77" in errors["ds_shape"]
        assert "embed.weight is a placeholder of DeepSpeed ZeRO-3" in errors["sharded_init of ZeRO-3"]
        for case in ("ds_status", "ds_tensor", "ds_secondary_tensor"):
            assert "head.weight is a placeholder of DeepSpeed ZeRO-3" in errors[case]
        assert "is sharded by FSDP1 or ZeRO-3" in errors["verify of ZeRO-3"]
        if ranks > 1:
            assert "weight is a part of a flat parameter of FSDP1" in errors["sharded_init of FSDP1"]
            assert "is sharded by FSDP1 or ZeRO-3" in errors["verify of FSDP1"]
