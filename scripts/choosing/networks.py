"""Defines the networks that `scripts/choosing` initializes, measures and trains.

The networks classify the 8 x 8 images of scikit-learn's digits. SIREN maps the coordinates of a pixel to its brightness
instead. By default, a network has about 50 layers. Recurrent networks have 64 time steps instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: The number of layers of a network in which signal and gradient are measured.
DEPTH = 50


class Sine(nn.Module):
    """The activation sin(30 x) of SIREN (Sitzmann et al. 2020, section 3.2)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(30 * x)


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "selu": nn.SELU, "sine": Sine}


class MLP(nn.Module):
    """`depth` linear layers, with an activation between consecutive layers."""

    def __init__(self, activation: str, width: int = 128, depth: int = DEPTH, inputs: int = 64, outputs: int = 10):
        super().__init__()
        sizes = [inputs, *[width] * (depth - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class PlainCNN(nn.Module):
    """`depth` convolutions with kernels of 3 x 3, without residual connections and without normalization."""

    def __init__(self, activation: str, channels: int = 16, depth: int = DEPTH):
        super().__init__()
        strides = [2] + [1] * (depth - 1)
        sizes = [1] + [channels] * depth
        convolution = lambda a, b, stride: nn.Conv2d(a, b, 3, stride, padding=1)
        self.layers = nn.ModuleList(convolution(a, b, s) for a, b, s in zip(sizes, sizes[1:], strides))
        self.head = nn.Linear(channels, 10)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.activation(layer(x))
        return self.head(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    """x + conv2(relu(conv1(relu(x)))), with BatchNorm before each relu if `norm` is true (He et al. 2016)."""

    def __init__(self, channels: int, norm: bool):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.norm2 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv1(torch.relu(self.norm1(x)))
        return x + self.conv2(torch.relu(self.norm2(branch)))


class ResidualCNN(nn.Module):
    """A convolution of stride 2, followed by `depth / 2` residual blocks. Each block has two convolutions."""

    def __init__(self, norm: bool = False, channels: int = 16, depth: int = DEPTH):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, 2, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels, norm) for _ in range(depth // 2))
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(torch.relu(self.norm(x)).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Sublayer(nn.Module):
    """A residual branch f (attention or an MLP) with its LayerNorm.

    `norm` selects the output: x + f(norm(x)) for "pre", norm(x + f(x)) for "post", and norm(alpha x + f(x)) for "deep".
    "deep" is DeepNorm (Wang et al. 2022). Its `alpha` is (2 N)^(1/4) in an encoder of N blocks.
    """

    def __init__(self, branch: nn.Module, width: int, norm: str, alpha: float):
        super().__init__()
        self.branch, self.norm = branch, nn.LayerNorm(width)
        self.pre, self.alpha = norm == "pre", alpha if norm == "deep" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            return x + self.branch(self.norm(x))
        return self.norm(self.alpha * x + self.branch(x))


class Transformer(nn.Module):
    """A transformer encoder of `depth / 2` blocks. The 8 rows of an image are the tokens."""

    def __init__(self, norm: str, width: int = 32, heads: int = 4, depth: int = DEPTH):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(8, width))
        alpha = depth**0.25
        layers: list[nn.Module] = []
        for _ in range(depth // 2):
            mlp = nn.Sequential()
            mlp.add_module("up", nn.Linear(width, 4 * width))
            mlp.add_module("gelu", nn.GELU())
            mlp.add_module("down", nn.Linear(4 * width, width))
            layers += [Sublayer(Attention(width, heads), width, norm, alpha), Sublayer(mlp, width, norm, alpha)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.squeeze(1)) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


class RNN(nn.Module):
    """A recurrent network that reads the 64 pixels of an image one by one. `kind` is "relu", "tanh" or "lstm"."""

    def __init__(self, kind: str, width: int = 64):
        super().__init__()
        self.cell = nn.LSTMCell(1, width) if kind == "lstm" else nn.RNNCell(1, width, nonlinearity=kind)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for pixel in x.flatten(1).unsqueeze(2).unbind(1):
            state = self.cell(pixel, state)
        return self.head(state[0] if isinstance(state, tuple) else state)
