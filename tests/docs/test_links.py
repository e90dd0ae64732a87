"""Links within the documentation lead somewhere; looked at without a browser or a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from doc_pages import DOCS, ROOT, blocks, headings, name_of, pages, prose

from sgevents_core.hookspecs import EVENT_HOOKS, hook_arguments
from sgevents_core.state.plugin_record import PluginState

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_to_pages_and_headings_that_are_there(page: Path) -> None:
    """A page that was renamed, or a heading that was reworded, is found here."""
    for target in LINK.findall(re.sub(r"`[^`]*`", "", prose(page))):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert parts.netloc, target
            continue
        file = (page.parent / parts.path).resolve() if parts.path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if parts.fragment:
            assert parts.fragment in headings(file), target


def toctree(index: Path) -> set[Path]:
    """The pages that the index lists."""
    listed: set[Path] = set()
    for block in blocks(index):
        if block.language == "{toctree}":
            for line in block.text.splitlines():
                if line and not line.startswith(":"):
                    found = list(DOCS.glob(f"{line}.md"))
                    assert found, line
                    listed.update(found)
    return listed


def test_every_page_is_in_the_index() -> None:
    """A page that no list names is read by nobody."""
    listed = toctree(DOCS / "index.md") | {DOCS / "index.md"}
    assert listed == {page for page in pages() if page.is_relative_to(DOCS)}


def test_headings_of_a_page_differ() -> None:
    """Else a link to the second would lead to the first."""
    for page in pages():
        if page.name == "CHANGELOG.md":
            continue  # it has the same headings for every version
        found = re.findall(r"^#{1,3} (.+)$", prose(page), re.MULTILINE)
        assert len(set(found)) == len(found), page


@pytest.mark.parametrize("picture", sorted(DOCS.glob("*/*.svg")), ids=name_of)
def test_picture_stands_alone_and_has_colours_for_light_and_dark(picture: Path) -> None:
    """It loads nothing, refers to nothing that is missing, and every colour has two values."""
    text = picture.read_text("utf-8")
    root = ElementTree.fromstring(text)
    ids = {element.get("id") for element in root.iter()}
    assert set(re.findall(r"url\(#([\w-]+)\)", text)) <= ids
    described_by = set((root.get("aria-labelledby") or "").split())
    assert len(described_by & ids) == 2, "a title and a description"
    assert re.findall(r"(?:href|src)=", text) == []
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    rules = re.findall(r"\{([^{}]*--ew-paper:[^{}]*)\}", text)
    assert len(rules) == 4
    for rule in rules:
        assert set(re.findall(r"(--[\w-]+):", rule)) == used


def shown_states() -> set[str]:
    """The states that `sgevents status` can show."""
    return set(get_args(PluginState)) | {"catching up", "disabled", "not loaded"}


def test_picture_of_the_states_has_each_of_them() -> None:
    """Picture and page name every state, and explain every arrow that has a number."""
    picture = (DOCS / "explanation" / "plugin-states.svg").read_text("utf-8")
    page = (DOCS / "explanation" / "plugin-states.md").read_text("utf-8")
    drawn = re.findall(r'class="head"[^>]*>([^<]+)<', picture)
    assert set(drawn) - {"start or reload"} == shown_states()
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == shown_states()
    arrows = sorted(int(number) for number in re.findall(r'class="num"[^>]*>(\d+)<', picture))
    assert arrows == [int(number) for number in re.findall(r"^(\d+)\. ", page, re.MULTILINE)]


def test_picture_of_the_hook_order_has_each_hook_that_is_not_an_event_hook() -> None:
    """A hook that is added is drawn too."""
    picture = (DOCS / "reference" / "hook-order.svg").read_text("utf-8")
    others = set(hook_arguments()) - set(EVENT_HOOKS)
    drawn = set(re.findall(r'class="code"[^>]*>([^<]+)<', picture))
    assert others == drawn - set(EVENT_HOOKS)
