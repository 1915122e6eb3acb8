"""Writes a replay: a TOML file from which `fanin init` computes the exact weights that torch built.

A replay has, for each tensor, the steps that wrote it. Steps are recorded writes: fills with their position in the torch
stream, constants, copies, and arithmetic with a number. A tensor that cannot be written in steps gets its values as a list, if it is
small. Each tensor is then computed from the replay and compared with the module's tensor.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from ..._fanin import replay_differences
from . import specs
from .history import History, Step, copied_place
from .places import is_contiguous, span
from .positions import Start, draw_of, starts_of
from .recorder import Event, Place, Recorder

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip

#: Initializers that consist of several operators. The others are written as the operator that they call.
_COMPOSITE = ("trunc_normal_", "sparse_", "dirac_", "eye_")


class _Unknown(Exception):
    """A write that a replay cannot express. The message says why."""


class _Program:
    """The steps of a replay, for the tensors of a module."""

    def __init__(self, recorder: Recorder):
        self.recorder = recorder
        self.starts = starts_of(recorder)
        #: The temporary tensors, by name, as TOML tables.
        self.temporary: dict[str, dict[str, Any]] = {}
        self._names: dict[tuple[Place, int], str] = {}

    def table(self, place: Place, until: int | None = None) -> dict[str, Any]:
        """Returns the TOML table of a tensor: its dtype, its shape and its steps."""
        table: dict[str, Any] = {"dtype": _dtype(place.dtype), "shape": list(place.shape)}
        if not is_contiguous(place):
            table["strides"] = list(place.strides)
        steps = self.steps(place, until)
        return {**table, **steps[0]} if len(steps) == 1 else {**table, "steps": steps}

    def steps(self, place: Place, until: int | None) -> list[dict[str, Any]]:
        history = History(self.recorder, place, until)
        if history.unwritten():
            raise _Unknown(f"{history.unwritten()} elements are not written")
        if not history.left:
            raise _Unknown("its values do not come from recorded operators")
        low, high = span(place)
        events = [event for step in history.left for event in step.events if event.place is not None]
        ends = [span(event.place) for event in events if event.place is not None and event.place.elements]
        if any(event.place is not None and event.place.dtype.itemsize != place.dtype.itemsize for event in events):
            raise _Unknown("it was written through a view of another dtype")
        first, end = min(first for first, _ in ends), max(end for _, end in ends)
        if first < low or high < end:
            return [self._slice(place, min(first, low), max(end, high), until)]
        found: list[dict[str, Any]] = []
        for step in history.left:
            found += self._step(step, place)
        return found

    def _slice(self, place: Place, first: int, end: int, until: int | None) -> dict[str, Any]:
        """Returns the step for a tensor that is a part of the memory that was written: a copy out of a temporary tensor."""
        size = place.dtype.itemsize
        whole = Place(place.storage, first // size, ((end - first) // size,), (1,), place.dtype)
        view = {"offset": place.offset - whole.offset, "shape": list(place.shape), "strides": list(place.strides)}
        return {"copy": self._temporary(whole, until), "from": view}

    def _temporary(self, place: Place, until: int | None) -> str:
        """Returns the name of a temporary tensor that has the values of a place at a time."""
        key = place, len(self.recorder.log) if until is None else until
        if key not in self._names:
            table = self.table(place, until)
            self._names[key] = f"temporary.{len(self._names)}"
            self.temporary[self._names[key]] = table
        return self._names[key]

    def _step(self, step: Step, target: Place) -> list[dict[str, Any]]:
        if step.call is not None and step.call.name in _COMPOSITE:
            spec = specs.of_call(step.call, step.events)
            if "method" not in spec.arguments:
                drawn = next((event for event in step.events if event.effect.draws), None)
                place = step.first.place
                assert place is not None
                return [{"fill": str(spec), **self._start(drawn), **_view(place, target)}]
        found: list[dict[str, Any]] = []
        for event in step.events:
            found += self._event(event, step, target)
        return found

    def _event(self, event: Event, step: Step, target: Place) -> list[dict[str, Any]]:
        assert event.place is not None
        view = _view(event.place, target)
        spec = specs.of_operator(event)
        if spec is not None and spec.name != "eye":
            return [{"fill": str(spec), **(self._start(event) if event.effect.draws else {}), **view}]
        source = copied_place(Step([event], True))
        if source is not None:
            return self._copy(source, event, view)
        change = change_of(event)
        if change is None:
            raise _Unknown(_reason(event))
        if event.effect.overwrites:
            return [*self._copy(event.sources[0], event, view), {**change, **view}]
        return [{**change, **view}]

    def _copy(self, source: Place, event: Event, view: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the steps that copy a place as it was before an event."""
        place = event.place
        assert place is not None
        if not view and source.dtype == place.dtype and is_contiguous(source) and is_contiguous(place):
            return self.steps(source, event.index)
        return [{"copy": self._temporary(source, event.index), **view}]

    def _start(self, event: Event | None) -> dict[str, Any]:
        """Returns the keys that say where in the stream a draw began."""
        if event is None:
            return {}
        start = self.starts.get(event.index)
        if start is None:
            raise _Unknown(f"the position in the torch stream of {_where(event)} was not found")
        return _start_keys(start, draw_of(event).normals is not None, event)


def _start_keys(start: Start, in_pairs: bool, event: Event) -> dict[str, Any]:
    keys: dict[str, Any] = {"at": start.at, "seed": start.seed if start.seed < 1 << 63 else start.seed - (1 << 64)}
    if in_pairs and start.pair is not None:
        if start.pair < 0:
            raise _Unknown(f"{_where(event)} used a normal value that the generator had stored before the trace")
        keys["pair"] = start.pair
    return keys


def _reason(event: Event) -> str:
    """Says why an event cannot be written in a replay."""
    if event.call is not None and (event.call.name == "orthogonal_" or event.effect.name.startswith("erfinv")):
        # Measured: erfinv of MKL has other last bits with AVX-512, AVX2 and SSE4.2.
        return f"the last bits of {event.call.name} ({_where(event)}) differ between CPUs"
    return f"aten.{event.effect.name} ({_where(event)}) cannot be written in a replay"


def _where(event: Event) -> str:
    stack = event.caller.stack
    return f"at {stack[0]}" if stack else "in code without a recorded line"


def _view(place: Place, target: Place) -> dict[str, Any]:
    """Returns the key `view` for a step that writes to `place`. Empty if `place` is all of `target`."""
    if place[1:4] == target[1:4]:
        return {}
    shape, strides = list(place.shape), list(place.strides)
    return {"view": {"offset": place.offset - target.offset, "shape": shape, "strides": strides}}


def change_of(event: Event) -> dict[str, float] | None:
    """Returns the step for an operator that combines a tensor with a number, or None for any other operator."""
    name = event.effect.name.rstrip("_")
    positional, named = event.arguments
    place = event.place
    if place is None or place.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        return None
    if named or len(positional) != 2 or positional[0] is not Tensor or len(event.sources) != 1:
        return None
    source, value = event.sources[0], positional[1]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if source.dtype != place.dtype or source.shape != place.shape:
        return None
    if name == "sub":
        name, value = "add", -value
    if name == "add":
        # torch rounds a number that it adds to the dtype of the tensor, but not a number that it multiplies or divides by.
        value = torch.tensor(value, dtype=place.dtype, device="cpu").item()
    return {name: float(value)} if name in ("mul", "div", "add") else None


def write(trace: Any, max_values: int) -> str:
    """Returns the replay of a trace. The docstring of `InitTrace.replay` describes the arguments and the errors."""
    recorder: Recorder = trace._recorder
    state: dict[str, Tensor] = dict(trace.module.state_dict(keep_vars=True))
    program = _Program(recorder)
    tables: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    names: dict[Place, str] = {}
    lists: dict[str, str] = {}
    for name, tensor in state.items():
        place = recorder.place_of(tensor) if isinstance(tensor, Tensor) else None
        if place is None or tensor.device.type != "cpu":
            problems[name] = "it is not a tensor in CPU memory"
            continue
        unwritten = trace[name].unwritten if name in trace else 0
        if unwritten:
            problems[name] = f"{unwritten} elements are not written"
            continue
        if place in names:
            table = {"dtype": _dtype(place.dtype), "shape": list(place.shape), "copy": names[place]}
        else:
            try:
                table = _table(program, place, tensor, max_values)
            except _Unknown as error:
                problems[name] = str(error)
                continue
        names.setdefault(place, name)
        if "values" in table:
            # Equal lists are written once: many models have the same table of positions in each layer.
            first = lists.setdefault(json.dumps(table), name)
            if first != name:
                table = {"dtype": table["dtype"], "shape": table["shape"], "copy": first}
        tables[name] = table
    _raise(problems)
    text = _text(tables, program.temporary)
    _raise(_differences(text, state, tables))
    return text


def _table(program: _Program, place: Place, tensor: Tensor, max_values: int) -> dict[str, Any]:
    """Returns the TOML table of a tensor of the module."""
    if not place.elements:
        return {"dtype": _dtype(place.dtype), "shape": list(place.shape), "values": []}
    if place.dtype.is_floating_point:
        try:
            return program.table(place)
        except _Unknown as error:
            if place.elements > max_values and constant_step(tensor) is None:
                raise _Unknown(f"{error}, and its {place.elements} values are more than max_values = {max_values}") from None
    elif place.elements > max_values:
        step = constant_step(tensor)
        if step is None:
            raise _Unknown(f"its {place.elements} values are more than max_values = {max_values}")
        return {"dtype": _dtype(place.dtype), "shape": list(place.shape), **step}
    step = constant_step(tensor) or {"values": _values(tensor)}
    return {"dtype": _dtype(place.dtype), "shape": list(place.shape), **step}


def constant_step(tensor: Tensor) -> dict[str, Any] | None:
    """Returns the step for a tensor whose values are all equal, or that counts up along its last axis. Else returns None."""
    tensor = tensor.detach()
    if not tensor.numel():
        return None
    first = tensor.flatten()[0]
    if tensor.dtype.is_floating_point:
        # Zeros of different signs are equal here, and are found when the replay is compared with the module.
        equal = bool((tensor == first).all())
        return {"fill": str(specs.Spec("constant", {"val": first.item()}))} if equal else None
    if bool((tensor == first).all()):
        return {"fill": str(specs.Spec("constant", {"val": int(first)}))}
    if tensor.ndim and tensor.dtype != torch.bool:
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
    """Computes the tensors from the replay, and returns the names of those that differ from the module's, with the reason."""
    memory = []
    for name in tables:
        tensor = state[name].detach().contiguous()
        memory.append((name, tensor.data_ptr(), tensor.numel() * tensor.element_size(), tensor))
    found = replay_differences(text, [(name, address, size) for name, address, size, _ in memory])
    reason = "its values are not those of the recorded writes: it was changed later, or by code that is not recorded"
    return {name: reason for name in found}


def _raise(problems: dict[str, str]) -> None:
    if problems:
        shown = [f"  {name}: {reason}" for name, reason in list(problems.items())[:20]]
        more = [f"  and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise ValueError("\n".join(["these tensors cannot be written in a replay:", *shown, *more]))


def _text(tables: dict[str, dict[str, Any]], temporary: dict[str, dict[str, Any]]) -> str:
    """Returns the text of a replay. The most frequent seed and dtype are written once."""
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


