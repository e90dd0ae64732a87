"""Hostile values in names, reasons, errors and stores: shown as text, bounded, never executed."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_states import fill_state
from console_visits import config_file, console_client
from hostile_states import (
    FIRST_EVENT,
    NAMES,
    TEXTS,
    fill_with_hostile_events,
    fill_with_hostile_plugins,
)
from starlette.testclient import TestClient

from sgevents_core.console.pages import PAGES
from sgevents_core.console.pages.events import LONGEST_LISTED
from sgevents_core.console.shown_values import shortened

EXECUTED = ("<script>alert", "<img src=x", " onmouseover='a", '" autofocus', "54439")
INVISIBLE = "\x1b\x07\x00\x08\x7f\x85\u202e\u2066\u200f\u2028\ufeff"
MOST_BYTES = 2_000_000
"""The most that a page has, whatever the values in it."""


@pytest.fixture
def hostile_config(tmp_path: Path) -> Path:
    """A state with a plugin for each kind of text, which is its name, its error and its store."""
    fill_with_hostile_plugins(tmp_path / "studio")
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


@pytest.fixture
def hostile_events(tmp_path: Path) -> Path:
    """A journal in which every value of a row is hostile; each event has a failure with it."""
    fill_with_hostile_events(tmp_path / "studio")
    return config_file(tmp_path)


def test_hostile_rows_are_shown_as_text(hostile_events: Path) -> None:
    """In the list, taken apart, in groups of failures, in their previews, and as JSON."""
    pages = [("events", {}), ("events", {"type": TEXTS["ansi"], "entity": TEXTS["markup"]})]
    pages += [("failures", {"plugin": name}) for name in NAMES.values()]
    pages += [("failures", {"error": TEXTS["quotes"]}), ("failures-preview", {"action": "retry"})]
    preview = {"action": "retry", "plugin": NAMES["right to left"], "error": TEXTS["markup"]}
    pages += [("failures-preview", preview), ("log", {})]
    numbers = [[*TEXTS].index(kind) + FIRST_EVENT for kind in ("markup", "control", "long")]
    pages += [("event", {"id": str(number)}) for number in numbers]
    with console_client([hostile_events]) as client:
        for path, query in pages:
            page = read(client, (f"/sites/studio/{path}", query))
            assert not [text for text in EXECUTED if text in page], (path, query)
            typed = "".join(query.values())  # a form shows again what was typed into it
            shown = [one for one in INVISIBLE if one in page and one not in typed]
            assert not shown, (path, query)
            answer = client.get(f"/api/v1/sites/studio/{path}", params=query)
            assert answer.status_code == 200, (path, query)
            assert not [one for one in INVISIBLE if one in answer.text], (path, query)
        listed = client.get("/api/v1/sites/studio/events").json()["events"]
        markup = client.get("/api/v1/sites/studio/event?id=201").json()["event"]
    types = [event["event_type"] for event in reversed(listed)]
    assert types == [shortened(text, LONGEST_LISTED) for text in TEXTS.values()]
    assert markup["event_type"] == TEXTS["markup"]


def test_secrets_of_the_configuration_are_on_no_page(tmp_path: Path) -> None:
    """A failure that quotes the key shows asterisks, in HTML and JSON."""
    fill_state(tmp_path / "studio", "notify", "refused: key-of-studio")
    more = "[plugins.notify]\nenabled = true\n"
    with console_client([config_file(tmp_path, more=more)]) as client:
        for path in ("/sites/studio/", "/api/v1/sites/studio/overview", "/?all"):
            answer = client.get(path)
            assert "refused: ***" in answer.text
            assert "key-of-studio" not in answer.text
