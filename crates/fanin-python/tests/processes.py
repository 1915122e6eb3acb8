"""Runs the scripts in `ranks/` in several processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

RANKS = Path(__file__).parent / "ranks"


def run(script, count, folder, *arguments, timeout=600, environment=None):
    """Runs `ranks/SCRIPT rank count folder ...` in `count` processes. Returns the last line of each output, parsed as JSON.

    If a process fails or `timeout` seconds have passed, kills all processes and raises AssertionError. Without this,
    the other ranks might wait forever for a failed rank.
    """
    settings = {
        # Each rank uses one thread, which is also the default of launchers such as torchrun.
        "OMP_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore",
        "JAX_PLATFORMS": "cpu",
    }
    environment = {**os.environ, **settings, **(environment or {})}
    processes = []
    logs = [Path(folder) / f"rank-{rank}.log" for rank in range(count)]
    try:
        for rank, log in enumerate(logs):
            command = [sys.executable, str(RANKS / script), str(rank), str(count), str(folder), *map(str, arguments)]
            with open(log, "w") as out:
                processes.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment))
        end = time.monotonic() + timeout
        while any(process.poll() is None for process in processes):
            assert not any(process.poll() for process in processes), "a rank failed:\n" + _output(logs)
            assert time.monotonic() < end, f"the ranks took more than {timeout} s:\n" + _output(logs)
            time.sleep(0.05)
        assert not any(process.returncode for process in processes), "a rank failed:\n" + _output(logs)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    return [json.loads(log.read_text().splitlines()[-1]) for log in logs]


def _output(logs):
    return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-25:]) for log in logs)
