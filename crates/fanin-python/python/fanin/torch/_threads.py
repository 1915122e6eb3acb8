"""Fills share the threads that torch keeps for its own operations, where those are OpenMP's by GNU's names."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

from .._fanin import use_openmp


def _forked() -> bool:
    """Whether this process was forked off another and has run no program of its own since.

    OpenMP's threads, which the other may have had, did not come along, and it would wait for them.
    """
    PF_FORKNOEXEC = 0x40  # noqa: N806 - Linux's name
    flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
    return bool(int(flags) & PF_FORKNOEXEC)


def share() -> None:
    """Finds OpenMP as torch does: among the libraries that `libtorch_cpu` was linked with."""
    if sys.platform != "linux":
        return
    try:
        if _forked():
            return
        path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        parallel, max_threads = library.GOMP_parallel, library.omp_get_max_threads
    except (OSError, ValueError, IndexError, AttributeError):
        return
    use_openmp(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (parallel, max_threads)))
