"""sharded_init raises an error that names each parameter and buffer with unwritten elements.

An element is unwritten if it still has its value from the uninitialized memory of `torch.empty`. An element that was
computed from such a value also counts as unwritten.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fanin
import fanin.torch


def initialized(module, work, **options):
    with fanin.torch.sharded_init(module, seed=5, **options):
        work(module)
    return module


class Linear(nn.Linear):
    """A layer with a bias of NaN, for test cases that write the bias in different ways.

    The bias counts as unwritten when `sharded_init` begins.
    """

    def __init__(self):
        super().__init__(4, 6, device="meta")
        self.to_empty(device="cpu")
        nn.init.constant_(self.bias, torch.nan)


def with_weight(work):
    """Returns a function that initializes the weight of a layer and then calls `work`, which writes the bias."""

    def both(net):
        nn.init.normal_(net.weight)
        with torch.no_grad():
            work(net)

    return both


def swap(net):
    nn.init.zeros_(net.bias)
    torch.utils.swap_tensors(net.bias, nn.Parameter(torch.empty(6)))


def assign(net):
    net.bias = nn.Parameter(torch.empty(6))


def garbage(net):
    nn.init.zeros_(net.bias)
    net.bias.add_(torch.empty(6))


#: Functions after which at least one element of the bias is unwritten, or was computed from unwritten memory.
UNWRITTEN = {
    "padded": lambda net: setattr(net.bias, "data", F.pad(net.bias.data, (0, 0))),
    "computed": lambda net: net.bias.copy_(torch.tanh(net.bias) * 0.5),
    "cloned": lambda net: setattr(net.bias, "data", net.bias.detach().clone()),
    "empty": lambda net: setattr(net.bias, "data", torch.empty(6)),
    "like": lambda net: net.bias.copy_(torch.empty_like(net.bias)),
    "concatenated": lambda net: net.bias.copy_(torch.cat([torch.zeros(3), net.bias[3:]])),
    "made finite": lambda net: net.bias.nan_to_num_(),
    "rectified": lambda net: F.relu_(net.bias),
    "a list scaled": lambda net: torch._foreach_mul_([net.bias], 0.0),
    "a list copied": lambda net: torch._foreach_copy_([net.weight, net.bias], [torch.zeros(6, 4), torch.empty(6)]),
    "scaled": lambda net: net.bias.mul_(0.0),
    "half": lambda net: nn.init.zeros_(net.bias[:3]),
    "assigned in part": lambda net: net.bias.__setitem__(slice(0, 5), 0),
    "indexed": lambda net: net.bias.__setitem__(torch.tensor([0, 2]), 0),
    "indexed twice": lambda net: net.bias.__setitem__(torch.tensor([0, 1, 2, 3, 4, 4]), 0.0),
    "mapped": lambda net: net.bias.detach().map_(torch.zeros(6), lambda x, _: x),
    "masked": lambda net: net.bias.masked_fill_(torch.arange(6) < 5, 0.0),
    "strided": lambda net: net.bias.__setitem__(slice(0, 6, 2), 0),
    "out": lambda net: torch.add(net.bias, 1, out=net.bias),
    "swapped": swap,
    "a new parameter": assign,
    "garbage added": garbage,
}


@pytest.mark.parametrize("case", UNWRITTEN)
def test_an_element_without_a_known_value_is_an_error(case):
    with pytest.raises(ValueError, match="nothing was written to bias:"):
        initialized(Linear(), with_weight(UNWRITTEN[case]))
    initialized(Linear(), with_weight(UNWRITTEN[case]), partial=True)


def like(net):
    made = torch.empty_like(net.bias)
    nn.init.normal_(made)
    net.bias.copy_(made)


def new(net):
    net.bias = nn.Parameter(torch.randn(6) * 0.1)


def rows(net):
    for i in range(6):
        nn.init.constant_(net.bias[i], float(i))


def temporary(net):
    values = torch.empty(6)
    values[:3] = 1
    values[3:] = torch.linspace(0, 1, 3)
    net.bias.copy_(values.sqrt())


#: Functions that write every element of the bias, with values that are not computed from unwritten memory.
WRITTEN = {
    "padded": lambda net: (nn.init.zeros_(net.bias), setattr(net.bias, "data", F.pad(net.bias.data, (0, 0)))),
    "halves": lambda net: (nn.init.zeros_(net.bias[:3]), net.bias[3:].fill_(1.0)),
    "backwards": lambda net: [net.bias[i : i + 1].zero_() for i in range(5, -1, -1)],
    "shape only": lambda net: net.bias.copy_(net.bias.new_zeros(6) + torch.ones_like(net.bias)),
    "data": lambda net: setattr(net.bias, "data", torch.zeros(6)),
    "arithmetic": lambda net: net.bias.uniform_().mul_(2).sub_(1).clamp_(-0.5, 0.5),
    "out": lambda net: torch.zeros(6, out=net.bias),
    "indexed": lambda net: net.bias.__setitem__(torch.randperm(6), torch.zeros(6)),
    "drawn like it": lambda net: net.bias.copy_(torch.rand_like(net.bias).clamp(min=0.1).log()),
    "drawn": lambda net: net.bias.exponential_().log_(),
    "like": like,
    "a new parameter": new,
    "rows": rows,
    "a list": lambda net: torch._foreach_zero_([net.bias]),
    "a list copied": lambda net: torch._foreach_copy_([net.weight, net.bias], [torch.zeros(6, 4), torch.zeros(6)]),
    "temporary": temporary,
}


@pytest.mark.parametrize("case", WRITTEN)
def test_an_element_with_a_known_value_counts_as_written(case):
    net = initialized(Linear(), with_weight(WRITTEN[case]))
    assert net.bias.isfinite().all()


def test_regions_that_cover_a_matrix_together_are_a_complete_write():
    def quarters(net):
        for rows in (slice(0, 2), slice(2, 6)):
            for columns in (slice(0, 3), slice(3, 4)):
                nn.init.normal_(net.weight[rows, columns])
        nn.init.zeros_(net.bias)

    initialized(Linear(), quarters)
    with pytest.raises(ValueError, match="nothing was written to weight:"):
        initialized(Linear(), lambda net: (nn.init.normal_(net.weight[:5]), nn.init.normal_(net.weight[:, 1:]), nn.init.zeros_(net.bias)))


class WithBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("table", torch.arange(3.0), persistent=False)


def test_a_buffer_must_be_written_after_to_empty():
    def layer(net):
        net.layer.reset_parameters()

    def emptied():
        with torch.device("meta"):
            net = WithBuffer()
        return net.to_empty(device="cpu")

    with pytest.raises(ValueError, match=r"nothing was written to table \(a buffer\)"):
        initialized(emptied(), layer)
    initialized(emptied(), lambda net: (layer(net), net.table.copy_(torch.arange(3.0))))
    # Without to_empty, the buffer has the values that the constructor gave to it.
    assert torch.equal(initialized(WithBuffer(), layer).table, torch.arange(3.0))
    # A parameter that is computed from an unwritten buffer counts as unwritten.
    with pytest.raises(ValueError, match="layer.bias, table"):
        initialized(emptied(), lambda net: (layer(net), setattr(net.layer.bias, "data", net.table * 2)))


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrapped_models_have_the_same_values(wrap):
    def work(net):
        for module in net.modules():
            getattr(module, "reset_parameters", lambda: None)()

    net = initialized(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), work)
    wrapped = initialized(wrap(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))), work)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), wrapped.parameters()))


def bert(**sizes):
    from transformers import BertConfig, BertForMaskedLM

    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=31, **sizes)
    with torch.device("meta"):
        return BertForMaskedLM(BertConfig(pad_token_id=3, **sizes)).to_empty(device="cpu")


def test_tied_weights_of_transformers_are_initialized_by_the_module_that_has_the_source():
    apart, tied = bert(), bert()
    tied.tie_weights()
    for net in (apart, tied):
        initialized(net, lambda net: net.init_weights())
        assert net.cls.predictions.decoder.weight is net.bert.embeddings.word_embeddings.weight
    assert all(torch.equal(a, b) for a, b in zip(apart.parameters(), tied.parameters()))
    assert not tied.cls.predictions.decoder.weight[3].any(), "the embedding keeps the zeros of its padding row"


def test_weights_that_to_empty_has_untied_must_be_tied_again():
    net = bert()
    with pytest.raises(ValueError, match="cls.predictions.decoder.weight must be tied to bert.embeddings.word_embeddings.weight"):
        initialized(net, lambda net: net.initialize_weights())


def test_a_model_whose_class_fully_shard_has_replaced_is_initialized_as_before():
    """`fully_shard` gives a model a class outside of transformers, so transformers treats the model as custom code.

    In custom code, transformers does not initialize modules that have no parameters of their own. GPT-2 has such
    modules, and their initialization scales the weights of the `c_proj` layers inside them. Without this scaling, the
    weights would be too large.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        net, derived = (GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=31)) for _ in range(2))
    kind = type(derived)
    derived.__class__ = type("FSDPGPT2LMHeadModel", (kind,), {"__module__": "torch.distributed.fsdp"})
    assert derived.is_custom_code()
    for one in (net, derived):
        initialized(one.to_empty(device="cpu"), lambda one: one.init_weights())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), derived.parameters()))
    assert net.transformer.h[0].mlp.c_proj.weight.std() < 0.015 and derived.is_custom_code()
