"""The pytest plugin of fanin: the fixtures `assert_initialized` and `assert_same_weights`.

pytest finds the plugin when the package is installed. torch is imported when a test uses a fixture, not when pytest starts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def assert_initialized() -> Callable[..., None]:
    """Returns `fanin.torch.assert_initialized`, which fails if a model has weights that no code wrote."""
    from .torch import assert_initialized

    return assert_initialized


@pytest.fixture
def assert_same_weights() -> Callable[..., None]:
    """Returns `fanin.torch.assert_same_weights`, which fails if two models differ in one bit."""
    from .torch import assert_same_weights

    return assert_same_weights
