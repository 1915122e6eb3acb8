"""Hooks of mkdocs, which convert Markdown that GitHub and Python-Markdown treat differently."""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"^<!-- .*? -->\n", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()(\.\./[^)#\s]*)")
FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)


def _to_pages(markdown):
    """Replaces links to notebooks in other folders (FOLDER/NAME.ipynb) by links to their pages (FOLDER/NAME.md).

    A link without a folder (NAME.ipynb) still leads to the file of the notebook.
    """
    return re.sub(r"(\]\([^)\s]*/[^)\s]*)\.ipynb\)", r"\1.md)", markdown)


def on_files(files, config):
    """Adds a page for each notebook, with its cells and outputs."""
    for notebook in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join(part for cell in cells for part in _parts(cell))
        text += f"\n\n[{notebook.name}]({notebook.name}) has the cells of this page.\n"
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
    return files


def _parts(cell):
    """Yields the Markdown of a notebook's cell and of its outputs."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", [])})
        if "text/html" in data:
            yield f'<div class="output" markdown="0">{"".join(data["text/html"])}</div>'
        else:
            yield "```text\n" + "".join(data["text/plain"]).rstrip() + "\n```"


def on_page_markdown(markdown, page, config, files):
    """Removes HTML comments, which only tests read. Links to files outside of docs/ become links to the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def outside(match):
        target = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if target.startswith("docs/"):
            return match[0]
        if not (ROOT / target).exists():
            raise ValueError(f"{page.file.src_uri}: there is no file {target}")
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{match[1]}{config.repo_url.rstrip('/')}/{kind}/main/{target}"

    parts = FENCE.split(COMMENT.sub("\n", markdown))
    # The parts with an even index are outside of code blocks.
    parts = [part if number % 2 else LINK.sub(outside, _to_pages(part)) for number, part in enumerate(parts)]
    # The join adds an empty line after each code block, because Python-Markdown needs one between code and a list.
    return "\n".join(parts)
