"""`sgevents events`: the journal searched from a command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands
from journal_rows import AT, event_row, grow
from running_daemon import RunningDaemon
from state_values import failure

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state
from sgevents_core.state.steps import Step

HOSTILE = "\x1b[2J<b>\u202e"


@pytest.fixture
def sgevents(tmp_path: Path) -> Iterator[Commands]:
    """Commands for a state with twelve events, one of them with names that do harm."""
    (tmp_path / "state").mkdir()
    with Sandbox(project=False) as site, closing(open_state(tmp_path / "state").writer()) as state:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        grow(state, [event_row(n, at=AT + n) for n in range(1, 12)])
        link = {"type": "Shot", "id": 5, "name": HOSTILE}
        grow(state, [event_row(12, HOSTILE, entity=link, user=link, project=link)], late=[12])
        fence = state.take_lane("main")
        state.record("main", fence, Step(failure=failure(HOSTILE, seq=3, event_id=3), dead=True))
        yield Commands(daemon)


def test_newest_first_page_by_page(sgevents: Commands) -> None:
    """As many as are asked for, then how to continue; the last page says nothing of the kind."""
    listed = sgevents("events", "--limit", "4")
    assert [line.split()[2] for line in listed.text.splitlines()[1:5]] == ["12", "11", "10", "9"]
    assert listed.text.endswith("4 events shown: --before 9 continues\n")
    rest = sgevents("events", "--before", "9", "--json").json
    assert [event["event_id"] for event in rest["events"]] == list(range(8, 0, -1))
    assert rest["complete"] is True
    assert "continues" not in sgevents("events").text


def test_chosen(sgevents: Commands) -> None:
    """Options choose together; nothing found is said, and no error."""
    assert sgevents("events", "--entity", "Shot 5", "--late", "--json").json["events"][0]["late"]
    failed = sgevents("events", "--failed", "--plugin", HOSTILE, "3-5", "--json").json["events"]
    assert [(event["event_id"], event["failures"]) for event in failed] == [
        (3, {HOSTILE: "dead letter"})
    ]
    nothing = sgevents("events", "--type", "Studio_*")
    assert (nothing.code, nothing.text) == (0, "There are no such events in the journal.\n")


def test_names_are_only_shown(sgevents: Commands) -> None:
    """No name moves the cursor or begins a line."""
    text = sgevents("events").text
    assert "\\x1b[2J<b>\\u202e" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--before", "99"], "99"),
        (["4-2"], "4-2"),
        (["--since", "soon"], "soon"),
    ],
)
def test_wrong_values(sgevents: Commands, words: list[str], said: str) -> None:
    """Each is named, and nothing is listed."""
    refused = sgevents("events", *words)
    assert refused.code == 2
    assert said in refused.stderr
    assert refused.stdout == ""
