"""Hostile values in names, reasons, errors and stores: shown as text, bounded, never executed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from console_states import fill_state
from console_visits import config_file, console_client
from journal_rows import AT, event_row, grow
from starlette.testclient import TestClient
from state_values import failure

from sgevents_core.console.pages import PAGES
from sgevents_core.console.pages.events import LONGEST_LISTED
from sgevents_core.console.shown_values import shortened
from sgevents_core.state.opening import open_state
from sgevents_core.state.steps import Step

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


@pytest.fixture
def hostile_events(tmp_path: Path) -> Path:
    """A journal in which every value of a row is hostile; each event has a failure with it."""
    (tmp_path / "studio").mkdir()
    with closing(open_state(tmp_path / "studio").writer()) as state:
        fence = state.take_lane("main")
        for number, (kind, text) in enumerate(TEXTS.items(), 1):
            link = {"type": text, "id": number, "name": text}
            meta = {"old_value": text, "new_value": [text], "entity_type": text, text: text}
            project = {**link, "type": "Project"}
            values: dict[str, Any] = {"entity": link, "user": link, "project": project}
            row = event_row(number, text, AT, attribute_name=text, meta=meta, **values)
            grow(state, [row], late=[number])
            failed = failure(NAMES[kind], seq=number, event_id=number, error=text, traceback=text)
            state.record("main", fence, Step(failure=failed, dead=True))
            state.record("main", fence, Step(failure=failed))
    return config_file(tmp_path)


def test_hostile_rows_are_shown_as_text(hostile_events: Path) -> None:
    """In the list, taken apart, in groups of failures, in their previews, and as JSON."""
    pages = [("events", {}), ("events", {"type": TEXTS["ansi"], "entity": TEXTS["markup"]})]
    pages += [("failures", {"plugin": name}) for name in NAMES.values()]
    pages += [("failures", {"error": TEXTS["quotes"]}), ("failures-preview", {"action": "retry"})]
    preview = {"action": "retry", "plugin": NAMES["right to left"], "error": TEXTS["markup"]}
    pages += [("failures-preview", preview), ("log", {})]
    numbers = [[*TEXTS].index(kind) + 1 for kind in ("markup", "control", "long")]
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
        markup = client.get("/api/v1/sites/studio/event?id=1").json()["event"]
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
