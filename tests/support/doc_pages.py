"""The pages of the documentation as tests read them: fenced blocks, links, headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


def pages() -> list[Path]:
    """The pages of the documentation, and the texts beside it that link to them."""
    texts = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
    beside = [ROOT / name for name in (*texts, "sgevents_plugins_example/README.md")]
    return [*sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts), *beside]


def name_of(page: Path) -> str:
    """A page's name in a test's id."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = _FENCE.findall(page.read_text("utf-8"))
    return [Block(language.strip(), text) for _, language, text in found]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def headings(page: Path) -> set[str]:
    """What the headings of a page are linked by."""
    lines = re.findall(r"^#{1,3} (.+)$", prose(page), re.MULTILINE)
    return {slug(line) for line in lines}


def slug(heading: str) -> str:
    """What a heading is linked by: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
