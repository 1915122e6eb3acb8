"""Defines the experiments: for each kind of network, the initializations that are compared, as recipes of fanin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

import networks
from networks import DEPTH

ZERO = '"*.bias" = "zeros"\n'
#: Rules for the default initialization of nn.Linear and nn.Conv2d: weights and biases are uniform on +-1/sqrt(fan_in).
TORCH = '"*.bias" = "linear_default_bias(fan_in=weight_fan_in)"\n"*" = "linear_default"'


@dataclasses.dataclass(frozen=True)
class Scheme:
    """An initialization: its name in tables and pictures, and the rules of its recipe."""

    name: str
    rules: str
    #: The function that builds the network. If it is None, `Experiment.build` builds the network.
    build: Callable[..., nn.Module] | None = None
    #: The variables of its recipe.
    variables: str = ""

    @property
    def recipe(self) -> str:
        return f"[vars]\n{self.variables}\n[init]\n{self.rules}\n" if self.variables else f"[init]\n{self.rules}\n"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment: a kind of network, the initializations that are compared, and the settings of the training."""

    key: str
    title: str
    build: Callable[..., nn.Module]
    schemes: tuple[Scheme, ...]
    #: The labels of the layers at whose outputs signal and gradient are measured.
    points: tuple[str, ...]
    #: The number of layers from each entry of `points` to the next entry.
    step: int = 1
    optimizer: str = "sgd"
    rates: tuple[float, ...] = (0.01, 0.003)
    steps: int = 200
    clip: float | None = None
    #: Whether the network learns a picture instead of labels.
    fits_picture: bool = False
    #: Extra arguments of `build` for the network in which signal and gradient are measured, such as {"depth": 50}.
    deep: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unit: str = "layer"

    @property
    def depth(self) -> int:
        """The number of layers between the first and the last layer of `points`."""
        return self.step * (len(self.points) - 1)


def weights(spec: str, name: str) -> Scheme:
    """Returns a scheme in which all weights have one spec, and biases are 0."""
    return Scheme(name, f'{ZERO}"*" = "{spec}"')


LAYERS = tuple(f"layers.{one}" for one in range(DEPTH))
DEFAULT = Scheme("torch default", TORCH)


def mlp(activation: str, rates: tuple[float, ...], *schemes: Scheme) -> Experiment:
    build = partial(networks.MLP, activation)
    return Experiment(f"mlp-{activation}", f"MLP, {activation}", build, (DEFAULT, *schemes), LAYERS, rates=rates)


MLPS = [
    mlp(
        "relu",
        (0.003, 0.001),
        weights("xavier_normal", "Xavier"),
        weights("kaiming_normal(nonlinearity=relu)", "Kaiming"),
        weights("orthogonal(gain=relu)", "orthogonal, gain sqrt(2)"),
    ),
    mlp(
        "tanh",
        (0.01, 0.003),
        weights("xavier_normal(gain=tanh)", "Xavier, gain 5/3"),
        weights("xavier_normal", "Xavier, gain 1"),
        weights("orthogonal", "orthogonal, gain 1"),
    ),
    mlp(
        "gelu",
        (0.003, 0.001),
        weights("kaiming_normal(nonlinearity=relu)", "Kaiming, relu's gain"),
        weights("kaiming_normal(nonlinearity=gelu)", "Kaiming, gelu's gain"),
        Scheme("critical, random biases", '"*.bias" = "normal(std=sqrt(0.173))"\n"*" = "normal(std=sqrt(1.983/fan_in))"'),
    ),
    mlp(
        "selu",
        (0.003, 0.001),
        weights("kaiming_normal(nonlinearity=relu)", "Kaiming, relu's gain"),
        weights("kaiming_normal(nonlinearity=selu)", "Kaiming, gain 3/4"),
        weights("kaiming_normal(nonlinearity=linear)", "LeCun"),
    ),
]

HEAD = ZERO + '"head.weight" = "xavier_normal"\n'
PLAIN_CNN = Experiment(
    "cnn-plain",
    "Plain CNN, tanh",
    partial(networks.PlainCNN, "tanh"),
    (
        DEFAULT,
        Scheme("Xavier, gain 5/3", HEAD + '"*" = "xavier_normal(gain=tanh)"'),
        Scheme("Xavier, gain 1", HEAD + '"*" = "xavier_normal"'),
        Scheme("delta-orthogonal", HEAD + '"*" = "delta_orthogonal"'),
    ),
    LAYERS,
    rates=(0.03, 0.01),
    steps=100,
)

KAIMING = '"*" = "kaiming_normal(nonlinearity=relu)"'
STATISTICS = '"*.num_batches_tracked" = "zeros"\n"*.running_mean" = "zeros"\n"*.running_var" = "ones"\n'
BATCH_NORM = STATISTICS + '"*norm*.weight" = "ones"\n' + HEAD + KAIMING
with_norm = partial(networks.ResidualCNN, True)
RESIDUAL_CNN = Experiment(
    "cnn-residual",
    "Residual CNN, relu",
    networks.ResidualCNN,
    (
        DEFAULT,
        Scheme("Kaiming", HEAD + KAIMING),
        Scheme("Kaiming, branch / sqrt(blocks)", HEAD + f'"*.conv2.weight" = "normal(std=sqrt(2/fan_in/{DEPTH // 2}))"\n' + KAIMING),
        Scheme("Kaiming, branch zero", HEAD + '"*.conv2.weight" = "zeros"\n' + KAIMING),
        Scheme("Kaiming, BatchNorm", BATCH_NORM, with_norm),
    ),
    ("stem", *(f"blocks.{one}" for one in range(DEPTH // 2))),
    step=2,
    rates=(0.03, 0.01),
    steps=100,
)

#: Each transformer in the training experiments has this number of sublayers.
TRAINED = 24
NORMS = '"*norm.weight" = "ones"\n"position" = "zeros"\n'
FUSED = '"*qkv.weight" = "blocks(xavier_uniform, count=3)"\n"*" = "xavier_uniform"'
SMALL = "normal(std=0.02)"
SUM = "*.branch.{out,down}.weight"
SUBLAYERS = 'n = { count = "layers.*.norm.weight" }'
BETA = "(4*n)^(-0.25)"
DEEPNORM = f'''"*qkv.weight" = "blocks(xavier_normal, xavier_normal, xavier_normal(gain={BETA}))"
"*.branch.*.weight" = "xavier_normal(gain={BETA})"
"*" = "xavier_normal"'''
ALL_TORCH = NORMS + '"*norm.bias" = "zeros"\n' + TORCH


def transformer(norm: str, title: str, *schemes: Scheme) -> Experiment:
    return Experiment(
        f"transformer-{norm}",
        title,
        partial(networks.Transformer, norm, depth=TRAINED),
        schemes,
        LAYERS,
        optimizer="adam",
        rates=(0.001, 0.0003),
        steps=100,
        unit="sublayer",
        deep={"depth": DEPTH},
    )


TRANSFORMERS = [
    transformer(
        "post",
        "Transformer, post-norm",
        Scheme("torch default", ALL_TORCH),
        Scheme("Xavier", NORMS + ZERO + FUSED),
        Scheme("normal, std 0.02", NORMS + ZERO + f'"*" = "{SMALL}"'),
        Scheme("DeepNorm", NORMS + ZERO + DEEPNORM, partial(networks.Transformer, "deep", depth=TRAINED), SUBLAYERS),
    ),
    transformer(
        "pre",
        "Transformer, pre-norm",
        Scheme("torch default", ALL_TORCH),
        Scheme("Xavier", NORMS + ZERO + FUSED),
        Scheme(
            "Xavier, branch / sqrt(sublayers)",
            NORMS + ZERO + f'"{SUM}" = "xavier_uniform(gain=1/sqrt(n))"\n' + FUSED,
            variables=SUBLAYERS,
        ),
        Scheme("GPT-2", NORMS + ZERO + f'"{SUM}" = "normal(std=0.02/sqrt(n))"\n"*" = "{SMALL}"', variables=SUBLAYERS),
    ),
]

RNN_HEAD = '"head.bias" = "zeros"\n"head.weight" = "xavier_normal"\n'
RNN_TORCH = RNN_HEAD + '"*" = "uniform(a=-1/8, b=1/8)"'
RNN_ZERO = RNN_HEAD + '"cell.bias*" = "zeros"\n"cell.weight_ih" = "xavier_normal"\n'
LSTM = RNN_HEAD + '''"cell.bias_hh" = "zeros"
"cell.bias_ih" = "blocks(zeros, ones, zeros, zeros)"
"cell.weight_ih" = "blocks(xavier_uniform, count=4)"
"cell.weight_hh" = "blocks(orthogonal, count=4)"'''
relu, lstm = partial(networks.RNN, "relu"), partial(networks.RNN, "lstm")
RNNS = Experiment(
    "rnn",
    "RNN over 64 pixels",
    partial(networks.RNN, "tanh"),
    (
        Scheme("tanh, torch default", RNN_TORCH),
        Scheme("tanh, orthogonal", RNN_ZERO + '"cell.weight_hh" = "orthogonal"'),
        Scheme("relu, torch default", RNN_TORCH, relu),
        Scheme("relu, identity", RNN_ZERO + '"cell.weight_hh" = "eye"', relu),
        Scheme("LSTM, torch default", RNN_TORCH, lstm),
        Scheme("LSTM, orthogonal, forget bias 1", LSTM, lstm),
    ),
    ("cell", *(f"cell#{one}" for one in range(2, 65))),
    optimizer="adam",
    rates=(0.003, 0.001),
    steps=200,
    clip=1.0,
    unit="time step",
)

SIREN = Experiment(
    "siren",
    "SIREN",
    partial(networks.MLP, "sine", width=64, depth=5, inputs=2, outputs=1),
    (
        DEFAULT,
        weights("xavier_uniform", "Xavier"),
        Scheme("SIREN", '"*.bias" = "linear_default_bias(fan_in=weight_fan_in)"\n"layers.0.weight" = "siren_first"\n"*" = "siren"'),
    ),
    LAYERS[:-1],
    optimizer="adam",
    rates=(0.001, 0.0003),
    steps=300,
    fits_picture=True,
    deep={"width": 128, "depth": DEPTH},
)

EXPERIMENTS = [*MLPS, PLAIN_CNN, RESIDUAL_CNN, *TRANSFORMERS, RNNS, SIREN]
