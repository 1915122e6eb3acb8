"""Compares the speed of fills by fanin, torch, NumPy and JAX, and of a plain memory fill with one constant.

`cargo xtask bench` creates the Python environment, builds and installs the package, and runs this script. For each
number of threads, a child process measures all cases. A contender is fanin, another library, or the memory fill. In
each round, every contender is timed once, so that a slow phase of the machine affects all contenders. The script
compares median times and minimum times. Minimum times depend less on other processes.

fanin, torch and NumPy write to memory that has been written to before. JAX and most libraries of `peers.py` allocate
new memory.

The values of each fill are checked before the fill is timed. The torch stream must give the same values as torch, and
the same state of the generator. The values must be bit-identical, unless the case has a tolerance. The native stream
must match the digests in the repository.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).parent
DIGESTS = HERE / "digests.json"
sys.path.insert(0, str(HERE))

from cases import CASES, SIZES, QUICK, Case, quick, sized  # noqa: E402
from peers import PEERS, peers  # noqa: E402

#: The time in seconds after which no further round of a case is started. Every case gets at least three rounds.
BUDGET = 40.0
ROUNDS = 15
#: The pause in seconds before a contender is timed, for fills of at least 2^20 values. OpenMP threads spin for some
#: milliseconds after a parallel operation. Without the pause, the threads of one contender would slow down the next.
REST = 0.03
#: If a fill of at least 2^20 values takes less than this time in seconds, each pause `REST` is followed by an untimed
#: fill, which wakes the threads of the contender.
WAKE = 0.05


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, to test the suite")
    parser.add_argument("--only", metavar="TEXT", help="only cases whose name contains TEXT; no curves")
    parser.add_argument("--threads", metavar="N,N", help="thread counts (default: 1, powers of two, all cores)")
    parser.add_argument("--save", action="store_true", help="write docs/bench.json and docs/bench.svg")
    parser.add_argument("--models", action="store_true", help="construction of models under fast_init() instead of single fills")
    parser.add_argument("--write-digests", action="store_true", help="write the digests of the native stream instead of checking them")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.models:
        models(options)
        return
    if options.child:
        json.dump(measure_all(options), sys.stdout)
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = (
        [int(count) for count in options.threads.split(",")]
        if options.threads
        else sorted({count for count in (1, 2, 4, 8, 16, 32, 64) if count < cores} | {cores})
    )
    runs = {}
    for count in counts:
        print(f"# {count} thread{'s' * (count > 1)}", file=sys.stderr)
        variables = {name: str(count) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        child = subprocess.run(
            [sys.executable, __file__, "--child", str(count), *sys.argv[1:]],
            env={**os.environ, **variables, "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"},
            stdout=subprocess.PIPE,
            check=False,
        )
        if child.returncode:
            sys.exit(child.returncode)
        runs[count] = json.loads(child.stdout)
    result = {"machine": machine(cores), "threads": runs}
    for count, run in runs.items():
        print(table(run["cases"], f"{count} thread{'s' * (count > 1)}"))
        print("\n".join(["", *peer_table(run["cases"])]))
    target = write(result, "bench.json", options)
    if options.save:
        into_page(runs[counts[-1]]["cases"], target / "performance.md")
    if not options.only:
        from draw import draw

        draw(result, target / "bench.svg")
        print(f"wrote {os.path.relpath(target / 'bench.svg')}")


def models(options: argparse.Namespace) -> None:
    import models

    results = models.main(options.quick, options.only)
    many = [] if options.only else models.measure_many(options.quick)
    print(models.table(results), models.many_text(many), sep="\n\n")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    target = write({"machine": machine(cores), "models": results, "many": many}, "models.json", options)
    if options.save:
        replace(target / "performance.md", "models", models.table(results).split("\n"))
        replace(target / "performance.md", "many", textwrap.wrap(models.many_text(many), 120))


def peer_table(cases: list[dict[str, Any]]) -> list[str]:
    """Returns the lines of a table. A cell is the minimum time of a library, divided by that of a stream of fanin."""
    names = {"torch": "torch", "numpy": "NumPy (SFC64)", "jax": "JAX (jit)", **{name: name for name in PEERS}}
    measured = [case for case in cases if set(PEERS) & set(case["least"])]
    head = [f"{case['name']}, {stream}" for case in measured for stream in ("torch stream", "native stream")]
    lines = ["| library: its time divided by that of fanin | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for key, name in names.items():
        ratios = [
            significant(case["least"][key] / case["least"][stream]) if key in case["least"] else ""
            for case in measured
            for stream in ("torch stream", "native stream")
        ]
        if any(ratios):
            lines.append(f"| {name} | " + " | ".join(ratios) + " |")
    return lines if measured else []


def into_page(cases: list[dict[str, Any]], page: Path) -> None:
    """Writes the tables of speedups to docs/performance.md, between the comments that mark their places."""
    replace(page, "peers", peer_table(cases))
    lines = ["| fill | torch stream | goal | native stream | goal |", "|---|---|---|---|---|"]
    for case in cases:
        cells = [case["name"]]
        for stream in ("torch stream", "native stream"):
            goal = case["goals"][stream]
            ratios = [significant(case[kind]["torch"] / case[kind][stream]) for kind in ("seconds", "least")]
            cells += ["{} ({})".format(*ratios), f"{goal:g}" if goal else ""]
        lines.append("| " + " | ".join(cells) + " |")
    replace(page, "table", lines)


def replace(page: Path, name: str, lines: list[str]) -> None:
    """Replaces the lines of a page between the comments `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = page.read_text().split(begin)
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1])


def write(result: dict[str, Any], name: str, options: argparse.Namespace) -> Path:
    """Writes a result to the target folder, or to docs/ if --save is given."""
    root = HERE.parent
    target = root / "docs" if options.save else Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / name).write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {os.path.relpath(target / name)}")
    return target


def machine(cores: int) -> dict[str, Any]:
    from importlib.metadata import version

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    packages = {name: version(name) for name in ("fanin", "torch", "numpy", "jax")}
    return {"cpu": cpu, "cores": cores, "system": platform.system(), "python": platform.python_version(), **packages}


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Measures all cases with `options.child` threads, and returns the results."""
    count = options.child
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    import torch

    torch.set_num_threads(count)
    rounds = 3 if options.quick else ROUNDS
    shrink = quick if options.quick else lambda case: case
    chosen = [shrink(case) for case in CASES if not options.only or options.only in case.name]
    result = {"cases": [measure(case, rounds, options) for case in chosen], "sizes": {}}
    if not options.only:
        for distribution in ("uniform", "normal"):
            sizes = QUICK["sizes"] if options.quick else SIZES
            fills = [measure(sized(distribution, size), rounds, options, curve=True) for size in sizes]
            result["sizes"][distribution] = fills
    return result


def measure(case: Case, rounds: int, options: argparse.Namespace, curve: bool = False) -> dict[str, Any]:
    """Checks a case's values, and times each contender (library or memory fill). Returns median and minimum times in seconds."""
    print(f"{case.name} {'x'.join(map(str, case.shape))} ...", end=" ", file=sys.stderr, flush=True)
    started = time.perf_counter()
    check(case, options)
    contenders = prepare(case, curve)
    calls, fast = {}, {}
    for name, call in contenders.items():
        call()
        # If one call is too short for the clock, several calls are timed together.
        seconds = minimum(call, 3 if case.values < 1 << 20 else 1)
        fast[name] = seconds < WAKE
        calls[name] = max(1, min(100_000, round(2e-3 / max(seconds, 1e-8))))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    begun = time.perf_counter()
    gc.disable()
    while len(times["torch"]) < rounds:
        for name, call in contenders.items():
            if case.values >= 1 << 20:
                time.sleep(REST)
                if fast[name]:
                    call()
            times[name].append(timed(call, calls[name]))
        if time.perf_counter() - begun > BUDGET and len(times["torch"]) >= 3:
            break
    gc.enable()
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{len(times['torch'])} rounds, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return {
        "name": case.name,
        "shape": case.shape,
        "values": case.values,
        "goals": dict(zip(("torch stream", "native stream"), case.goals)),
        "seconds": medians,
        "least": {name: min(seconds) for name, seconds in times.items()},
    }


def timed(call: Callable[[], Any], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times


def minimum(call: Callable[[], Any], times: int) -> float:
    return min(timed(call, 1) for _ in range(times))


def tensor(case: Case) -> Any:
    import torch

    types = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}
    return torch.zeros(case.shape, dtype=types[case.dtype])


def prepare(case: Case, curve: bool) -> dict[str, Callable[[], Any]]:
    """Returns the contenders of a case: a dict from names to functions. Each function does one fill.

    A contender is a library, or a plain memory fill with one constant. The functions of fanin, torch and NumPy write to
    the same memory. JAX and most libraries of `peers.py` allocate new memory. If `curve` is true, JAX and the libraries
    of `peers.py` are left out.
    """
    import numpy as np
    import torch

    import fanin
    import fanin.torch

    w = tensor(case)
    bits = w.view({4: torch.int32, 8: torch.int64, 2: torch.int16}[w.element_size()]).numpy()
    spec, constant = fanin.Initializer(case.spec), fanin.Initializer("constant(1)")
    # `fanin.fill` is fastest with NumPy arrays. NumPy has no bf16, so the array contains the bits of the values as integers.
    array = w.numpy() if case.dtype != "bf16" else bits.view(np.uint16)
    dtype = "bf16" if case.dtype == "bf16" else None
    calls: dict[str, Callable[[], Any]] = {
        "torch": lambda: case.torch(torch.nn.init, w),
        "torch stream": lambda: case.torch(fanin.torch, w),
        "native stream": lambda: fanin.fill(array, spec, seed=0, name="w", dtype=dtype),
        "memory fill": lambda: bits.fill(0x3C003C00 if bits.itemsize > 2 else 0x3C00),
        "memory fill, non-temporal": lambda: fanin.fill(array, constant, dtype=dtype),
    }
    if case.numpy:
        rng = np.random.Generator(np.random.SFC64(0))
        calls["numpy"] = lambda: case.numpy(rng, array)
    if case.jax and not curve:
        import jax

        jax.config.update("jax_enable_x64", True)
        key = jax.random.key(0)
        # Each call uses a new key, as in real programs, so that no result can be cached.
        jitted = jax.jit(lambda number: case.jax(jax, jax.random.fold_in(key, number)))
        numbers = iter(range(1 << 31))
        calls["jax"] = lambda: jitted(next(numbers)).block_until_ready()
    if case.peers and not curve:
        calls |= peers(case.peers, array)
    return calls


def check(case: Case, options: argparse.Namespace) -> None:
    """Compares the torch stream with torch, and the native stream with its known digest.

    Ends the program at the first difference. If `case.tolerance` is not None, values of the torch stream may differ
    from torch's by up to `case.tolerance`.
    """
    import torch

    import fanin
    import fanin.torch

    expected, found = tensor(case), tensor(case)
    torch.manual_seed(5)
    case.torch(torch.nn.init, expected)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    case.torch(fanin.torch, found)
    if not torch.equal(state, torch.get_rng_state()):
        sys.exit(f"{case.name}: the state of the generator differs from that after torch's fill")
    if case.tolerance is None:
        if digest(expected) != digest(found):
            sys.exit(f"{case.name}: the torch stream differs from torch")
    elif (expected - found).abs().max() > case.tolerance:
        sys.exit(f"{case.name}: the torch stream differs from torch by {(expected - found).abs().max():g}")
    fanin.fill(found, case.spec, seed=0, name="w")
    known = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    title = f"{case.spec} {case.dtype} {'x'.join(map(str, case.shape))}"
    if options.write_digests:
        known[title] = digest(found)
        DIGESTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    elif known.get(title) != digest(found):
        sys.exit(f"{case.name}: the native stream's values are not those of {DIGESTS.name} ({title})")


def digest(w: Any) -> str:
    memory = (ctypes.c_char * (w.numel() * w.element_size())).from_address(w.data_ptr())
    return hashlib.sha256(memory).hexdigest()[:32]


def table(cases: list[dict[str, Any]], title: str) -> str:
    """Returns the text of the table of speedups over torch, with the goals."""
    head = ["", "torch", "torch stream", "minimum", "goal", "native stream", "minimum", "goal", "of memory fill", "NumPy", "JAX"]
    rows = [head]
    for case in cases:
        seconds = case["seconds"]

        def ratio(name: str, seconds: dict[str, float] = seconds) -> str:
            return f"{significant(seconds['torch'] / seconds[name])}x" if name in seconds else ""

        def goal(name: str) -> str:
            required = case["goals"][name]
            if required is None:
                return ""
            return f"{required:g}x {'met' if seconds['torch'] / seconds[name] >= required else '-'}"

        rows.append([
            case["name"],
            duration(seconds["torch"], case["values"]),
            ratio("torch stream"),
            ratio("torch stream", case["least"]),
            goal("torch stream"),
            ratio("native stream"),
            ratio("native stream", case["least"]),
            goal("native stream"),
            f"{significant(seconds['native stream'] / store(seconds))}x",
            ratio("numpy"),
            ratio("jax"),
        ])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([f"\n{title}: times faster than torch", *lines])


def store(seconds: dict[str, float]) -> float:
    """Returns the time in seconds of the faster of two memory fills: by ordinary stores, and by non-temporal stores."""
    return min(seconds["memory fill"], seconds["memory fill, non-temporal"])


def significant(x: float) -> str:
    return f"{x:.0f}" if x >= 20 else f"{x:.1f}" if x >= 2 else f"{x:.2f}"


def duration(seconds: float, values: int) -> str:
    return f"{seconds * 1e9 / values:.2f} ns/value" if values > 4096 else f"{seconds * 1e6:.1f} us"


if __name__ == "__main__":
    main()
