#!/usr/bin/env python3
"""Measures the CPU time of each crate in a build of the command `fanin`. docs/dev/dependencies.md shows the result.

    python scripts/build_cost.py --target-dir /tmp/empty

Builds `fanin-cli` in the release profile into an empty folder. Cargo calls this script as RUSTC_WRAPPER for each
compilation. The wrapper runs `rustc` and records its user and system time. The printed total also has the time of Cargo
and of build scripts.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: The environment variable with the path of the wrapper's output file. It is set only during a build.
TIMES = "FANIN_BUILD_TIMES"


def seconds(whose: int) -> float:
    """Returns the CPU time of this process (RUSAGE_SELF) or of its child processes that have ended (RUSAGE_CHILDREN)."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def wrap(command: list[str]) -> int:
    """Runs a compiler. Appends the package's name and two CPU times to a file: the compiler's and this process's."""
    # The compiler must inherit all open files, because it uses those of Cargo's job server.
    done = subprocess.run(command, close_fds=False)
    times = seconds(resource.RUSAGE_CHILDREN), seconds(resource.RUSAGE_SELF)
    with open(os.environ[TIMES], "a") as file:
        file.write(f"{os.environ.get('CARGO_PKG_NAME', '')}\t{times[0]}\t{times[1]}\n")
    return done.returncode


def trees() -> tuple[dict[str, set[str]], dict[str, str]]:
    """Returns the packages that each package of the build needs, including itself, and the licence of each package."""
    command = ["cargo", "tree", "--locked", "-p", "fanin-cli", "-e", "normal,build", "--prefix", "depth", "--no-dedupe", "-f", " {p}\t{l}"]
    needs: dict[str, set[str]] = {}
    licences, path = {}, []
    for line in subprocess.check_output(command, cwd=ROOT, text=True).splitlines():
        depth, rest = line.split(" ", 1)
        package, licence = rest.split("\t")
        name = package.split(" ")[0]
        path[int(depth) :] = [name]
        licences[name] = licence
        for above in path:
            needs.setdefault(above, set()).add(name)
    return needs, licences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target-dir", type=Path, required=True, help="an empty folder")
    folder = parser.parse_args().target_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} must be empty, so that every crate is compiled")
    log = folder / "times.tsv"
    environment = {
        **os.environ,
        TIMES: str(log),
        "RUSTC_WRAPPER": str(Path(__file__).resolve()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CARGO_TARGET_DIR": str(folder),
        "CARGO_INCREMENTAL": "0",
    }
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "fanin-cli"], cwd=ROOT, env=environment, check=True)
    total, own = seconds(resource.RUSAGE_CHILDREN), {}
    for line in log.read_text().splitlines():
        name, compiler, wrapper = line.split("\t")
        own[name] = own.get(name, 0) + float(compiler)
        total -= float(wrapper)
    needed, licences = trees()
    print(f"total {total:.1f} s, compilers {sum(own.values()):.1f} s")
    for name, time in sorted(own.items(), key=lambda item: -item[1]):
        below = needed.get(name)
        with_tree = f"{sum(own.get(need, 0) for need in below):6.1f}" if below else " " * 6
        print(f"{time:6.1f} {with_tree}  {name} ({licences.get(name, '')})")


if __name__ == "__main__":
    if TIMES in os.environ:
        sys.exit(wrap(sys.argv[1:]))
    main()
