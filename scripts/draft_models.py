"""Builds models from small configurations for `draft_sweep.py`. Nothing is downloaded."""

from __future__ import annotations

import importlib
import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from check_init_sweep import transformers_build, transformers_classes
from torch import nn

import fanin

#: Classes of transformers, as package.Class. The rules of `fanin.Recipe.draft` were developed on their models.
TRANSFORMERS = """
bert.BertForMaskedLM roberta.RobertaForMaskedLM distilbert.DistilBertForMaskedLM albert.AlbertForMaskedLM
electra.ElectraForMaskedLM deberta_v2.DebertaV2ForMaskedLM mpnet.MPNetForMaskedLM bert.BertForSequenceClassification
modernbert.ModernBertForMaskedLM
gpt2.GPT2LMHeadModel gpt_neo.GPTNeoForCausalLM gpt_neox.GPTNeoXForCausalLM gptj.GPTJForCausalLM opt.OPTForCausalLM
bloom.BloomForCausalLM falcon.FalconForCausalLM mpt.MptForCausalLM llama.LlamaForCausalLM mistral.MistralForCausalLM
mixtral.MixtralForCausalLM qwen2.Qwen2ForCausalLM qwen2_moe.Qwen2MoeForCausalLM qwen3.Qwen3ForCausalLM
qwen3_moe.Qwen3MoeForCausalLM gemma.GemmaForCausalLM gemma2.Gemma2ForCausalLM gemma3.Gemma3ForCausalLM
phi.PhiForCausalLM phi3.Phi3ForCausalLM starcoder2.Starcoder2ForCausalLM stablelm.StableLmForCausalLM olmo2.Olmo2ForCausalLM
cohere.CohereForCausalLM deepseek_v3.DeepseekV3ForCausalLM gpt_oss.GptOssForCausalLM
mamba.MambaForCausalLM mamba2.Mamba2ForCausalLM falcon_mamba.FalconMambaForCausalLM jamba.JambaForCausalLM
rwkv.RwkvForCausalLM recurrent_gemma.RecurrentGemmaForCausalLM
t5.T5ForConditionalGeneration mt5.MT5ForConditionalGeneration bart.BartForConditionalGeneration
mbart.MBartForConditionalGeneration pegasus.PegasusForConditionalGeneration marian.MarianMTModel
whisper.WhisperForConditionalGeneration wav2vec2.Wav2Vec2ForCTC hubert.HubertForCTC
clip.CLIPModel siglip.SiglipModel blip.BlipForConditionalGeneration
vit.ViTForImageClassification deit.DeiTForImageClassification beit.BeitForImageClassification
dinov2.Dinov2ForImageClassification vit_mae.ViTMAEForPreTraining swin.SwinForImageClassification
swinv2.Swinv2ForImageClassification convnext.ConvNextForImageClassification convnextv2.ConvNextV2ForImageClassification
resnet.ResNetForImageClassification regnet.RegNetForImageClassification segformer.SegformerForSemanticSegmentation
mobilenet_v2.MobileNetV2ForImageClassification deformable_detr.DeformableDetrForObjectDetection
deberta.DebertaForMaskedLM squeezebert.SqueezeBertForMaskedLM xlm_roberta.XLMRobertaForMaskedLM camembert.CamembertForMaskedLM
roberta_prelayernorm.RobertaPreLayerNormForMaskedLM xlm_roberta_xl.XLMRobertaXLForMaskedLM longformer.LongformerForMaskedLM
codegen.CodeGenForCausalLM gpt_neox_japanese.GPTNeoXJapaneseForCausalLM olmo.OlmoForCausalLM olmo3.Olmo3ForCausalLM
cohere2.Cohere2ForCausalLM granite.GraniteForCausalLM deepseek_v2.DeepseekV2ForCausalLM persimmon.PersimmonForCausalLM
blenderbot.BlenderbotForConditionalGeneration blenderbot_small.BlenderbotSmallForConditionalGeneration
plbart.PLBartForConditionalGeneration vit_msn.ViTMSNForImageClassification ijepa.IJepaForImageClassification
dinov2_with_registers.Dinov2WithRegistersForImageClassification mobilenet_v1.MobileNetV1ForImageClassification
""".split()

#: Models of timm. The rules of `fanin.Recipe.draft` were developed on these models.
TIMM = """
resnet18 resnet50 resnext50_32x4d ecaresnet26t dla34 regnetx_002 regnety_002 efficientnet_b0 efficientnet_lite0
mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small mnasnet_100 ghostnet_100 repvgg_a0 rexnet_100 gernet_s
vit_tiny_patch16_224 deit_tiny_patch16_224 eva02_tiny_patch14_224 cait_xxs24_224 xcit_nano_12_p16_224 resmlp_12_224
gmlp_ti16_224 convnext_atto convnextv2_atto poolformer_s12 pvt_v2_b0 levit_128s coat_tiny mobilevit_xxs
edgenext_xx_small efficientformer_l1 fastvit_t8 tiny_vit_5m_224 tf_efficientnetv2_b0 resnetv2_50 maxvit_nano_rw_256
coatnet_nano_rw_224 deit3_small_patch16_224 cspdarknet53 inception_v3 vit_small_patch16_224 convmixer_768_32
convnext_tiny eca_nfnet_l0 cspresnet50 swin_tiny_patch4_window7_224 davit_tiny swinv2_tiny_window8_256
twins_svt_small mixer_s32_224 resnet50d seresnet50 beit_base_patch16_224 nfnet_f0 dpn68 res2net50_26w_4s
resnetv2_50x1_bit hrnet_w18_small xception41 inception_v4 vgg11 densenet121
""".split()

#: Models with more parameters than this are not built. Exception: the models in `TIMM` are always built.
LARGEST = 60_000_000

#: The models of `second_held_out_timm` and `known_timm` have at most this many parameters.
SECOND_LARGEST = 40_000_000


def transformers_model(name: str) -> Callable[[], nn.Module]:
    """Returns a function that builds a small model. `name` is a class of the library transformers, as package.Class."""
    package, kind = name.split(".")
    return transformers_build(getattr(importlib.import_module(f"transformers.models.{package}"), kind), LARGEST)


def timm_model(name: str) -> Callable[[], nn.Module]:
    """Returns a function that builds a model of timm."""
    import timm

    return lambda: timm.create_model(name, pretrained=False)


def held_out_transformers() -> Iterator[str]:
    """Yields one model class for each model type of transformers that is not in `TRANSFORMERS`.

    The order is random, with a fixed seed.
    """
    used = {name.split(".")[0] for name in TRANSFORMERS}
    by_package: dict[str, list[str]] = {}
    for name, _ in transformers_classes():
        package = name.split(".")[0]
        if package not in used:
            by_package.setdefault(package, []).append(name)
    order = random.Random(22)
    packages = sorted(by_package)
    order.shuffle(packages)
    for package in packages:
        yield order.choice(by_package[package])


def second_held_out_transformers() -> Iterator[str]:
    """Yields further classes of transformers, in random order with a fixed seed.

    Classes in `TRANSFORMERS` and in `held_out_transformers` are skipped. In a recipe that `fanin.Recipe.draft` returns,
    the mark CHECK means that a line is a guess. Classes of two kinds alternate:

    - The first, third, fifth, ... class is from a package with a class in `TRANSFORMERS`. `fanin.Recipe.draft` has
      rules for this package. A line that follows a rule normally does not have the mark CHECK, even if the line is
      wrong.
    - The second, fourth, sixth, ... class is from another package. `fanin.Recipe.draft` has no rules for this package.
      All lines for its parameters are guesses with the mark CHECK.
    """
    first = {*TRANSFORMERS, *held_out_transformers()}
    packages = {name.split(".")[0] for name in TRANSFORMERS}
    names = [name for name, _ in transformers_classes() if name not in first]
    random.Random(2022).shuffle(names)
    known = [name for name in names if name.split(".")[0] in packages]
    other = [name for name in names if name.split(".")[0] not in packages]
    for pair in zip(known, other):
        yield from pair


def held_out_timm() -> Iterator[str]:
    """Yields models of timm that are not in `TIMM`, at most two of each Python module, in a random order with a fixed seed."""
    yield from (name for name in held_out_timm_names() if timm_size(name) <= LARGEST)


def held_out_timm_names() -> list[str]:
    """Returns the names from which `held_out_timm` selects the models that are not too large."""
    import timm

    order = random.Random(22)
    names = []
    for module in sorted(timm.list_modules()):
        found = [name for name in timm.list_models(module=module) if name not in TIMM]
        names += order.sample(found, min(2, len(found)))
    order.shuffle(names)
    return names


def second_held_out_timm() -> Iterator[str]:
    """Yields models of timm that are neither in `TIMM` nor in `held_out_timm_names`, in a random order with a fixed seed."""
    import timm

    first = {*TIMM, *held_out_timm_names()}
    names = [name for name in timm.list_models() if name not in first]
    random.Random(2022).shuffle(names)
    yield from (name for name in names if timm_size(name) <= SECOND_LARGEST)


def known_transformers() -> Iterator[str]:
    """Yields the classes outside `TRANSFORMERS` whose package has a class in `TRANSFORMERS`."""
    packages = {name.split(".")[0] for name in TRANSFORMERS}
    for name, _ in transformers_classes():
        if name.split(".")[0] in packages and name not in TRANSFORMERS:
            yield name


def known_timm() -> Iterator[str]:
    """Yields the models of timm for which `fanin.Recipe.draft` has rules, except those in `TIMM` and large models."""
    import timm

    for name in timm.list_models():
        if name not in TIMM and draft_knows(name) and timm_size(name) <= SECOND_LARGEST:
            yield name


def draft_knows(architecture: str) -> bool:
    """Returns whether `fanin.Recipe.draft` has rules for an architecture of timm."""
    config = json.dumps({"architecture": architecture})
    manifest = {"__metadata__": {"config": config}, "weight": {"dtype": "F32", "shape": [2, 2]}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.json"
        path.write_text(json.dumps(manifest))
        return "fanin does not know" not in fanin.Recipe.draft(path)


def timm_size(name: str) -> float:
    """Returns the number of parameters of a model of timm, or infinity if the model cannot be built."""
    with torch.device("meta"):
        try:
            return sum(parameter.numel() for parameter in timm_model(name)().parameters())
        except Exception:
            return math.inf
