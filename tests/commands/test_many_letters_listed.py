"""`sgevents dead-letters` where there are very many: pages, groups, decisions about all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.failures import Failure
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

COUNT = 2_500


@pytest.fixture
def sgevents(tmp_path: Path) -> Iterator[Commands]:
    """The commands, on a state with dead letters of two plugins."""
    folder = tmp_path / "state"
    folder.mkdir()
    with closing(open_state(folder).writer()) as state:
        fence = state.take_lane("default")
        for plugin in ("notify", "other"):
            state.record("default", fence, Step(plugins=[PluginRecord(plugin, "default")]))
        error = "ValueError: no shot 7"
        failure = Failure("notify", "notify:on_new", 1, 1, 1, error, "", 1.0, "dead-letter")
        state.record("default", fence, Step(failure=failure, dead=True))
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.executemany(
            "INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback,"
            " traceback_id, at, outcome, dead, body, era)"
            " SELECT ?, ? || ':on_new', ?, ?, attempt, ?, traceback, traceback_id, at, outcome,"
            " dead, x'7b7d', era FROM failures WHERE id = 1",
            (
                (plugin, plugin, n, n, f"ValueError: no shot {n}")
                for n in range(2, COUNT + 1)
                for plugin in [("notify", "other")[n % 5 == 0]]
            ),
        )
        db.commit()
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        yield Commands(daemon)


def test_list_shows_a_page_and_counts_the_rest(sgevents: Commands) -> None:
    """Not thousands of lines; it says how to go on, and the next page does."""
    first = sgevents("dead-letters", "list").text.splitlines()
    assert len(first) == 52
    assert first[-1].startswith(f"{COUNT - 50} more: --after 50")
    assert sgevents("dead-letters", "list", "--after", 50).text.splitlines()[1].startswith("    51")
    assert len(sgevents("dead-letters", "list", "--limit", 3).text.splitlines()) == 5
    last = sgevents("dead-letters", "list", "--after", COUNT - 1).text.splitlines()
    assert len(last) == 2
    assert "There are no more" in sgevents("dead-letters", "list", "--after", COUNT).text


def test_all_are_shown_when_asked_for(sgevents: Commands) -> None:
    """As lines for people, and as one JSON list."""
    assert len(sgevents("dead-letters", "list", "--all").text.splitlines()) == COUNT + 1
    found = sgevents("dead-letters", "list", "--json").json["dead_letters"]
    assert [one["number"] for one in found] == list(range(1, COUNT + 1))
    assert len(sgevents("dead-letters", "list", "--json", "--limit", 2).json["dead_letters"]) == 2
    nobodys = sgevents("dead-letters", "list", "--json", "--plugin", "nobody").json
    assert nobodys == {"version": 1, "dead_letters": []}


def test_groups_sum_them_up(sgevents: Commands) -> None:
    """One line for each cause, whatever ids its error names."""
    lines = sgevents("dead-letters", "list", "--groups").text.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["2000", "1", "notify", "notify:on_new"],
        ["500", "5", "other", "other:on_new"],
    ]
    (group,) = sgevents("dead-letters", "list", "--groups", "--json", "--limit", 1).json["groups"]
    assert (group["letters"], group["error"]) == (2000, "ValueError: no shot #")


def test_a_group_is_dismissed_as_one(sgevents: Commands) -> None:
    """By the error that `--groups` prints, in a few steps, and no other."""
    words = ("--plugin", "notify", "--error", "ValueError: no shot #")
    said = sgevents("dead-letters", "dismiss", *words)
    assert said.code == 0
    assert said.text.splitlines() == ["notify: 1000 dead letters dismissed"] * 2
    left = sgevents("dead-letters", "list", "--json").json["dead_letters"]
    assert {one["plugin"] for one in left} == {"other"}
    assert len(left) == 500
    assert sgevents("dead-letters", "dismiss", "--callback", "notify:on_new").code == 1


def test_answers_to_very_many_are_summed_up(sgevents: Commands) -> None:
    """A line for each of many retries that are refused would hide what came of them."""
    said = sgevents("dead-letters", "retry", "--plugin", "other", "--error", "shot 5")
    assert said.code == 1
    assert said.text.count("not loaded") == 20
    assert said.text.splitlines()[-1] == "other: 23 refused"
