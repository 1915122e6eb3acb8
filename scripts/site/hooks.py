"""Hooks of mkdocs. They convert what GitHub and Python-Markdown treat differently."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"^<!-- .*? -->\n", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()(\.\./[^)#\s]*)")
FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown, page, config, files):
    """Removes comments, which tests read, and links files outside of docs/ to the repository."""
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
    # The parts with an even number are outside of code. Python-Markdown needs an empty line between code and a list.
    parts = [part if number % 2 else LINK.sub(outside, part) for number, part in enumerate(parts)]
    return "\n".join(parts)
