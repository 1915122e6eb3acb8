"""Callbacks that run `Monitor` in the training loops of Lightning and transformers. These libraries are imported when needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._monitor import Monitor


def lightning_callback(monitor: Monitor) -> Any:
    """Returns a callback for Lightning's Trainer. The callback runs `monitor`.

    With gradient accumulation, all batches of one optimizer step form one step of the `Monitor`.
    """
    try:
        lightning = importlib.import_module("lightning.pytorch")
    except ModuleNotFoundError:
        lightning = importlib.import_module("pytorch_lightning")

    class MonitorCallback(lightning.Callback):  # type: ignore[misc, name-defined, unused-ignore]
        #: The value of `trainer.global_step` at the beginning of the current step of the `Monitor`. None between two steps.
        begun: int | None = None

        def on_train_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
            if self.begun is None:
                self.begun = trainer.global_step
                monitor.begin_step()

        def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
            if self.begun != trainer.global_step:
                self.begun = None
                monitor.end_step()

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            self.begun = None
            monitor.abandon_step()

        def on_exception(self, *args: Any, **kwargs: Any) -> None:
            self.begun = None
            monitor.abandon_step()

    return MonitorCallback()


def transformers_callback(monitor: Monitor) -> Any:
    """Returns a callback with which the Trainer of transformers runs `monitor`: each training step is one step of the `Monitor`."""
    from transformers import TrainerCallback

    class MonitorCallback(TrainerCallback):  # type: ignore[misc, name-defined, unused-ignore]
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            monitor.begin_step()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            monitor.end_step()

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            monitor.abandon_step()

    return MonitorCallback()
