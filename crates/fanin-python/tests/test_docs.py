"""Runs the code snippets of the README and of the guides. The snippets run in order and in one folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fanin

ROOT = Path(__file__).parents[3]
PYTHON = ("pytorch", "is-my-model-initialized", "trace", "probe", "training", "distributed")
FILES = ("README.md", *(f"docs/{page}.md" for page in PYTHON))
PAGES = [(ROOT / page).read_text() for page in FILES]
SNIPPET = re.compile(r"<!-- run: (\w+) ?(\d*) -->\n```(?:python|sh)\n(.*?)```", re.DOTALL)
SNIPPETS = [snippet for page in PAGES for snippet in SNIPPET.findall(page)]
SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("docs")


def run(command, folder, timeout=240):
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
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


def test_every_snippet_has_a_run_comment():
    assert len(SNIPPETS) == sum(page.count("```python") + page.count("```sh") for page in PAGES) >= 16


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
@pytest.mark.skipif(os.name == "nt", reason="shells and launchers need POSIX")
def test_the_snippet_runs(number, folder):
    runner, count, text = SNIPPETS[number]
    script = folder / f"snippet{number}.py"
    script.write_text(text)
    python = [sys.executable, str(script)]
    if runner == "sh":
        run(["sh", "-ec", text.replace("fanin init", f"{sys.executable} -m fanin init")], folder)
    elif runner == "torchrun":
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, str(script)]
        try:
            run(launch, folder)
        except AssertionError as failed:
            # On a busy machine, a worker process of torch sometimes aborts when it ends. The launch is then tried once more.
            # fanin does not cause these aborts: they also happen in the first snippet, which does not use fanin.
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
    else:
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
