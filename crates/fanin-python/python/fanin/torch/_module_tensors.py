"""Functions that list the tensors of a module with all their names, and that access the memory of a tensor."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


_PLAIN = frozenset((Tensor, nn.Parameter))


class NamedTensor:
    """A tensor of a module, with all names that the tensor has in the module."""

    def __init__(self, tensor: Tensor, kind: str):
        self.tensor = tensor
        #: "parameter", "buffer" or "attribute". An attribute is a tensor that is not registered with its module.
        self.kind = kind
        self.names: list[str] = []

    @property
    def name(self) -> str:
        return self.names[0]


def tensors_of(module: nn.Module) -> list[NamedTensor]:
    """Returns the parameters, buffers and tensor attributes of a module. Tensors with equal `memory_key`s are returned once."""
    found: dict[Any, NamedTensor] = {}
    for name, kind, tensor in _named(module):
        key = memory_key(tensor)
        named = found.get(key)
        if named is None:
            named = found[key] = NamedTensor(tensor, kind)
        if name not in named.names:
            named.names.append(name)
    return list(found.values())


def _named(module: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    for name, parameter in module.named_parameters(remove_duplicate=False):
        yield name, "parameter", parameter
    for name, buffer in module.named_buffers(remove_duplicate=False):
        yield name, "buffer", buffer
    for prefix, child in module.named_modules():
        for attribute, value in vars(child).items():
            if attribute not in _OF_MODULES and isinstance(value, Tensor):
                yield f"{prefix}.{attribute}" if prefix else attribute, "attribute", value


#: The attributes that every module has. They are not tensors.
_OF_MODULES = frozenset(vars(nn.Module()))


def memory_key(tensor: Tensor) -> Any:
    """Returns a key that is equal for tensors with the same memory, shape, strides and dtype.

    For subclasses, sparse tensors and tensors without memory, the key is the id of the tensor object.
    """
    if type(tensor) in _PLAIN and tensor.layout is torch.strided and not tensor.is_meta:
        address = tensor.untyped_storage().data_ptr()
        if address:
            return address, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
    return id(tensor)


def is_on_meta(tensor: Tensor) -> bool:
    """Returns whether a tensor has no memory because it is on the meta device."""
    return tensor.device.type == "meta"


def plain_parts(tensor: Tensor) -> list[Tensor]:
    """Returns a tensor's values as contiguous CPU tensors. An ordinary contiguous CPU tensor is not copied.

    Of a DTensor, only the values of this rank are returned. A quantized tensor has integers and scales. A sparse tensor
    has indices and values. Other subclasses have the parts that `__tensor_flatten__` names.

    Raises TypeError if the layout is not supported.
    """
    kind = type(tensor)
    tensor = tensor.detach()
    if kind in _PLAIN and tensor.is_cpu and tensor.layout is torch.strided and tensor.dtype in STORED and not tensor.is_nested:
        # Tested first, because it is the most frequent case. `STORED` contains no quantized dtype: quantized tensors are handled below.
        if tensor.is_conj() or tensor.is_neg():
            tensor = tensor.resolve_conj().resolve_neg()
        return [tensor.contiguous()]
    if hasattr(tensor, "to_local"):
        return plain_parts(tensor.to_local())
    if is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()
        return [part for name in names for part in plain_parts(getattr(tensor, name))]
    if tensor.is_quantized:
        if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            scale = torch.tensor([tensor.q_scale(), tensor.q_zero_point()], dtype=torch.float64)
        else:
            scale = tensor.q_per_channel_scales()
        return [*plain_parts(tensor.int_repr()), *plain_parts(scale)]
    if tensor.layout is torch.sparse_coo:
        return [*plain_parts(tensor._indices()), *plain_parts(tensor._values())]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [part for one in (tensor.crow_indices(), tensor.col_indices(), tensor.values()) for part in plain_parts(one)]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [part for one in (tensor.ccol_indices(), tensor.row_indices(), tensor.values()) for part in plain_parts(one)]
    if tensor.layout is torch.jagged or tensor.is_nested:
        return plain_parts(tensor.values())
    if tensor.layout is not torch.strided:
        raise TypeError(f"its layout is {tensor.layout}")
    tensor = tensor.cpu() if tensor.device.type != "cpu" else tensor
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    return [tensor.contiguous()]


def bytes_of(tensor: Tensor) -> memoryview:
    """Returns the memory of a contiguous CPU tensor, without a copy. The memory must not be used after the tensor is freed."""
    count = tensor.numel() * tensor.element_size()
    address = tensor.data_ptr()
    return memoryview((ctypes.c_ubyte * count).from_address(address)).cast("B") if count else memoryview(b"")


#: The safetensors name of each supported dtype of torch.
STORED = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}


def stored_type(tensor: Tensor, name: str) -> str:
    """Returns the safetensors name of a tensor's dtype. Raises an error unless the tensor is dense and has memory."""
    if nn.parameter.is_lazy(tensor):
        raise ValueError(f"{name} has no shape yet because its module is lazy: run a forward pass first")
    if is_on_meta(tensor):
        raise ValueError(f"{name} is on the meta device and has no values: call module.to_empty(device=...) and initialize it")
    stored = STORED.get(tensor.dtype)
    if stored is None or tensor.layout is not torch.strided or tensor.is_quantized:
        known = ", ".join(str(one).removeprefix("torch.") for one in STORED)
        raise TypeError(f"{name}: {tensor.layout} tensors of {tensor.dtype} are not supported: expected dense tensors of {known}")
    return stored


def memory_of(tensor: Tensor) -> tuple[int, int, Tensor]:
    """Returns the values of a tensor in CPU memory: their address, their size in bytes, and the tensor that owns them.

    A DTensor is gathered, so all ranks must call this function.
    """
    tensor = tensor.detach()
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    (part,) = plain_parts(tensor)
    return part.data_ptr(), part.numel() * part.element_size(), part
