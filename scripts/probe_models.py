"""Runs `fanin.torch.probe` on freshly initialized models of timm and transformers, and counts the models with findings.

    python scripts/probe_models.py timm --log timm.txt
    python scripts/probe_models.py transformers --log transformers.txt

The authors of these models trained them successfully. So a problem that `probe` reports is a false alarm, unless the
library and the authors initialize the model differently. docs/probe.md has the counts, and explains each alarm.

timm: one model of each architecture (Python module) is probed. It has at most 30 million parameters. If the model
allows this, the images are 64 x 64.

transformers: one model of each configuration for text or images is probed. The model is reduced to 4 layers if its
configuration allows this. If possible, a text model is also reduced to a width of 256 and a vocabulary of 2000 tokens.

A model counts as skipped if it needs other inputs, is too large, or takes more than 300 seconds of CPU time.

Models that are in the log are not probed again, so the script can be interrupted and continued.
"""

import argparse
import os
import signal
import time
import traceback
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
import torch

import fanin.torch
from fanin.torch._probe.paths import Paths

#: A model of timm is skipped if it has more than `LARGEST` parameters. A model that takes more than
#: `SECONDS` seconds of CPU time is also skipped.
LARGEST, SECONDS = 30e6, 300
#: `_shrunk` reduces these configuration fields. `HIDDEN` lists hidden sizes of MLPs. `OTHERS` maps fields to their new
#: values. `IMAGES` lists the configurations whose models take images.
DEPTHS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers",
    "num_encoder_layers",
)  # fmt: skip
WIDTHS = ("hidden_size", "d_model", "n_embd", "emb_dim", "dim", "embedding_size")
HEADS = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads",
    "num_key_value_heads", "num_encoder_attention_heads", "num_decoder_attention_heads",
)  # fmt: skip
HIDDEN = ("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "n_inner", "moe_intermediate_size")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
OTHERS = dict(head_dim=64, d_kv=64, vocab_size=2000, rotary_dim=32, max_position_embeddings=512, num_experts_per_tok=2)
IMAGES = (
    "vit", "deit", "beit", "swin", "swinv2", "convnext", "convnextv2", "dinov2", "resnet", "regnet", "mobilenet_v1", "mobilenet_v2",
    "mobilevit", "poolformer", "segformer", "efficientnet", "levit", "cvt", "pvt", "pvt_v2", "focalnet", "van", "vit_msn", "vit_mae",
    "siglip_vision_model", "clip_vision_model", "data2vec-vision", "ijepa", "hiera", "swiftformer", "dinov3_vit", "bit",
)  # fmt: skip


def timm_models():
    import timm

    for module in timm.list_modules():
        yield module, lambda module=module: _timm_model(module)


def _timm_model(module):
    import timm

    sizes = {}
    names = timm.list_models(module=module)
    small = ("pico", "femto", "atto", "nano", "tiny", "micro", "mini", "xx", "xs", "_s", "s0", "b0", "m0", "10", "18")
    for name in sorted(names, key=lambda name: not any(one in name for one in small))[:5]:
        with torch.device("meta"):
            try:
                sizes[name] = sum(one.numel() for one in timm.create_model(name).parameters())
            except Exception:
                continue
    name = min(sizes, key=sizes.get, default=None)
    if name is None or sizes[name] > LARGEST:
        raise ValueError("its first models have more than 30 million parameters")
    config = timm.create_model(name).pretrained_cfg
    size = config["input_size"] if config.get("fixed_input_size") else (3, 64, 64)
    generator = torch.Generator().manual_seed(1)
    return name, lambda: timm.create_model(name), torch.randn(4, *size, generator=generator)


def transformers_models():
    from transformers.models.auto import modeling_auto as auto

    kinds = {
        "AutoModelForMaskedLM": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "AutoModelForCausalLM": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "AutoModelForSeq2SeqLM": auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        "AutoModel": IMAGES,
    }
    seen = set()
    for kind, names in kinds.items():
        for name in names:
            if name not in seen:
                seen.add(name)
                yield name, lambda name=name, kind=kind: _transformers_model(name, kind)


def _transformers_model(name, kind):
    import transformers

    default = transformers.AutoConfig.for_model(name)
    shrunk = _shrunk(default, kind == "AutoModel")
    build = lambda config: getattr(transformers, kind).from_config(config)
    problem = None
    for sizes in (shrunk, {one: value for one, value in shrunk.items() if one in (*DEPTHS, "vocab_size")}):
        try:
            config = transformers.AutoConfig.for_model(name, **sizes)
            with torch.device("meta"):
                count = sum(one.numel() for one in build(config).parameters())
            if count < 60e6:
                break
            problem = ValueError(f"it has {count:,} parameters")
        except Exception as error:
            problem = error
    else:
        raise problem
    generator = torch.Generator().manual_seed(1)
    if kind != "AutoModel":
        ids = torch.randint(4, 1999, (4, 32), generator=generator)
        return name, lambda: build(config), dict(input_ids=ids, labels=ids)
    size = getattr(config, "image_size", 224) or 224
    size = size if isinstance(size, (list, tuple)) else (size, size)
    return name, lambda: build(config), dict(pixel_values=torch.randn(4, 3, *size, generator=generator))


def _shrunk(default, is_image):
    """Returns smaller values for fields of the configuration `default`.

    For image models, only numbers of layers are reduced. For text models, the ids of special tokens are set to 0,
    because a reduced vocabulary may not have these ids.
    """
    sizes = {name: 4 for name in DEPTHS} | {name: 256 for name in WIDTHS} | {name: 4 for name in HEADS}
    sizes |= {name: 1024 for name in HIDDEN} | {name: 4 for name in EXPERTS} | OTHERS
    found = {}
    for name, value in sizes.items():
        usual = getattr(default, name, None)
        if isinstance(usual, int) and not isinstance(usual, bool) and usual > value:
            found[name] = value
    if is_image:
        return {name: value for name, value in found.items() if name in DEPTHS}
    tokens = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "cls_token_id", "sep_token_id")
    return found | {token: 0 for token in tokens if getattr(default, token, None) is not None}


def describe(name, build, batch):
    """Probes a model, and returns lines for the log."""
    begin = time.perf_counter()
    result = fanin.torch.probe(build, batch, advise=False)
    slopes = [None if fit is None else round(fit.total, 2) for fit in (result.forward, result.backward)]
    seconds = time.perf_counter() - begin
    kind = result._analysis.trunk.kind
    lines = [f"{'healthy' if result.ok else 'ALARM'} {name}: {len(result.trunk)} {kind}, ln change {slopes}, {seconds:.0f} s"]
    lines += [f"    {one.level} {one.kind} {one.module}: {one.text[:200]}" for one in result.findings]
    return [*lines, f"    extremes {extremes(result)}"]


def extremes(result):
    """Returns the worst value of each quantity, such as the largest gain or the smallest attention entropy."""
    run, paths = result._analysis.run, Paths(result._analysis.run)
    layers = [one for one in run.layers if one.alias is None]
    gains = [one.facts.get("gain", 0.0) for one in layers if one.role == "weight" and not paths.is_normalized(one)]
    values = dict(
        gain=max(gains, default=0.0),
        dead=max((one.dead or 0.0 for one in layers if one.forward.unit_count >= 16), default=0.0),
        saturated=max((one.saturated or 0.0 for one in layers), default=0.0),
        entropy=min((one.entropy for one in run.attention), default=1.0),
        q=max((one.q for one in layers), default=0.0),
        branch=min((layers_q(run, one) for one in run.residuals), default=1.0),
    )
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def layers_q(run, residual):
    """Returns the mean square of a residual branch, divided by the mean square of the stream to which the branch is added."""
    stream = run.layers[residual.stream].q
    return run.layers[residual.branch].q / stream if stream else 1.0


def _give_up(*_):
    raise TimeoutError(f"it takes more than {SECONDS} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=["timm", "transformers"])
    parser.add_argument("--log", required=True, help="the file to which results are added")
    parser.add_argument("--only", nargs="*", help="probe these again, and print the tracebacks of errors")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    done = set()
    if os.path.exists(arguments.log) and not arguments.only:
        with open(arguments.log) as file:
            done = {line.split()[-1] for line in file if line.startswith("done ")}
    signal.signal(signal.SIGPROF, _give_up)
    models = timm_models if arguments.library == "timm" else transformers_models
    for key, make in models():
        if key in done or (arguments.only and key not in arguments.only):
            continue
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            lines = describe(*make())
        except Exception as error:
            lines = [f"skipped {key}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"]
            if arguments.only:
                traceback.print_exc()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        with open(arguments.log, "a") as file:
            file.write("\n".join([*lines, f"done {key}", ""]))
    with open(arguments.log) as file:
        words = [line.split()[0] for line in file if line.strip()]
    print({word: words.count(word) for word in ("healthy", "ALARM", "skipped")})


if __name__ == "__main__":
    main()
