"""The distributions and types that fanin can draw on the torch stream."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .._fanin import FillRequest

#: A function that takes the arguments of a distribution. It returns None if torch must do the fill.
MakeRequest = Callable[..., "FillRequest | None"]

UNIFORM = FillRequest.uniform
NORMAL = FillRequest.normal
TRUNC_NORMAL = FillRequest.trunc_normal
SPARSE = FillRequest.sparse

#: The types that fanin can fill on the torch stream, and the names of these types in Rust.
DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}
