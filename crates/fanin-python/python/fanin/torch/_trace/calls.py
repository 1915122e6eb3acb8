"""Finds the initializer call and the lines of code that led to a call of a torch operator.

An initializer is a function such as torch.nn.init.normal_. It is recognized by its code object on the Python stack, so
it does not matter how a program imports it. If an initializer calls another initializer, only the outer call counts.
For example, `uniform_` of transformers calls `uniform_` of torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple


_new_tuple: Any = tuple.__new__


class Line(NamedTuple):
    """A line of code on the stack, with its file and its function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Call(NamedTuple):
    """A call of an initializer such as torch.nn.init.normal_, with the values of its arguments."""

    module: str
    name: str
    arguments: dict[str, Any]


#: A copy of a Python stack frame: its code, its current instruction, and the `Frame` of its caller (or None). This is a
#: tuple, because creating an object of a class is slower.
Frame = tuple[CodeType, int, Any]


class Caller:
    """The initializer that called an operator (`call`, or None), and the stack frames outside of the initializer."""

    __slots__ = ("_frame", "call")

    def __init__(self, call: Call | None, frame: Frame | None):
        self.call = call
        self._frame = frame

    @property
    def stack(self) -> tuple[Line, ...]:
        """The lines of code on the stack, innermost first. The first line called the initializer or the operator."""
        lines = []
        frame = self._frame
        while frame is not None:
            code, instruction, frame = frame
            lines.append(line_of(code, instruction))
        return tuple(lines)


@lru_cache(maxsize=10_000)
def line_of(code: CodeType, instruction: int) -> Line:
    """Returns the line of code of an instruction. This is slow, so it is only done for lines that are shown."""
    found = code.co_firstlineno
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            found = line
            break
    return Line(code.co_filename, found, getattr(code, "co_qualname", code.co_name))


#: The kinds of functions on the stack: skipped functions, initializers, all others, and `run`, which ends the stack.
_INTERNAL, _INITIALIZER, _OTHER, _END = range(4)

#: Maps the name of each initializer to the names of the arguments that `Call` stores. Only functions of `_MODULES` are
#: initializers.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "uniform_": ("a", "b"),
    "normal_": ("mean", "std"),
    "trunc_normal_": ("mean", "std", "a", "b"),
    "trunc_normal_tf_": ("mean", "std", "a", "b"),
    "constant_": ("val",),
    "ones_": (),
    "zeros_": (),
    "eye_": (),
    "dirac_": ("groups",),
    "xavier_uniform_": ("gain",),
    "xavier_normal_": ("gain",),
    "kaiming_uniform_": ("a", "mode", "nonlinearity"),
    "kaiming_normal_": ("a", "mode", "nonlinearity"),
    "orthogonal_": ("gain",),
    "sparse_": ("sparsity", "std"),
    "variance_scaling_": ("scale", "mode", "distribution"),
    "lecun_normal_": (),
}
_TIMM = "timm.layers.weight_init"
_MODULES = ("torch.nn.init", "transformers.initialization", _TIMM, "fanin.torch._init")
#: Functions that are initializers only in timm. In transformers, `lecun_normal_` has other bounds than fanin's scheme
#: lecun_normal. The inner call of `trunc_normal_` is therefore stored instead.
_ONLY_TIMM = ("variance_scaling_", "lecun_normal_")

#: Files whose functions are skipped on the stack, because they only forward calls.
_INTERNAL_ENDINGS = (
    "torch/utils/_contextlib.py", "torch/utils/_device.py", "torch/_tensor.py", "torch/overrides.py", "torch/_ops.py",
    "torch/utils/_python_dispatch.py", "torch/_compile.py", "torch/_dynamo/eval_frame.py", "torch/functional.py",
    "torch/nn/parameter.py", "fanin/torch/_fast_init.py", "fanin/torch/_torch_stream.py", "fanin/torch/_deferred/mode.py",
    "fanin/torch/_check/fresh_memory.py", "fanin/torch/_call_operator.py",
)  # fmt: skip


class Frames:
    """Reads the Python stack of the running thread.

    The stack is read at each recorded call of a torch operator. The callers of a frame do not change while the frame is
    on the stack. So if a frame was already on the stack at the previous recorded call, its callers are not read again.
    """

    def __init__(self) -> None:
        #: Maps the id of each code object to the code object and its kind. Storing the code object keeps its id unique.
        self._kinds: dict[int, tuple[CodeType, int]] = {id(_RUN): (_RUN, _END)}
        #: Maps each frame of the previous stack to a copy of its callers. The outermost frame is first. The last frame
        #: called the initializer, or the operator if there was no initializer.
        self._running: dict[FrameType, Frame | None] = {}
        #: The last key of `_running`.
        self._innermost: FrameType | None = None
        #: The last call of an initializer, and its frame.
        self._call: Call | None = None
        self._frame: FrameType | None = None

    def close(self) -> None:
        self._call = self._frame = self._innermost = None
        self._running.clear()

    def caller(self) -> tuple[Call | None, Frame | None]:
        """Returns the initializer call and the stack frame with which to construct a `Caller` for the current operator.

        Must be called directly from `__torch_dispatch__`.
        """
        kinds = self._kinds
        frame: FrameType | None = sys._getframe(2)
        initializer: FrameType | None = None
        while frame is not None:
            found = kinds.get(id(frame.f_code))
            kind = found[1] if found is not None else self._kind(frame)
            if kind >= _OTHER:
                break
            if kind == _INITIALIZER:
                initializer = frame
            frame = frame.f_back
        call = self._call if initializer is self._frame else self._call_of(initializer)
        if frame is not None and frame is self._innermost:
            # The callers were stored for the previous operator. Only `f_lasti`, the current instruction, may differ.
            return call, (frame.f_code, frame.f_lasti, self._running[frame])
        return call, self._outer(frame)

    def _outer(self, frame: FrameType | None) -> Frame | None:
        """Returns a copy of a running frame and of its callers, as they are now."""
        kinds, running = self._kinds, self._running
        inner: list[tuple[FrameType, int]] = []
        while frame is not None and frame not in running:
            found = kinds.get(id(frame.f_code))
            kind = found[1] if found is not None else self._kind(frame)
            if kind == _END:
                frame = None
                break
            inner.append((frame, kind))
            frame = frame.f_back
        result = None
        if frame is None:
            running.clear()
        else:
            # `frame` and its callers were already running at the previous event. The functions that `frame` had called have
            # returned.
            last, result = running.popitem()
            while last is not frame:
                last, result = running.popitem()
            inner.append((frame, kinds[id(frame.f_code)][1]))
        for frame, kind in reversed(inner):
            running[frame] = result
            if kind != _INTERNAL:
                result = frame.f_code, frame.f_lasti, result
        self._innermost = frame
        return result

    def _call_of(self, frame: FrameType | None) -> Call | None:
        """Returns the `Call` of the initializer that runs in a frame. The frame and the `Call` are stored for reuse."""
        # The stored frame stays alive, so that a later frame cannot be the same object.
        self._frame = frame
        self._call = None
        if frame is not None:
            name = frame.f_code.co_name
            names = _ARGUMENTS[name]
            arguments: dict[str, Any] = {}
            if names:
                local = frame.f_locals
                for key in names:
                    if key in local:
                        arguments[key] = local[key]
            # This does the same as `Call(...)`, but calls no Python function, so it is faster.
            self._call = _new_tuple(Call, (frame.f_globals.get("__name__", ""), name, arguments))
        return self._call

    def _kind(self, frame: FrameType) -> int:
        """Returns the kind of a frame's function, and stores it in `_kinds`."""
        code = frame.f_code
        kind = _OTHER
        module = frame.f_globals.get("__name__", "")
        if module in _MODULES:
            is_known = code.co_name in _ARGUMENTS and (module == _TIMM or code.co_name not in _ONLY_TIMM)
            if is_known:
                kind = _INITIALIZER
            elif code.co_name.startswith("_") or module != _TIMM:
                kind = _INTERNAL
        elif module == "copy" or code.co_filename.replace("\\", "/").endswith(_INTERNAL_ENDINGS):
            kind = _INTERNAL
        self._kinds[id(code)] = code, kind
        return kind


def run(function: Callable[[], Any]) -> Any:
    """Calls `function`. `Frames` ends the stack here: the callers of `run` do not belong to the traced program."""
    return function()


_RUN = run.__code__
