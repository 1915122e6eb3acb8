"""Writes a seed corpus for each fuzz target into `fuzz/corpus`, from the files of the repository.

    python fuzz/seeds.py

The corpus has the specs, recipes, replays, manifests and indexes in tests and docs. It also has the recipes and
shortened manifests of the built-in models. The shortened manifests are also written as safetensors files and as indexes
of sharded checkpoints. Existing files are kept.
"""

import hashlib
import json
import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1}


def add(target: str, seed: str | bytes, most: int = 4096) -> None:
    """Writes a seed to a file named by its SHA-1 digest. Ignores a seed that is empty or longer than `most` bytes."""
    data = seed.encode() if isinstance(seed, str) else seed
    if 0 < len(data) <= most:
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def sources():
    """Yields the text of all files that may contain specs, recipes or replays."""
    for suffix in ("rs", "md", "py", "toml", "tsv"):
        for path in ROOT.rglob(f"*.{suffix}"):
            parts = path.relative_to(ROOT).parts
            if not {"target", "corpus", ".git"} & set(parts):
                yield path.read_text(encoding="utf-8")


def strings(text: str):
    """Yields the string literals and the fenced blocks of a source file."""
    for match in re.finditer(r'r#"(.*?)"#|"((?:[^"\\\n]|\\.|\\\n)*)"', text, re.DOTALL):
        if match[1] is not None:
            yield match[1]
        else:
            yield re.sub(r"\\\n\s*", "", match[2]).replace(r"\n", "\n").replace(r"\"", '"')
    yield from re.findall(r"```(?:toml|json)\n(.*?)```", text, re.DOTALL)


def add_texts() -> None:
    """Adds specs, recipes, replays, manifests and indexes from tests and docs."""
    for text in sources():
        for line in text.splitlines():
            if "\t" in line and not line.startswith("#"):
                add("spec", line.split("\t")[0], 200)
        for string in strings(text):
            if re.fullmatch(r"[a-z][a-z_0-9]*(\(.*\))?", string.strip(), re.DOTALL):
                add("spec", string.strip(), 300)
            if "[replay]" in string or "[tensors]" in string:
                add("replay", string)
            elif "[init]" in string:
                add("recipe", string)
            if "weight_map" in string:
                add("index", string)
            elif string.lstrip().startswith("{") and '"dtype"' in string:
                add("manifest", string.replace("{{", "{").replace("}}", "}"))


def safetensors(tensors: dict, metadata: dict | None = None) -> bytes:
    """Returns a safetensors file in which all values are zero bytes."""
    header, start = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape) in tensors.items():
        size = BYTES[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(start)


def add_models() -> None:
    """Adds the recipes and manifests of the built-in models, and safetensors files and indexes made from the manifests."""
    models = ROOT / "crates" / "fanin-recipe" / "models"
    for path in models.glob("*.toml"):
        add("recipe", path.read_text(encoding="utf-8"))
    for path in models.glob("*.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        metadata = manifest.pop("__metadata__", {})
        for count in (1, 3, 12):
            first = dict(list(manifest.items())[:count])
            add("manifest", json.dumps({"__metadata__": metadata, **first}))
            small = {name: (t["dtype"], [min(n, 3) for n in t["shape"]]) for name, t in first.items()}
            add("header", safetensors(small, metadata))
            files = {name: f"{'ab'[n % 2]}.safetensors" for n, name in enumerate(first)}
            add("index", json.dumps({"metadata": {"total_size": 8}, "weight_map": files}, indent=2))
    add("header", safetensors({f"t.{dtype}": (dtype, [2, 3]) for dtype in BYTES}))
    add("header", safetensors({"empty": ("F32", [0, 4]), "scalar": ("I64", [])}))


if __name__ == "__main__":
    add_texts()
    add_models()
    for folder in sorted(CORPUS.iterdir()):
        print(f"{folder.name}: {len(list(folder.iterdir()))} seeds")
