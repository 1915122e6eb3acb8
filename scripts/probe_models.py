"""Probes the models of timm and transformers as they are initialized, and counts the alarms.

    python scripts/probe_models.py timm --limit 60 > timm.txt
    python scripts/probe_models.py transformers > transformers.txt

A model that its authors trained with success is healthy, so a problem that probe reports for it is a false alarm, unless the
initialization of the library differs from that of the authors. Of timm, one model of each architecture is probed: the smallest of
those that the architecture lists first. Of transformers, models are built from default configurations of at most 6 layers and
2000 tokens. docs/probe.md has the counts.
"""

import argparse
import os
import time
import traceback
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
import torch

import fanin.torch

#: Models with more parameters than this, in millions, are left out.
LARGEST = 13
#: What replaces the depths of default configurations, and the sizes of large ones.
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
SMALLER = {
    "bloom": dict(hidden_size=512, n_head=8),
    "falcon": dict(hidden_size=512, num_attention_heads=8),
    "gpt_neox": dict(hidden_size=512, num_attention_heads=8, intermediate_size=2048),
    "gptj": dict(n_embd=512, n_head=8, rotary_dim=32),
    "albert": dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    "mamba": dict(hidden_size=512),
    "deberta-v2": dict(hidden_size=512, num_attention_heads=8, intermediate_size=2048),
    "gpt_neo": dict(hidden_size=512, num_heads=8, attention_types=[[["global", "local"], 3]]),
}
_DECODER = dict(hidden_size=768, num_attention_heads=12, num_key_value_heads=12, intermediate_size=2048,
                pad_token_id=0)  # fmt: skip
for name in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "olmo", "olmo2", "starcoder2", "stablelm", "cohere", "granite"):
    SMALLER[name] = {**_DECODER, "head_dim": 64} if name not in ("olmo", "olmo2", "starcoder2", "stablelm", "cohere") else _DECODER
SMALLER["phi"] = _DECODER
TEXT = [
    "bert", "roberta", "albert", "distilbert", "electra", "mpnet", "deberta", "deberta-v2", "camembert", "convbert", "squeezebert",
    "fnet", "nystromformer", "modernbert", "roformer", "gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "llama",
    "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "olmo", "olmo2", "starcoder2", "stablelm", "cohere", "granite",
    "mamba", "openai-gpt", "xglm", "biogpt", "t5", "mt5", "bart", "mbart", "pegasus", "m2m_100", "blenderbot-small", "marian",
]  # fmt: skip
IMAGES = [
    "vit", "deit", "beit", "swin", "swinv2", "convnext", "convnextv2", "dinov2", "resnet", "regnet", "mobilenet_v1", "mobilenet_v2",
    "mobilevit", "poolformer", "segformer", "efficientnet", "levit", "cvt", "pvt", "focalnet", "van", "vit_msn", "siglip_vision_model",
    "clip_vision_model",
]  # fmt: skip
AUDIO = ["wav2vec2", "hubert"]


def timm_models(limit):
    import timm

    for module in timm.list_modules()[:limit]:
        sizes = {}
        for name in timm.list_models(module=module)[:8]:
            try:
                with torch.device("meta"):
                    model = timm.create_model(name)
                sizes[name] = sum(one.numel() for one in model.parameters())
            except Exception:
                continue
        if not sizes or min(sizes.values()) > LARGEST * 1e6:
            continue
        name = min(sizes, key=sizes.get)

        def build(name=name):
            return timm.create_model(name)

        config = timm.create_model(name).pretrained_cfg
        generator = torch.Generator().manual_seed(1)
        yield name, build, torch.randn(4, *config["input_size"], generator=generator)


def transformers_models(limit):
    import transformers

    for name in (TEXT + IMAGES + AUDIO)[:limit]:
        default = transformers.AutoConfig.for_model(name)
        sizes = {depth: min(6, getattr(default, depth)) for depth in DEPTHS if isinstance(getattr(default, depth, None), int)}
        if name in TEXT:
            tokens = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
            sizes |= dict(vocab_size=2000) | {token: 0 for token in tokens if getattr(default, token, None) is not None}
        config = transformers.AutoConfig.for_model(name, **{**sizes, **SMALLER.get(name, {})})
        generator = torch.Generator().manual_seed(1)
        if name in TEXT:
            ids = torch.randint(4, min(config.vocab_size, 2000) - 1, (4, 64), generator=generator)
            batch = dict(input_ids=ids, labels=ids)
            for auto in ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM", "AutoModelForMaskedLM"):
                mapping = getattr(transformers, auto)._model_mapping
                if type(config) in mapping and not (auto == "AutoModelForCausalLM" and name in MASKED):
                    break
        elif name in IMAGES:
            size = getattr(config, "image_size", 224) or 224
            batch = dict(pixel_values=torch.randn(4, 3, *(size if isinstance(size, (list, tuple)) else (size, size)), generator=generator))
            auto = "AutoModel"
        else:
            batch = dict(input_values=torch.randn(4, 8000, generator=generator))
            auto = "AutoModel"

        def build(config=config, auto=auto):
            return getattr(transformers, auto).from_config(config)

        yield name, build, batch


#: Models for masked words, which transformers can also build as decoders.
MASKED = {"bert", "roberta", "electra", "camembert", "roformer", "bart"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=["timm", "transformers"])
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts = dict(probed=0, healthy=0, alarmed=0, failed=0)
    models = timm_models if arguments.library == "timm" else transformers_models
    for name, build, batch in models(arguments.limit):
        if arguments.only and name not in arguments.only:
            continue
        begin = time.perf_counter()
        try:
            result = fanin.torch.probe(build, batch, advise=False)
        except Exception as error:
            counts["failed"] += 1
            print(f"FAILED   {name}: {type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}", flush=True)
            if arguments.only:
                traceback.print_exc()
            continue
        counts["probed"] += 1
        counts["healthy" if result.ok else "alarmed"] += 1
        slopes = [None if fit is None else round(fit.total, 2) for fit in (result.forward, result.backward)]
        seconds = time.perf_counter() - begin
        print(f"{'healthy ' if result.ok else 'ALARM   '} {name}: {len(result.trunk)} {result._analysis.trunk.kind}, ln change {slopes}, {seconds:.0f} s", flush=True)
        for finding in result.findings:
            print(f"    {finding.level} {finding.kind} {finding.module}: {finding.text[:160]}", flush=True)
    print(counts)


if __name__ == "__main__":
    main()
