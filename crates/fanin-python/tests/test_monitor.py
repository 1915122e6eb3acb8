"""The numbers of Monitor equal numbers that are computed without it, and a monitor does not change the training."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import fanin.torch


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


INPUTS, LABELS = torch.randn(32, 6, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 3


def train(model, optimizer, steps, monitor=None):
    for _ in range(steps):
        if monitor is not None:
            monitor.begin_step()
        loss = F.cross_entropy(model(INPUTS), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if monitor is not None:
            monitor.end_step()


def test_numbers_equal_those_computed_by_hand():
    model = build()
    with torch.no_grad():
        model[0].weight[:4], model[0].bias[:4] = 0, -1
    reference = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    monitor = fanin.torch.Monitor(model, every=1)
    train(model, optimizer, 1, monitor)
    hidden = reference[0](INPUTS)
    active = torch.relu(hidden)
    outputs = reference[2](active)
    hidden.retain_grad(), active.retain_grad(), outputs.retain_grad()
    F.cross_entropy(outputs, LABELS).backward()
    record = monitor.records[0]
    assert list(record.modules) == ["0", "1", "2"]
    for name, tensor in zip("012", (hidden, active, outputs)):
        one = record.modules[name]
        assert one.q == pytest.approx(float(tensor.detach().double().square().mean()), rel=1e-6)
        assert one.p == pytest.approx(float(tensor.grad.double().square().mean()), rel=1e-5)
        assert one.mean == pytest.approx(float(tensor.detach().double().mean()), abs=1e-7)
    always_zero = (active == 0).all(0).double().mean().item()
    assert record.modules["1"].dead == always_zero >= 0.25 and record.modules["0"].dead is None
    rms = lambda tensor: float(tensor.detach().double().square().mean().sqrt())
    for (name, before), after in zip(reference.named_parameters(), model.parameters()):
        one = record.parameters[name]
        assert one.weight == pytest.approx(rms(before), rel=1e-6)
        assert one.gradient == pytest.approx(rms(before.grad), rel=1e-5)
        assert one.update == pytest.approx(rms(after - before), rel=1e-5)


def test_training_is_bit_identical_with_a_monitor():
    plain, watched = build(), build()
    train(plain, torch.optim.Adam(plain.parameters()), 7)
    train(watched, torch.optim.Adam(watched.parameters()), 7, fanin.torch.Monitor(watched, every=2))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters()))


def test_only_every_kth_step_is_measured_and_hooks_are_removed():
    model = build()
    seen = []
    monitor = fanin.torch.Monitor(model, every=3, on_record=lambda record: seen.append(record.step))
    train(model, torch.optim.SGD(model.parameters(), 0.1), 8, monitor)
    assert seen == [0, 3, 6] == [one.step for one in monitor.records]
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert all(not one._post_accumulate_grad_hooks for one in model.parameters())


def test_a_step_that_fails_is_not_recorded_and_leaves_no_hooks():
    model = build()
    monitor = fanin.torch.Monitor(model, every=2)
    with pytest.raises(RuntimeError), monitor.step():
        model(torch.randn(2, 7))
    assert not monitor.records and not any(module._forward_hooks for module in model.modules())
    train(model, torch.optim.SGD(model.parameters(), 0.1), 1, monitor)
    assert [one.step for one in monitor.records] == [0]


def test_batches_of_gradient_accumulation_are_summed():
    model = build()
    monitor = fanin.torch.Monitor(model, every=1)
    with monitor.step():
        for rows in (slice(0, 16), slice(16, 32)):
            F.cross_entropy(model(INPUTS[rows]), LABELS[rows]).backward()
    with torch.no_grad():
        expected = float(model[0](INPUTS).double().square().mean())
    assert monitor.records[0].modules["0"].q == pytest.approx(expected, rel=1e-6)
    assert all(one.update == 0 for one in monitor.records[0].parameters.values())


def test_checkpointed_regions_are_measured_once():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = build(), nn.Linear(3, 3)

        def forward(self, x):
            return self.outer(checkpoint(self.inner, x, use_reentrant=False))

    model = Model()
    monitor = fanin.torch.Monitor(model, every=1)
    with monitor.step():
        model(INPUTS).square().sum().backward()
    record = monitor.records[0]
    assert set(record.modules) == {"inner.0", "inner.1", "inner.2", "outer"} | ({"inner"} & set(record.modules))
    assert record.modules["outer"].p is not None


def test_a_compiled_model_is_measured():
    model = build()
    compiled = torch.compile(model, backend="eager")
    monitor = fanin.torch.Monitor(compiled, every=2)
    train(compiled, torch.optim.SGD(model.parameters(), 0.1), 3, monitor)
    assert [one.step for one in monitor.records] == [0, 2]
    assert list(monitor.records[1].modules) == ["0", "1", "2"]


def test_records_are_shown_and_logged():
    model = build()
    monitor = fanin.torch.Monitor(model, every=1)
    assert "no step was measured" in str(monitor)
    train(model, torch.optim.SGD(model.parameters(), 0.1), 3, monitor)
    scalars = monitor.records[-1].scalars()
    assert scalars["q/0"] == monitor.records[-1].modules["0"].q and "update/2.bias" in scalars and "dead/0" not in scalars
    assert json.loads(json.dumps(monitor.to_json()))[2]["step"] == 2
    assert "step 2, 3 measured" in str(monitor) and "2.weight" in str(monitor)
    assert repr(monitor) == "Monitor(Sequential, every=1, 3 records)"


def test_the_trainer_of_transformers_calls_the_monitor(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    config = transformers.GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=20, n_positions=8, bos_token_id=0, eos_token_id=0)
    model = transformers.GPT2LMHeadModel(config)
    monitor = fanin.torch.Monitor(model, every=2)
    data = [{"input_ids": torch.arange(8), "labels": torch.arange(8)} for _ in range(12)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=2, gradient_accumulation_steps=2, report_to=[], use_cpu=True
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[monitor.transformers_callback()])
    trainer.train()
    assert [one.step for one in monitor.records] == [0, 2]
    record = monitor.records[0]
    assert record.modules["transformer.h.0.mlp.c_fc"].p > 0
    assert record.parameters["transformer.h.0.mlp.c_fc.weight"].update > 0


def test_the_callback_of_transformers_begins_and_ends_each_step():
    """Calls the methods of the callback in the same order as Trainer. Trainer itself is not used, because it needs accelerate."""
    pytest.importorskip("transformers")
    model = build()
    monitor = fanin.torch.Monitor(model, every=1)
    callback = monitor.transformers_callback()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    callback.on_step_begin(None, None, None)
    train(model, optimizer, 1)
    callback.on_step_end(None, None, None)
    assert monitor.records[0].parameters["0.weight"].update > 0


def fit_by_lightning(lightning, folder, every, *, accumulate=1, error=None):
    """Trains one epoch of 4 batches with a monitor, and returns the monitor. Raises `error` before the third batch."""

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = build()

        def training_step(self, batch, index):
            if error is not None and index == 2:
                raise error
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    monitor = fanin.torch.Monitor(Module(), every=every)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(INPUTS, LABELS), batch_size=8)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        callbacks=[monitor.lightning_callback()], default_root_dir=str(folder), accumulate_grad_batches=accumulate,
    )  # fmt: skip
    try:
        trainer.fit(monitor.model, loader)
    except type(error) if error is not None else () as raised:
        assert raised is error
    return monitor


def test_the_trainer_of_lightning_calls_the_monitor(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    monitor = fit_by_lightning(lightning, tmp_path, 2)
    assert [one.step for one in monitor.records] == [0, 2]
    assert monitor.records[1].modules["net.0"].p > 0 and monitor.records[1].parameters["net.0.weight"].update > 0


def test_batches_that_lightning_accumulates_are_one_step(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    monitor = fit_by_lightning(lightning, tmp_path, 1, accumulate=2)
    assert [one.step for one in monitor.records] == [0, 1]
    assert all(one.parameters["net.0.weight"].update > 0 for one in monitor.records)


def test_an_error_in_lightning_leaves_no_hooks(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    monitor = fit_by_lightning(lightning, tmp_path, 1, error=KeyError("batch"))
    assert [one.step for one in monitor.records] == [0, 1]
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in monitor.model.modules())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [((None,), TypeError, "model = None"), ((nn.Linear(1, 1), 0), ValueError, "every = 0")],
)
def test_wrong_arguments_are_errors(arguments, error, words):
    with pytest.raises(error, match=words):
        fanin.torch.Monitor(arguments[0], every=arguments[1] if len(arguments) > 1 else 50)
