"""Many processes, one set of weights: torch.distributed."""

import sys

import pytest
import torch

import fanin
import fanin.torch
import many

sys.path.insert(0, str(many.RANKS))
from zoo import RECIPE, Zoo, digest, held  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")


def one_process():
    """The digests of one process."""
    model = Zoo()
    fanin.torch.init_module(model, fanin.Recipe(RECIPE), seed=7)
    recipe = digest([held(model)])
    with fanin.torch.sharded_init(model, seed=7):
        model.init_weights()
    own = digest([held(model)])
    return {"recipe": recipe, "own": own, "meta": own}


def test_every_mesh_has_the_weights_of_one_process(tmp_path):
    found = many.run("meshes.py", 6, tmp_path)[0]
    assert len(found) == 8
    assert found == dict.fromkeys(found, one_process())
