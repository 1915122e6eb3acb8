"""Attributes of classes and modules that are replaced for a time."""

from __future__ import annotations

from typing import Any, NamedTuple


class Patch(NamedTuple):
    owner: Any
    name: str
    replacement: Any
    #: The attribute in the owner itself before the patch; None if it is inherited.
    original: Any


class Patches(list[Patch]):
    """Patches that are applied and removed together."""

    def apply(self) -> None:
        """Replaces the attributes."""
        for owner, name, replacement, _ in self:
            setattr(owner, name, replacement)

    def restore(self) -> None:
        """Restores the attributes, and empties the list.

        An attribute that other code has replaced in the meantime keeps that replacement. The patch below it calls the
        original.
        """
        for owner, name, replacement, original in self:
            if owner.__dict__.get(name) is replacement:
                if original is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
        self.clear()
