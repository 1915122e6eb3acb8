"""Checks whether fanin draws the same bits as this release of torch on this CPU. If not, torch performs the fills.

torch's bits depend on its release and on the CPU. For example, torch does not fuse multiplications and additions on a CPU
without AVX2. The first use of a distribution with a dtype runs the check: fanin and torch draw some values, and the
bits are compared. The result is stored. The check uses new generators, so it changes no generator of the program.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import init as _torch

from .._fanin import torch_fill
from ._requests import DTYPES, NORMAL, SPARSE, TRUNC_NORMAL, UNIFORM, MakeRequest

_NAMES: dict[MakeRequest, str] = {UNIFORM: "uniform", NORMAL: "normal", TRUNC_NORMAL: "truncated normal", SPARSE: "sparse"}
#: Maps each distribution to those from which its algorithm draws. If the bits of one of these differ from torch's, the
#: distribution is also left to torch.
_PARTS: dict[MakeRequest, tuple[MakeRequest, ...]] = {UNIFORM: (), NORMAL: (), TRUNC_NORMAL: (UNIFORM, NORMAL), SPARSE: (NORMAL,)}

#: torch's methods. They are not looked up in `Tensor`, where fast_init replaces them.
_uniform = torch._C.TensorBase.uniform_
_normal = torch._C.TensorBase.normal_
_data_ptr = torch._C.TensorBase.data_ptr

#: Maps a distribution and a type to True if fanin draws the same bits as torch, and to False otherwise.
_same: dict[tuple[MakeRequest, torch.dtype], bool] = {}
_lock = threading.RLock()


def is_same(make_request: MakeRequest, dtype: torch.dtype) -> bool:
    """Returns whether fanin draws the same bits as torch for a distribution and a type. The first call compares the bits.

    `make_request` is one of UNIFORM, NORMAL, TRUNC_NORMAL and SPARSE. If bits differ, one warning lists all distributions and
    types for which torch performs the fills.
    """
    found = _same.get((make_request, dtype))
    if found is None:
        found = dtype in DTYPES and _compare(make_request, dtype)
    return found


def _compare(make_request: MakeRequest, dtype: torch.dtype) -> bool:
    """Compares fanin's bits with torch's for a distribution and a type. Stores and returns whether the bits are equal."""
    with _lock:
        if (make_request, dtype) in _same:
            return _same[make_request, dtype]
        _without_modes(_compare_here, make_request, dtype)
        if not _same.setdefault((make_request, dtype), False):
            _without_modes(_compare_all)
            _warn()
        return _same[make_request, dtype]


def _without_modes(function: Callable[..., object], *arguments: object) -> None:
    """Calls a function outside of all modes of torch. If this thread is inside a mode, a new thread calls the function."""
    is_inside = (
        torch._C._len_torch_function_stack()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.maybe_current_level() is not None
        or torch.is_inference_mode_enabled()
    )
    if not is_inside:
        function(*arguments)
        return
    thread = threading.Thread(target=function, args=arguments, name="fanin.torch.same_bits")
    thread.start()
    thread.join()


def _warn() -> None:
    differing = [
        f"{name} ({', '.join(str(dtype).removeprefix('torch.') for dtype in DTYPES if not _same[kind, dtype])})"
        for kind, name in _NAMES.items()
        if not all(_same[kind, dtype] for dtype in DTYPES)
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    warnings.warn(
        f"torch {torch.__version__} on this CPU (capability {capability}) draws other bits than fanin for these distributions: "
        f"{', '.join(differing)}. fanin.torch leaves them to torch, so the values are correct, but are not generated faster.",
        stacklevel=2,
    )


def _compare_all() -> None:
    for kind in _NAMES:
        for dtype in DTYPES:
            _compare_here(kind, dtype)


def _compare_here(kind: MakeRequest, dtype: torch.dtype) -> bool:
    if (kind, dtype) not in _same:
        # Values of float16 and bfloat16 are computed in float32 and rounded. Rounding hides most differences, so the float32 values
        # must be equal as well.
        needed = [(part, dtype) for part in _PARTS[kind]]
        needed += [(kind, torch.float32)] if dtype in (torch.float16, torch.bfloat16) else []
        equal = all([_compare_here(*one) for one in needed])
        _same[kind, dtype] = equal and all(_equal(case, dtype) for case in _CASES[kind])
    return _same[kind, dtype]


def _equal(case: _Case, dtype: torch.dtype) -> bool:
    """Returns whether fanin and torch write the same bits and leave their generators in the same state."""
    ours, theirs = (torch.Generator().manual_seed(0x5EED) for _ in range(2))
    values, expected = (torch.zeros(case.shape, dtype=dtype, device="cpu") for _ in range(2))
    if case.transposed:
        values, expected = values.t(), expected.t()
    case.draw(expected, theirs)
    request = case.make_request(*case.arguments)
    strides = None if values.is_contiguous() else values.stride()
    if request is None or not torch_fill(request, _data_ptr(values), DTYPES[dtype], values.shape, strides, ours):
        return False
    return torch.equal(_bits(values), _bits(expected)) and torch.equal(ours.get_state(), theirs.get_state())


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)


class _Case:
    """A fill to perform with fanin and with torch: the shape, the arguments of `make_request`, and `draw`, which calls torch."""

    def __init__(
        self,
        make_request: MakeRequest,
        shape: tuple[int, ...],
        arguments: tuple[float, ...],
        draw: Callable[[Tensor, torch.Generator], object],
        transposed: bool = False,
    ):
        self.make_request, self.shape, self.arguments, self.draw = make_request, shape, arguments, draw
        self.transposed = transposed


def _sparse(tensor: Tensor, generator: torch.Generator) -> None:
    """Fills a tensor as torch.nn.init.sparse_ does, but also draws the positions of the zeros from `generator`.

    torch.nn.init.sparse_ always draws these positions from the default generator.
    """
    _normal(tensor, 0, 0.7, generator=generator)
    for column in range(tensor.shape[1]):
        tensor[torch.randperm(tensor.shape[0], generator=generator)[:7], column] = 0


def _truncated(low: float, high: float) -> _Case:
    def draw(tensor: Tensor, generator: torch.Generator) -> None:
        _torch.trunc_normal_(tensor, 0.1, 0.7, low, high, generator=generator)

    return _Case(TRUNC_NORMAL, (100,), (0.1, 0.7, low, high), draw)


#: The fills to compare for each distribution. Together they execute every branch of torch's code: sizes below and
#: above 16, sizes that are not multiples of 16, non-contiguous tensors, and both truncated normal algorithms.
_CASES: dict[MakeRequest, list[_Case]] = {
    # The difference of the bounds, 1.18, must not be a power of 2. A multiplication by a power of 2 is exact, so the
    # check could not detect a fused multiply-add.
    UNIFORM: [
        _Case(UNIFORM, shape, (-0.37, 0.81), lambda one, generator: _uniform(one, -0.37, 0.81, generator=generator), transposed)
        for shape, transposed in (((1001,), False), ((19, 7), True))
    ],
    NORMAL: [
        _Case(NORMAL, shape, (0.3, 0.7), lambda tensor, generator: _normal(tensor, 0.3, 0.7, generator=generator), transposed)
        for shape, transposed in (((1001,), False), ((32,), False), ((7,), False), ((19, 7), True))
    ],
    TRUNC_NORMAL: [_truncated(-0.8, 0.9), _truncated(0.8, 1.4)],
    SPARSE: [_Case(SPARSE, (23, 5), (7, 0.7), _sparse)],
}
