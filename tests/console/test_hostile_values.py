"""Hostile values in names, reasons, errors and stores: shown as text, bounded, never executed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from console_states import fill_state
from console_visits import config_file, console_client
from starlette.testclient import TestClient

from sgevents_core.console.pages import PAGES
from sgevents_core.state.opening import open_state

TEXTS = {
    "markup": '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7777 }}',
    "quotes": "' onmouseover='alert(1)' \" autofocus onfocus=\"alert(1)",
    "ansi": "\x1b[31mred\x1b[0m\x07\x1b]0;title\x07",
    "right to left": "\u202egnp.exe \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u2066\u200f",
    "control": "a\x08c\x7fd\x85e\u2028f\ufefffull",
    "long": "x" * 1_000_000,
    "long words": "no spaces anywhere" * 3000,
}
EXECUTED = ("<script>alert", "<img src=x", " onmouseover='a", '" autofocus', "54439")
INVISIBLE = "\x1b\x07\x00\x08\x7f\x85\u202e\u2066\u200f\u2028\ufeff"
MOST_BYTES = 2_000_000
"""The most that a page has, whatever the values in it."""
NAMES = {kind: text[:120] for kind, text in TEXTS.items()}


@pytest.fixture
def hostile_config(tmp_path: Path) -> Path:
    """A state with a plugin for each kind of text, which is its name, its error and its store."""
    for kind, text in TEXTS.items():
        fill_state(tmp_path / "studio", NAMES[kind], text)
    with closing(open_state(tmp_path / "studio").requests()) as requests:
        for kind, text in TEXTS.items():
            requests.ask("pause", NAMES[kind], {"reason": text}, text[:1000])
    return config_file(tmp_path)


def addresses(root: str, *, overview: str) -> list[tuple[str, dict[str, str]]]:
    """Return the addresses of the pages that need no parameter, and of one plugin each."""
    plain: list[tuple[str, dict[str, str]]] = [
        (f"{root}/{page.path or overview}", {})
        for page in PAGES
        if page.in_navigation and page.template
    ]
    return [*plain, *((f"{root}/plugin", {"name": NAMES[kind]}) for kind in ("markup", "ansi"))]


def read(client: TestClient, address: tuple[str, dict[str, str]]) -> str:
    """Return the text of a page."""
    answer = client.get(address[0], params=address[1])
    assert answer.status_code == 200, address
    assert len(answer.content) < MOST_BYTES, address
    return str(answer.text)


def test_hostile_texts_are_shown_as_text(hostile_config: Path) -> None:
    """On every page: no markup of theirs, no invisible character, and no endless page.

    JSON has the values themselves, in characters that a terminal shows as they are.
    """
    with console_client([hostile_config]) as client:
        for address in [*addresses("/sites/studio", overview=""), ("/", {"all": ""})]:
            page = read(client, address)
            assert not [text for text in EXECUTED if text in page], address
            assert not [character for character in INVISIBLE if character in page], address
        for address in addresses("/api/v1/sites/studio", overview="overview"):
            answer = client.get(address[0], params=address[1])
            assert answer.status_code == 200, address
            assert not [character for character in INVISIBLE if character in answer.text], address
        plugins = client.get("/api/v1/sites/studio/overview").json()["plugins"]
    assert {plugin["name"] for plugin in plugins} == set(NAMES.values())


def test_secrets_of_the_configuration_are_on_no_page(tmp_path: Path) -> None:
    """A failure that quotes the key shows asterisks, in HTML and JSON."""
    fill_state(tmp_path / "studio", "notify", "refused: key-of-studio")
    more = "[plugins.notify]\nenabled = true\n"
    with console_client([config_file(tmp_path, more=more)]) as client:
        for path in ("/sites/studio/", "/api/v1/sites/studio/overview", "/?all"):
            answer = client.get(path)
            assert "refused: ***" in answer.text
            assert "key-of-studio" not in answer.text
