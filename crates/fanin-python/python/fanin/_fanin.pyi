# Made by `cargo xtask stubs` from what the module says of itself.
"""
The Rust side of fanin. Use the names in `fanin` and `fanin.torch`.
"""

from _typeshed import SupportsGetItem
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["__version__", "Initializer", "Plan", "Planned", "Prepared", "Recipe", "canonical_name", "explain_json", "families", "fill_array", "main", "manifest", "models", "torch_draw", "torch_pass", "torch_settle", "torch_words", "use_openmp", "write_checkpoint"]

__version__: Final[str]
"""
The package's version.
"""

@final
class Initializer:
    """
    What is wanted of a tensor's values: made by a function of the scheme's name, or from a spec.

    >>> import fanin
    >>> fanin.Initializer("kaiming_normal(mode=fan_out, nonlinearity=relu)")
    kaiming_normal(mode=fan_out, nonlinearity=relu)
    >>> fanin.Initializer("normal(0, 0.02)") == fanin.normal(std=0.02)
    True
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, spec: str) -> Initializer: ...
    def __reduce__(self, /) -> tuple[Any, tuple[str]]: ...
    def __repr__(self, /) -> str: ...
    def __str__(self, /) -> str: ...
    def resolve(self, /, shape: SupportsGetItem[int, SupportsIndex], dtype: str = "f32") -> Plan:
        """
        The plan for a tensor of this shape and type: all numbers known, nothing drawn.

        >>> import fanin
        >>> fanin.xavier_uniform().resolve((256, 128)).std
        0.07216878364870322
        """

@final
class Plan:
    """
    What a fill will write: made by `Initializer.resolve`.
    """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def __repr__(self, /) -> str: ...
    @property
    def bounds(self, /) -> tuple[float, float]:
        """
        The least and the greatest value that can be written.
        """
    @property
    def dtype(self, /) -> str:
        """
        The type of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
        """
    @property
    def fans(self, /) -> tuple[int, int] | None:
        """
        (fan_in, fan_out), if the numbers came from fans.
        """
    @property
    def mean(self, /) -> float:
        """
        The mean that an element has, over all seeds.
        """
    @property
    def shape(self, /) -> list[int]:
        """
        The sizes of the axes.
        """
    @property
    def std(self, /) -> float:
        """
        The standard deviation that an element has, over all seeds.
        """

@final
class Planned:
    """
    What a tensor will be: made by `Recipe.plan`.
    """
    def __new__(cls, /, name: str, dtype: str, shape: SupportsGetItem[int, SupportsIndex], pattern: str, spec: Initializer | None, scheme: str, source: str, integer: SupportsIndex | None, mean: SupportsFloat | SupportsIndex, std: SupportsFloat | SupportsIndex) -> Planned:
        """
        One by what it says of itself, as it is unpickled.
        """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def __repr__(self, /) -> str: ...
    @property
    def dtype(self, /) -> str:
        """
        Its type, in safetensors' spelling.
        """
    @property
    def integer(self, /) -> int | None:
        """
        The value of an integer tensor that has one, None for any other.
        """
    @property
    def mean(self, /) -> float:
        """
        The mean that its values have.
        """
    @property
    def name(self, /) -> str:
        """
        The tensor's name.
        """
    @property
    def pattern(self, /) -> str:
        """
        The pattern that matched it.
        """
    @property
    def scheme(self, /) -> str:
        """
        What it gets, as the recipe says it with all numbers known.
        """
    @property
    def shape(self, /) -> list[int]:
        """
        The sizes of its axes.
        """
    @property
    def source(self, /) -> str:
        """
        The name whose values it has: its own, or the first name of a tied tensor.
        """
    @property
    def spec(self, /) -> Initializer | None:
        """
        The initializer; None where the recipe says arange, copy or skip.
        """
    @property
    def std(self, /) -> float:
        """
        The standard deviation that its values have.
        """

@final
class Prepared:
    """
    A tensor of which parts are to be filled: planned, its common work done once. Whoever makes it has seen the plan's
    warnings.

    >>> import numpy as np
    >>> import fanin
    >>> from fanin._fanin import Prepared
    >>> tensor = Prepared("orthogonal", (4, 3), "f32", 0, "w")
    >>> last, middle = np.empty((1, 3), np.float32), np.empty(5, np.float32)
    >>> tensor.fill_box(last, (3, 0))
    >>> tensor.fill_flat(middle, 4)
    >>> whole = fanin.filled((4, 3), "orthogonal", name="w")
    >>> bool((last == whole[3:]).all() and (middle == whole.ravel()[4:9]).all())
    True
    """
    def __new__(cls, /, spec: "str | Initializer", shape: SupportsGetItem[int, SupportsIndex], dtype: str, seed: SupportsIndex, name: str) -> Prepared: ...
    def fill_box(self, /, array: Any, start: SupportsGetItem[int, SupportsIndex], dtype: str | None = None) -> None:
        """
        Fills an array, by DLPack, with the box of its shape that begins at `start`.
        """
    def fill_flat(self, /, array: Any, first: SupportsIndex, dtype: str | None = None) -> None:
        """
        Fills a vector, by DLPack, with the row-major values from the index `first` on.
        """

@final
class Recipe:
    """
    Which parameter gets which spec: patterns on names, of which the first that matches wins.

    >>> import fanin
    >>> recipe = fanin.Recipe('''
    ... [init]
    ... "*.bias" = "zeros"
    ... "*"      = "normal(std=1/sqrt(fan_in))"
    ... ''')
    >>> [(planned.name, planned.spec) for planned in recipe.plan([("fc.weight", "F32", [8, 16]), ("fc.bias", "F32", [8])])]
    [('fc.weight', normal(std=0.25)), ('fc.bias', zeros)]
    >>> fanin.Recipe.read("gpt2").model
    'gpt2'

    It is pickled as its text and its name: one that extends a file must find that file where it is unpickled.
    """
    def __new__(cls, /, text: str, name: str = "recipe") -> Recipe:
        """
        A recipe of this text; `name` is what complaints call it.
        """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    @staticmethod
    def draft(name: str | PathLike[str]) -> str:
        """
        The text of a recipe drafted from the names and shapes of a safetensors file, a manifest or a built-in model, for
        a person to read and to mend: `fanin recipe`.

        >>> import fanin
        >>> '"*.bias" = "zeros"' in fanin.Recipe.draft("gpt2")
        True
        """
    def leaves(self, /, name: str) -> bool:
        """
        Whether a tensor of this name is copied or skipped.

        >>> import fanin
        >>> fanin.Recipe('[init]\\n"*.mask" = "skip"\\n"*" = "zeros"').leaves("attn.mask")
        True
        """
    @property
    def model(self, /) -> str | None:
        """
        The built-in model that it belongs to.
        """
    def plan(self, /, tensors: SupportsGetItem[int, tuple[str, str, SupportsGetItem[int, SupportsIndex]]], settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None) -> list[Planned]:
        """
        What each of these tensors, (name, dtype, shape), will be, with these variables set. The types are taken as they
        are: what [dtype] says is for files. A type that safetensors has no name for can be copied or skipped.

        A tensor that no rule matches is an error, and so is a rule that matches nothing.
        """
    @staticmethod
    def read(name: str | PathLike[str]) -> Recipe:
        """
        The recipe of a built-in model, or of a file.
        """
    @property
    def text(self, /) -> str:
        """
        The text in TOML.
        """

def canonical_name(name: str) -> str:
    """
    A parameter's name without what wrappers add: DataParallel, torch.compile, FSDP, activation checkpointing.
    """

def explain_json(spec: str, shape: SupportsGetItem[int, SupportsIndex], dtype: str, layout: str | None, groups: SupportsIndex, nonlinearity: str | None, layers: SupportsGetItem[int, SupportsIndex]) -> str:
    """
    What a spec does to a shape, as JSON: `fanin explain --json`.
    """

def families() -> list[tuple[str, list[tuple[str, str | None]], str, str]]:
    """
    The schemes that a spec can name: name, parameters with their defaults, formula, source.
    """

def fill_array(array: Any, spec: "str | Initializer", seed: SupportsIndex, name: str, dtype: str | None = None, whole: SupportsGetItem[int, SupportsIndex] | None = None, start: SupportsGetItem[int, SupportsIndex] | None = None) -> None:
    """
    Fills an array by DLPack. Autograd is told of a tensor of torch's.
    """

def main() -> int:
    """
    The command `fanin`, on the process's own arguments. Returns the exit code.
    """

def manifest(name: str | PathLike[str]) -> list[tuple[str, str, list[int]]]:
    """
    (name, dtype, shape) of each tensor of a built-in model, a safetensors file (only its header is read) or a manifest
    in JSON.

    >>> import fanin
    >>> fanin.manifest("gpt2")[0]
    ('transformer.wte.weight', 'F32', [50257, 768])
    """

def models() -> list[str]:
    """
    The names of the built-in models.

    >>> import fanin
    >>> "gpt2" in fanin.models()
    True
    """

def torch_draw(wish: tuple[SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex], address: SupportsIndex, dtype: SupportsIndex, shape: SupportsGetItem[int, SupportsIndex], strides: SupportsGetItem[int, SupportsIndex] | None, generator: Any) -> bool:
    """
    Draws `wish` into the tensor at `address` from `generator`, and moves that on. `strides` is None for row-major memory.

    False if it would rather not: nothing has been written or drawn then. During a long fill other threads run, and one
    of them may draw from the generator: then its numbers came first, and the fill is done again from what it left, the
    last time with nobody running. If Ctrl-C ends it, the generator is where it was, and what the tensor holds nobody knows.
    """

def torch_pass(generator: Any, words: SupportsIndex) -> Any | None:
    """
    Moves `generator` on by `words` of its words, and gives the state that it had. None if it would rather not.
    """

def torch_settle(fills: SupportsGetItem[int, tuple[tuple[SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex], SupportsIndex, SupportsIndex, SupportsIndex, SupportsIndex]]) -> None:
    """
    Does the fills that have waited, on as many threads as torch has. Their generator has moved on already.

    # Errors
    RuntimeError if one of them cannot be done, which `torch_words` should have found; KeyboardInterrupt from the middle:
    nobody knows then which of them have been done.
    """

def torch_words(wish: tuple[SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex], dtype: SupportsIndex, count: SupportsIndex) -> int | None:
    """
    How many 32-bit words a fill of `count` contiguous values takes from torch's generator. None for what takes other
    than words alone (pairs of normals, rejection), and for what torch would refuse.
    """

def use_openmp(parallel: SupportsIndex, max_threads: SupportsIndex) -> None:
    """
    Says where the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP are.
    """

def write_checkpoint(recipe: "str | PathLike[str] | Recipe", output: str | PathLike[str], *, like: str | PathLike[str] | None = None, settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None, seed: SupportsIndex = ..., stream: str = "native", dtype: str | None = None, force: bool = False, max_shard_size: "SupportsIndex | str | None" = None, part: "tuple[SupportsIndex, SupportsIndex] | str | None" = None, layout: str = "hf", resume: bool = False) -> None:
    """
    Writes an initial checkpoint, as `fanin init` does: the same bytes.

    `recipe` is a built-in model, a recipe file or a `Recipe`, `output` a file or a folder, `like` what has names and
    shapes if the recipe belongs to no model. The target takes its name only when it is whole.

    With `max_shard_size`, a number of bytes or a text like "5GB", the output is a folder in the layout of Hugging Face.
    `part=(k, n)` writes the part of the k-th of n processes, which make what one makes without talking to each other: of
    one file a stretch, of several every n-th; `part="auto"` asks the launcher. `layout="dcp"` is that of torch's distributed
    checkpoints. `fanin init --help` says more.
    `resume=True` keeps files that are there if they are, to the last byte, what would be written.

    >>> import fanin, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fanin.write_checkpoint("resnet50", os.path.join(folder, "w.safetensors"), seed=7)
    ...     len(fanin.manifest(os.path.join(folder, "w.safetensors")))
    320
    """
