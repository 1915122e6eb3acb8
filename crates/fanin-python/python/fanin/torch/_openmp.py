"""The function `use_torch_threads`. After a call, fanin fills tensors on torch's OpenMP threads.

The function has an effect only on Linux, and only if torch's OpenMP library has the functions of GNU's libgomp. Fills
that Ctrl-C can interrupt always run on fanin's own threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

from .._fanin import use_openmp


def _is_forked() -> bool:
    """Returns whether this process was forked and has not called exec since.

    Such a process must not use OpenMP, because OpenMP would wait for threads that exist only in the parent process.
    """
    PF_FORKNOEXEC = 0x40  # noqa: N806 - the name in Linux
    flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
    return bool(int(flags) & PF_FORKNOEXEC)


def use_torch_threads() -> None:
    """Passes the addresses of two OpenMP functions to Rust, so that fanin fills tensors on torch's OpenMP threads.

    The functions are those that `libtorch_cpu` is linked with. Does nothing if they are not found, or if this process
    was forked.
    """
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
