"""Trains a GPT-2 with the Trainer of transformers. `fast_init` speeds up the build, and `fanin.torch.Monitor` measures the layers.

    pip install transformers accelerate
    python examples/transformers_trainer.py
"""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import fanin.torch

CONFIG = GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0)


def build() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(CONFIG)


def build_sooner() -> GPT2LMHeadModel:
    with fanin.torch.fast_init():
        return GPT2LMHeadModel(CONFIG)


def main() -> None:
    fanin.torch.assert_initialized(build, via="eager,meta")
    fanin.torch.assert_same_weights(build, build_sooner, seed=0)

    torch.manual_seed(0)
    model = build_sooner()
    words = [(torch.arange(16) * step + start) % 64 for step in (1, 3) for start in range(64)]
    data = [{"input_ids": one, "labels": one} for one in words]
    monitor = fanin.torch.Monitor(model, every=10)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=40,
            per_device_train_batch_size=16,
            learning_rate=3e-3,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        Trainer(model, arguments, train_dataset=data, callbacks=[monitor.transformers_callback()]).train()
    print(monitor)
    batch = torch.stack(words)
    loss = model.eval()(batch, labels=batch).loss.item()
    print(f"loss {loss:.3f}; of equal probabilities: {torch.tensor(64.0).log():.3f}")
    assert [record.step for record in monitor.records] == [0, 10, 20, 30] and loss < 3


if __name__ == "__main__":
    main()
