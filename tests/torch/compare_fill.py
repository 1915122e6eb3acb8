"""Compares `fanin fill --stream torch` with torch.nn.init, byte for byte, and checks the errors of fanin.

    python tests/torch/compare_fill.py --fanin target/release/fanin [--only SUBSTRING] [--quick]

For each case, the script runs the binary in a temporary directory. It compares the values in the written file with
those of torch. The bytes must be equal, with two exceptions:
- orthogonal: torch's result depends on the build of LAPACK. Values must agree within 2e-5 (f32) or 1e-8 (f64). f16 and
  bf16 are not compared, because torch cannot factorize them.
- trunc_normal(method=inverse_cdf), the algorithm of torch before 2.12: the result of torch's erfinv depends on the CPU,
  because MKL chooses a kernel for the CPU. Values must agree within a few units in the last place.

fanin must print every warning of torch to stderr, with one exception. If the mean of trunc_normal is far outside of the
bounds, torch warns that the distribution "may be incorrect". With method=rejection, the distribution is correct, so
fanin must not print this warning.

The last line of the output is `N passed, M failed`. The exit code is 1 if a case fails.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file

DTYPES = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Names(dict):
    """The names that `eval` knows. An unknown name evaluates to itself as a string, for example fan_out in mode=fan_out."""

    def __missing__(self, name):
        return name


def read_spec(spec):
    """Parses a spec: `kaiming_uniform(a=sqrt(5), mode=fan_out)` -> ("kaiming_uniform", {"a": 2.23.., "mode": "fan_out"})."""
    name, _, arguments = spec.partition("(")
    words = Names(dict=dict, sqrt=math.sqrt, nan=math.nan, inf=math.inf)
    return name, eval(f"dict({arguments or ')'}", {"__builtins__": {}}, words)


def inverse_cdf_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Fills `tensor` like torch's `trunc_normal_` before torch 2.12. Returns the tensor."""
    low, high = ((1 + math.erf((bound - mean) / std / math.sqrt(2))) / 2 for bound in (a, b))
    tensor.uniform_(2 * low - 1, 2 * high - 1).erfinv_()
    return tensor.mul_(std * math.sqrt(2)).add_(mean).clamp_(min=a, max=b)


def torch_fill(tensor, spec):
    """Fills `tensor` by the function of torch.nn.init that `spec` names. Returns the warnings of torch as texts."""
    name, arguments = read_spec(spec)
    if name in ("orthogonal", "xavier_uniform", "xavier_normal") and isinstance(arguments.get("gain"), str):
        arguments["gain"] = torch.nn.init.calculate_gain(arguments["gain"])
    method = arguments.pop("method", "rejection")
    fill = inverse_cdf_ if method == "inverse_cdf" else getattr(torch.nn.init, name + "_")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fill(tensor, **arguments)
    return [str(warning.message) for warning in caught]


class Case(NamedTuple):
    """A fill that is compared with torch."""

    spec: str
    shape: tuple
    dtype: str = "f32"
    seed: int = 0

    def __str__(self):
        return f"{self.spec} --shape {','.join(map(str, self.shape))} --dtype {self.dtype} --seed={self.seed}"

    @property
    def close(self):
        """Whether the values may differ from those of torch by a tolerance."""
        return self.spec.startswith("orthogonal") or "inverse_cdf" in self.spec


SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1, -1]
DRAWN = ["uniform(a=-0.3, b=2.1)", "normal(mean=0.1, std=0.02)", "trunc_normal(std=0.02, a=-0.04, b=0.04)"]
TINY = [(0, 4), (1,), (1, 1), (15,), (16,), (17,), (3, 5), (7, 1, 3), (31,), (33,), (100,), (2, 3, 4, 5),
        (5, 2, 3, 3, 3)]  # fmt: skip
LARGE = [(257, 129), (1000003,)]
EVERY = [  # the shape is (6, 4, 3, 3), or (23, 17) if the scheme needs a matrix
    "uniform", "normal", "trunc_normal", "constant(val=0.3)", "ones", "zeros", "eye", "dirac(groups=2)",
    "xavier_uniform(gain=2)", "xavier_normal(gain=tanh)", "kaiming_uniform(a=sqrt(5))",
    "kaiming_normal(mode=fan_out, nonlinearity=relu)", "sparse(sparsity=0.9, std=0.01)",
]  # fmt: skip
TRUNCATED = [
    "trunc_normal(a=-1, b=1)",  # the bounds contain a fraction p = 0.68 of the normals: torch redraws normals outside
    "trunc_normal(mean=1, std=2, a=-1, b=2.5)",
    "trunc_normal(a=0.25, b=9)",  # values above 0.25: less than half of the distribution
    "trunc_normal(a=-0.4, b=0.4)",  # p = 0.3108, just above 0.3: torch draws normals
    "trunc_normal(a=-0.38, b=0.38)",  # p = 0.2961, just below 0.3: torch draws uniform proposals
    "trunc_normal(a=1, b=2)",
    "trunc_normal(a=2, b=6)",
    "trunc_normal(a=-6, b=-4)",
    "trunc_normal(mean=0.1, std=0.02, a=0.3, b=0.31)",  # bounds at 10 standard deviations from the mean
    "trunc_normal(mean=-0.3, std=0.7, a=0.1, b=0.12)",  # bounds close to each other
    "trunc_normal(mean=0.5, std=3, a=0.5, b=0.5)",  # equal bounds
    "trunc_normal(mean=5, a=-2, b=2)",
    "trunc_normal(std=0.02, method=rejection)",  # bounds at 100 standard deviations
]
INVERSE = [
    "trunc_normal(method=inverse_cdf)",
    "trunc_normal(mean=0.1, std=0.02, a=0.06, b=0.14, method=inverse_cdf)",
    "trunc_normal(mean=1, std=2, a=0, b=2.5, method=inverse_cdf)",
    "trunc_normal(std=0.02, method=inverse_cdf)",
]
EXTREME = {
    "f32": ["uniform(a=-1.5e38, b=1.5e38)", "uniform(a=0, b=1e-40)", "uniform(a=1, b=1.0000002)", "normal(std=1e-40)",
            "normal(mean=1e30, std=1e30)", "constant(val=3.4e38)", "constant(val=1e-45)"],
    "f64": ["uniform(a=-8e307, b=8e307)", "uniform(a=0, b=1e-310)", "uniform(a=1, b=1.0000000000000004)",
            "normal(std=1e-310)", "normal(mean=1e300, std=1e300)", "constant(val=1.7e308)"],
    "f16": ["uniform(a=0, b=65504)", "uniform(a=-65504, b=0)", "uniform(a=1, b=1.001)", "uniform(a=0, b=1e-6)",
            "normal(std=1e-7)", "normal(mean=0.3, std=1e-4)", "normal(std=30000)", "constant(val=65504)",
            "constant(val=1.0004882821813226)", "constant(val=-1e-8)"],
    "bf16": ["uniform(a=0, b=3.38e38)", "uniform(a=1, b=1.01)", "uniform(a=0, b=1e-40)", "normal(std=1e-40)",
             "normal(mean=0.3, std=1e-3)", "constant(val=1.0039062509313226)", "constant(val=3.38e38)"],
}  # fmt: skip
FANNED = [
    "kaiming_uniform", "kaiming_uniform(mode=fan_out)", "kaiming_uniform(nonlinearity=tanh)", "kaiming_normal(a=0.2)",
    "kaiming_uniform(a=-1.5, mode=FAN_OUT)", "kaiming_normal(nonlinearity=linear)", "kaiming_normal(nonlinearity=selu)",
    "kaiming_normal(mode=fan_out, nonlinearity=sigmoid)", "kaiming_uniform(nonlinearity=conv_transpose2d)",
    "kaiming_uniform(a=18.144)",  # torch computes a^2 by pow(), whose result differs from a * a here
    "xavier_uniform", "xavier_normal", "xavier_uniform(gain=relu)", "xavier_normal(gain=5/3)",
]  # fmt: skip
FAN_SHAPES = [(1, 1), (3, 5), (10, 7), (64, 3, 7, 7), (5, 2, 3, 3, 3), (30, 11, 4)]
SPARSE = [("sparse(sparsity=0.1)", (3, 5)), ("sparse(sparsity=0)", (4, 5)), ("sparse(sparsity=1)", (4, 5)),
          ("sparse(sparsity=0.5, std=2)", (1, 9)), ("sparse(sparsity=0.3)", (10, 1)),
          ("sparse(sparsity=0.7)", (700, 40)), ("sparse(sparsity=0.5)", (0, 3)), ("sparse(sparsity=0.5)", (3, 0)),
          ("sparse(sparsity=0.9, std=0)", (6, 6))]  # fmt: skip
FIXED = [("eye", (1, 1)), ("eye", (5, 3)), ("eye", (3, 5)), ("eye", (0, 4)), ("dirac", (3, 3, 3)), ("dirac", (4, 2, 5)),
         ("dirac(groups=3)", (9, 2, 4, 5)), ("dirac(groups=2)", (4, 6, 1, 2, 3)), ("dirac", (0, 2, 3)), ("ones", (0,)),
         ("constant(val=-0.0)", (5,)), ("zeros", (17,))]  # fmt: skip
ORTHOGONAL = [("orthogonal", (5, 3)), ("orthogonal", (3, 5)), ("orthogonal", (4, 4)), ("orthogonal", (16, 3, 3, 3)),
              ("orthogonal(gain=relu)", (6, 2, 2)), ("orthogonal(gain=2)", (1, 7)), ("orthogonal(gain=tanh)", (7, 1)),
              ("orthogonal(gain=-0.5)", (1, 1)), ("orthogonal", (96, 8, 3, 3)), ("orthogonal(gain=relu)", (130, 257)),
              ("orthogonal", (257, 130)), ("orthogonal", (200, 200)), ("orthogonal", (0, 3))]  # fmt: skip


def cases():
    """Yields all cases to be compared."""
    two_axes = ("eye", "sparse")
    for dtype in DTYPES:
        yield from (Case(s, (23, 17) if s.startswith(two_axes) else (6, 4, 3, 3), dtype, 42) for s in EVERY)
        yield from (Case(s, shape, dtype, 1) for s in DRAWN for shape in TINY + LARGE)
        yield from (Case(s, shape, dtype, 7) for s in TRUNCATED for shape in [(9,), (41, 25)])
        yield from (Case(s, (50, 20), dtype, 3) for s in EXTREME[dtype])
        yield from (Case(s, (9,), dtype, 3) for s in EXTREME[dtype])
        yield from (Case(s, shape, dtype, 5) for s, shape in SPARSE)
        yield from (Case(s, shape, dtype) for s, shape in FIXED)
        yield from (Case(s, shape, dtype, 11) for s in INVERSE for shape in [(9,), (41, 25)])
        if dtype in ("f32", "f64"):
            yield from (Case(s, shape, dtype, 13) for s, shape in ORTHOGONAL)
    for seed in SEEDS:
        yield from (Case(s, (5, 7), dtype, seed) for s in ("uniform", "normal") for dtype in DTYPES)
        yield from (Case(s, (5, 7), "f32", seed) for s in ("trunc_normal", "sparse(sparsity=0.4)"))
        yield from (Case(s, (13,), "f32", seed) for s in ("uniform", "normal"))
    for dtype in ("f32", "f64"):
        yield from (Case(s, shape, dtype, 2) for s in FANNED for shape in FAN_SHAPES)
    for s in ("kaiming_uniform", "kaiming_normal(mode=fan_out)", "xavier_uniform", "orthogonal"):
        yield from (Case(s, shape) for shape in [(0, 4), (4, 0), (0, 4, 4)])


# Requests that must fail: spec, shape and dtype, followed by all texts that stderr must contain. A text is the name or
# the value of an argument, or the message of torch.
ERRORS = [
    ("normal(std=-1)", "4,4", "f32", "std", "-1"),
    ("normal(std=nan)", "4,4", "f32", "std", "nan"),
    ("normal(std=inf)", "4,4", "f32", "std", "inf"),
    ("normal(mean=nan)", "4,4", "f32", "mean", "nan"),
    ("trunc_normal(std=-0.5)", "4,4", "f32", "std", "-0.5"),
    ("trunc_normal(std=0)", "4,4", "f32", "std", "0"),
    ("trunc_normal(a=2, b=1)", "4,4", "f32", "a", "2", "b", "1"),
    ("trunc_normal(a=nan)", "4,4", "f32", "a", "nan"),
    ("trunc_normal(method=magic)", "4,4", "f32", "method", "magic"),
    ("uniform(a=3, b=2.5)", "4,4", "f32", "a", "3", "b", "2.5"),
    ("uniform(a=nan)", "4,4", "f32", "a", "nan"),
    ("uniform(b=inf)", "4,4", "f32", "b", "inf"),
    ("uniform(a=-3e38, b=3e38)", "4,4", "f32", "a", "b"),
    ("uniform(b=70000)", "4,4", "f16", "b", "70000"),
    ("constant", "4,4", "f32", "val"),
    ("constant(val=70000)", "4,4", "f16", "val", "70000"),
    ("sparse(sparsity=1.5)", "4,4", "f32", "sparsity", "1.5"),
    ("sparse(sparsity=-0.1)", "4,4", "f32", "sparsity", "-0.1"),
    ("sparse(sparsity=nan)", "4,4", "f32", "sparsity", "nan"),
    ("sparse(sparsity=0.5, std=-2)", "4,4", "f32", "std", "-2"),
    ("sparse(sparsity=0.5)", "4,4,1", "f32", "Only tensors with 2 dimensions are supported"),
    ("xavier_uniform(gain=-1)", "4,4", "f32", "gain", "-1"),
    ("xavier_normal(gain=nan)", "4,4", "f32", "gain", "nan"),
    ("xavier_uniform", "4", "f32", "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"),
    ("kaiming_normal", "4", "f32", "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"),
    ("kaiming_uniform(a=nan)", "4,4", "f32", "nan"),
    ("kaiming_uniform(nonlinearity=rrelu)", "4,4", "f32", "Unsupported nonlinearity rrelu"),
    ("orthogonal(gain=softshrink)", "4,4", "f32", "Unsupported nonlinearity softshrink"),
    ("kaiming_normal(mode=fan_avg)", "4,4", "f32",
     "Mode fan_avg not supported, please use one of ['fan_in', 'fan_out']"),
    ("orthogonal", "4", "f32", "Only tensors with 2 or more dimensions are supported"),
    ("orthogonal(gain=nan)", "4,4", "f32", "gain", "nan"),
    ("eye", "3,3,3", "f32", "Only tensors with 2 dimensions are supported"),
    ("dirac", "4,4", "f32", "Only tensors with 3, 4, or 5 dimensions are supported"),
    ("dirac", "1,1,1,1,1,1", "f32", "Only tensors with 3, 4, or 5 dimensions are supported"),
    ("dirac(groups=0)", "4,4,3", "f32", "groups", "0"),
    ("dirac(groups=3)", "4,4,3", "f32", "dim 0 must be divisible by groups", "3"),
    ("dirac(groups=1.5)", "4,4,3", "f32", "groups", "1.5"),
    ("magic", "4,4", "f32", "magic"),
    ("normal(sd=1)", "4,4", "f32", "sd"),
    ("normal(std=0.02", "4,4", "f32", "normal(std=0.02"),
    ("normal", "4,-4", "f32", "shape", "-4"),
    ("normal", "4,x", "f32", "shape", "x"),
    ("normal", "9999999999,9999999999", "f32", "9999999999"),
    ("normal", "4,4", "f8", "dtype", "f8"),
]  # fmt: skip


def run(fanin, spec, shape, dtype, seed, path):
    """Runs `fanin fill`, and returns the finished process."""
    return subprocess.run(
        [fanin, "fill", spec, f"--shape={shape}", "--dtype", dtype, f"--seed={seed}", "--stream", "torch",
         "--name", "weight", "-o", str(path), "--force"],
        capture_output=True, text=True)  # fmt: skip


def tolerance(case, expected):
    """Returns the largest allowed absolute difference from torch's values, for a case in which these depend on the CPU."""
    if case.spec.startswith("orthogonal"):
        return 2e-5 if case.dtype == "f32" else 1e-8
    arguments = read_spec(case.spec)[1]
    size = max(abs(arguments.get("mean", 0)), arguments.get("std", 1), expected.abs().max().item())
    return 4 * torch.finfo(expected.dtype).eps * size


def difference(case, found, expected):
    """Compares the tensors in a file with torch's tensor `expected`. Returns the difference as text, or None.

    `found` maps the names in the file to tensors. The file must have one tensor, with the name "weight".
    """
    if list(found) != ["weight"]:
        return f"expected one tensor named weight, got {list(found)}"
    found = found["weight"]
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"got {found.dtype} {list(found.shape)}"
    if not found.numel():
        return None
    if case.close:
        wrong = ~((found.double() - expected.double()).abs() <= tolerance(case, expected))
    else:
        bits = BITS[expected.element_size()]
        wrong = found.view(bits) != expected.view(bits)
    if not wrong.any():
        return None
    first = wrong.nonzero()[0].tolist()
    got, by_torch = found[tuple(first)].item(), expected[tuple(first)].item()
    return f"first at {first}: expected {by_torch!r} as torch, got {got!r}; {wrong.sum().item()} of {wrong.numel()} differ"


def check_case(case, result, path):
    """Compares the file and the warnings of a finished command with torch. Returns None, or a text that says what differs."""
    expected = torch.empty(case.shape, dtype=DTYPES[case.dtype])
    torch.manual_seed(case.seed)
    warned = torch_fill(expected, case.spec)
    if result.returncode != 0:
        return f"exit code {result.returncode}: {result.stderr.strip()}"
    for text in warned:
        if "may be incorrect" in text and "inverse_cdf" not in case.spec:
            if text in result.stderr:
                return f"fanin prints {text!r}, although the values are correct"
        elif text not in result.stderr:
            return f"torch warns {text!r}, fanin prints {result.stderr.strip()!r}"
    return difference(case, load_file(path), expected)


def check_error(error, result, path):
    """Checks that a command failed with the texts of `error`, an entry of `ERRORS`. Returns what is wrong, or None."""
    if path.exists():
        return "a file was written"
    if result.returncode != 2:
        return f"expected exit code 2, got {result.returncode}: {result.stderr.strip()}"
    missing = [text for text in error[3:] if text.lower() not in result.stderr.lower()]
    return f"stderr does not contain {missing}: {result.stderr.strip()}" if missing else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fanin", required=True, help="path of the fanin binary")
    parser.add_argument("--only", default="", help="only cases whose line contains this")
    parser.add_argument("--quick", action="store_true", help="every sixth case, without those of a million values")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    grid = list(dict.fromkeys(cases()))
    if arguments.quick:
        grid = [case for case in grid if case.shape != (1000003,)][::6]
    grid = [case for case in grid if arguments.only in str(case)]
    errors = [error for error in ERRORS if arguments.only in " ".join(("error", *error[:3]))]

    failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:

        def job(number, spec, shape, dtype, seed):
            path = Path(folder, f"{number}.safetensors")
            return path, pool.submit(run, arguments.fanin, spec, shape, dtype, seed, path)

        # Two processes of fanin run while torch computes the expected values. Batches of 32 cases limit the number of
        # files in the folder.
        work = [(check_case, case, (case.spec, ",".join(map(str, case.shape)), case.dtype, case.seed)) for case in grid]
        work += [(check_error, error, (*error[:3], 0)) for error in errors]
        for start in range(0, len(work), 32):
            batch = work[start : start + 32]
            jobs = [job(start + i, *given) for i, (_, _, given) in enumerate(batch)]
            for (check, case, _), (path, future) in zip(batch, jobs):
                try:
                    wrong = check(case, future.result(), path)
                except Exception as error:  # an unreadable file must not stop the script
                    wrong = f"{type(error).__name__}: {error}"
                if wrong:
                    failed += 1
                    name = case if isinstance(case, Case) else "error " + " ".join(case[:3])
                    print(f"FAIL {name}\n     {wrong}")
                path.unlink(missing_ok=True)
    print(f"{len(work) - failed} passed, {failed} failed")
    return 1 if failed or not work else 0


if __name__ == "__main__":
    sys.exit(main())
