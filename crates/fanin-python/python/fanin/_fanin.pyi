# Made by `cargo xtask stubs` from what the module says of itself.
"""
The Rust side of fanin. Use the names in `fanin` and `fanin.torch` instead.
"""

from _typeshed import SupportsGetItem
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["__version__", "DeferredFill", "FillRequest", "Initializer", "Plan", "Planned", "Prepared", "Recipe", "canonical_name", "explain", "fill_array", "main", "manifest", "models", "schemes", "torch_advance", "torch_fill", "torch_flush", "torch_words", "use_openmp", "write_checkpoint"]

__version__: Final[str]
"""
The package's version.
"""

@final
class DeferredFill:
    """
    A fill of contiguous memory that was deferred.
    """
    def __new__(cls, /, request: FillRequest, address: SupportsIndex, dtype: str, count: SupportsIndex, state: SupportsIndex) -> DeferredFill:
        """
        Describes a fill of `count` values at `address`; `state` is the address of the generator's state before it.
        """
    @property
    def count(self, /) -> int:
        """
        The number of values.
        """

@final
class FillRequest:
    """
    A distribution to be drawn from torch's generator.

    The constructors return None for arguments that are no Python float or int, or too large for a float: torch accepts
    some of them and raises its own error for the rest.
    """
    @staticmethod
    def normal(mean: Any, std: Any) -> FillRequest | None:
        """
        Requests a normal distribution.
        """
    @staticmethod
    def sparse(zeros: SupportsIndex, std: Any) -> FillRequest | None:
        """
        Requests a normal matrix of mean 0 with `zeros` zeros in each column.
        """
    @staticmethod
    def trunc_normal(mean: Any, std: Any, low: Any, high: Any) -> FillRequest | None:
        """
        Requests a normal distribution truncated to [low, high], by torch's rejection sampling.
        """
    @staticmethod
    def uniform(low: Any, high: Any) -> FillRequest | None:
        """
        Requests the uniform distribution on `low..high`.
        """

@final
class Initializer:
    """
    A scheme with its arguments, such as `normal(std=0.02)`. Made from a spec, or by the function of the scheme's name.

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
        Returns the plan for a tensor of this shape and type: all parameters of the distribution are known, no value is
        drawn yet.

        >>> import fanin
        >>> fanin.xavier_uniform().resolve((256, 128)).std
        0.07216878364870322
        """

@final
class Plan:
    """
    The distribution, with all its parameters, that a fill of a given shape and type draws from. Made by
    `Initializer.resolve`.
    """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def __repr__(self, /) -> str: ...
    @property
    def bounds(self, /) -> tuple[float, float]:
        """
        The smallest and the largest value that can be written.
        """
    @property
    def dtype(self, /) -> str:
        """
        The type of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
        """
    @property
    def fans(self, /) -> tuple[int, int] | None:
        """
        `(fan_in, fan_out)` if the scheme uses fans, else None.
        """
    @property
    def mean(self, /) -> float:
        """
        The expected value of an element.
        """
    @property
    def shape(self, /) -> list[int]:
        """
        The sizes of the axes.
        """
    @property
    def std(self, /) -> float:
        """
        The standard deviation of an element.
        """

@final
class Planned:
    """
    What a recipe does with a tensor. Made by `Recipe.plan`.
    """
    def __new__(cls, /, name: str, dtype: str, shape: SupportsGetItem[int, SupportsIndex], pattern: str, spec: Initializer | None, scheme: str, source: str, integer: SupportsIndex | None, mean: SupportsFloat | SupportsIndex, std: SupportsFloat | SupportsIndex) -> Planned:
        """
        Makes an object from its attributes, for unpickling.
        """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def __repr__(self, /) -> str: ...
    @property
    def dtype(self, /) -> str:
        """
        The type of the tensor, spelled as in safetensors.
        """
    @property
    def integer(self, /) -> int | None:
        """
        The constant that an integer tensor is filled with; None for other tensors.
        """
    @property
    def mean(self, /) -> float:
        """
        The expected value of an element.
        """
    @property
    def name(self, /) -> str:
        """
        The name of the tensor.
        """
    @property
    def pattern(self, /) -> str:
        """
        The pattern that matched the name.
        """
    @property
    def scheme(self, /) -> str:
        """
        The spec of the rule with all variables replaced by numbers, or arange, copy or skip.
        """
    @property
    def shape(self, /) -> list[int]:
        """
        The sizes of the axes.
        """
    @property
    def source(self, /) -> str:
        """
        The name under which the values are drawn: the tensor's own, or the one that it is tied to.
        """
    @property
    def spec(self, /) -> Initializer | None:
        """
        The initializer; None if the rule says arange, copy or skip.
        """
    @property
    def std(self, /) -> float:
        """
        The standard deviation of an element.
        """

@final
class Prepared:
    """
    A tensor whose regions are filled one by one: the plan, and the work that all regions share, done once. The plan's
    warnings are not shown: the caller resolves the spec first.

    >>> import numpy as np
    >>> import fanin
    >>> from fanin._fanin import Prepared
    >>> tensor = Prepared("orthogonal", (4, 3), "f32", 0, "w")
    >>> last, middle = np.empty((1, 3), np.float32), np.empty(5, np.float32)
    >>> tensor.fill_region(last, (3, 0))
    >>> tensor.fill_flat(middle, 4)
    >>> whole = fanin.filled((4, 3), "orthogonal", name="w")
    >>> bool((last == whole[3:]).all() and (middle == whole.ravel()[4:9]).all())
    True
    """
    def __new__(cls, /, spec: "str | Initializer", shape: SupportsGetItem[int, SupportsIndex], dtype: str, seed: SupportsIndex, name: str) -> Prepared: ...
    def fill_region(self, /, array: Any, start: SupportsGetItem[int, SupportsIndex], dtype: str | None = None) -> None:
        """
        Fills an array (anything with `__dlpack__`) with the region of its shape that begins at the index `start`.
        """
    def fill_flat(self, /, array: Any, first: SupportsIndex, dtype: str | None = None) -> None:
        """
        Fills a contiguous vector (anything with `__dlpack__`) with the values at the row-major indices `first`,
        `first + 1`, ...
        """

@final
class Recipe:
    """
    Rules that map parameter names to specs: patterns, of which the first that matches wins.

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

    A recipe is pickled as its text and its name. If it extends a file, that file must exist where it is unpickled.
    """
    def __new__(cls, /, text: str, name: str = "recipe") -> Recipe:
        """
        Parses the text of a recipe. Error messages call it `name`.
        """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    @staticmethod
    def draft(name: str | PathLike[str]) -> str:
        """
        Returns the text of a recipe drafted from the names and shapes of a safetensors file, a manifest or a built-in model,
        as `fanin recipe` prints it. Review and edit it before use.

        >>> import fanin
        >>> '"*.bias" = "zeros"' in fanin.Recipe.draft("gpt2")
        True
        """
    def leaves(self, /, name: str) -> bool:
        """
        Returns whether the recipe copies or skips a tensor of this name.

        >>> import fanin
        >>> fanin.Recipe('[init]\\n"*.mask" = "skip"\\n"*" = "zeros"').leaves("attn.mask")
        True
        """
    @property
    def model(self, /) -> str | None:
        """
        The name of the built-in model that the recipe belongs to, or None.
        """
    def plan(self, /, tensors: SupportsGetItem[int, tuple[str, str, SupportsGetItem[int, SupportsIndex]]], settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None) -> list[Planned]:
        """
        Returns what the recipe does with each of the tensors, given as (name, dtype, shape). `settings` are values of the
        recipe's variables. The recipe's [dtype] is ignored: it applies to files. A tensor of a type that safetensors does
        not have can only be copied or skipped.

        A tensor that no rule matches is an error, and so is a rule that matches no tensor.
        """
    @staticmethod
    def read(name: str | PathLike[str]) -> Recipe:
        """
        Reads the recipe of a built-in model, or a recipe file.
        """
    @property
    def text(self, /) -> str:
        """
        The text of the recipe, in TOML.
        """

def canonical_name(name: str) -> str:
    """
    Returns a parameter's name without the prefixes of wrappers: DataParallel, torch.compile, FSDP, activation
    checkpointing.
    """

def explain(spec: str, shape: SupportsGetItem[int, SupportsIndex], dtype: str, layout: str | None, groups: SupportsIndex, nonlinearity: str | None, layers: SupportsGetItem[int, SupportsIndex]) -> "dict[str, Any]":
    """
    Returns what a spec does to a shape, as the objects that `json.loads` makes of the output of `fanin explain --json`.
    """

def fill_array(array: Any, spec: "str | Initializer", seed: SupportsIndex, name: str, dtype: str | None = None, whole: SupportsGetItem[int, SupportsIndex] | None = None, start: SupportsGetItem[int, SupportsIndex] | None = None) -> None:
    """
    Fills an array (anything with `__dlpack__`): see `fanin.fill`. Increments the version counter of a torch tensor.
    """

def main() -> int:
    """
    Runs the command line `fanin` on `sys.argv` and returns its exit code.
    """

def manifest(name: str | PathLike[str]) -> list[tuple[str, str, list[int]]]:
    """
    Returns (name, dtype, shape) of each tensor of a built-in model, a safetensors file (only its header is read) or a
    manifest in JSON.

    >>> import fanin
    >>> fanin.manifest("gpt2")[0]
    ('transformer.wte.weight', 'F32', [50257, 768])
    """

def models() -> list[str]:
    """
    Returns the names of the built-in models.

    >>> import fanin
    >>> "gpt2" in fanin.models()
    True
    """

def schemes() -> list[tuple[str, list[tuple[str, str | None]], str, str]]:
    """
    Returns the schemes that a spec can name, each as (name, [(parameter, default)], formula, source).
    """

def torch_advance(generator: Any, words: SupportsIndex) -> Any | None:
    """
    Advances `generator` by `words` 32-bit words, and returns the state tensor that it had before. Returns None, and leaves
    the generator as it is, if its state is not valid.
    """

def torch_fill(request: FillRequest, address: SupportsIndex, dtype: str, shape: SupportsGetItem[int, SupportsIndex], strides: SupportsGetItem[int, SupportsIndex] | None, generator: Any) -> bool:
    """
    Fills the tensor at `address` from `generator`, and advances the generator. `strides` is None for row-major memory.

    Returns False if the request cannot be served; nothing is written or drawn then. Other threads run during a long fill,
    and one of them may draw from the generator. The fill is then repeated from the state that the other thread left, and
    the fourth time with the GIL held. If Ctrl-C interrupts a fill, the generator is as before, and the tensor holds old
    and new values.
    """

def torch_flush(fills: SupportsGetItem[int, DeferredFill]) -> None:
    """
    Flushes deferred fills on as many threads as torch uses. torch's generator has advanced past them already.

    # Errors
    RuntimeError if one of the fills fails, which `torch_words` rules out; KeyboardInterrupt for Ctrl-C, when some of the
    fills are done and others are not.
    """

def torch_words(request: FillRequest, dtype: str, count: SupportsIndex) -> int | None:
    """
    Returns the number of 32-bit words that a fill of `count` contiguous values takes from torch's generator.

    Returns None if that number depends on the values drawn (rejection) or the generator keeps more than words (pairs of
    normals), and for a request that torch would refuse.
    """

def use_openmp(parallel: SupportsIndex, max_threads: SupportsIndex) -> None:
    """
    Sets the addresses of the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP. Has no effect if one
    is 0, or after the first call.
    """

def write_checkpoint(recipe: "str | PathLike[str] | Recipe", output: str | PathLike[str], *, like: str | PathLike[str] | None = None, settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None, seed: SupportsIndex = ..., stream: str = "native", dtype: str | None = None, force: bool = False, max_shard_size: "SupportsIndex | str | None" = None, part: "tuple[SupportsIndex, SupportsIndex] | str | None" = None, layout: str = "hf", resume: bool = False) -> None:
    """
    Writes an initial checkpoint: the same bytes as `fanin init`.

    The output gets its name only when it is complete. See also `fanin init --help`.

    Parameters
    ----------
    recipe
        The name of a built-in model, a recipe file, or a `Recipe`.
    output
        A file or a folder.
    like
        A checkpoint, manifest or model with the names and shapes of the tensors. Required if the recipe belongs to no
        model.
    settings
        Values of the recipe's variables.
    seed
        A whole number from -2^63 to 2^64 - 1.
    stream
        "native" or "torch".
    dtype
        The type of the values. The default is the type in `like` or the model.
    force
        Replace an existing output.
    max_shard_size
        A number of bytes, or a text such as "5GB": the output is then a folder of files of at most this size.
    part
        `(k, n)`: write the partition of process k of n, k from 1 to n, without communication. Of a single file it is a
        range of bytes, of several files every n-th. "auto": read k and n from the launcher's environment variables.
    layout
        "hf" for the file layout of Hugging Face, "dcp" for that of torch.distributed.checkpoint.
    resume
        Keep existing files if they are, byte for byte, the ones that would be written.

    Examples
    --------
    >>> import fanin, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fanin.write_checkpoint("resnet50", os.path.join(folder, "w.safetensors"), seed=7)
    ...     len(fanin.manifest(os.path.join(folder, "w.safetensors")))
    320
    """
