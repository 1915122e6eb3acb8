"""Patches: temporary replacements of attributes of classes and modules."""

from __future__ import annotations

from typing import Any, NamedTuple


class Patch(NamedTuple):
    owner: Any
    name: str
    replacement: Any
    #: The value of the attribute before the patch, or None if the owner only inherits the attribute.
    original: Any


class Patches(list[Patch]):
    """Patches that are applied and removed together."""

    def apply(self) -> None:
        """Sets each attribute to its replacement."""
        for owner, name, replacement, _ in self:
            setattr(owner, name, replacement)

    def restore(self) -> None:
        """Restores the original attributes, and removes all patches from this list.

        If other code has replaced an attribute after the patch was applied, the attribute is not changed. The other code may
        then still call the patch, and the patch calls the original.
        """
        for owner, name, replacement, original in self:
            if owner.__dict__.get(name) is replacement:
                if original is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
        self.clear()
