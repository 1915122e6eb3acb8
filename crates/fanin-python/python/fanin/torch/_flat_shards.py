"""Functions that find this rank's flat range of a parameter that FSDP1 or DeepSpeed ZeRO-3 has sharded.

FSDP1 (`FullyShardedDataParallel`) concatenates the parameters of a module into a flat parameter. Each rank has a range
of the flat parameter, of the same length on all ranks. ZeRO-3 replaces a parameter by a placeholder without elements.
The placeholder's attribute `ds_tensor` is this rank's range, padded to the same length on all ranks. The elements of a
parameter are in row-major order.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._fanin import canonical_name


class FlatShard(NamedTuple):
    """This rank's range of a parameter."""

    #: The elements of the range, as a contiguous vector. ZeRO-3 may add padding after the last element of the parameter.
    memory: Tensor
    #: Where the range begins in the whole parameter: the row-major index of its first element.
    start: int
    #: The shape of the whole parameter.
    shape: tuple[int, ...]


def flat_parameters(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yields (name, handle) for each flat parameter of FSDP1 in a module.

    `name` is the name of the submodule that owns the parameters. `handle` is FSDP1's `FlatParamHandle`.
    """
    for name, one in module.named_modules():
        # If `one` is a wrapper, such as that of torch.compile, getattr would also read the wrapped module.
        handle: Any = vars(one).get("_handle")
        flat = getattr(handle, "flat_param", None)
        if flat is not None and hasattr(flat, "_shard_param_infos"):
            wrapped = "_fsdp_wrapped_module" if "_fsdp_wrapped_module" in one._modules else ""
            yield ".".join(filter(None, (name, wrapped))), handle


def fsdp1_shards(module: nn.Module) -> dict[str, FlatShard]:
    """Returns this rank's range of each parameter that FSDP1 manages in a module. The keys are the parameters' names.

    Raises
    ------
    ValueError
        If the parameters of a module are gathered at present, or if the elements of a parameter are not in row-major order.
    """
    found = {}
    for prefix, handle in flat_parameters(module):
        flat = handle.flat_param
        if handle.uses_sharded_strategy and not handle.is_sharded(flat):
            raise ValueError(
                f"the parameters of {prefix or 'the module'} are gathered at present: leave the context summon_full_params, or "
                "call reshard, first"
            )
        names = [f"{prefix}.{name}" if prefix else name for name in flat._fqns]
        extensions = getattr(flat, "_param_extensions", None) or [None] * len(names)
        rows = zip(names, flat._shapes, flat._contiguities, extensions, flat._shard_param_infos)
        for name, shape, is_contiguous, extension, info in rows:
            if not is_contiguous or extension is not None:
                raise ValueError(
                    f"{name}: FSDP1 does not hold its elements in row-major order, because the parameter is "
                    f"{'a DTensor' if extension is not None else 'not contiguous'}: initialize it before it is wrapped"
                )
            offset, count = (info.offset_in_shard, info.numel_in_shard) if info.in_shard else (0, 0)
            memory = flat.detach()[offset : offset + count]
            found[name] = FlatShard(memory, info.intra_param_start_idx if info.in_shard else 0, tuple(shape))
    return found


def zero3_shard(parameter: Tensor, name: str) -> FlatShard | None:
    """Returns this rank's range of a parameter that ZeRO-3 has partitioned. Returns None for any other parameter.

    Raises
    ------
    ValueError
        If this rank's range is not in memory, or cannot be determined.
    """
    shape = getattr(parameter, "ds_shape", None)
    if shape is None:
        return None
    shape = tuple(shape)
    memory = getattr(parameter, "ds_tensor", None)
    status = getattr(getattr(parameter, "ds_status", None), "name", "")
    if memory is None and tuple(parameter.shape) == shape:
        return None

    def error(reason: str) -> ValueError:
        return ValueError(
            f"{name} is a placeholder of DeepSpeed ZeRO-3 for a parameter of shape {list(shape)}, and {reason}: initialize it "
            "inside deepspeed.zero.GatheredParameters(..., modifier_rank=0)"
        )

    if memory is None:
        raise error("it has no ds_tensor")
    if status == "INFLIGHT":
        raise error("it is being gathered at present")
    if getattr(getattr(memory, "status", None), "name", "") in ("NOT_AVAILABLE", "INFLIGHT"):
        raise error("this rank's partition is offloaded to NVMe")
    if memory.dtype != parameter.dtype:
        raise error(f"this rank's partition has the type {memory.dtype} instead of {parameter.dtype}")
    if getattr(parameter, "ds_secondary_tensor", None) is not None:
        raise error("it has a second partition (zero_hpz_partition_size)")
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        raise error("torch.distributed is not initialized, so the rank is unknown")
    group = getattr(parameter, "ds_process_group", None)
    ranks, rank = distributed.get_world_size(group), distributed.get_rank(group)
    expected = -(-prod(shape) // ranks)
    if memory.ndim != 1 or memory.numel() != expected:
        raise error(f"this rank's partition has the shape {list(memory.shape)}, but {ranks} ranks have {expected} elements each")
    return FlatShard(memory, rank * expected, shape)


def _declared_shape(module: nn.Module, name: str) -> tuple[int, ...]:
    """Returns the shape that a layer declares for its parameter `name` in attributes such as `in_features`.

    Returns (0,) if the shape is unknown. The attributes are those of torch's layers. Layers of other libraries use the same names.
    """
    read = {one: getattr(module, one, None) for one in _SIZES}
    if read["kernel_size"] is not None:
        channels = [read["out_channels"], read["in_channels"]]
        shape = [*(reversed(channels) if getattr(module, "transposed", False) else channels), *read["kernel_size"]]
        shape[1] //= getattr(module, "groups", 1)
    elif read["normalized_shape"] is not None:
        return tuple(read["normalized_shape"])
    elif name == "weight":
        shape = [read[one] for one in ("out_features", "in_features") if read[one] is not None]
        shape = shape or [read[one] for one in ("num_embeddings", "embedding_dim") if read[one] is not None]
    else:
        shape = []
    if name == "bias" or not shape:
        sizes = ("out_features", "out_channels", "num_features", "num_channels")
        shape = [read[one] for one in sizes if read[one] is not None][:1] if name in ("weight", "bias") else []
    return tuple(shape) or (0,)


_SIZES = (
    "kernel_size out_channels in_channels normalized_shape out_features in_features num_embeddings embedding_dim num_features "
    "num_channels"
).split()


def check_declared_sizes(module: nn.Module) -> None:
    """Raises ValueError if a parameter has no elements, but the attributes of its module declare a shape with elements."""
    for prefix, one in module.named_modules():
        for name, parameter in one._parameters.items():
            if parameter is None or nn.parameter.is_lazy(parameter) or parameter.numel():
                continue
            # Two kinds of parameters may be empty: placeholders of ZeRO-3 (`ds_shape`), and parameters of FSDP1 that
            # have no elements on this rank.
            if hasattr(parameter, "ds_shape") or getattr(parameter, "_fsdp_flattened", False):
                continue
            shape = _declared_shape(one, name)
            if prod(shape):
                raise ValueError(
                    f"{prefix + '.' if prefix else ''}{name} has no elements, but its module declares the shape {list(shape)}: it "
                    "may be a placeholder. Initialize the parameter before it is partitioned, or gather it first"
                )


def check_not_sharded_flat(module: nn.Module) -> None:
    """Raises ValueError if FSDP1 or ZeRO-3 has replaced parameters of a module by flat ranges or placeholders.

    The initialization code of a module cannot fill such parameters, because it does not see their shapes.
    """
    for prefix, handle in flat_parameters(module):
        flat = handle.flat_param
        hidden = not handle._use_orig_params and not handle.uses_sharded_strategy and "_flat_param" in handle._fully_sharded_module._parameters
        if handle.is_sharded(flat) or hidden:
            name = f"{prefix}.{flat._fqns[0]}" if prefix else flat._fqns[0]
            raise ValueError(
                f"{canonical_name(name)} is a part of a flat parameter of FSDP1, so the module's own code does not see its shape: "
                "use init_module with a recipe, or enter FullyShardedDataParallel.summon_full_params first"
            )
    for name, parameter in module.named_parameters():
        shape = getattr(parameter, "ds_shape", None)
        if shape is not None and tuple(parameter.shape) != tuple(shape):
            raise ValueError(
                f"{name} is a placeholder of DeepSpeed ZeRO-3 for a parameter of shape {list(shape)}: use init_module with a "
                "recipe, or enter deepspeed.zero.GatheredParameters(..., modifier_rank=0) first"
            )
