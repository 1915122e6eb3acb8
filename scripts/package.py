"""Builds and checks all packages: the source distribution, the wheel, and the crates. `cargo xtask package` runs it.

    python scripts/package.py --out target/package [--skip-crates | --skip-wheel] [--native]

The steps are those of a release. The source distribution is built from the files in git. The wheel is built from the
source distribution. On Linux, zig links the wheel against an old glibc, unless --native is given. The wheel is then
installed and used with each version of Python on the machine, from 3.10 to 3.15. Nothing is published.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The crates that are published. Each crate depends only on crates before it in this list.
CRATES = ("fanin", "fanin-recipe", "fanin-checkpoint", "fanin-analysis", "fanin-cli")
LICENSES = ("LICENSE-MIT", "LICENSE-APACHE", "NOTICE")
GLIBC = "manylinux_2_28"
#: The largest allowed size of a wheel, in bytes.
GREATEST = 5_000_000
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")

#: A program that uses the installed wheel. It fails if a result is wrong.
PROGRAM = """
import importlib.metadata, subprocess, sys
import numpy as np
import fanin

w = fanin.fill(np.empty((256, 128), np.float32), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight")
rows = fanin.filled((2, 128), "kaiming_normal(nonlinearity=relu)", seed=42, name="fc.weight", global_shape=(256, 128), start=(254, 0))
assert (rows == w[254:]).all() and abs(w.std() - (2 / 128) ** 0.5) < 0.003
fanin.write_checkpoint("resnet50", "resnet50.safetensors", seed=0, force=True)
assert fanin.verify("resnet50.safetensors", "resnet50", seed=0)
assert fanin.__version__ == importlib.metadata.version("fanin")
assert len(importlib.metadata.files("fanin")) > 50
subprocess.run([sys.executable, "-m", "fanin", "verify", "resnet50.safetensors", "--recipe", "resnet50", "-q"], check=True)
print("Python", sys.version.split()[0], "NumPy", np.__version__, "fanin", fanin.__version__)
"""


def run(*command: object, cwd: Path = ROOT, quiet: bool = False) -> str:
    """Runs a command, and returns what it prints. Ends the program if the command fails."""
    print("+", *command, file=sys.stderr, flush=True)
    # The running Python must be the first Python in PATH: maturin looks for zig in the packages of that Python.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode or not quiet:
        print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"{command[0]}: exit code {done.returncode}")
    return done.stdout


def check(condition: object, message: str) -> None:
    """Ends the program with a message if a condition is false."""
    if not condition:
        sys.exit(f"package: {message}")


def addresses() -> str:
    """Checks that the version and the URLs are the same in all files that contain them. Returns the URL of the repository."""
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    repository, homepage = cargo["repository"], cargo["homepage"]
    check(project["urls"]["Repository"] == repository, f"pyproject.toml must name the repository {repository}")
    check(project["urls"]["Homepage"] == homepage, f"pyproject.toml must name the homepage {homepage}")
    site = (ROOT / "mkdocs.yml").read_text()
    check(f"repo_url: {repository}\n" in site and f"site_url: {homepage}\n" in site, "mkdocs.yml has other addresses than Cargo.toml")
    check(f"version: {cargo['version']}\n" in (ROOT / "CITATION.cff").read_text(), "CITATION.cff has another version than Cargo.toml")
    check(f"## {cargo['version']}" in (ROOT / "CHANGELOG.md").read_text(), "CHANGELOG.md does not have this version")
    for crate in CRATES:
        package = tomllib.loads((ROOT / f"crates/{crate}/Cargo.toml").read_text())["package"]
        check(package["documentation"] == f"https://docs.rs/{crate}", f"{crate}: documentation must be https://docs.rs/{crate}")
    return repository


def copied_sources(folder: Path, repository: str) -> None:
    """Copies the files of the repository to a folder. Makes the relative links in the copy of README.md absolute.

    The links must be absolute, because PyPI shows README.md without the rest of the repository.
    """
    for name in run("git", "ls-files", quiet=True).splitlines():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    readme = folder / "README.md"
    text = re.sub(r"\]\((?![a-z]+:|#)([^)]+)\)", rf"]({repository}/blob/main/\1)", readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")


def source_distribution(out: Path, sources: Path) -> Path:
    """Builds the source distribution and checks its files. Returns its path."""
    run(sys.executable, "-m", "maturin", "sdist", "--out", out, cwd=sources)
    sdist = next(out.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in ("PKG-INFO", "README.md", "Cargo.lock", "pyproject.toml", "crates/fanin-python/python/fanin/py.typed", *LICENSES):
        check(name in names, f"{sdist.name} does not have {name}")
    check(not any(name.endswith((".so", ".pyc", ".safetensors")) for name in names), f"{sdist.name} has built files")
    return sdist


def wheel(out: Path, sdist: Path, native: bool) -> Path:
    """Builds the wheel from the source distribution and checks it. Returns its path."""
    unpacked = out / "unpacked"
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    linux = platform.system() == "Linux" and not native
    options = ["--compatibility", GLIBC, "--zig"] if linux else []
    run(sys.executable, "-m", "maturin", "build", "--release", *options, "--out", out, cwd=next(unpacked.iterdir()))
    shutil.rmtree(unpacked)
    built = next(out.glob("*.whl"))
    size = built.stat().st_size
    print(f"{built.name}: {size / 1e6:.2f} MB")
    check("-cp310-abi3-" in built.name, f"{built.name} must be an abi3 wheel for Python 3.10")
    check(size < GREATEST, f"{built.name} has {size} bytes, more than {GREATEST}")
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        module = next(name for name in names if re.fullmatch(r"fanin/_fanin.*\.(so|pyd)", name))
        if module.endswith(".so") and platform.system() == "Linux":
            stripped(archive.read(module))
    # The wheel must contain all files of the package: modules, type stubs, and the style sheets and scripts of HTML pages.
    folder = "crates/fanin-python/python/"
    for name in run("git", "ls-files", folder, quiet=True).splitlines():
        check(name.removeprefix(folder) in names, f"{built.name} does not have {name}")
    for name in LICENSES:
        check(any(other.endswith(f"licenses/{name}") for other in names), f"{built.name} does not have {name}")
    check(not any("tests/" in name or name.endswith(".pyc") for name in names), f"{built.name} has files that it should not have")
    if linux:
        shown = run(sys.executable, "-m", "auditwheel", "show", built)
        found = re.search(r'is consistent with\s+the following platform tag:\s+"manylinux_2_(\d+)_', shown)
        check(found and int(found[1]) <= 28, f"{built.name} needs a newer glibc than {GLIBC}")
    return built


def stripped(module: bytes) -> None:
    """Checks that a module has neither symbols nor debug information."""
    import io

    from elftools.elf.elffile import ELFFile

    sections = {section.name for section in ELFFile(io.BytesIO(module)).iter_sections()}
    check(".symtab" not in sections and ".debug_info" not in sections, "the module must be stripped")


def interpreters() -> dict[str, str]:
    """Returns an interpreter for each release of Python that is found on the path or in pyenv."""
    found = {}
    pyenv = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin/python3"))
    names = [shutil.which(f"python{version}") for version in PYTHONS]
    for python in [*map(str, pyenv), *filter(None, names), sys.executable]:
        version = subprocess.run(
            [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
        ).stdout.strip()
        if version in PYTHONS:
            found.setdefault(version, python)
    return dict(sorted(found.items(), key=lambda item: PYTHONS.index(item[0])))


def used(out: Path, built: Path) -> None:
    """Installs the wheel for each interpreter, and runs a program that uses the wheel."""
    pythons = interpreters()
    for version, python in pythons.items():
        home = out / f"python{version}"
        run(python, "-m", "venv", "--clear", home)
        bin_folder = home / ("Scripts" if os.name == "nt" else "bin")
        run(bin_folder / "python", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "numpy", built)
        run(bin_folder / "python", "-c", PROGRAM, cwd=home)
        run(bin_folder / "fanin", "--version", cwd=home)
        shutil.rmtree(home)
    print("installed and used with Python", ", ".join(pythons))
    missing = [version for version in PYTHONS if version not in pythons]
    if missing:
        print("not found, so not tested: Python", ", ".join(missing))


def crates(out: Path, verify: bool) -> None:
    """Packages the crates, in the order of their dependencies, and checks their files."""
    chosen = [word for crate in CRATES for word in ("--package", crate)]
    options = ["--allow-dirty", "--locked", *([] if verify else ["--no-verify"])]
    target = out / "cargo"
    run("cargo", "package", *chosen, *options, "--target-dir", target)
    for crate in CRATES:
        package = next((target / "package").glob(f"{crate}-[0-9]*.crate"))
        with tarfile.open(package) as archive:
            names = {name.split("/", 1)[1] for name in archive.getnames()}
            manifest = tomllib.loads(archive.extractfile(f"{package.stem}/Cargo.toml").read().decode())["package"]
        for name in ("README.md", *LICENSES):
            check(name in names, f"{package.name} does not have {name}")
        for key in ("description", "license", "repository", "homepage", "documentation", "readme", "keywords", "rust-version"):
            check(manifest.get(key), f"{package.name}: {key} is missing")
        print(f"{package.name}: {package.stat().st_size / 1e3:.0f} kB, {len(names)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "target/package", help="the folder for the packages")
    parser.add_argument("--skip-wheel", action="store_true", help="package the crates only")
    parser.add_argument("--skip-crates", action="store_true", help="build the source distribution and the wheel only")
    parser.add_argument("--native", action="store_true", help="link the wheel against the glibc of this machine, without zig")
    parser.add_argument("--verify", action="store_true", help="also build each crate from its package")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    repository = addresses()
    if not arguments.skip_crates:
        crates(out, arguments.verify)
    if not arguments.skip_wheel:
        copied_sources(out / "sources", repository)
        sdist = source_distribution(out, out / "sources")
        built = wheel(out, sdist, arguments.native)
        shutil.rmtree(out / "sources")
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, built)
        used(out, built)


if __name__ == "__main__":
    main()
