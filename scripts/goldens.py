"""Writes the golden files crates/fanin/tests/golden/*.tsv: values of torch.nn.init, for Rust tests that run without torch.

    python scripts/goldens.py            writes the files
    python scripts/goldens.py --check    compares new values with the files; the exit code is 1 if a value differs

The script needs safetensors and torch. The files were written with torch 2.15. The specs and most cases come from
tests/torch/compare_fill.py. torch.tsv and sequences.tsv have a hash of the values of each fill. Values that torch
computes with LAPACK or MKL depend on the CPU. orthogonal.tsv and inverse_cdf.tsv have such values. Instead of hashes,
these two files have all values, which are compared within a tolerance.
"""

import argparse
import base64
import gzip
import hashlib
import math
import struct
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "torch"))
import compare_fill as grid  # noqa: E402

FOLDER = ROOT / "crates" / "fanin" / "tests" / "golden"
REGENERATE = f"# torch {torch.__version__}; made by `python scripts/goldens.py`: do not edit."
CALL = """\
# seed     as given to torch.manual_seed
# shape    the logical shape
# layout   the memory filled: c contiguous; t torch.empty(reversed shape).t(); cl channels_last;
#          s2 torch.empty(..., 2 * last)[..., ::2]"""
HASHED = """\
# sha256   first 16 hex digits, of the logical row-major bytes, little endian
# first    the first four logical values' bits in hex, comma separated; - if there are none"""
IN_FULL = """\
# values   every logical value's bits in hex, row-major, comma separated"""
STATE = """\
# state    first 16 hex digits of the SHA-256 of torch.get_rng_state() (5056 bytes) after the call"""


def empty(shape, dtype, layout="c"):
    """Returns a tensor of NaN in the memory order `layout` (see CALL). An element that a fill does not write stays NaN."""
    dtype = grid.DTYPES[dtype]
    tensor = {
        "c": lambda: torch.empty(shape, dtype=dtype),
        "t": lambda: torch.empty(shape[::-1], dtype=dtype).t(),
        "cl": lambda: torch.empty(shape, dtype=dtype, memory_format=torch.channels_last),
        "s2": lambda: torch.empty(*shape[:-1], 2 * shape[-1], dtype=dtype)[..., ::2],
    }[layout]()
    return tensor.fill_(math.nan)


def raw(tensor):
    """Returns the bytes of the tensor's values in logical row-major order."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def values(tensor):
    """Returns the bits of the tensor's values in hexadecimal, separated by commas, or "-" if there are no values."""
    data, size = raw(tensor), tensor.element_size()
    return ",".join(data[i : i + size][::-1].hex() for i in range(0, len(data), size)) or "-"


def short_hash(data):
    return hashlib.sha256(data).hexdigest()[:16]


def state_bytes():
    return torch.get_rng_state().numpy().tobytes()


def dimensions(shape):
    return ",".join(map(str, shape))


def row(*fields):
    return "\t".join(map(str, fields))


def filled(spec, shape, dtype, layout):
    """Fills a tensor by torch. Returns the hash of its values, its first four values, and the hash of the generator's state."""
    tensor = empty(shape, dtype, layout)
    grid.torch_fill(tensor, spec)
    return short_hash(raw(tensor)), values(tensor.flatten()[:4]), short_hash(state_bytes())


# The shapes that are filled in each memory order. torch's normal_ uses another algorithm for fewer than 16 values, and
# for tensors that are not contiguous. (2, 1, 5, 5) in channels_last and (1, 40) transposed are contiguous. (1, 5, 6, 1)
# in channels_last is not.
STRIDED = {
    "t": [(3, 5), (17, 33), (1, 40)],
    "cl": [(2, 3, 2, 1), (5, 6, 7, 3), (2, 1, 5, 5), (1, 5, 6, 1)],
    "s2": [(2, 3), (5, 34), (3, 4, 5)],
}
STRIDED_SPECS = ["uniform(a=-0.3, b=2.1)", "normal(mean=0.1, std=0.02)", "trunc_normal", "trunc_normal(a=1, b=2)"]


def torch_cases():
    """Yields pairs of a case and a memory order: some smaller cases of compare_fill, and cases in other memory orders."""
    chosen = []
    for case in dict.fromkeys(grid.cases()):
        if case.close or math.prod(case.shape) > 40_000 or case.spec.startswith("sparse") and case.shape == (700, 40):
            continue
        always = case.spec in grid.EVERY and case.seed == 42
        if always or case.shape == (257, 129) or len(chosen) % 3 == 0:
            yield case, "c"
        chosen.append(case)
    dtypes = list(grid.DTYPES)
    for layout, shapes in STRIDED.items():
        for i, shape in enumerate(shapes):
            for j, spec in enumerate(STRIDED_SPECS):
                yield grid.Case(spec, shape, dtypes[(i + j) % 4], 17), layout
                if spec.startswith("trunc_normal"):
                    yield grid.Case(spec, shape, dtypes[(i + j + 1) % 4], 18), layout
    for spec, shape, layout in [
        ("sparse(sparsity=0.4)", (7, 10), "t"), ("sparse(sparsity=0.4)", (7, 10), "s2"), ("eye", (5, 3), "t"),
        ("dirac(groups=2)", (4, 2, 3, 3), "cl"), ("constant(val=0.3)", (2, 3), "s2"), ("zeros", (3, 2, 2, 2), "cl"),
        ("kaiming_uniform(a=sqrt(5))", (8, 3, 3, 3), "cl"), ("kaiming_normal(mode=fan_out)", (12, 9), "t"),
        ("xavier_uniform", (6, 4), "s2"), ("xavier_normal", (5, 4, 3, 2), "cl"),
    ]:  # fmt: skip
        yield from ((grid.Case(spec, shape, dtype, 19), layout) for dtype in ("f32", "f16"))


def torch_file():
    yield "# torch.nn.init, one call after one torch.manual_seed."
    yield from (REGENERATE, CALL, HASHED, STATE)
    yield row("# id", "spec", "dtype", "seed", "shape", "layout", "sha256", "first", "state")
    for number, (case, layout) in enumerate(torch_cases(), 1):
        torch.manual_seed(case.seed)
        result = filled(case.spec, case.shape, case.dtype, layout)
        yield row(number, case.spec, case.dtype, case.seed, dimensions(case.shape), layout, *result)


SEQUENCES = [
    (  # after 15 normals, the generator stores the second normal of a pair, which a later fill uses or discards
        5,
        [
            ("normal", "f32", (15,), "c"), ("uniform", "f32", (5,), "c"),
            ("normal(mean=0.1, std=0.02)", "f64", (3,), "c"), ("normal", "f32", (40,), "c"),
            ("normal", "f16", (1,), "c"), ("normal", "bf16", (2,), "c"),
            ("normal", "f64", (1,), "c"), ("zeros", "f32", (9,), "c"), ("normal(std=3)", "f16", (4,), "c"),
        ],
    ),
    (
        -1,
        [
            ("trunc_normal", "f32", (7,), "c"), ("sparse(sparsity=0.5)", "f32", (3, 5), "c"),
            ("trunc_normal(a=1, b=2)", "f64", (5,), "c"), ("normal", "f16", (17,), "c"), ("normal", "bf16", (33,), "c"),
            ("sparse(sparsity=0.3, std=1)", "f64", (1, 3), "c"), ("trunc_normal(a=1, b=2)", "f16", (20,), "c"),
            ("trunc_normal", "bf16", (3, 7), "s2"), ("normal", "f32", (1,), "c"),
        ],
    ),
    (  # fills that cross word 624 or 1248, at which the generator computes the next block of 624 words
        2**32 + 9,
        [
            ("uniform", "f32", (623,), "c"), ("uniform", "f64", (1,), "c"), ("uniform", "f16", (622,), "c"),
            ("uniform", "f32", (1,), "c"), ("uniform", "f32", (1,), "c"), ("normal", "f64", (17,), "c"),
            ("uniform(a=-1, b=1)", "f64", (5, 7), "t"), ("normal", "f32", (5, 7), "t"),
            ("normal", "f64", (2, 3, 2, 2), "cl"), ("normal", "f32", (3, 3), "s2"),
            ("kaiming_normal", "f32", (3, 3), "c"), ("xavier_uniform", "bf16", (4, 4), "c"),
            ("uniform", "f32", (0, 3), "c"), ("normal", "f32", (0,), "c"), ("normal", "f64", (1,), "c"),
        ],
    ),
]  # fmt: skip


def sequences_file():
    yield "# Fills in a row from one generator, seeded once before step 1 of each sequence."
    yield from (REGENERATE, CALL, HASHED, STATE)
    yield row("# sequence", "step", "spec", "dtype", "seed", "shape", "layout", "sha256", "first", "state")
    for number, (seed, steps) in enumerate(SEQUENCES, 1):
        torch.manual_seed(seed)
        for step, (spec, dtype, shape, layout) in enumerate(steps, 1):
            result = filled(spec, shape, dtype, layout)
            yield row(number, step, spec, dtype, seed, dimensions(shape), layout, *result)


def values_file(title, cases):
    yield title
    yield from (REGENERATE, CALL, IN_FULL, STATE)
    yield row("# id", "spec", "dtype", "seed", "shape", "layout", "values", "state")
    for number, (spec, shape, layout) in enumerate(cases, 1):
        for dtype in ("f32", "f64"):
            tensor = empty(shape, dtype, layout)
            torch.manual_seed(number)
            grid.torch_fill(tensor, spec)
            result = values(tensor), short_hash(state_bytes())
            yield row(f"{number}{dtype}", spec, dtype, number, dimensions(shape), layout, *result)


def orthogonal_file():
    return values_file(
        "# torch.nn.init.orthogonal_. LAPACK builds differ: compare within 2e-5 (f32), 1e-8 (f64). The state is exact.",
        [
            ("orthogonal", (5, 3), "c"), ("orthogonal", (3, 5), "c"), ("orthogonal", (4, 4), "c"),
            ("orthogonal(gain=relu)", (6, 2, 2), "c"), ("orthogonal(gain=2)", (1, 7), "c"), ("orthogonal", (7, 1), "c"),
            ("orthogonal(gain=-0.5)", (1, 1), "c"), ("orthogonal(gain=tanh)", (2, 3, 2, 2), "c"),
            ("orthogonal", (9, 8), "c"), ("orthogonal", (4, 6), "t"), ("orthogonal", (6, 4), "s2"),
        ],
    )  # fmt: skip


def inverse_cdf_file():
    return values_file(
        "# trunc_normal_ as torch had it before 2.12. Its erfinv differs from CPU to CPU in the last bits: compare\n"
        "# within 4 eps * max(|mean|, std, largest |value|). The state is exact.",
        [(spec, shape, "c") for spec in grid.INVERSE for shape in ((9,), (5, 4))],
    )


def state_file():
    yield "# One complete generator state, with a cached normal in it."
    yield REGENERATE
    yield "# state    torch.get_rng_state() after torch.manual_seed(123) and torch.randn(7): 5056 bytes, gzip, base64"
    yield "# cached   the normal that waits in it, f64 bits in hex, bytes 5024 to 5032 of the state"
    yield "# next     the next five of torch.randn(1, dtype=torch.float64), bits in hex; the cached one comes first"
    yield "# after    first 16 hex digits of the SHA-256 of the state after those"
    torch.manual_seed(123)
    torch.randn(7)
    state = state_bytes()
    yield row("state", base64.b64encode(gzip.compress(state, 9, mtime=0)).decode())
    yield row("cached", struct.unpack("<Q", state[5024:5032])[0].to_bytes(8, "big").hex())
    yield row("next", values(torch.cat([torch.randn(1, dtype=torch.float64) for _ in range(5)])))
    yield row("after", short_hash(state_bytes()))


FILES = {
    "torch.tsv": torch_file,
    "sequences.tsv": sequences_file,
    "orthogonal.tsv": orthogonal_file,
    "inverse_cdf.tsv": inverse_cdf_file,
    "state.tsv": state_file,
}


def rows(text):
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def same(name, old, new):
    """Returns whether two rows of the file `name` agree. Values that depend on the CPU may differ by a tolerance."""
    if name == "state.tsv" and old[0] == new[0] == "state":
        return unpack(old[1]) == unpack(new[1])  # the compressed bytes may differ, because they depend on the version of zlib
    if old == new or name not in ("orthogonal.tsv", "inverse_cdf.tsv"):
        return old == new
    if old[:6] + old[7:] != new[:6] + new[7:]:
        return False
    _, spec, dtype, seed, shape = new[:5]
    decoded = ([number(bits) for bits in text.split(",")] for text in (old[6], new[6]))
    found, expected = (torch.tensor(numbers, dtype=torch.float64) for numbers in decoded)
    case = grid.Case(spec, shape, dtype, seed)
    return bool(((found - expected).abs() <= grid.tolerance(case, expected.to(grid.DTYPES[dtype]))).all())


def unpack(text):
    return gzip.decompress(base64.b64decode(text))


def number(bits):
    return struct.unpack({8: ">f", 16: ">d"}[len(bits)], bytes.fromhex(bits))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the existing files, write nothing")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name, make in FILES.items():
        text, path = "\n".join(make()) + "\n", FOLDER / name
        if not check:
            path.write_text(text)
            print(f"{name}: {len(rows(text))} rows, {len(text)} bytes")
            continue
        old, new = rows(path.read_text() if path.exists() else ""), rows(text)
        different = [i for i, pair in enumerate(zip(old, new)) if not same(name, *pair)]
        if different or len(old) != len(new):
            failures += 1
            print(f"{name}: {len(old)} rows, {len(new)} expected, {len(different)} differ")
            for i in different[:3]:
                print(f"  file     {old[i]}\n  expected {new[i]}")
        else:
            print(f"{name}: {len(new)} rows, unchanged")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
