"""Configurations of the models that scripts, tests and benchmarks build.

Nothing is downloaded. To import this module, a file adds the folder of this module to `sys.path`:

    sys.path.insert(0, str(ROOT / "scripts"))
    import model_configs

transformers, timm and torchvision are imported only when one of their models is built.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import init


def gpt2_config(layers: int, heads: int, width: int, **sizes: int) -> Any:
    from transformers import GPT2Config

    return GPT2Config(n_layer=layers, n_head=heads, n_embd=width, **sizes)


def llama3_config(layers: int, width: int, intermediate: int, head_dim: int, tied: bool) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=intermediate,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=head_dim,
        vocab_size=128256,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tied,
    )


def bert_config(**sizes: int) -> Any:
    from transformers import BertConfig

    return BertConfig(**sizes)


def timm_model(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, **options)


def torchvision_resnet50() -> nn.Module:
    import torchvision

    return torchvision.models.resnet50()


class BuiltIn(NamedTuple):
    """A built-in model of fanin, and how another library builds the same model."""

    #: The name of a class of transformers, or the name of a model of timm.
    name: str
    #: A function that returns the configuration for the class `name` of transformers. None if the model is from timm.
    config: Callable[[], Any] | None
    #: The file name of the model's recipe.
    recipe: str
    #: The type of the floating-point tensors.
    dtype: torch.dtype = torch.float32
    #: A Python expression that creates another model which can load a checkpoint of this model. None if there is no such model.
    also_loads_in: str | None = None

    @property
    def loads_in(self) -> str:
        """Python expressions, separated by commas. Each expression creates a model that can load a checkpoint of this model."""
        first = f"timm.create_model({self.name!r})" if self.config is None else f"transformers.{self.name}"
        return first if self.also_loads_in is None else f"{first}, {self.also_loads_in}"

    def build(self) -> nn.Module:
        if self.config is None:
            return timm_model(self.name)
        import transformers

        model = getattr(transformers, self.name)(self.config())
        return model if self.dtype == torch.float32 else model.to(self.dtype)

    def on_meta(self) -> nn.Module:
        """Builds and returns the model on the meta device, where tensors have no memory."""
        with torch.device("meta"):
            return self.build()


def _gpt2(layers: int, heads: int, width: int) -> BuiltIn:
    return BuiltIn("GPT2LMHeadModel", partial(gpt2_config, layers, heads, width), "gpt2.toml")


def _llama(recipe: str, *sizes: Any) -> BuiltIn:
    return BuiltIn("LlamaForCausalLM", partial(llama3_config, *sizes), recipe, torch.bfloat16)


#: The built-in models of fanin, in their published sizes.
BUILT_IN = {
    "gpt2": _gpt2(12, 12, 768),
    "gpt2-medium": _gpt2(24, 16, 1024),
    "gpt2-large": _gpt2(36, 20, 1280),
    "gpt2-xl": _gpt2(48, 25, 1600),
    "llama-3.2-1b": _llama("llama-3.2.toml", 16, 2048, 8192, 64, True),
    "llama-3.1-8b": _llama("llama.toml", 32, 4096, 14336, 128, False),
    "bert-base": BuiltIn("BertForPreTraining", bert_config, "bert.toml"),
    "vit-b16": BuiltIn("vit_base_patch16_224", None, "vit.toml"),
    "resnet50": BuiltIn("resnet50", None, "resnet50.toml", also_loads_in="torchvision.models.resnet50()"),
}


def small_gpt2(layers: int = 2, heads: int = 4, width: int = 96, vocabulary: int = 500) -> nn.Module:
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel(gpt2_config(layers, heads, width, vocab_size=vocabulary, n_positions=64))


_SMALL = dict(hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=4)


def small_llama(**dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModelForCausalLM, LlamaConfig

    return AutoModelForCausalLM.from_config(LlamaConfig(num_key_value_heads=2, vocab_size=500, **_SMALL), **dtype)


def odd_llama() -> nn.Module:
    """Returns a small Llama with a padding token. Its vocabulary size is 61, a prime, so it cannot be split evenly among ranks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=61,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=5,
    )
    return LlamaForCausalLM(config)


def small_bert() -> nn.Module:
    from transformers import BertForMaskedLM

    return BertForMaskedLM(bert_config(vocab_size=500, **_SMALL))


def small_vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**_SMALL))


class EveryLayer(nn.Module):
    """A module with many layers of torch, whose constructors draw values, and with parameters that the module fills itself."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(100, 90), nn.Bilinear(30, 40, 20), nn.Embedding(400, 50), nn.EmbeddingBag(300, 40),
                nn.Conv1d(50, 60, 3), nn.Conv3d(5, 6, (3, 4, 5)), nn.ConvTranspose2d(20, 30, 3), nn.LSTM(40, 50, 2),
                nn.GRUCell(50, 60), nn.MultiheadAttention(80, 4), nn.TransformerEncoderLayer(64, 4, 128),
            ]
        )  # fmt: skip
        self.a = nn.Parameter(torch.empty(100, 70))
        self.b = nn.Parameter(torch.empty(100, 70, dtype=torch.bfloat16))
        self.c = nn.Parameter(torch.randn(100, 70))
        init.normal_(self.a, 0.5, std=0.1)
        init.trunc_normal_(self.b, std=0.02, a=-0.04, b=0.04)
        with torch.no_grad():
            self.a[10:90].uniform_(-1, to=2)
            self.a.t()[3:60].normal_()
            self.c.uniform_(**{"from": -3, "to": 1}, generator=torch.Generator().manual_seed(5))
        init.sparse_(self.a.data, 0.4)
        init.orthogonal_(self.c)


#: Small models. The tests build each of them with and without fast_init, and compare the results.
SMALL = {
    "gpt2": small_gpt2,
    "llama": small_llama,
    "llama bf16": partial(small_llama, dtype=torch.bfloat16),
    "bert": small_bert,
    "vit": partial(timm_model, "vit_tiny_patch16_224", depth=2),
    "vit of transformers": small_vit,
    "swin": partial(timm_model, "swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24, num_heads=(1, 2, 3, 6)),
    "convnext": partial(timm_model, "convnext_atto", depths=(1, 1, 1, 1)),
    "resnet50": torchvision_resnet50,
    "resnet50 of timm": partial(timm_model, "resnet50"),
    "every layer": EveryLayer,
}


def _medium(model: str, config: str, **sizes: int) -> Callable[[], nn.Module]:
    """Returns a function that builds a model of transformers. `model` and `config` are names of classes."""

    def build() -> nn.Module:
        import transformers

        return getattr(transformers, model)(getattr(transformers, config)(vocab_size=2000, **sizes))

    return build


#: Models with matrices large enough for `fanin audit` to classify.
AUDITED: dict[str, Callable[[], nn.Module]] = {
    "gpt2": _medium("GPT2LMHeadModel", "GPT2Config", n_layer=3, n_embd=192, n_head=4),
    "bert": _medium(
        "BertModel", "BertConfig", hidden_size=192, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512
    ),
    "llama": _medium(
        "LlamaForCausalLM",
        "LlamaConfig",
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
    ),
    "t5": _medium("T5Model", "T5Config", d_model=192, num_layers=2, num_heads=4, d_ff=384),
    **{
        name: partial(timm_model, name)
        for name in ("resnet18", "mobilenetv3_small_100", "vit_tiny_patch16_224", "convnext_atto", "mixer_s32_224")
    },
}


class EveryScheme(nn.Module):
    """A module with one parameter for each initialization scheme.

    Most dimensions of its parameters are not divisible by the numbers of processes in the tests.
    """

    def __init__(self, **where):
        super().__init__()
        # The embedding of GPT-2 also has 50257 rows. This number is divisible neither by 2 nor by 3.
        self.embed = nn.Embedding(50257, 2, padding_idx=3, **where)
        self.up = nn.Linear(2, 53, **where)
        self.down = nn.Linear(53, 6, **where)
        self.square = nn.Linear(17, 17, bias=False, **where)
        self.thin = nn.Linear(24, 19, bias=False, **where)
        self.conv = nn.Conv1d(6, 10, 3, **where)
        self.grouped = nn.Conv2d(8, 12, 3, groups=4, **where)
        self.same = nn.Linear(11, 9, bias=False, **where)
        self.cut = nn.Linear(7, 8, **where)
        # This weight has fewer rows than there are ranks.
        self.few = nn.Linear(5, 1, **where)
        self.norm = nn.LayerNorm(6, **where)
        self.gates = nn.Parameter(torch.empty(12, 5, **where))
        self.scale = nn.Parameter(torch.empty(13, **where))

    def init_weights(self):
        for module in self.modules():
            if module is not self and hasattr(module, "reset_parameters"):
                module.reset_parameters()
        init.normal_(self.embed.weight, std=0.02)
        init.zeros_(self.embed.weight[self.embed.padding_idx])
        init.xavier_uniform_(self.up.weight, gain=init.calculate_gain("tanh"))
        init.constant_(self.up.bias, 0.5)
        self.down.weight.data.normal_(0.0, 0.1).mul_(0.5)
        init.orthogonal_(self.square.weight, gain=2.0)
        init.sparse_(self.thin.weight, sparsity=0.4)
        init.dirac_(self.conv.weight)
        init.kaiming_normal_(self.grouped.weight, mode="fan_out", nonlinearity="relu")
        init.eye_(self.same.weight)
        init.trunc_normal_(self.cut.weight, std=0.02, a=-0.04, b=0.04)
        init.xavier_normal_(self.few.weight)
        for gate in self.gates.chunk(4):
            init.orthogonal_(gate)
        self.gates.data[3:6].add_(1.0)
        with torch.no_grad():
            # `rand` draws from torch's generator, which has the same state on every rank.
            self.scale.copy_(torch.rand(13).log())
            self.scale[2:5] = 7.0


#: A recipe for `EveryScheme`.
EVERY_SCHEME_RECIPE = """
[init]
"embed.weight"   = "normal(std=0.02)"
"up.weight"      = "xavier_uniform(gain=tanh)"
"down.weight"    = "uniform(-0.1, 0.1)"
"square.weight"  = "orthogonal(gain=2)"
"thin.weight"    = "sparse(0.4)"
"conv.weight"    = "dirac"
"grouped.weight" = "kaiming_normal(mode=fan_out, nonlinearity=relu)"
"same.weight"    = "eye"
"cut.weight"     = "trunc_normal(std=0.02, a=-0.04, b=0.04)"
"few.weight"     = "xavier_normal"
"norm.weight"    = "ones"
"gates"          = "kaiming_uniform(a=sqrt(5))"
"scale"          = "constant(0.25)"
"*.bias"         = "zeros"
"""


def build_gpt2_large() -> nn.Module:
    return BUILT_IN["gpt2-large"].build()


def build_llama_1b() -> nn.Module:
    """Returns Llama 3.2 1B in float32, which is the default type in transformers."""
    return BUILT_IN["llama-3.2-1b"]._replace(dtype=torch.float32).build()


def build_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def build_two_layer_gpt2() -> nn.Module:
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel(gpt2_config(2, 2, 64))
