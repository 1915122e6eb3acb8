"""Runs the code snippets of the README and of the pages in docs/.

The snippets of a page run in order, in one folder. A comment before each snippet says how the snippet is run:

- `<!-- run: RUNNER -->`: RUNNER is `python`, `pytest`, `sh` or `ray`.
- `<!-- run: torchrun 2 -->` or `<!-- run: mpi 2 -->`: with this number of processes.
- `<!-- run: file NAME -->`: the snippet is written to the file `NAME`. A later command reads this file.
- `<!-- NAME.json -->`: the snippet is written to the file `NAME.json`. Only docs/recipes.md has such comments.
- `<!-- on ... -->`, only in docs/recipes.md: the snippet is a recipe, and is written to recipe.toml.
- `<!-- not run: REASON -->`: the snippet is not run.

`<!-- $ COMMAND -->` runs a shell command that readers of the page do not see.
"""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import fanin
import fanin.torch

ROOT = Path(__file__).parents[3]
#: docs/commands.md and docs/python are left out: they have only help texts and docstrings.
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in ("README.md", "commands.md"))]
STEP = re.compile(r"^<!-- (.*?) -->\n(?:```(\w*)\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
#: A snippet in one of these languages must have a comment. The empty text stands for snippets without a language.
LANGUAGES = ("", "python", "sh", "toml", "json")
ABOUT = ("run: ", "not run: ")
#: Models of several gigabytes. Commands that name one of these models run with --dry-run, so nothing is written.
BIG = ("llama-3.1-8b",)
SCRIPTS = Path(sysconfig.get_path("scripts"))


class Snippet(NamedTuple):
    """A snippet or hidden command of a page. `runner` and `argument` come from its comment: `run: RUNNER ARGUMENT`."""

    page: str
    runner: str
    argument: str
    text: str


def snippets(page):
    """Returns the snippets and the hidden commands of a page, in order."""
    found = []
    for about, _, text in STEP.findall(page.read_text(encoding="utf-8")):
        if about.startswith("$ "):
            found.append(Snippet(page.stem, "sh", "", about[2:]))
        elif about.startswith("run: "):
            runner, _, argument = about[5:].partition(" ")
            found.append(Snippet(page.stem, runner, argument, text))
        elif page.stem == "recipes" and about.startswith("on ") or about.endswith(".json"):
            name = "recipe.toml" if about.startswith("on ") else about
            found.append(Snippet(page.stem, "file", name, text))
    return found


SNIPPETS = [snippet for page in PAGES for snippet in snippets(page)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Returns a new folder for each page. The folder has a command `fanin`, which runs the package of this interpreter."""
    made = {}
    for page in PAGES:
        made[page.stem] = tmp_path_factory.mktemp(page.stem)
        command = made[page.stem] / "bin" / "fanin"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fanin "$@"\n')
        command.chmod(0o755)
    return made


def run(command, folder, timeout=240):
    path = os.pathsep.join([str(folder / "bin"), str(SCRIPTS), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONWARNINGS": "ignore"}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "JAX_PLATFORMS": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(fanin.__file__).parents[1])}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except BaseException:
        os.killpg(process.pid, 9)
        process.wait()
        raise
    assert process.returncode == 0, output[-4000:]


def test_every_snippet_says_how_it_is_run():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        steps = [(about, language) for about, language, code in STEP.findall(text) if code and language in LANGUAGES]
        with_comment = [about for about, _ in steps if about.startswith(ABOUT) or page.stem == "recipes"]
        languages = re.findall(r"^```(\w*)\n.*?^```$", text, re.DOTALL | re.MULTILINE)
        assert len(with_comment) == sum(language in LANGUAGES for language in languages), page
    assert len(SNIPPETS) >= 50


@pytest.mark.parametrize("number", range(len(SNIPPETS)), ids=lambda number: f"{SNIPPETS[number].page}-{number}")
@pytest.mark.skipif(os.name == "nt", reason="shells and launchers need POSIX")
def test_the_snippet_runs(number, folders):
    page, runner, count, text = SNIPPETS[number]
    folder = folders[page]
    script = folder / f"snippet{number}.py"
    script.write_text(text)
    python = [sys.executable, str(script)]
    if runner == "file":
        (folder / count).write_text(text)
    elif runner == "sh":
        lines = [f"{line.split('#')[0]} --dry-run" if any(big in line for big in BIG) else line for line in text.splitlines()]
        run(["sh", "-ec", "\n".join(lines)], folder)
    elif runner == "torchrun":
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, str(script)]
        try:
            run(launch, folder)
        except AssertionError as failed:
            # On a busy machine, a worker process of torch sometimes aborts when it ends. The launch is then tried once
            # more. The first snippet of docs/distributed.md sometimes aborts too, although it does not use fanin.
            if "terminate called without an active exception" not in str(failed):
                raise
            run(launch, folder)
    elif runner == "mpi":
        pytest.importorskip("mpi4py")
        mpiexec = shutil.which("mpiexec", path=f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}")
        if mpiexec is None:
            pytest.skip("no mpiexec")
        (folder / "start.safetensors").unlink(missing_ok=True)
        run([mpiexec, "-n", count, *python], folder)
        assert (folder / "start.safetensors").read_bytes() == single_file(folder)
    elif runner == "pytest":
        plugin = [] if importlib.metadata.entry_points(group="pytest11", name="fanin") else ["-p", "fanin.pytest_plugin"]
        run([sys.executable, "-m", "pytest", "-q", *plugin, str(script)], folder)
    else:
        assert runner in ("python", "ray")
        if runner == "ray":
            pytest.importorskip("ray")
        run(python, folder)
        if runner == "ray":
            assert (folder / "start.safetensors").read_bytes() == single_file(folder)


def single_file(folder):
    fanin.write_checkpoint("resnet50", folder / "one.safetensors", seed=0, force=True)
    return (folder / "one.safetensors").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="no Ray on Windows")
def test_ray_writes_the_same_file_if_a_worker_is_killed(tmp_path):
    """A worker is killed before it writes its part. Ray starts the worker again, and the second attempt writes the part."""
    pytest.importorskip("ray")
    script = tmp_path / "killed.py"
    script.write_text(
        """
import os, fanin, ray
ray.init(num_cpus=2, include_dashboard=False)

@ray.remote(max_retries=3)
def part(k, n):
    if k == 2 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
    fanin.write_checkpoint("resnet50", "start.safetensors", seed=0, part=(k, n))

ray.get([part.remote(k, 3) for k in range(1, 4)])
assert os.path.exists("died")
"""
    )
    run([sys.executable, str(script)], tmp_path)
    assert (tmp_path / "start.safetensors").read_bytes() == single_file(tmp_path)


def test_the_command_reference_is_current():
    path = ROOT / "scripts/command_reference.py"
    specification = importlib.util.spec_from_file_location("command_reference", path)
    reference = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reference)
    assert reference.is_current(reference.page()), "run python scripts/command_reference.py"


def test_the_python_reference_has_every_public_name():
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs/python").glob("*.md")}
    for name in set(fanin.__all__) - {"__version__"}:
        assert f"::: fanin.{name}\n" in pages["fanin"], name
    for name in set(fanin.torch.__all__) - set(fanin.torch._torch.__all__):
        assert f"::: fanin.torch.{name}\n" in pages["torch"], name
