"""Paths through the layers of a run: what a layer was computed from, and which parameters made it."""

from __future__ import annotations

import functools

from .records import Layer, Run
from .trunk import longest_path


class Paths:
    """Answers questions about the layers of a run."""

    def __init__(self, run: Run):
        self._run = run
        self._consumers: dict[int, list[int]] = {}
        for layer in run.layers:
            for one in layer.sources:
                self._consumers.setdefault(one, []).append(layer.index)

    @functools.cached_property
    def main(self) -> list[int]:
        """The layers on the path to the output with the most weights."""
        return longest_path(self._run)

    def with_parameters(self, layer: Layer) -> Layer:
        """Returns the nearest layer with weights or a norm, from a layer back. This is where its values are decided."""
        current = layer
        while True:
            if current.role in ("weight", "norm", "embedding", "other") and self._has_parameters(current):
                return current
            if not current.sources:
                return layer
            current = self._run.layers[current.sources[0]]

    def _has_parameters(self, layer: Layer) -> bool:
        return any(one.module == layer.module for one in self._run.weights)

    def weight_name(self, layer: Layer | None) -> str | None:
        """Returns the first name of the weight of a layer, or None if it has none."""
        if layer is None:
            return None
        return self._run.first_names.get(f"{layer.module}.weight" if layer.module else "weight")

    def source_of_zeros(self, layer: Layer) -> Layer:
        """Returns the first layer, from a layer back, whose output is 0 while its input is not."""
        while True:
            zero = next((self._run.layers[one] for one in layer.sources if self._run.layers[one].q == 0), None)
            if zero is None:
                return layer
            layer = zero

    def last_weight(self) -> Layer | None:
        """Returns the last layer with weights on the path to the output."""
        layers = [self._run.layers[one] for one in self.main]
        return next((layer for layer in reversed(layers) if layer.role == "weight"), None)

    def is_last_weight(self, layer: Layer) -> bool:
        last = self.last_weight()
        return last is not None and layer.index >= last.index

    def descends(self, index: int, ancestor: int) -> bool:
        """Returns whether a layer was computed from another one."""
        pending, seen = [index], set()
        while pending:
            for source in self._run.layers[pending.pop()].sources:
                if source == ancestor:
                    return True
                if source > ancestor and source not in seen:
                    seen.add(source)
                    pending.append(source)
        return False

    def is_normalized(self, layer: Layer) -> bool:
        """Returns whether every use of a layer's output begins with a norm, so that its scale has no effect."""
        pending, found = list(self._consumers.get(layer.index, ())), False
        while pending:
            consumer = self._run.layers[pending.pop()]
            if consumer.role == "norm":
                found = True
            elif consumer.alias is not None or consumer.role in ("container", "other", "dropout", "tensor"):
                pending.extend(self._consumers.get(consumer.index, ()))
            else:
                return False
        return found
