"""Compares the defaults in crates/fanin-recipe/families/transformers.toml with those of transformers.

    python scripts/draft_defaults.py

Prints each default that differs. The exit code is 1 if a default differs. Fields that a configuration of
transformers does not have are not compared.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FAMILIES = Path(__file__).parents[1] / "crates/fanin-recipe/families/transformers.toml"


def defaults(family: dict[str, Any], model_type: str) -> Iterator[tuple[str, Any]]:
    """Yields each field of config.json that a family uses, and the field's default for a model type."""
    yield from family.get("requires", {}).items()
    for name, number in family.get("numbers", {}).items():
        table = number if isinstance(number, dict) else {"default": number}
        if "count" not in table:
            default = table.get("by_type", {}).get(model_type, table["default"])
            yield table.get("field", name), None if default == "none" else default


def value(config: Any, path: str) -> Any:
    """Returns the field of a configuration at a path such as `text_config.hidden_size`. Raises AttributeError if there is none."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def main() -> bool:
    from transformers import CONFIG_MAPPING

    differs = False
    for family in tomllib.loads(FAMILIES.read_text())["family"]:
        for model_type in family["types"]:
            config = CONFIG_MAPPING[model_type]()
            for path, default in defaults(family, model_type):
                try:
                    real = value(config, path)
                except AttributeError:
                    continue
                # A default of None is not reported: the draft then contains a guess that is marked with CHECK. An
                # exception is `pad_token_id`: with None, the draft leaves out a row of zeros without a CHECK.
                if real != default and not (default is None and path != "pad_token_id"):
                    print(f"{model_type}: {path} = {real} in transformers, {default} in the families")
                    differs = True
    return differs


if __name__ == "__main__":
    sys.exit(main())
