"""Initializes models of transformers whole and sharded by FSDP2, and compares the weights bit for bit.

    python scripts/sharded_models.py [--ranks 2] [--only SUBSTRING] [--after CLASS] [--out results.json]

The script tests one model class for each model type of transformers, such as `LlamaForCausalLM` for `llama`. It builds
a small model of each class on the meta device. Each rank initializes this model twice inside
`fanin.torch.sharded_init`, by the model's own `init_weights`: once whole, and once sharded by `fully_shard`. Each rank
then compares its regions of the sharded model with the same regions of the whole model. Each model class has one of
these outcomes:

- same: all parameters and buffers are bitwise equal
- error: both initializations raise an error, for example because a parameter was never written
- refused: only the sharded initialization raises an error
- differ: either the weights differ, or only the whole initialization raises an error, or the comparison itself fails
- skipped: the small model cannot be built (for example because a package is missing), it has too many parameters,
  or torch cannot shard it
docs/distributed.md shows how many classes have each outcome.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")

import torch
import transformers
from torch import nn
from transformers.models.auto import modeling_auto

#: Models with more parameters than this are skipped, because the sweep would take too long.
LARGEST = 40_000_000

#: Maps a size to the attributes of a configuration that `shrink` reduces to this size.
SIZES = {
    2: "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_encoder_layers num_decoder_layers "
    "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads num_key_value_heads "
    "num_local_experts num_experts n_routed_experts num_experts_per_tok num_mtp_layers num_kv_heads mamba_n_heads",
    64: "hidden_size d_model n_embd dim embed_dim embedding_size encoder_ffn_dim decoder_ffn_dim d_ff intermediate_size ffn_dim "
    "n_inner moe_intermediate_size shared_expert_intermediate_size max_position_embeddings n_positions projection_dim "
    "encoder_dim d_inner ffn_hidden_size",
    32: "head_dim d_kv qk_nope_head_dim v_head_dim kv_lora_rank image_size mamba_d_state",
    211: "vocab_size",
}


def shrink(config, depth=0):
    """Sets the sizes of a configuration, and of configurations inside it, to small values."""
    for size, names in SIZES.items():
        for name in names.split():
            value = getattr(config, name, None)
            if type(value) is int and value > size:
                try:
                    setattr(config, name, size)
                except Exception:
                    continue
    for name in ("layer_types", "mlp_layer_types", "layers_block_type", "attention_types"):
        value = getattr(config, name, None)
        if isinstance(value, list) and len(value) > 2:
            config.__dict__[name] = value[:1] + value[-1:]
    if type(getattr(config, "pad_token_id", None)) is int and config.pad_token_id >= 211:
        config.pad_token_id = 1
    if depth < 3:
        for value in list(vars(config).values()):
            if isinstance(value, transformers.PreTrainedConfig):
                shrink(value, depth + 1)


def classes():
    """Returns one model class per model type, such as "LlamaForCausalLM" for "llama". Language models are preferred."""
    found = {}
    for task in ("CAUSAL_LM", "MASKED_LM", "SEQ_TO_SEQ_CAUSAL_LM", "PRETRAINING", "IMAGE_CLASSIFICATION", ""):
        mapping = f"MODEL_FOR_{task}_MAPPING_NAMES" if task else "MODEL_MAPPING_NAMES"
        for kind, name in getattr(modeling_auto, mapping).items():
            name = name if isinstance(name, str) else name[0]
            found.setdefault(kind, name)
    return sorted(set(found.values()))


def build(name):
    """Returns a small model of the class `name` on the meta device."""
    cls = getattr(transformers, name)
    for attempt in (True, False):
        config = cls.config_class()
        try:
            if attempt:
                shrink(config)
            with torch.device("meta"):
                model = cls(config)
            break
        except Exception:
            if not attempt:
                raise
    if sum(parameter.numel() for parameter in model.parameters()) > LARGEST:
        raise ValueError("too large")
    return model


def initialized(name, mesh, seed=3):
    """Builds a model, shards it if `mesh` is given, and initializes it. Returns the model and an error text or None."""
    import fanin.torch
    from torch.distributed.fsdp import fully_shard

    model = build(name)
    if mesh is not None:
        for one in reversed(list(model.modules())):
            if isinstance(one, nn.ModuleList):
                for layer in one:
                    if not isinstance(layer, (nn.ModuleList, nn.ModuleDict)) and any(True for _ in layer.parameters()):
                        fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    # New memory is often zero, so two unwritten parameters would be equal. A random byte per tensor makes them differ.
    # `memset` bypasses torch, so `sharded_init` does not count it as a write.
    for tensor in [*model.parameters(), *model.buffers()]:
        local = getattr(tensor, "_local_tensor", tensor)
        if local.is_contiguous():
            ctypes.memset(local.data_ptr(), random.randrange(1, 128), local.numel() * local.element_size())
    try:
        with fanin.torch.sharded_init(model, seed=seed):
            model.init_weights()
    except Exception as error:
        return model, f"{type(error).__name__}: {error}"
    return model, None


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def compare(name, mesh):
    """Compares a whole and a sharded model of the class `name`. Returns the outcome, such as "same", and the reason."""
    from fanin.torch._regions import local_of, regions_of, view_of

    try:
        model = build(name)
    except Exception as error:
        return "skipped", f"{type(error).__name__}: {str(error)[:80]}"
    if any(parameter.ndim == 0 for parameter in model.parameters()):
        return "skipped", "fully_shard does not support scalar parameters"
    whole, first = initialized(name, None)
    try:
        split, second = initialized(name, mesh)
    except TypeError as error:
        if "value was None" in str(error):
            return "skipped", "fully_shard cannot shard a parameter that two layers share"
        raise
    if first or second:
        outcome = "error" if first and second else "refused" if second else "differ"
        return outcome, f"whole: {first}; split: {second}"
    expected = dict([*whole.named_parameters(remove_duplicate=False), *whole.named_buffers(remove_duplicate=False)])
    differing = []
    for key, tensor in [*split.named_parameters(remove_duplicate=False), *split.named_buffers(remove_duplicate=False)]:
        other = expected[key].detach()
        for region in regions_of(tensor, key):
            mine = view_of(local_of(tensor).detach(), region)
            part = other[tuple(slice(a, a + n) for a, n in zip(region.start, region.size))] if other.ndim else other
            if bits(mine) != bits(part):
                differing.append(key)
                break
    return ("differ", ", ".join(differing[:6])) if differing else ("same", "")


def rank_main(rank, count, folder, only, after):
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    mesh = init_device_mesh("cpu", (count,))
    results = {}
    for name in classes():
        if only not in name or name <= after:
            continue
        try:
            results[name] = compare(name, mesh)
        except Exception as error:
            results[name] = "differ", f"{type(error).__name__}: {str(error)[:200]}"
        print(name, *results[name], flush=True)
        (Path(folder) / f"{rank}.json").write_text(json.dumps(results))
    dist.barrier()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--after", default="", help="skip the classes up to this one, in alphabetical order")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank is not None:
        rank_main(arguments.rank, arguments.ranks, arguments.folder, arguments.only, arguments.after)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--ranks", str(arguments.ranks), "--only", arguments.only]
        command += ["--after", arguments.after, "--folder", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        ranks = range(arguments.ranks)
        processes = [
            subprocess.Popen([*command, "--rank", str(rank)], env=environment, stdout=None if rank == 0 else subprocess.DEVNULL)
            for rank in ranks
        ]
        failed = any([process.wait() for process in processes])
        each = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in ranks]
    results = {}
    for name in each[0]:
        outcomes = [one.get(name, ["differ", "the rank stopped"]) for one in each]
        order = ("differ", "refused", "error", "same", "skipped")
        results[name] = min(outcomes, key=lambda one: order.index(one[0]))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    for name, (outcome, text) in results.items():
        if outcome in ("differ", "refused"):
            print(f"{outcome}:", name, text)
    print(dict(collections.Counter(outcome for outcome, _ in results.values())))
    return int(failed or any(outcome == "differ" for outcome, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
