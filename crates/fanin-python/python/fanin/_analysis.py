"""The functions `verify`, `audit`, `inspect` and `diff`, for checkpoints and for arrays in memory."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath

from . import _fanin
from ._fanin import Recipe
from ._reports import Audit, Diff, Inspection, Verification
from ._sources import Native, Source, native_source


def verify(
    source: Source,
    recipe: str | PathLike[str] | Recipe,
    seed: int | None = None,
    *,
    like: str | PathLike[str] | None = None,
    settings: Mapping[str, float] | None = None,
    stream: str = "native",
    alpha: float = 0.001,
    tied: bool = False,
    copy_from: str | PathLike[str] | None = None,
    partial: bool = False,
) -> Verification:
    """Tests the distributions of tensors against a recipe. With a seed, also compares every value.

    The command `fanin verify` does the same for a checkpoint.

    Parameters
    ----------
    source
        A checkpoint (a safetensors file, a folder, or an index), or a mapping from names to arrays: NumPy, JAX or torch.
    recipe
        A `Recipe`, the name of a built-in model, or a recipe file.
    seed
        The seed that generated the values. Without a seed, only the distributions are tested.
    like
        The names, shapes and dtypes that the tensors must have: a checkpoint, a manifest, or the name of a built-in model.
    settings
        The values of the recipe's variables, by name.
    stream
        The random stream that generated the values: "native" or "torch".
    alpha
        The largest acceptable probability that any test fails although all tensors are correct (a false alarm).
    tied
        If True, two tensors may have equal values, as for tied weights that are stored twice. If False, equal values are an
        error.
    copy_from
        The checkpoint from which the recipe copies tensors. Copied tensors are compared bit for bit. The default is
        `like`.
    partial
        If True, tensors of the model may be missing.

    Examples
    --------
    >>> recipe = Recipe('[init]\\n"*" = "normal(std=0.02)"')
    >>> import fanin, numpy as np
    >>> good = fanin.filled((64, 64), "normal(std=0.02)", seed=1, name="w")
    >>> verify({"w": good}, recipe, seed=1).ok
    True
    >>> report = verify({"w": 2 * good}, recipe)
    >>> "std" in {deviation.test for deviation in report.failed[0].deviations}
    True
    """
    return run_verify(*native_source(source), recipe, seed, like, settings, stream, alpha, tied, copy_from, partial)


def run_verify(
    source: Native,
    name: str,
    recipe: str | PathLike[str] | Recipe,
    seed: int | None,
    like: str | PathLike[str] | None,
    settings: Mapping[str, float] | None,
    stream: str,
    alpha: float,
    tied: bool,
    copy_from: str | PathLike[str] | None,
    partial: bool,
) -> Verification:
    """Calls the Rust function for `verify`. The report shows `name` as the name of the source."""
    recipe = recipe if isinstance(recipe, Recipe) else fspath(recipe)
    like = None if like is None else fspath(like)
    copy_from = None if copy_from is None else fspath(copy_from)
    report = _fanin.verify_tensors(
        source, name, recipe, like, dict(settings or {}), seed, stream, alpha, tied, copy_from, partial
    )
    return Verification._of(report)


def audit(source: Source) -> Audit:
    """Classifies the values of each tensor, and reports defects. No recipe is needed.

    `source` is a checkpoint, or a mapping from names to arrays. The command `fanin audit` does the same for a checkpoint.

    >>> import numpy as np
    >>> report = audit({"w": np.full((64, 64), np.nan, np.float32)})
    >>> report.ok, report.tensors[0].problems
    (False, ['4096 of 4096 values are NaN or infinite'])
    """
    return Audit._of(_fanin.audit_tensors(*native_source(source)))


def inspect(
    source: Source,
    recipe: str | PathLike[str] | Recipe | None = None,
    *,
    settings: Mapping[str, float] | None = None,
    spectra: bool = True,
) -> Inspection:
    """Returns moments, histograms and singular values of tensors.

    `source` is a checkpoint, or a mapping from names to arrays. With a recipe, the result also has the expected mean,
    std and histogram of each tensor. `spectra=False` leaves out the singular values, which take most of the time. The
    command `fanin inspect` does the same for a checkpoint.

    >>> import numpy as np
    >>> report = inspect({"w": np.eye(4, dtype=np.float32)})
    >>> report.tensors[0].measured.mean, report.tensors[0].spectrum["norm"]
    (0.25, 1.0)
    """
    return run_inspect(*native_source(source), recipe, settings, spectra)


def run_inspect(
    source: Native,
    name: str,
    recipe: str | PathLike[str] | Recipe | None,
    settings: Mapping[str, float] | None,
    spectra: bool,
) -> Inspection:
    """Calls the Rust function for `inspect`. The report shows `name` as the name of the source."""
    recipe = recipe if recipe is None or isinstance(recipe, Recipe) else fspath(recipe)
    report, page = _fanin.inspect_tensors(source, name, recipe, dict(settings or {}), spectra)
    inspection = Inspection._of(report)
    inspection._page = page  # type: ignore[misc]
    return inspection


def diff(a: Source, b: Source) -> Diff:
    """Compares two checkpoints, or two mappings from names to arrays, tensor by tensor.

    The command `fanin diff` does the same for two checkpoints.

    >>> import numpy as np
    >>> report = diff({"w": np.zeros(3), "b": np.ones(2)}, {"w": np.zeros(3), "b": np.array([1.0, 3.0])})
    >>> report.same, report.tensors[0].name, report.tensors[0].max
    (False, 'b', 2.0)
    """
    first, _ = native_source(a, "a")
    second, _ = native_source(b, "b")
    return Diff._of(_fanin.diff_tensors(first, second))
