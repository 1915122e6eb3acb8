"""The class `Paths`, which searches the graph of layers. An edge leads from a layer to a layer that uses its output."""

from __future__ import annotations

import functools

from .records import Layer, Run
from .trunk import longest_path


class Paths:
    """The layers of a measured model as a graph, with methods that search the graph."""

    def __init__(self, run: Run):
        self._run = run
        self._consumers: dict[int, list[int]] = {}
        for layer in run.layers:
            for one in layer.sources:
                self._consumers.setdefault(one, []).append(layer.index)

    @functools.cached_property
    def main_path(self) -> list[int]:
        """The indices of the layers on the main path.

        Of all paths that lead to the output of the model, the main path has the most layers with weights.
        """
        return longest_path(self._run)

    @functools.cached_property
    def branch_ends(self) -> frozenset[str]:
        """For each residual branch, the name of its last module with parameters."""
        return frozenset(self.with_parameters(self._run.layers[one.branch]).module for one in self._run.residuals)

    def with_parameters(self, layer: Layer) -> Layer:
        """Returns the nearest layer with parameters: `layer` itself or a layer before it.

        The search goes from each layer to its first source. If it finds no layer with parameters, returns `layer`. If
        the output of `layer` is wrong, the parameters of the returned layer must be changed.
        """
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
        """Returns the name of a layer's weight, or None if the layer has no weight.

        A weight that several modules share has several names. The first name is returned.
        """
        if layer is None:
            return None
        return self._run.first_names.get(f"{layer.module}.weight" if layer.module else "weight")

    def source_of_zeros(self, layer: Layer) -> Layer:
        """Returns the layer at which the signal becomes 0: `layer` or an earlier layer.

        The search goes backwards from `layer`, each time to a source whose output is 0. It ends at a layer without such
        a source.
        """
        while True:
            zero = next((self._run.layers[one] for one in layer.sources if self._run.layers[one].q == 0), None)
            if zero is None:
                return layer
            layer = zero

    def last_weight(self) -> Layer | None:
        """Returns the last layer of `main_path` that has weights, or None if no layer of this path has weights."""
        layers = [self._run.layers[one] for one in self.main_path]
        return next((layer for layer in reversed(layers) if layer.role == "weight"), None)

    def is_last_weight(self, layer: Layer) -> bool:
        """Returns whether `layer` is the last layer with weights (see `last_weight`), or runs after that layer."""
        last = self.last_weight()
        return last is not None and layer.index >= last.index

    def descends(self, index: int, ancestor: int) -> bool:
        """Returns whether layer `index` uses the output of layer `ancestor`, directly or through other layers."""
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
        """Returns whether only norms use the output of a layer. The scale of the output then has no effect.

        Some layers that use the output are skipped: dropout, layers that return their input unchanged, and layers with
        the role "container", "other" or "tensor". If a skipped layer S uses the output, the layers that use the output
        of S are checked in place of S.
        """
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

    def is_gate(self, layer: Layer) -> bool:
        """Returns whether a layer's output is used only for gates: every path from the layer goes through a sigmoid.

        The sigmoid bounds the effect of the output. Weights and activations may come before the sigmoid, as in
        squeeze-and-excite blocks.
        """
        pending, found = list(self._consumers.get(layer.index, ())), False
        while pending:
            consumer = self._run.layers[pending.pop()]
            if consumer.activation in ("sigmoid", "hardsigmoid") and consumer.role == "activation":
                found = True
            elif consumer.alias is not None or consumer.role in ("weight", "activation", "container", "dropout", "tensor"):
                users = self._consumers.get(consumer.index)
                if not users:
                    return False
                pending.extend(users)
            else:
                return False
        return found
