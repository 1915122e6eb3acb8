"""Fills on the OpenMP threads of torch, if its OpenMP library has the functions of GNU's libgomp (Linux)."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

from .._fanin import use_openmp


def _is_forked() -> bool:
    """Returns whether this process was forked and has not called exec since.

    OpenMP would wait for threads that exist in the parent process only.
    """
    PF_FORKNOEXEC = 0x40  # noqa: N806 - the name in Linux
    flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
    return bool(int(flags) & PF_FORKNOEXEC)


def use_torch_threads() -> None:
    """Passes the functions of the OpenMP library that `libtorch_cpu` is linked with to Rust. Does nothing if they are not
    found."""
    if sys.platform != "linux":
        return
    try:
        if _is_forked():
            return
        path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        parallel, max_threads = library.GOMP_parallel, library.omp_get_max_threads
    except (OSError, ValueError, IndexError, AttributeError):
        return
    use_openmp(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (parallel, max_threads)))
