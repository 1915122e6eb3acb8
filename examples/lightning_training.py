"""Trains a model with Lightning. The model is initialized by a recipe, and `fanin.torch.Monitor` measures its layers.

    pip install lightning
    python examples/lightning_training.py
"""

import tempfile

import lightning.pytorch as lightning
import torch
from torch import nn

import fanin
import fanin.torch

RECIPE = fanin.Recipe("""
[init]
"*.bias"      = "zeros"
"net.4.*"     = "normal(std=0.01)"
"*"           = "kaiming_normal(nonlinearity=relu)"
""")


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
        # Do not initialize the weights in `configure_model`. Lightning calls `configure_model` again before validation and tests,
        # and the trained weights would be lost.
        fanin.torch.init_module(self, RECIPE, seed=0)

    def training_step(self, batch, index):
        inputs, targets = batch
        loss = nn.functional.cross_entropy(self.net(inputs), targets)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(512, 64)
    targets = (inputs @ torch.randn(64, 10)).argmax(1)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, targets), batch_size=32)

    fanin.torch.assert_initialized(Classifier, via="eager")
    model = Classifier()
    monitor = fanin.torch.Monitor(model, every=10)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            callbacks=[monitor.lightning_callback()],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, batches)
    print(monitor)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model.net(inputs), targets)
    print(f"loss {loss:.3f}; of equal probabilities: {torch.tensor(10.0).log():.3f}")
    assert [record.step for record in monitor.records] == [0, 10, 20, 30] and loss < 2.3


if __name__ == "__main__":
    main()
