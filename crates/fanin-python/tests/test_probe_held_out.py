"""probe names the module in which a fault was planted.

The thresholds of probe were chosen without the models of this file. The models are a vision transformer, residual
networks, a small GPT, recurrent networks, a U-Net, a model with low-rank adapters and a mixture of experts.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fanin.torch import probe


def vit():
    transformer = pytest.importorskip("timm.models.vision_transformer")
    sizes = dict(img_size=32, patch_size=8, embed_dim=64, depth=6, num_heads=4, num_classes=10)
    return transformer.VisionTransformer(**sizes), torch.randn(8, 3, 32, 32), None


class Basic(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.down = nn.Identity() if stride == 1 else nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        y = self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))
        return F.relu(self.bn2(y) + self.down(x))


class Bottleneck(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4 * channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels)
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + x)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Basic(16, 16, 1), Basic(16, 16, 1))
        self.layer2 = nn.Sequential(Basic(16, 32, 2), Basic(32, 32, 1))
        self.layer3 = nn.Sequential(Basic(32, 64, 2), Basic(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def resnet():
    return ResNet(), torch.randn(16, 3, 16, 16), None


def bottlenecks():
    blocks = [Bottleneck(16) for _ in range(6)]
    model = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return model, torch.randn(16, 3, 16, 16), None


class Attention(nn.Module):
    temperature = 1.0

    def __init__(self, width, heads):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.heads = heads

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = (layer(x).view(batch, tokens, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        logits = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) / self.temperature
        logits = logits.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf)
        return self.o((logits.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln1, self.attn, self.ln2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.proj(F.gelu(self.fc(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, width=64, depth=6, words=100):
        super().__init__()
        self.tok, self.pos = nn.Embedding(words, width), nn.Parameter(torch.empty(32, width))
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.head.weight = self.tok.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * depth) if name.endswith(("proj.weight", "o.weight")) else 1))

    def forward(self, ids):
        x = self.tok(ids) + self.pos[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def gpt():
    ids = torch.randint(0, 100, (4, 32))
    return GPT(), (ids, ids), lambda out, ids: F.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


class Last(nn.Module):
    """A recurrent layer, and a linear layer that reads the output of its last time step."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn, self.head = kind(32, 64, batch_first=True, **options), nn.Linear(64, 10)
        if kind is nn.RNN:
            nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def recurrent(kind, **options):
    return lambda: (Last(kind, **options), torch.randn(8, 40, 32), None)


relu_rnn, tanh_rnn, lstm = recurrent(nn.RNN, nonlinearity="relu"), recurrent(nn.RNN), recurrent(nn.LSTM)


class Adapted(nn.Module):
    def __init__(self, width, rank=4):
        super().__init__()
        self.norm, self.base = nn.LayerNorm(width), nn.Linear(width, width)
        self.lora_A, self.lora_B = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=False)
        self.base.weight.requires_grad_(False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        y = self.norm(x)
        return x + self.base(y) + 2 * self.lora_B(self.lora_A(y))


def adapted():
    return nn.Sequential(*[Adapted(64) for _ in range(5)], nn.Linear(64, 10)), torch.randn(16, 64), None


class Mixture(nn.Module):
    def __init__(self, width, count=8):
        super().__init__()
        self.norm, self.router = nn.LayerNorm(width), nn.Linear(width, count, bias=False)
        nn.init.normal_(self.router.weight, std=0.02)
        expert = lambda: nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.experts = nn.ModuleList(expert() for _ in range(count))

    def forward(self, x):
        y = self.norm(x)
        top, chosen = F.softmax(self.router(y), dim=-1).topk(2, -1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = (chosen == number).nonzero(as_tuple=True)
            if len(rows):
                out = out.index_add(0, rows, expert(y[rows]) * top[rows, place, None])
        return x + out


def mixture():
    return nn.Sequential(nn.Linear(32, 64), *[Mixture(64) for _ in range(4)], nn.Linear(64, 10)), torch.randn(32, 32), None


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.down3 = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)
        self.up3, self.up2, self.up1 = (nn.ConvTranspose2d(*sizes, 2, 2) for sizes in ((64, 32), (64, 16), (32, 3)))
        for layer in self.children():
            mode = "fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in"
            nn.init.kaiming_normal_(layer.weight, mode=mode)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        first = F.relu(self.down1(x))
        second = F.relu(self.down2(first))
        x = F.relu(self.up3(F.relu(self.down3(second))))
        x = F.relu(self.up2(torch.cat([x, second], 1)))
        return self.up1(torch.cat([x, first], 1))


def unet():
    return UNet(), torch.randn(8, 3, 32, 32), None


def scaled(name, factor):
    return lambda model, batch: model.get_parameter(name).mul_(factor)


def filled(name, call):
    return lambda model, batch: call(model.get_parameter(name))


def each(kind, name, call):
    return lambda model, batch: [call(one.get_parameter(name)) for one in model.modules() if isinstance(one, kind)]


def in_evaluation(model, batch):
    for _ in range(30):
        model(torch.randn(16, 3, 16, 16))
    model.eval()


def wrong_statistics(model, batch):
    in_evaluation(model, batch)
    model.layer2[1].bn1.running_var.fill_(1e-3)


def hot(model, batch):
    model.blocks[3].attn.temperature = 1e-3


class Masked(nn.Module):
    def forward(self, x):
        return x.masked_fill(torch.ones_like(x).bool(), -torch.inf).softmax(-1)


def all_masked(model, batch):
    model.blocks[2].ln1 = Masked()


BLOCK_WEIGHTS = ("attn.q", "attn.k", "attn.v", "attn.o", "fc", "proj")
#: For each fault: a function that builds the model, a function that plants the fault, and the expected finding (module and kind).
FAULTS = {
    "a patch embedding of gain 10": (vit, scaled("patch_embed.proj.weight", 10 / 0.6), "patch_embed.proj", "gain"),
    "a convolution of zeros": (resnet, filled("layer2.1.conv1.weight", nn.init.zeros_), "layer2.1.conv1", "peers"),
    "a large convolution whose shape is unique": (resnet, scaled("layer3.0.conv1.weight", 6), "layer3.0.conv1", "peers"),
    "a norm weight of 5": (resnet, scaled("layer2.0.bn2.weight", 5), "layer2.0.bn2", "peers"),
    "wrong running statistics": (resnet, wrong_statistics, "layer2.1.bn1", "statistics"),
    "swapped fans of a convolution": (bottlenecks, filled("3.conv3.weight", nn.init.kaiming_normal_), "3.conv3", "peers"),
    "a block without its residual scale": (gpt, scaled("blocks.2.proj.weight", 12**0.5), "blocks.2.proj", "peers"),
    "a temperature of 0.001": (gpt, hot, "blocks.3.attn", "attention"),
    "a tied embedding of std 1": (gpt, filled("tok.weight", nn.init.normal_), "head", "loss"),
    "weights of std 1": (gpt, lambda m, b: [each(Block, f"{one}.weight", nn.init.normal_)(m, b) for one in BLOCK_WEIGHTS], "blocks.0.proj", "gain"),
    "positions of std 20": (gpt, filled("pos", lambda w: nn.init.normal_(w, std=20)), "blocks.0", "collapse"),
    "a mask that leaves no key": (gpt, all_masked, "blocks.2.ln1", "nonfinite"),
    "a relu RNN that explodes": (relu_rnn, scaled("rnn.weight_hh_l0", 1.6), "rnn", "recurrent"),
    "a tanh RNN that vanishes": (tanh_rnn, scaled("rnn.weight_hh_l0", 0.3), "rnn", "recurrent"),
    "a tanh RNN that is saturated": (tanh_rnn, scaled("rnn.weight_ih_l0", 60), "rnn", "saturated"),
    "an LSTM that forgets": (lstm, filled("rnn.bias_ih_l0", lambda b: b[64:128].fill_(-10)), "rnn", "recurrent"),
    "an adapter whose matrices are both random": (adapted, each(Adapted, "lora_B.weight", nn.init.kaiming_uniform_), "0.lora_B", "adapter"),
    "a router of std 5": (mixture, each(Mixture, "router.weight", lambda w: nn.init.normal_(w, std=5)), "1.router", "gain"),
    "a large expert": (mixture, scaled("2.experts.3.0.weight", 8), "2.experts.3.0", "peers"),
    "a transposed convolution of std 1": (unet, filled("up2.weight", nn.init.normal_), "up2", "gain"),
    "biases of -5": (unet, filled("down2.bias", lambda b: b.fill_(-5)), "down2", "dead"),
}
#: Faults whose findings are notes, not problems, because models that train well have such findings too.
NOTES = {"a tanh RNN that vanishes", "an LSTM that forgets", "an adapter whose matrices are both random"}


def planted(build, plant):
    torch.manual_seed(0)
    model, batch, loss = build()
    if plant is not None:
        with torch.no_grad():
            plant(model, batch)
    return model, batch, loss


@pytest.mark.parametrize("fault", FAULTS)
def test_the_module_of_a_fault_is_named(fault):
    build, plant, module, kind = FAULTS[fault]
    model, batch, loss = planted(build, plant)
    result = probe(model, batch, loss=loss, advise=False)
    assert (kind, module) in [(one.kind, one.module) for one in result.findings], result.findings
    assert result.ok == (fault in NOTES)


@pytest.mark.parametrize(
    ("build", "plant"),
    [(one, None) for one in (vit, resnet, bottlenecks, gpt, relu_rnn, tanh_rnn, lstm, adapted, mixture, unet)] + [(resnet, in_evaluation)],
)
def test_models_without_faults_have_no_problem(build, plant):
    model, batch, loss = planted(build, plant)
    result = probe(model, batch, loss=loss, advise=False)
    assert result.ok, result.findings


class Excite(nn.Module):
    """A convolution and a squeeze-and-excite block.

    The layer `reduce` multiplies the mean square of its input by 48, as in timm's EfficientNet.
    """

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(96, 96, 3, padding=1, bias=False), nn.BatchNorm2d(96)
        self.reduce, self.expand, self.gate = nn.Conv2d(96, 4, 1), nn.Conv2d(4, 96, 1), nn.Sigmoid()
        nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")

    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        return x + y * self.gate(self.expand(F.silu(self.reduce(y.mean((2, 3), keepdim=True)))))


def excite():
    blocks = [Excite() for _ in range(3)]
    return nn.Sequential(nn.Conv2d(3, 96, 1), *blocks, nn.Flatten(), nn.Linear(96 * 64, 10)), torch.randn(8, 3, 8, 8), None


def test_a_large_gain_before_a_gate_is_a_problem_only_if_the_gate_is_saturated():
    def large(model, batch):
        for block in model[1:4]:
            block.reduce.weight.mul_(300)

    model, batch, loss = planted(excite, None)
    assert probe(model, batch, loss=loss, advise=False).ok
    model, batch, loss = planted(excite, large)
    found = {(one.kind, one.module) for one in probe(model, batch, loss=loss, advise=False).findings}
    assert any(kind == "saturated" for kind, _ in found), found


class Shortcut(nn.Module):
    """A block with a convolution and a batch norm. Only some blocks have a shortcut, as in timm's MobileViT."""

    def __init__(self, has_shortcut):
        super().__init__()
        self.has_shortcut = has_shortcut
        self.conv, self.bn = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)

    def forward(self, x):
        y = self.bn(self.conv(x))
        return F.relu(x + y) if self.has_shortcut else F.relu(y)


@pytest.mark.parametrize(
    ("shortcuts", "passes"), [([True, False, False, False, False], True), ([True, True, True, False, False], False), ([False] * 5, False)]
)
def test_a_norm_of_0_is_a_problem_unless_it_ends_a_residual_branch_and_no_peer_does(shortcuts, passes):
    torch.manual_seed(0)
    blocks = [Shortcut(one) for one in shortcuts]
    nn.init.zeros_(blocks[0].bn.weight)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *blocks, nn.Flatten(), nn.Linear(16 * 64, 10))
    result = probe(model, torch.randn(8, 3, 8, 8), advise=False)
    found = {(one.kind, one.module) for one in result.findings if one.level == "problem"}
    assert (("peers", "1.bn") not in found) == passes, found
    assert result.ok or not passes


def test_advice_stops_the_explosion_of_a_recurrent_network():
    model, batch, loss = planted(relu_rnn, scaled("rnn.weight_hh_l0", 1.6))
    result = probe(model, batch, loss=loss)
    assert result.rules == {"rnn.weight_hh_l0": "orthogonal"} and result.advice[0].problems == (1, 0)


def test_the_gradient_along_the_time_steps_of_an_lstm_is_that_of_a_loop_over_its_cell():
    torch.manual_seed(0)
    fused, batch = nn.LSTM(3, 5), torch.randn(20, 4, 3)
    cell = nn.LSTMCell(3, 5)
    cell.load_state_dict({name.removesuffix("_l0"): one for name, one in fused.named_parameters()})
    states = [(torch.zeros(4, 5), torch.zeros(4, 5, requires_grad=True))]
    for step in batch:
        states.append(cell(step, states[-1]))
    noise = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    first, last = states[1], states[-1]
    gradients = torch.autograd.grad((last[0] * noise).sum(), [*first, *last])
    squares = [float(one.square().mean()) for one in gradients]
    expected = math.log((squares[0] + squares[1]) / (squares[2] + squares[3])) / 19
    (found,) = probe(fused, batch).recurrences
    assert found.steps == 20 and found.gradient == pytest.approx(expected, rel=1e-4)
