# Made by `cargo xtask stubs` from what the module says of itself.
"""
The part of fanin that is written in Rust. Programs should import `fanin` and `fanin.torch`, not this module.
"""

from _typeshed import SupportsGetItem
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["__version__", "DeferredFill", "FillRequest", "Initializer", "Plan", "Planned", "Prepared", "Recipe", "canonical_name", "explain", "fill_array", "main", "manifest", "models", "schemes", "torch_advance", "torch_fill", "torch_flush", "torch_words", "use_openmp", "write_checkpoint"]

__version__: Final[str]
"""
The version of the package.
"""

@final
class DeferredFill:
    """
    A deferred fill of contiguous memory.
    """
    def __new__(cls, /, request: FillRequest, address: SupportsIndex, dtype: str, count: SupportsIndex, state: SupportsIndex) -> DeferredFill:
        """
        Describes a fill of `count` values at `address`. `state` is the address of the state that the generator had
        before the fill.
        """
    @property
    def count(self, /) -> int:
        """
        The number of values of the fill.
        """

@final
class FillRequest:
    """
    A distribution whose values are to be drawn from torch's generator.

    The constructors return None for an argument that is not a Python float or int, or that is too large for a float.
    torch must do the fill then: it accepts some of these arguments, and raises its own error for the others.
    """
    @staticmethod
    def normal(mean: Any, std: Any) -> FillRequest | None:
        """
        Requests the normal distribution with mean `mean` and standard deviation `std`.
        """
    @staticmethod
    def sparse(zeros: SupportsIndex, std: Any) -> FillRequest | None:
        """
        Requests a matrix with `zeros` zeros in each column. The other elements are normal with mean 0 and standard
        deviation `std`.
        """
    @staticmethod
    def trunc_normal(mean: Any, std: Any, low: Any, high: Any) -> FillRequest | None:
        """
        Requests the normal distribution truncated to [low, high], drawn by rejection sampling as in torch.
        """
    @staticmethod
    def uniform(low: Any, high: Any) -> FillRequest | None:
        """
        Requests the uniform distribution on `low..high` (`high` exclusive).
        """

@final
class Initializer:
    """
    A scheme with its arguments, such as `normal(std=0.02)`. Create one from a spec, or by the function that has the
    scheme's name.

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
        Returns the plan for a tensor of this shape and type: the distribution with the values of all its parameters. No
        value of the tensor is drawn.

        >>> import fanin
        >>> fanin.xavier_uniform().resolve((256, 128)).std
        0.07216878364870322
        """

@final
class Plan:
    """
    The distribution from which a tensor of a given shape and type is filled, with the values of all its parameters.
    `Initializer.resolve` returns it.
    """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def __repr__(self, /) -> str: ...
    @property
    def bounds(self, /) -> tuple[float, float]:
        """
        The smallest and the largest value that a fill can write.
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
    A tensor, and what a recipe does with it. `Recipe.plan` returns one for each tensor.
    """
    def __new__(cls, /, name: str, dtype: str, shape: SupportsGetItem[int, SupportsIndex], pattern: str, spec: Initializer | None, scheme: str, source: str, integer: SupportsIndex | None, mean: SupportsFloat | SupportsIndex, std: SupportsFloat | SupportsIndex) -> Planned:
        """
        Returns an object with these attributes. Unpickling calls it.
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
        If an integer tensor is filled with a constant, that constant; else None.
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
        The spec of the rule with all variables replaced by their values, or arange, copy or skip.
        """
    @property
    def shape(self, /) -> list[int]:
        """
        The sizes of the axes.
        """
    @property
    def source(self, /) -> str:
        """
        The name from which the native stream derives the values: the tensor's own name, or, if the tensor is tied to
        another tensor, the name of that tensor.
        """
    @property
    def spec(self, /) -> Initializer | None:
        """
        The initializer, or None if the rule says arange, copy or skip.
        """
    @property
    def std(self, /) -> float:
        """
        The standard deviation of an element.
        """

@final
class Prepared:
    """
    A tensor whose regions can be filled one by one. The constructor does the work that all regions share, such as the
    factorization of an orthogonal matrix. It issues no warnings: call `Initializer.resolve` for them.

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
        Fills an array (any object with `__dlpack__`) with the region of the tensor that begins at the index `start` and
        has the shape of the array.
        """
    def fill_flat(self, /, array: Any, first: SupportsIndex, dtype: str | None = None) -> None:
        """
        Fills a contiguous vector (any object with `__dlpack__`) with the tensor's values at the row-major indices
        `first`, `first + 1`, ...
        """

@final
class Recipe:
    """
    A list of rules. Each rule has a pattern for the names of tensors, and a spec for the tensors that match. The first
    rule that matches a name applies.

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

    Pickling stores the text and the name of the recipe. If the recipe extends a file, unpickling reads that file again.
    """
    def __new__(cls, /, text: str, name: str = "recipe") -> Recipe:
        """
        Parses the text of a recipe. Error messages use `name` as its file name.
        """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    @staticmethod
    def draft(name: str | PathLike[str]) -> str:
        """
        Returns the text of a new recipe, with rules guessed from the names and shapes of tensors. `name` is a
        safetensors file, a manifest or a built-in model. `fanin recipe` prints the same text. Review and edit the
        recipe before you use it.

        >>> import fanin
        >>> '"*.bias" = "zeros"' in fanin.Recipe.draft("gpt2")
        True
        """
    def leaves(self, /, name: str) -> bool:
        """
        Returns whether a tensor of this name is not filled: the rule that matches it says copy or skip.

        >>> import fanin
        >>> fanin.Recipe('[init]\\n"*.mask" = "skip"\\n"*" = "zeros"').leaves("attn.mask")
        True
        """
    @property
    def model(self, /) -> str | None:
        """
        The name of the built-in model that the recipe belongs to, or None if it belongs to none.
        """
    def plan(self, /, tensors: SupportsGetItem[int, tuple[str, str, SupportsGetItem[int, SupportsIndex]]], settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None) -> list[Planned]:
        """
        Returns what the recipe does with each of the tensors, given as (name, dtype, shape). `settings` are values of
        the recipe's variables. The recipe's [dtype] is ignored, because it applies only to files. If safetensors does
        not have the type of a tensor, the recipe must copy or skip the tensor.

        Raises ValueError if no rule matches a tensor, or if a rule matches no tensor.
        """
    @staticmethod
    def read(name: str | PathLike[str]) -> Recipe:
        """
        Reads a recipe. `name` is the name of a built-in model, or the path of a recipe file.
        """
    @property
    def text(self, /) -> str:
        """
        The text of the recipe, in TOML.
        """

def canonical_name(name: str) -> str:
    """
    Returns a parameter's name without the prefixes that wrapper modules add: DataParallel, torch.compile, FSDP and
    activation checkpointing.
    """

def explain(spec: str, shape: SupportsGetItem[int, SupportsIndex], dtype: str, layout: str | None, groups: SupportsIndex, nonlinearity: str | None, layers: SupportsGetItem[int, SupportsIndex]) -> "dict[str, Any]":
    """
    Returns the explanation of a spec for a shape: a dict equal to the parsed output of `fanin explain --json`.
    """

def fill_array(array: Any, spec: "str | Initializer", seed: SupportsIndex, name: str, dtype: str | None = None, whole: SupportsGetItem[int, SupportsIndex] | None = None, start: SupportsGetItem[int, SupportsIndex] | None = None) -> None:
    """
    Fills an array (any object with `__dlpack__`) as `fanin.fill` does. If the array is a torch tensor, its version
    counter is incremented.
    """

def main() -> int:
    """
    Runs the command line `fanin` on `sys.argv` and returns its exit code.
    """

def manifest(name: str | PathLike[str]) -> list[tuple[str, str, list[int]]]:
    """
    Returns (name, dtype, shape) of each tensor in a manifest. `name` is a built-in model, a safetensors file, of which
    only the header is read, or a manifest file in JSON.

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
    Advances `generator` by `words` 32-bit words, and returns its state from before the call, as a tensor. If the state
    of the generator is not valid, returns None and does not change the generator.
    """

def torch_fill(request: FillRequest, address: SupportsIndex, dtype: str, shape: SupportsGetItem[int, SupportsIndex], strides: SupportsGetItem[int, SupportsIndex] | None, generator: Any) -> bool:
    """
    Fills the tensor at `address` from `generator`, and advances the generator. `strides` is None for row-major memory.

    Returns True if the tensor was filled. Returns False if torch must do the fill; nothing is written or drawn then.

    A large fill releases the GIL, so another thread may draw from the generator during the fill. The fill is then
    repeated from the generator's new state. After three such attempts, the fill is done with the GIL held.

    If Ctrl-C interrupts a fill, the generator has its state from before the fill. The tensor then holds old and new
    values.
    """

def torch_flush(fills: SupportsGetItem[int, DeferredFill]) -> None:
    """
    Does deferred fills, on as many threads as torch uses. Does not change torch's generator, which advanced past the
    fills when they were deferred.

    # Errors
    RuntimeError if a fill fails. This does not happen if `torch_words` returned a number for the fill.
    KeyboardInterrupt for Ctrl-C; some of the fills are then done and others are not.
    """

def torch_words(request: FillRequest, dtype: str, count: SupportsIndex) -> int | None:
    """
    Returns the number of 32-bit words that a fill of `count` contiguous values takes from torch's generator.

    Returns None if the number is not known before the fill: for rejection sampling, because it depends on the values
    drawn; and for fewer than 16 normal values, because torch draws them in pairs and the generator may have stored the
    second value of a pair. Also returns None for a request for which torch raises an error.
    """

def use_openmp(parallel: SupportsIndex, max_threads: SupportsIndex) -> None:
    """
    Stores the addresses of the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP library. Does
    nothing if an address is 0, or if addresses are stored already.
    """

def write_checkpoint(recipe: "str | PathLike[str] | Recipe", output: str | PathLike[str], *, like: str | PathLike[str] | None = None, settings: Mapping[str, SupportsFloat | SupportsIndex] | None = None, seed: SupportsIndex = ..., stream: str = "native", dtype: str | None = None, force: bool = False, max_shard_size: "SupportsIndex | str | None" = None, part: "tuple[SupportsIndex, SupportsIndex] | str | None" = None, layout: str = "hf", resume: bool = False) -> None:
    """
    Writes an initial checkpoint. The files are byte for byte those that `fanin init` writes.

    A file gets its final name only when it is complete. See also `fanin init --help`.

    Parameters
    ----------
    recipe
        The name of a built-in model, a recipe file, or a `Recipe`.
    output
        A file or a folder.
    like
        The names, shapes and types of the tensors: a checkpoint, a manifest or a built-in model. Required if the
        recipe does not belong to a built-in model.
    settings
        The values of the recipe's variables, by name.
    seed
        A whole number from -2^63 to 2^64 - 1.
    stream
        "native" for fanin's own values, or "torch" for the values of torch's CPU generator.
    dtype
        The type of the tensors that no [dtype] rule of the recipe matches. The default is the type in `like` or the
        built-in model. Integer tensors keep their types.
    force
        Replace an existing output.
    max_shard_size
        The largest size of a file: a number of bytes, or a text such as "5GB". The output is then a folder of several
        files.
    part
        `(k, n)`: write only the partition of process k, where n processes write the checkpoint together without
        communication, and k is from 1 to n. If the output is a single file, a partition is a range of its bytes. If
        there are several files, it is every n-th file. "auto": read k and n from the environment variables that the
        launcher sets.
    layout
        "hf" for the file layout of Hugging Face, "dcp" for the file layout of torch.distributed.checkpoint.
    resume
        Keep an existing file if its content is byte for byte the content that would be written.

    Examples
    --------
    >>> import fanin, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fanin.write_checkpoint("resnet50", os.path.join(folder, "w.safetensors"), seed=7)
    ...     len(fanin.manifest(os.path.join(folder, "w.safetensors")))
    320
    """
