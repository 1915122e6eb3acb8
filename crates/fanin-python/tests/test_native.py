"""Tests of the native stream: fills of NumPy arrays, DLPack arrays and torch tensors, in threads and in child processes."""

import array
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import fanin

SPECS = ["normal(std=0.02)", "uniform(-1, 1)", "trunc_normal", "orthogonal(gain=2)", "sparse(0.3)", "eye", "constant(3)"]
RECIPE = fanin.Recipe('[vars]\nstd = 0.02\n[init]\n"*" = "normal(std=std)"')


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_values_do_not_depend_on_the_memory_order(spec, dtype):
    expected = fanin.filled((37, 23), spec, dtype=dtype, seed=5, name="w")
    assert expected.dtype == dtype and expected.flags.c_contiguous
    fortran = np.empty((37, 23), dtype, order="F")
    strided = np.empty((74, 46), dtype)[::2, ::-2]
    tensor = torch.empty(37, 23, dtype=getattr(torch, dtype))
    for memory in (fortran, strided, tensor, tensor.t().contiguous().t()):
        assert fanin.fill(memory, spec, seed=5, name="w") is memory
        np.testing.assert_array_equal(np.asarray(memory), expected)
    region = fanin.fill(np.empty((5, 7), dtype), spec, seed=5, name="w", global_shape=(37, 23), start=(30, 11))
    np.testing.assert_array_equal(region, expected[30:35, 11:18])
    pattern = np.zeros((37, 23))
    assert fanin.fill(pattern, spec, seed=5, name="w", out=fortran) is fortran and not pattern.any()
    np.testing.assert_array_equal(fanin.filled_like(fortran, spec, seed=5, name="w"), expected)
    assert spec in ("eye", "constant(3)") or (fanin.filled((37, 23), spec, dtype=dtype, seed=6, name="w") != expected).any()
    assert spec in ("eye", "constant(3)") or (fanin.filled((37, 23), spec, dtype=dtype, seed=5, name="v") != expected).any()


def test_bf16_needs_no_other_package():
    expected = torch.empty(50, 40, dtype=torch.bfloat16)
    fanin.fill(expected, "normal", seed=1)
    assert (expected.float() == torch.from_numpy(fanin.filled((50, 40), "normal", seed=1)).bfloat16()).all()
    bits = fanin.filled((50, 40), "normal", dtype="bf16", seed=1)
    assert bits.dtype == np.uint16 and (torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16) == expected).all()
    half = fanin.fill(np.empty((50, 40), np.uint16), "normal", dtype="f16", seed=1)
    np.testing.assert_array_equal(half.view(np.float16), fanin.filled((50, 40), "normal", dtype=np.float16, seed=1))


def test_rows_that_are_filled_alone_equal_the_rows_of_the_whole_array():
    whole = fanin.filled((3000, 2999), "sparse(0.2)", seed=3)
    rows = np.empty((1000, 2999), np.float32)
    for start in (0, 1000, 2000):
        fanin.fill(rows, "sparse(0.2)", seed=3, global_shape=(3000, 2999), start=(start, 0))
        np.testing.assert_array_equal(rows, whole[start : start + 1000])


@pytest.mark.parametrize(
    "call, kind, needle",
    [
        (lambda: fanin.fill([1.0, 2.0], "normal"), TypeError, "a list cannot be filled"),
        (lambda: fanin.fill(array.array("f", [1]), "normal"), TypeError, "__dlpack__"),
        (lambda: fanin.fill(np.zeros(3, np.int32), "zeros"), TypeError, "must be f32, f64, f16, bf16 or float8"),
        (lambda: fanin.fill(np.zeros(3, ">f4"), "zeros"), ValueError, "its __dlpack__ raises"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "zeros", dtype="f64"), TypeError, "dtype = f64: this ndarray has the dtype f32"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "zeros", dtype="f33"), ValueError, "unknown dtype f33"),
        (lambda: fanin.fill(np.broadcast_to(np.float32(1), (3, 4)), "normal"), ValueError, "read"),
        (lambda: fanin.fill(torch.empty(3, device="meta"), "normal"), ValueError, "memory"),
        (lambda: fanin.fill(torch.zeros(1).expand(5), "normal"), ValueError, "two elements share memory"),
        (lambda: fanin.fill(torch.zeros(3, dtype=torch.complex64).conj().imag, "ones"), ValueError, "resolve_neg()"),
        (lambda: fanin.fill(torch.zeros(3, dtype=torch.complex64).conj(), "ones"), ValueError, "conjugate bit"),
        (lambda: fanin.fill([1, 2], "normal", out=np.empty(2, "f4")), TypeError, "array: a list has no shape"),
        (lambda: fanin.fill(np.empty(2, "f4"), "normal", out=[1, 2]), TypeError, "out: a list has no shape"),
        (lambda: fanin.filled_like([1.0, 2.0], "normal"), TypeError, "array: a list has no shape"),
        (lambda: fanin.filled(3, "normal", dtype="q"), ValueError, "dtype = 'q': must be one of f32, f64"),
        (lambda: fanin.filled(3, "normal", dtype="f23"), ValueError, "dtype = 'f23': must be one of f32, f64"),
        (lambda: fanin.filled(3, "normal", dtype=torch.int32), TypeError, "dtype = torch.int32: must be one of"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "norml"), ValueError, "did you mean normal?"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal(std=-1)"), ValueError, "std = -1"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "xavier_normal"), ValueError, "fewer than 2 dimensions"),
        (lambda: fanin.fill(np.zeros(3, "f4"), 7), TypeError, "spec = 7: must be a text such as"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", name=None), TypeError, "name = None: must be a text"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", dtype=torch.float32), TypeError, "dtype = torch.float32: must be"),
        (lambda: fanin.fill(np.zeros((2, 2), "f4"), "normal", global_shape=(4, 4), start=(-1, 0)), ValueError, "start = (-1, 0): must"),
        (lambda: fanin.fill(np.zeros(2, "f4"), "normal", global_shape=(-4,)), ValueError, "global_shape = (-4,): must"),
        (lambda: fanin.fill(np.zeros(2, "f4"), "normal", global_shape=4), TypeError, "global_shape = 4: must"),
        (lambda: fanin.normal().resolve((-1,)), ValueError, "shape = (-1,): must"),
        (lambda: fanin.explain("normal", (2, 2), groups=-1), ValueError, "groups = -1: must"),
        (lambda: RECIPE.plan([("w", "F32", [-2])]), ValueError, "the shape of w = [-2]: must"),
        (lambda: RECIPE.plan([("w", "F32")]), TypeError, "must be a list of (name, dtype, shape)"),
        (lambda: RECIPE.plan([], {"std": "wide"}), TypeError, "settings = {'std': 'wide'}: must"),
        (lambda: fanin.init_module(3, "gpt2"), TypeError, "module = 3: must be a torch.nn.Module"),
        (lambda: fanin.init_module(nn.LazyLinear(3), RECIPE), ValueError, "weight has no shape yet because its module is lazy: run"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", seed=1 << 64), ValueError, "whole number from -2^63"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", seed=0.5), TypeError, "whole number"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", global_shape=(5,), start=(3,)), ValueError, "is not inside the shape"),
        (lambda: fanin.fill(np.zeros((9000, 600), "f4"), "normal", global_shape=(9000, 600), start=(1, 0)), ValueError, "is not inside the shape"),
        (lambda: fanin.fill(np.zeros(3, "f4"), "normal", out=np.zeros(4, "f4")), ValueError, "out must have the shape of the array, (3,), got (4,)"),
        (lambda: fanin.kaiming_normal(mode="fan_uot"), ValueError, "did you mean fan_out?"),
        (lambda: fanin.Recipe("[init]\nx = 3"), ValueError, "recipe:2:5"),
        (lambda: fanin.Recipe.read("gpt3"), ValueError, "did you mean gpt2?"),
        (lambda: fanin.manifest("no/such/file.safetensors"), FileNotFoundError, "cannot open"),
        (lambda: fanin.write_checkpoint("gpt2", "no/such/folder/x.safetensors"), ValueError, "no such folder"),
        (lambda: fanin.write_checkpoint("gpt2", "x.safetensors", stream="numpy"), ValueError, "native"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", max_shard_size="5G"), ValueError, "max_shard_size: \"5G\" is not a size"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", max_shard_size=9, part=(3, 2)), ValueError, "k from 1 to n"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", part="2"), ValueError, "expected k/n"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", part=(-1, 2)), ValueError, "part = (-1, 2): must be (k, n)"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", part=(1, 2, 3)), ValueError, "part = (1, 2, 3): must be (k, n)"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", part=2), TypeError, "part = 2: must be (k, n)"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", max_shard_size=-1), ValueError, "max_shard_size = -1: must be a number"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", max_shard_size=0.5), TypeError, "max_shard_size = 0.5: must be a number"),
        (lambda: fanin.write_checkpoint(3, "x/"), TypeError, "recipe = 3: must be the name of a built-in model"),
        (lambda: fanin.write_checkpoint("gpt2", "x/", layout="tar"), ValueError, "must be"),
    ],
)
def test_errors_name_the_argument_and_its_value(call, kind, needle):
    with pytest.raises(kind) as error:
        call()
    assert needle in str(error.value), str(error.value)


def test_errors_name_options_as_keyword_arguments(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match="use like=\"model.safetensors\""):
        fanin.write_checkpoint(RECIPE, path)
    copying = fanin.Recipe('[init]\n"*" = "copy"')
    with pytest.raises(ValueError, match="use like=\"model.safetensors\""):
        fanin.write_checkpoint(copying, path, like="gpt2")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="use force=True to replace it, or resume=True to keep it"):
        fanin.write_checkpoint("resnet50", path)
    with pytest.raises(ValueError, match="another recipe: use force=True to replace it"):
        fanin.write_checkpoint("resnet50", path, part=(1, 2))
    with pytest.raises(ValueError, match="must be written to a folder, not to a file: use output=\"DIR/\""):
        fanin.write_checkpoint("resnet50", path, max_shard_size="1GB")
    os.rename(path, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="use force=True to replace it"):
        fanin.write_checkpoint("resnet50", tmp_path, resume=True)
    # The command line reports the same error, but names its own options.
    command = [sys.executable, "-m", "fanin", "init", "resnet50", "-o", str(tmp_path)]
    assert "use --force to replace it, or, with init, --resume to keep it" in subprocess.run(command, capture_output=True, text=True).stderr


def test_a_launcher_without_a_process_count_is_an_error(monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    with pytest.raises(ValueError, match='^part="auto": Kubernetes .*: use part="auto/n"$'):
        fanin.write_checkpoint("gpt2", "x/", part="auto")


def test_parameters_are_filled_and_their_version_is_incremented():
    weight = nn.Parameter(torch.zeros(3, 4))
    version = weight._version
    assert fanin.fill(weight, "normal", seed=2) is weight and weight.requires_grad and weight.is_leaf
    np.testing.assert_array_equal(weight.detach().numpy(), fanin.filled((3, 4), "normal", seed=2))
    assert weight._version > version
    # A call of `fill` that raises an error does not increment the version counter of the tensor.
    version = weight._version
    with pytest.raises(ValueError):
        fanin.fill(weight, "normal(std=-1)")
    assert weight._version == version
    # A backward pass raises an error if it needs a tensor that `fill` has overwritten.
    scale = torch.ones(3, 4)
    product = (weight * scale).sum()
    fanin.fill(scale, "zeros")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_tensors_without_memory_are_errors():
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(3)
    with pytest.raises(ValueError, match="no memory"):
        fanin.fill(fake, "ones")
    net = nn.Module()
    net.register_buffer("turned", torch.zeros(3, dtype=torch.complex64).conj().imag)
    with pytest.raises(ValueError, match="turned: its memory has the negated values"):
        fanin.init_module(net, fanin.Recipe('[init]\n"*" = "ones"'))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_a_dtype_of_torch_makes_a_tensor(dtype):
    made = fanin.filled((5, 7), "normal", dtype=dtype, seed=3, name="w")
    expected = fanin.fill(torch.empty(5, 7, dtype=dtype), "normal", seed=3, name="w")
    like = fanin.filled_like(nn.Parameter(torch.zeros(5, 7, dtype=dtype), requires_grad=False), "normal", seed=3, name="w")
    for tensor in (made, like):
        assert type(tensor) is torch.Tensor and tensor.dtype == dtype
        assert torch.equal(tensor.view(torch.uint8), expected.view(torch.uint8))


def test_initializers_are_compared_hashed_and_pickled_by_value():
    init = fanin.kaiming_uniform(5**0.5, layout="in_out")
    assert init == fanin.Initializer(str(init)) and hash(init) == hash(fanin.Initializer(str(init)))
    assert init != fanin.kaiming_uniform() and init != str(init)
    assert pickle.loads(pickle.dumps(init)) == init and repr(init) == str(init)
    assert len({fanin.zeros(), fanin.constant(0), fanin.ones()}) == 2
    plan = fanin.xavier_uniform("relu").resolve((40, 20), "bf16")
    assert (plan.shape, plan.dtype, plan.fans, plan.mean) == ([40, 20], "bf16", (20, 40), 0.0)
    for name, parameters, formula, _ in fanin._fanin.schemes():
        make = getattr(fanin, name)
        arguments = {"sparsity": 0.5, "val": 2.0, "scale": 0.5, "fan_in": 16, "spec": "normal", "a": 1.0, "b": 2.0}
        required = {key: arguments[key] for key, default in parameters if default is None}
        if "spec" in required:
            assert make("normal") == fanin.Initializer(f"{name}(normal)")
            continue
        assert make(**required) == fanin.Initializer(f"{name}({', '.join(f'{k}={v}' for k, v in required.items())})")
        assert formula


def test_specs_may_contain_fans_shapes_and_functions_of_other_specs():
    w = fanin.filled((6, 4), "normal(std=1/sqrt(fan_in))", seed=1, name="w")
    assert (w == fanin.filled((6, 4), "normal(std=0.5)", seed=1, name="w")).all()
    assert fanin.Initializer("normal(std=1/shape[0])").resolve((8, 2)).std == 0.125
    a_log = fanin.filled((3, 4), "log(arange(1, shape[1]+1))")
    assert np.array_equal(a_log, np.broadcast_to(np.log(np.arange(1.0, 5.0)).astype(np.float32), (3, 4)))
    dt = np.logaddexp(0, fanin.filled((4096,), fanin.softplus_inverse(fanin.log_uniform(0.001, 0.1)), dtype="float64"))
    assert 0.001 <= dt.min() and dt.max() < 0.1 and 0.008 < np.median(dt) < 0.0125
    with pytest.raises(ValueError, match="no fan_in"):
        fanin.filled((6,), "normal(std=1/fan_in)")


def test_recipes_and_plans_are_pickled(tmp_path):
    def again(one):
        return pickle.loads(pickle.dumps(one))

    plan = fanin.kaiming_normal(layout="in_out").resolve((40, 20), "bf16")
    assert repr(again(plan)) == repr(plan) and again(plan).fans == plan.fans
    assert again(fanin.Recipe.read("gpt2")).model == "gpt2"
    (tmp_path / "base.toml").write_text('[vars]\nn = 2\n[init]\n"*.bias" = "zeros"\n"*" = "normal(std=1/n)"\n')
    (tmp_path / "child.toml").write_text('extends = "base.toml"\n[init]\n"fixed" = "copy"\n')
    recipe = fanin.Recipe.read(tmp_path / "child.toml")
    rows = [("a.weight", "F32", [4, 2]), ("a.bias", "F32", [4]), ("fixed", "I64", [2])]
    planned = recipe.plan(rows, {"n": 4})
    for same in (again(planned), again(recipe).plan(rows, {"n": 4}), copy.deepcopy(recipe).plan(rows, {"n": 4})):
        for name in ("name", "dtype", "shape", "pattern", "spec", "scheme", "source", "integer", "mean", "std"):
            assert repr([getattr(one, name) for one in same]) == repr([getattr(one, name) for one in planned])
    # Pickling preserves the name of the recipe, which is in the error message.
    with pytest.raises(ValueError, match="mine:2:1: "):
        again(fanin.Recipe('[init]\n"*.bias" = "zeros"', "mine")).plan([("w", "F32", [2])])


def test_warnings_are_python_warnings():
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        fanin.trunc_normal(mean=9, method="inverse_cdf").resolve((3,))
    with pytest.warns(UserWarning, match="too small for f16 and becomes 0"):
        fanin.constant(1e-9).resolve((3,), "f16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fanin.trunc_normal(mean=9).resolve((3,))
    with pytest.warns(UserWarning, match="zero-element"):
        fanin.filled((0, 3), "kaiming_normal")


def test_python_m_fanin_runs_the_command_line():
    def run(*arguments):
        command = [sys.executable, "-m", "fanin", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    assert "gpt2-xl" in run("models").stdout
    wrong = run("init", "gpt3", "-o", "x")
    assert wrong.returncode == 2 and "did you mean gpt2?" in wrong.stderr
    assert run("--version").stdout.strip() == f"fanin {fanin.__version__}"


def test_importing_fanin_imports_neither_torch_nor_numpy():
    code = "import fanin, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


@pytest.mark.parametrize(
    "long",
    [
        "import numpy; a = numpy.empty((1 << 15, 1 << 15), 'f4'); print('go', flush=True)\nfor _ in range(99): fanin.fill(a, 'normal')",
        "import torch, fanin.torch; a = torch.empty(1 << 30); print('go', flush=True)\nfor _ in range(99): fanin.torch.normal_(a)",
        """import os; print('go', flush=True)
for _ in range(99): fanin.write_checkpoint('gpt2-large', 'x.safetensors', stream='torch', dtype='bf16'); os.remove('x.safetensors')""",
        "import numpy; a = numpy.empty((6000, 6000), 'f4'); print('go', flush=True)\nfanin.fill(a, 'orthogonal')",
        "import numpy; a = numpy.empty((1 << 13, 1 << 14), 'f4', order='F'); print('go', flush=True)\nfor _ in range(99): fanin.fill(a, 'sparse(0.5)')",
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signals need POSIX")
def test_a_long_fill_can_be_interrupted(long, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import fanin\n" + long], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "go\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in output, output
    assert not list(tmp_path.iterdir())


def test_other_threads_run_during_a_fill():
    """A fill releases the GIL, so a thread that counts continues to count during the fill."""
    counted, done = 0, threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0)

    big = np.empty((1 << 12, 1 << 10), np.float32)
    thread = threading.Thread(target=count)
    # This switch interval is so long that Python does not switch threads by itself. The thread `count` can run only while a
    # fill has released the GIL.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread.start()
        before, fills = counted, 0
        while counted == before and fills < 200:
            fanin.fill(big, "normal")
            fills += 1
        during = counted - before
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert during > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_can_fill():
    """The child process must not wait for the threads of fanin's pool, which exist only in the parent process."""
    script = """
import os, signal
import numpy as np, fanin
one = fanin.filled((1 << 11, 1 << 11), "normal", seed=1)
if os.fork() == 0:
    signal.alarm(60)
    os._exit(not np.array_equal(fanin.filled((1 << 11, 1 << 11), "normal", seed=1), one))
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=120).returncode == 0


def test_threads_can_fill_at_the_same_time():
    expected = [fanin.filled((300, 400), "normal", seed=seed) for seed in range(16)]
    got = [None] * 16

    def work(seed):
        got[seed] = fanin.filled((300, 400), "normal", seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(got, expected))
