"""The distributions and dtypes that fanin can draw from the torch stream."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .._fanin import FillRequest

#: A function that takes the parameters of a distribution and returns a `FillRequest`, or None if torch must perform the fill.
MakeRequest = Callable[..., "FillRequest | None"]

UNIFORM = FillRequest.uniform
NORMAL = FillRequest.normal
TRUNC_NORMAL = FillRequest.trunc_normal
SPARSE = FillRequest.sparse

#: The dtypes that fanin can fill with the torch stream, and the names of these dtypes in Rust.
DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}
