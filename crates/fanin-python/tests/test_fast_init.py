"""fast_init: models built under it have the weights, and leave the generator, that they would have without."""

import contextlib
import threading
from functools import partial
from torch.nn.init import normal_ as imported_before, trunc_normal_ as truncated_before

import pytest
import torch
from conftest import outcome, same
from torch import nn


from fanin.torch import fast_init


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=96, n_head=4, vocab_size=500, n_positions=64))


def llama(**dtype):
    from transformers import AutoModelForCausalLM, LlamaConfig

    sizes = dict(hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=4, vocab_size=500)
    return AutoModelForCausalLM.from_config(LlamaConfig(num_key_value_heads=2, **sizes), **dtype)


def bert():
    from transformers import BertConfig, BertForMaskedLM

    sizes = dict(hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=4, vocab_size=500)
    return BertForMaskedLM(BertConfig(**sizes))


def timm_model(name, **options):
    import timm

    return timm.create_model(name, **options)


def hf_vit():
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=4))


def torchvision_resnet50():
    import torchvision

    return torchvision.models.resnet50()


class Everything(nn.Module):
    """Each of torch's layers that draws when it is made, and a few fills by hand."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(100, 90), nn.Bilinear(30, 40, 20), nn.Embedding(400, 50), nn.EmbeddingBag(300, 40),
                nn.Conv1d(50, 60, 3), nn.Conv3d(5, 6, (3, 4, 5)), nn.ConvTranspose2d(20, 30, 3), nn.LSTM(40, 50, 2),
                nn.GRUCell(50, 60), nn.MultiheadAttention(80, 4), nn.TransformerEncoderLayer(64, 4, 128),
            ]
        )
        self.a = nn.Parameter(torch.empty(100, 70))
        self.b = nn.Parameter(torch.empty(100, 70, dtype=torch.bfloat16))
        self.c = nn.Parameter(torch.randn(100, 70))
        imported_before(self.a, 0.5, std=0.1)
        truncated_before(self.b, std=0.02, a=-0.04, b=0.04)
        with torch.no_grad():
            self.a[10:90].uniform_(-1, to=2)
            self.a.t()[3:60].normal_()
            self.c.uniform_(**{"from": -3, "to": 1}, generator=torch.Generator().manual_seed(5))
        nn.init.sparse_(self.a.data, 0.4)
        nn.init.orthogonal_(self.c)


MODELS = {
    "gpt2": gpt2,
    "llama": llama,
    "llama bf16": partial(llama, dtype=torch.bfloat16),
    "bert": bert,
    "vit": partial(timm_model, "vit_tiny_patch16_224", depth=2),
    "vit of transformers": hf_vit,
    "swin": partial(timm_model, "swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24, num_heads=(1, 2, 3, 6)),
    "convnext": partial(timm_model, "convnext_atto", depths=(1, 1, 1, 1)),
    "resnet50": torchvision_resnet50,
    "resnet50 of timm": partial(timm_model, "resnet50"),
    "everything": Everything,
}


def build(make, context=contextlib.nullcontext):
    def run():
        with context():
            return make()

    return outcome(run, seed=7)


def assert_same_models(got, wanted):
    assert got[1] is None and wanted[1] is None, (got[1], wanted[1])
    ours, torchs = got[0].state_dict(), wanted[0].state_dict()
    assert list(ours) == list(torchs)
    for name in ours:
        assert same(ours[name], torchs[name]), name
    assert torch.equal(got[3], wanted[3]), "the generator's state"
    assert [p.requires_grad for p in got[0].parameters()] == [p.requires_grad for p in wanted[0].parameters()]


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same(name):
    assert_same_models(build(MODELS[name], fast_init), build(MODELS[name]))


@pytest.mark.slow
def test_a_whole_gpt2_is_the_same():
    from transformers import GPT2Config, GPT2LMHeadModel

    def make():
        return GPT2LMHeadModel(GPT2Config())

    assert_same_models(build(make, fast_init), build(make))


def test_fills_are_fanins(monkeypatch):
    """Not only equal: drawn here. Counted at the door to the Rust side."""
    from fanin.torch import _plain

    calls = []
    drawn = _plain.torch_draw
    monkeypatch.setattr(_plain, "torch_draw", lambda *args: calls.append(args[0]) or drawn(*args))
    weight = torch.empty(100, 90)
    fills = [
        lambda: imported_before(weight),
        lambda: truncated_before(weight),
        lambda: weight.uniform_(),
        lambda: nn.init.kaiming_uniform_(weight),
        lambda: nn.init.orthogonal_(weight),
    ]
    for fill in fills:
        fill()
        assert not calls
        with fast_init():
            fill()
        assert len(calls) == 1
        calls.clear()


def test_it_nests_and_leaves_nothing_behind():
    original = torch.Tensor.normal_
    context = fast_init()
    with pytest.raises(KeyError):
        with context, context, fast_init():
            assert torch.Tensor.normal_ is not original
            raise KeyError
    assert torch.Tensor.normal_ is original and "_no_grad_trunc_normal_" in vars(nn.init)
    assert "fanin" not in nn.init._no_grad_trunc_normal_.__module__

    @fast_init()
    def inside(depth):
        assert torch.Tensor.normal_ is not original
        return depth and inside(depth - 1)

    inside(2)
    assert torch.Tensor.normal_ is original


def test_someone_elses_method_is_left_alone():
    original = torch.Tensor.normal_
    try:
        with fast_init():
            torch.Tensor.normal_ = lambda self, *args, **kwargs: self.fill_(4)
            assert torch.empty(9000).normal_()[0] == 4
        assert torch.empty(9000).normal_()[0] == 4
        with fast_init():
            assert torch.empty(9000).normal_()[0] == 4
    finally:
        del torch.Tensor.normal_
    assert torch.Tensor.normal_ == original


def test_threads_may_come_and_go():
    wanted = [build(lambda: nn.Linear(300, 200))[0].weight]
    gate = threading.Barrier(3)
    results = []

    def work():
        gate.wait()
        for _ in range(20):
            with fast_init():
                weight = torch.empty(200, 300)
                nn.init.kaiming_uniform_(weight, a=5**0.5, generator=torch.Generator().manual_seed(7))
                results.append(weight)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 60 and all(same(result, wanted[0].data) for result in results)


@pytest.mark.parametrize("count", [10, 9000])
def test_autograd_and_errors_are_torchs(count):
    def leaf():
        return torch.zeros(count, requires_grad=True).normal_()

    def recorded():
        weight = torch.ones(count, requires_grad=True)
        (weight * 2).uniform_().sum().backward()
        return weight.grad

    for call in (leaf, recorded, lambda: torch.zeros(count).normal_(1, 2, 3), lambda: torch.zeros(count).normal_(sdt=1),
                 lambda: torch.zeros(count).normal_(0, -1), lambda: torch.zeros(count).uniform_(1, 0),
                 lambda: torch.zeros(count).uniform_(fram=1), lambda: torch.zeros(count).uniform_(a=1),
                 lambda: torch.zeros(count).uniform_(0, **{"from": -1}), lambda: torch.zeros(count).normal_(1, mean=1),
                 lambda: torch.zeros(count).normal_(std=3, mean=1), lambda: torch.zeros(count).uniform_(**{"from": -1}),
                 lambda: torch.zeros(count).normal_("x"), lambda: torch.zeros(count).normal_(law=1),
                 lambda: torch.zeros(count).normal_(torch.tensor(1.0), torch.tensor(2.0)), lambda: torch.zeros(count, dtype=torch.int8).normal_(),
                 lambda: torch.zeros(count).uniform_(generator=torch.Generator().manual_seed(1), to=3)):
        wanted = outcome(call)
        with fast_init():
            got = outcome(call)
        assert got[1:3] == wanted[1:3] and torch.equal(got[3], wanted[3])
        if wanted[0] is not None:
            assert same(got[0], wanted[0])


def test_subclasses_and_modes_are_told_of_torchs_method():
    class Named(torch.Tensor):
        seen = []

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            cls.seen.append(function)
            return super().__torch_function__(function, types, args, kwargs or {})

    for count in (10, 9000):
        wanted = torch.empty(count).as_subclass(Named)
        got = torch.empty(count).as_subclass(Named)
        first = outcome(lambda: wanted.normal_())
        seen = list(Named.seen)
        Named.seen.clear()
        with fast_init():
            second = outcome(lambda: got.normal_())
        assert Named.seen == seen and type(second[0]) is Named
        assert torch.equal(second[3], first[3])
        Named.seen.clear()


def test_compiled_code_is_torchs():
    @torch.compile(backend="eager", fullgraph=True)
    def make(tensor):
        return tensor.normal_(0.0, 2.0)

    for count in (10, 9000):
        with fast_init():
            got = outcome(lambda: make(torch.empty(count)))
        wanted = outcome(lambda: torch.empty(count).normal_(0.0, 2.0))
        assert got[1] is None and same(got[0], wanted[0]) and torch.equal(got[3], wanted[3])


def test_meta_models_cost_and_draw_nothing():
    def make():
        with torch.device("meta"):
            return nn.Linear(3000, 2000)

    got = build(make, fast_init)
    assert got[0].weight.is_meta and torch.equal(got[3], build(lambda: None)[3])
    with torch.device("cpu"), fast_init():
        got = outcome(lambda: nn.Linear(300, 200), seed=7)
    assert_same_models(got, build(lambda: nn.Linear(300, 200)))


def test_a_decorator_needs_no_parentheses_and_defer_is_a_truth_value():
    @fast_init
    def made(count):
        """Some values."""
        assert "normal_" in torch.Tensor.__dict__
        return torch.empty(count).normal_()

    torch.manual_seed(0)
    values = made(9000)
    assert torch.equal(values, torch.randn(9000, generator=torch.Generator().manual_seed(0)))
    assert made.__doc__ == "Some values." and "normal_" not in torch.Tensor.__dict__
    with pytest.raises(TypeError, match="defer = 'yes' is neither True nor False"):
        fast_init(defer="yes")
