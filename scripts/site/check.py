"""Checks relative links in the Markdown files of the repository, and that the site shows pages as GitHub does.

    python scripts/site/check.py target/site/html       # after `mkdocs build`
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
SLUG = slugify(case="lower")
#: The kinds of HTML elements that are counted on each page.
TAGS = ("h2", "h3", "p", "li", "table", "tr", "td", "pre", "code", "img")


def pages() -> list[Path]:
    """Returns the Markdown files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(ROOT / line for line in listed.stdout.splitlines())


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            children = tokens[number + 1].children or []
            slug = SLUG("".join(child.content for child in children), "-")
            same = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found)
            found.add(f"{slug}-{same}" if same else slug)
    return found


def links(page: Path) -> Iterator[str]:
    """Yields the targets of the links and pictures of a page."""
    for token in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        for child in token.children or []:
            target = child.attrs.get("href") or child.attrs.get("src")
            if isinstance(target, str):
                yield target


def broken_links() -> Iterator[str]:
    """Yields a message for each relative link to a file or an anchor that does not exist."""
    for page in pages():
        for link in links(page):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                yield f"{page.relative_to(ROOT)}: there is no file {link}"
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                yield f"{page.relative_to(ROOT)}: there is no heading {link}"


def rendered_otherwise(site: Path) -> Iterator[str]:
    """Yields a message for each page and tag (of `TAGS`) if the site and GitHub show different numbers of elements."""
    for page in pages():
        # GitHub does not show the docstrings of the pages in docs/python.
        if ROOT / "docs" not in page.parents or page.parent.name == "python":
            continue
        source = page.relative_to(ROOT / "docs")
        folder = source.parent if page.name == "README.md" else source.with_suffix("")
        article = (site / folder / "index.html").read_text(encoding="utf-8").split("<article", 1)[1].split("</article", 1)[0]
        expected = MARKDOWN.render(page.read_text(encoding="utf-8"))
        for tag in TAGS:
            counts = [len(re.findall(rf"<{tag}[ >]", text)) for text in (expected, article)]
            if counts[0] != counts[1]:
                yield f"docs/{source}: {counts[0]} times <{tag}> on GitHub, {counts[1]} times on the site"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    wrong = [*broken_links(), *rendered_otherwise(Path(sys.argv[1]))]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(pages())} pages: all links lead to a file or a heading, and the site shows the pages as GitHub does")


if __name__ == "__main__":
    main()
