from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final, final

__all__ = [
    "Initializer",
    "Plan",
    "Planned",
    "Prepared",
    "Recipe",
    "__version__",
    "canonical_name",
    "explain_json",
    "families",
    "fill_array",
    "main",
    "manifest",
    "models",
    "torch_draw",
    "torch_settle",
    "torch_skip",
    "torch_words",
    "write_checkpoint",
]

__version__: Final[str]

@final
class Initializer:
    def __new__(cls, spec: str) -> Initializer: ...
    def resolve(self, shape: Sequence[int], dtype: str = "f32") -> Plan: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __reduce__(self) -> tuple[Any, tuple[str]]: ...

@final
class Plan:
    @property
    def shape(self) -> list[int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float: ...
    @property
    def bounds(self) -> tuple[float, float]: ...
    @property
    def fans(self) -> tuple[int, int] | None: ...

@final
class Planned:
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def spec(self) -> Initializer | None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def integer(self) -> int | None: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float: ...

@final
class Prepared:
    def __new__(
        cls, spec: str | Initializer, shape: Sequence[int], dtype: str, seed: int, name: str
    ) -> Prepared: ...
    def fill_box(self, array: Any, start: Sequence[int], dtype: str | None = None) -> None: ...
    def fill_flat(self, array: Any, first: int, dtype: str | None = None) -> None: ...

@final
class Recipe:
    def __new__(cls, text: str, name: str = "recipe") -> Recipe: ...
    @staticmethod
    def read(name: str | PathLike[str]) -> Recipe: ...
    @staticmethod
    def draft(name: str | PathLike[str]) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    def plan(
        self, tensors: Sequence[tuple[str, str, Sequence[int]]], settings: Mapping[str, float] | None = None
    ) -> list[Planned]: ...

def explain_json(
    spec: str,
    shape: Sequence[int],
    dtype: str,
    layout: str | None,
    groups: int,
    nonlinearity: str | None,
    layers: Sequence[int],
) -> str: ...
def families() -> list[tuple[str, list[tuple[str, str | None]], str, str]]: ...
def canonical_name(name: str) -> str: ...
def fill_array(
    array: Any,
    spec: str | Initializer,
    seed: int,
    name: str,
    dtype: str | None = None,
    whole: Sequence[int] | None = None,
    start: Sequence[int] | None = None,
) -> None: ...
def main() -> int: ...
def manifest(name: str | PathLike[str]) -> list[tuple[str, str, list[int]]]: ...
def models() -> list[str]: ...
def torch_draw(
    wish: tuple[int, float, float, float, float],
    address: int,
    dtype: int,
    shape: Sequence[int],
    strides: Sequence[int] | None,
    generator: Any,
) -> bool: ...
def torch_settle(
    fills: Sequence[tuple[tuple[int, float, float, float, float], int, int, int, int, int]],
) -> None: ...
def torch_skip(state: int, words: int) -> bool: ...
def torch_words(wish: tuple[int, float, float, float, float], dtype: int, count: int) -> int | None: ...
def write_checkpoint(
    recipe: str | PathLike[str],
    output: str | PathLike[str],
    *,
    like: str | PathLike[str] | None = None,
    settings: Mapping[str, float] | None = None,
    seed: int = ...,
    stream: str = "native",
    dtype: str | None = None,
    force: bool = False,
    max_shard_size: int | str | None = None,
    part: tuple[int, int] | str | None = None,
    layout: str = "hf",
    resume: bool = False,
) -> None: ...
