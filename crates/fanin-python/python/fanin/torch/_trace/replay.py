"""Writes a replay: a TOML file from which `fanin init` computes exactly the weights that torch computed.

A replay lists the steps that compute each tensor: random fills, constants, copies, and arithmetic with a number. The
steps come from the recorded writes. A random fill has its position in the torch stream, the sequence of random words of
torch's CPU generator. A small tensor that such steps cannot express is stored as a list of values. At the end, each
tensor is computed from the replay and compared with the module's tensor.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from ..._fanin import replay_differences
from . import specs
from .history import History, Step, copied_memory
from .overlap import is_contiguous, span
from .positions import Position, draw_of, starts_of
from .recorder import Event, Memory, Recorder

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip

#: Initializers that call several operators. A replay contains the spec of such an initializer, not the operators that it calls.
_COMPOSITE = ("trunc_normal_", "sparse_", "dirac_", "eye_")


class _Unknown(Exception):
    """Raised for a write that a replay cannot express. The message says why."""


class _Program:
    """Converts recorded writes to the steps of a replay, and collects the temporary tensors that steps copy from."""

    def __init__(self, recorder: Recorder):
        self.recorder = recorder
        self.starts = starts_of(recorder)
        #: The TOML tables of the temporary tensors, by name.
        self.temporary: dict[str, dict[str, Any]] = {}
        self._names: dict[tuple[Memory, int], str] = {}

    def table(self, memory: Memory, until: int | None = None) -> dict[str, Any]:
        """Returns the TOML table of a tensor: its dtype, its shape and its steps. Events from number `until` on are ignored."""
        table: dict[str, Any] = {"dtype": _dtype(memory.dtype), "shape": list(memory.shape)}
        if not is_contiguous(memory):
            table["strides"] = list(memory.strides)
        steps = self.steps(memory, until)
        return {**table, **steps[0]} if len(steps) == 1 else {**table, "steps": steps}

    def steps(self, memory: Memory, until: int | None) -> list[dict[str, Any]]:
        """Returns the steps that compute a tensor, as TOML tables. Events from number `until` on are ignored."""
        history = History(self.recorder, memory, until)
        if history.unwritten():
            raise _Unknown(f"{history.unwritten()} elements are not written")
        if not history.left:
            raise _Unknown("its values do not come from recorded operators")
        low, high = span(memory)
        events = [event for step in history.left for event in step.events if event.memory is not None]
        ends = [span(event.memory) for event in events if event.memory is not None and event.memory.elements]
        if any(event.memory is not None and event.memory.dtype.itemsize != memory.dtype.itemsize for event in events):
            raise _Unknown("it was written through a view of another dtype")
        first, end = min(first for first, _ in ends), max(end for _, end in ends)
        if first < low or high < end:
            return [self._slice(memory, min(first, low), max(end, high), until)]
        found: list[dict[str, Any]] = []
        for step in history.left:
            found += self._step(step, memory)
        return found

    def _slice(self, memory: Memory, first: int, end: int, until: int | None) -> dict[str, Any]:
        """Returns a step that copies the tensor `memory` from a larger temporary tensor.

        This step is used if a write also changed elements outside of the tensor. For example, the tensor is the first
        row of a matrix, and `normal_` filled the whole matrix. The temporary tensor then contains the whole matrix. The
        temporary tensor has one axis, and consists of the bytes `first..end` of the storage that contains the tensor.
        """
        size = memory.dtype.itemsize
        whole = Memory(memory.storage, first // size, ((end - first) // size,), (1,), memory.dtype)
        view = {"offset": memory.offset - whole.offset, "shape": list(memory.shape), "strides": list(memory.strides)}
        return {"copy": self._temporary(whole, until), "from": view}

    def _temporary(self, memory: Memory, until: int | None) -> str:
        """Returns the name of a temporary tensor with the values that `memory` had before event number `until`.

        If `until` is None, these are the values at the end of the recording.
        """
        key = memory, len(self.recorder.log) if until is None else until
        if key not in self._names:
            table = self.table(memory, until)
            self._names[key] = f"temporary.{len(self._names)}"
            self.temporary[self._names[key]] = table
        return self._names[key]

    def _step(self, step: Step, target: Memory) -> list[dict[str, Any]]:
        if step.call is not None and step.call.name in _COMPOSITE:
            spec = specs.of_call(step.call, step.events)
            if "method" not in spec.arguments:
                drawn = next((event for event in step.events if event.effect.draws), None)
                memory = step.first.memory
                assert memory is not None
                return [{"fill": str(spec), **self._start(drawn), **_view(memory, target)}]
        found: list[dict[str, Any]] = []
        for event in step.events:
            found += self._event(event, step, target)
        return found

    def _event(self, event: Event, step: Step, target: Memory) -> list[dict[str, Any]]:
        assert event.memory is not None
        view = _view(event.memory, target)
        spec = specs.of_operator(event)
        if spec is not None and spec.name != "eye":
            return [{"fill": str(spec), **(self._start(event) if event.effect.draws else {}), **view}]
        source = copied_memory(Step([event], True))
        if source is not None:
            return self._copy(source, event, view)
        change = change_of(event)
        if change is None:
            raise _Unknown(_reason(event))
        if event.effect.overwrites:
            return [*self._copy(event.sources[0], event, view), {**change, **view}]
        return [{**change, **view}]

    def _copy(self, source: Memory, event: Event, view: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the steps that copy the values that `source` had before an event."""
        memory = event.memory
        assert memory is not None
        if not view and source.dtype == memory.dtype and is_contiguous(source) and is_contiguous(memory):
            return self.steps(source, event.number)
        return [{"copy": self._temporary(source, event.number), **view}]

    def _start(self, event: Event | None) -> dict[str, Any]:
        """Returns the position in the torch stream at which a draw began, as entries of a step's TOML table.

        The entries are `at`, `seed` and, if a stored normal value was used, `pair`. Returns an empty dict if `event` is
        None. Raises `_Unknown` if the position, or that of the stored normal value, is unknown.
        """
        if event is None:
            return {}
        start = self.starts.get(event.number)
        if start is None:
            raise _Unknown(f"the position in the torch stream of {_where(event)} was not found")
        return _start_keys(start, draw_of(event).normals is not None, event)


def _start_keys(start: Position, in_pairs: bool, event: Event) -> dict[str, Any]:
    keys: dict[str, Any] = {"at": start.at, "seed": start.seed if start.seed < 1 << 63 else start.seed - (1 << 64)}
    if in_pairs and start.pair is not None:
        if start.pair < 0:
            raise _Unknown(f"{_where(event)} used a normal value that the generator had stored before the trace")
        keys["pair"] = start.pair
    return keys


def _reason(event: Event) -> str:
    """Returns the reason why an event cannot be written in a replay."""
    if event.call is not None and (event.call.name == "orthogonal_" or event.effect.name.startswith("erfinv")):
        # Measurements show that the last bits of erfinv in MKL differ between AVX-512, AVX2 and SSE4.2.
        return f"the last bits of {event.call.name} ({_where(event)}) differ between CPUs"
    return f"aten.{event.effect.name} ({_where(event)}) cannot be written in a replay"


def _where(event: Event) -> str:
    stack = event.caller.stack
    return f"at {stack[0]}" if stack else "in code without a recorded line"


def _view(memory: Memory, target: Memory) -> dict[str, Any]:
    """Returns a dict with the key `view`: the view of the tensor `target` that has the elements of `memory`.

    The offset of the view counts from the first element of `target`. Returns an empty dict if `memory` and `target`
    have the same offset, shape and strides.
    """
    if memory[1:4] == target[1:4]:
        return {}
    shape, strides = list(memory.shape), list(memory.strides)
    return {"view": {"offset": memory.offset - target.offset, "shape": shape, "strides": strides}}


def change_of(event: Event) -> dict[str, float] | None:
    """Returns the step for add, sub, mul or div with a number, such as {"mul": 0.5}. None for other operators."""
    name = event.effect.name.rstrip("_")
    positional, named = event.arguments
    memory = event.memory
    if memory is None or memory.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        return None
    if named or len(positional) != 2 or positional[0] is not Tensor or len(event.sources) != 1:
        return None
    source, value = event.sources[0], positional[1]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if source.dtype != memory.dtype or source.shape != memory.shape:
        return None
    if name == "sub":
        name, value = "add", -value
    if name == "add":
        # torch rounds an added number to the dtype of the tensor, and does not round a factor or a divisor.
        value = torch.tensor(value, dtype=memory.dtype, device="cpu").item()
    return {name: float(value)} if name in ("mul", "div", "add") else None


def write(trace: Any, max_values: int) -> str:
    """Returns the text of a replay of a trace. The docstring of `InitTrace.replay` describes the arguments and the errors."""
    recorder: Recorder = trace._recorder
    state: dict[str, Tensor] = dict(trace.module.state_dict(keep_vars=True))
    program = _Program(recorder)
    tables: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    names: dict[Memory, str] = {}
    lists: dict[str, str] = {}
    for name, tensor in state.items():
        memory = recorder.memory_of(tensor) if isinstance(tensor, Tensor) else None
        if memory is None or tensor.device.type != "cpu":
            problems[name] = "it is not a tensor in CPU memory"
            continue
        unwritten = trace[name].unwritten if name in trace else 0
        if unwritten:
            problems[name] = f"{unwritten} elements are not written"
            continue
        if memory in names:
            table = {"dtype": _dtype(memory.dtype), "shape": list(memory.shape), "copy": names[memory]}
        else:
            try:
                table = _table(program, memory, tensor, max_values)
            except _Unknown as error:
                problems[name] = str(error)
                continue
        names.setdefault(memory, name)
        if "values" in table:
            # Equal lists of values are written once. Many models have the same table of positions in each layer.
            first = lists.setdefault(json.dumps(table), name)
            if first != name:
                table = {"dtype": table["dtype"], "shape": table["shape"], "copy": first}
        tables[name] = table
    _raise(problems)
    text = _text(tables, program.temporary)
    _raise(_differences(text, state, tables))
    return text


def _table(program: _Program, memory: Memory, tensor: Tensor, max_values: int) -> dict[str, Any]:
    """Returns the TOML table of a tensor of the module."""
    if not memory.elements:
        return {"dtype": _dtype(memory.dtype), "shape": list(memory.shape), "values": []}
    if memory.dtype.is_floating_point:
        try:
            return program.table(memory)
        except _Unknown as error:
            if memory.elements > max_values and constant_step(tensor) is None:
                raise _Unknown(f"{error}, and its {memory.elements} values are more than max_values = {max_values}") from None
    elif memory.elements > max_values:
        step = constant_step(tensor)
        if step is None:
            raise _Unknown(f"its {memory.elements} values are more than max_values = {max_values}")
        return {"dtype": _dtype(memory.dtype), "shape": list(memory.shape), **step}
    step = constant_step(tensor) or {"values": _values(tensor)}
    return {"dtype": _dtype(memory.dtype), "shape": list(memory.shape), **step}


def constant_step(tensor: Tensor) -> dict[str, Any] | None:
    """Returns a step with the key `fill` that reproduces the values of a tensor, or None if there is no such step.

    There is a step if all elements are equal, or if an integer tensor has the values 0, 1, 2, ... along its last axis.
    For a complex tensor, there is a step only if all elements are 0. Returns None for a tensor without elements.
    """
    tensor = tensor.detach()
    if not tensor.numel():
        return None
    first = tensor.flatten()[0]
    # 0.0 and -0.0 are equal here. `_differences` reports a tensor that has both.
    if bool((tensor == first).all()) and (first == 0 or not tensor.dtype.is_complex):
        value = first.item() if tensor.dtype.is_floating_point else int(first.item().real)
        return {"fill": str(specs.Spec("constant", {"val": value}))}
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        return None
    if tensor.ndim and tensor.dtype != torch.bool and tensor.shape[-1] - 1 <= torch.iinfo(tensor.dtype).max:
        count = torch.arange(tensor.shape[-1], dtype=tensor.dtype, device="cpu").expand(tensor.shape)
        if torch.equal(tensor, count):
            return {"fill": "arange"}
    return None


def _values(tensor: Tensor) -> list[Any]:
    return tensor.detach().flatten().tolist()


def _dtype(dtype: torch.dtype) -> str:
    if dtype not in _DTYPES:
        raise _Unknown(f"a replay has no tensors of type {dtype}")
    return _DTYPES[dtype]


def _differences(text: str, state: dict[str, Tensor], tables: dict[str, Any]) -> dict[str, str]:
    """Returns the names of the tensors whose values in the replay and in the module differ, each with the reason."""
    memory = []
    for name in tables:
        tensor = state[name].detach().contiguous()
        memory.append((name, tensor.data_ptr(), tensor.numel() * tensor.element_size(), tensor))
    found = replay_differences(text, [(name, address, size) for name, address, size, _ in memory])
    reason = "its values differ from the recorded writes: it was changed later, or by code that is not recorded"
    return {name: reason for name in found}


def _raise(problems: dict[str, str]) -> None:
    if problems:
        shown = [f"  {name}: {reason}" for name, reason in list(problems.items())[:20]]
        more = [f"  and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise ValueError("\n".join(["these tensors cannot be written in a replay:", *shown, *more]))


def _text(tables: dict[str, dict[str, Any]], temporary: dict[str, dict[str, Any]]) -> str:
    """Returns the text of a replay. The most frequent seed and dtype are written once, in the table `replay`."""
    everything = [*tables.values(), *temporary.values()]
    seeds = [step["seed"] for table in everything for step in _steps(table) if "seed" in step]
    seed = max(seeds, key=seeds.count) if seeds else 0
    dtypes = [table["dtype"] for table in everything]
    dtype = max(dtypes, key=dtypes.count) if dtypes else "F32"
    for table in everything:
        for step in _steps(table):
            if step.get("seed") == seed:
                del step["seed"]
        if table["dtype"] == dtype:
            del table["dtype"]
    lines = [
        "# The weights that torch built, as recorded by fanin.torch.trace_init:",
        "#   fanin init FILE --stream torch -o model.safetensors",
        "[replay]",
        "version = 1",
        f"seed = {seed}",
        f'dtype = "{dtype}"',
        f'torch = "{torch.__version__}"',
    ]
    for title, group in (("temporary", temporary), ("tensors", tables)):
        if group:
            lines += ["", f"[{title}]"]
            lines += [f"{json.dumps(name)} = {_toml(table)}" for name, table in group.items()]
    return "\n".join(lines) + "\n"


def _steps(table: dict[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = table.get("steps", [table])
    return steps


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else repr(value)


