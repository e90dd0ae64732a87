"""The commands beside a daemon that runs: a real process, a real site, and a person."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands, installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

FICKLE = """
    import os, pathlib
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        os.write(_file, f"{{event.id}} {{ctx.plugin}} every {{ctx.attempt}}\\n".encode())
        ctx.store["seen"] = ctx.store.get("seen", 0) + 1
        if event.event_type == "Studio_Bad" and pathlib.Path({fails!r}).exists():
            raise ValueError("fickle as ever")
        if event.event_type == "Studio_Write":
            made = ctx.sg.create("Shot", {{"code": f"by_{{event.id}}"}})
            ctx.sg.update("Shot", made["id"], {{"code": "renamed"}})
"""


class House:
    """A site, a daemon that runs on it, and commands for both.

    Args:
        daemon: The daemon.
        sgevents: The commands.
    """

    def __init__(self, daemon: RunningDaemon, sgevents: Commands) -> None:
        self.daemon = daemon
        self.sgevents = sgevents
        self.site = daemon.site
        self.fails = daemon.folder / "fails"
        self.daemon.install_writer("alpha")
        text = FICKLE.format(calls=str(self.daemon.calls), fails=str(self.fails))
        self.daemon.install("fickle", text)

    def event(self, kind: str) -> int:
        """Let an event happen, and wait until `alpha` got it."""
        event_id = self.site.event(kind)
        self.daemon.wait_for([event_id], "alpha")
        return event_id

    def bad_event(self) -> int:
        """Let an event happen on which `fickle` fails for good."""
        self.fails.touch()
        event_id = self.event("Studio_Bad")
        wait_until(lambda: event_id in [one["event_id"] for one in self.letters()])
        return event_id

    def letters(self) -> list[dict[str, object]]:
        """The dead letters, as the command lists them."""
        found: dict[str, list[dict[str, object]]] = self.sgevents(
            "dead-letters", "list", "--json"
        ).json
        return found["dead_letters"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A daemon that runs for all tests of this module."""
    folder = tmp_path_factory.mktemp("running")
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(folder, site)
        with installed_here(daemon) as sgevents:
            made = House(daemon, sgevents)
            with daemon.running() as process:
                made.event("Studio_First")
                yield made
                assert daemon.stop(process) == 0


def test_failure_is_read_retried_and_handled(house: House) -> None:
    """List, show, retry in vain, mend, retry: the letter is gone, the store has the change."""
    event = house.bad_event()
    number = house.letters()[-1]["number"]
    assert "fickle as ever" in house.sgevents("dead-letters", "list", "--event", event).text
    shown = house.sgevents("dead-letters", "show", number).text
    assert "ValueError: fickle as ever" in shown
    assert "fickle.py" in shown
    assert '"event_type": "Studio_Bad"' in shown
    assert house.sgevents("dead-letters", "show", number, "--json").json["event"]["id"] == event
    failed = house.sgevents("dead-letters", "retry", number)
    assert (failed.code, "failed again" in failed.stderr) == (1, True)
    house.fails.unlink()
    assert house.sgevents("dead-letters", "retry", number).code == 0
    assert house.letters() == []
    assert house.daemon.events_of("fickle").count(event) == 3


def test_letters_are_chosen_by_plugin_and_event(house: House) -> None:
    """All of a plugin, all for an event, or all there are; nothing named is a mistake."""
    events = [house.bad_event() for _ in range(3)]
    assert house.sgevents("dead-letters", "dismiss").code == 2
    assert house.sgevents("dead-letters", "dismiss", 1, "--all").code == 2
    assert house.sgevents("dead-letters", "dismiss", 4711).code == 2
    assert house.sgevents("dead-letters", "dismiss", "--plugin", "alpha").code == 1
    assert house.sgevents("dead-letters", "dismiss", "--event", events[0]).code == 0
    house.fails.unlink()
    said = house.sgevents("dead-letters", "retry", "--plugin", "fickle")
    assert said.text.count("was handled") == 2
    assert house.letters() == []


def test_paused_plugin_waits_and_catches_up(house: House) -> None:
    """Paused, it stands at the next event, as explain and tail say; resumed, it gets it."""
    assert house.sgevents("pause", "fickle", "--reason", "moving house").code == 0
    event = house.event("Studio_While_Paused")
    assert "paused, moving house" in house.sgevents("explain", event).text
    assert f"{event} Studio_While_Paused  -> alpha, fickle (not yet)" in house.sgevents("tail").text
    assert house.sgevents("skip", "fickle", event + 1).code == 1
    assert house.sgevents("resume", "fickle").code == 0
    house.daemon.wait_for([event], "fickle")


def test_skipped_event_is_passed_over(house: House) -> None:
    """The plugin goes on behind it, and explain says who skipped it."""
    house.sgevents("pause", "fickle")
    event = house.event("Studio_Skipped")
    assert house.sgevents("skip", "fickle", event).code == 0
    after = house.event("Studio_After")
    house.daemon.wait_for([after], "fickle")
    assert event not in house.daemon.events_of("fickle")
    explained = house.sgevents("explain", event, "--json").json
    (one,) = [c for c in explained["callbacks"] if c["plugin"] == "fickle"]
    assert one["fate"]["what"] == "skipped"


def test_replay_hands_events_out_again(house: House) -> None:
    """One, a range, all since an hour: to that plugin only."""
    event = house.event("Studio_Again")
    before = house.daemon.noted()
    assert house.sgevents("replay", "--plugin", "fickle", event).code == 0
    assert [n.plugin for n in house.daemon.noted()[len(before) :]] == ["fickle"]
    said = house.sgevents("replay", "--plugin", "fickle", f"{event - 1}-{event}")
    assert "replayed 2 events" in said.text
    since = house.sgevents("replay", "--plugin", "fickle", "--since", "1h", "--dry-run")
    assert f"event {event}\n" in since.text


def test_dry_run_changes_nothing_and_tells_what_it_would(house: House) -> None:
    """Writes are blocked and told, reads work, the store is as it was, the daemon is not asked."""
    house.daemon.wait_for([event := house.event("Studio_Write")], "fickle")
    house.sgevents("pause", "fickle")  # what it has just written are events too
    store, log = _store(house), len(house.site.event_rows())
    said = house.sgevents("replay", "--plugin", "fickle", event, "--dry-run")
    assert said.code == 0
    assert f'would create Shot {{"code": "by_{event}"}}' in said.text
    assert 'would update Shot -1 {"code": "renamed"}' in said.text
    assert "would keep 'seen' in its store" in said.text
    assert _store(house) == store
    assert len(house.site.event_rows()) == log
    assert house.sgevents("resume", "fickle").code == 0


def test_what_is_not_there_cannot_be_replayed(house: House) -> None:
    """An id to come, text that is no range, nothing said at all: exit code 2, and why."""
    for words in (["999999"], ["5-3"], ["soon"], [], ["3", "--since", "1h"], ["--since", "soon"]):
        assert house.sgevents("replay", "--plugin", "fickle", *words).code == 2, words


def test_explain_knows_every_callback(house: House) -> None:
    """Those called come first, numbered in call order, then those that do not want it, with why."""
    text = house.sgevents("explain", house.event("Studio_Plain")).text
    assert "  1. alpha alpha:on_event: handled" in text
    assert "  2. fickle fickle:on_event: handled" in text
    assert "alpha:changed: not called: " in text


def test_explain_of_what_nobody_has(house: House) -> None:
    """An id that is to come."""
    assert "not taken yet" in house.sgevents("explain", 999_999).text


def test_tail_shows_events_and_who_was_called(house: House) -> None:
    """The last ones, as many as asked for; as JSON for scripts."""
    events = [house.event("Studio_Tail") for _ in range(3)]
    house.daemon.wait_for(events, "fickle")
    lines = [json.loads(line) for line in house.sgevents("tail", "-n2", "--json").text.splitlines()]
    assert [line["event_id"] for line in lines] == events[1:]
    assert lines[0]["plugins"] == {"alpha": "handled", "fickle": "handled"}


def test_request_that_is_not_waited_for_is_done_all_the_same(house: House) -> None:
    """With no time to wait it says so, exits with 3, and the daemon does it."""
    said = house.sgevents("pause", "fickle", "--timeout", "0")
    assert said.code == 3
    assert "noted as request" in said.text
    wait_until(lambda: '"paused"' in house.sgevents("status", "--json").text)
    assert house.sgevents("resume", "fickle", "--timeout", "10s").code == 0


def test_state_is_checked_and_copied_beside_the_daemon(house: House, tmp_path: Path) -> None:
    """The copy holds the journal; a file in the way is not replaced unasked."""
    checked = house.sgevents("state", "check")
    assert checked.code == 0
    assert "the daemon runs on it" in checked.text
    copy = tmp_path / "copy.db"
    assert house.sgevents("state", "backup", copy).code == 0
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT count(*) FROM journal").fetchone()[0] > 0
    assert house.sgevents("state", "backup", copy).code == 2
    assert house.sgevents("state", "backup", copy, "--force").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db"]


def test_feed_is_reset_only_where_it_makes_sense(house: House) -> None:
    """A log that has not gone backwards is left alone, unless somebody insists."""
    assert house.sgevents("feed", "reset", "--from", "now").code == 1
    assert house.sgevents("feed", "reset", "--from", "soon").code == 2
    assert house.sgevents("feed", "reset", "--from", "now", "--force").code == 0
    event = house.event("Studio_New_Era")
    assert "era 2" in house.sgevents("explain", event).text


def test_daemon_of_an_older_version_is_not_asked(house: House) -> None:
    """A state that the running daemon would not understand any more is not touched."""
    database = house.daemon.folder / "state" / "sgevents.db"
    with closing(sqlite3.connect(database)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 1")
        try:
            said = house.sgevents("pause", "fickle")
        finally:
            db.execute(f"PRAGMA user_version = {version}")
    assert said.code == 1
    assert "Restart it" in said.stderr


def _store(house: House) -> object:
    with closing(sqlite3.connect(house.daemon.folder / "state" / "sgevents.db")) as db:
        return db.execute("SELECT * FROM stores").fetchall()


def test_request_noted_before_the_start_comes_before_the_first_event(tmp_path: Path) -> None:
    """A plugin that is to be paused gets nothing of what waits."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("beta")
        daemon.write_config()
        with installed_here(daemon) as sgevents:
            first = site.event("Studio_A")
            assert sgevents("run", "--drain").code == 0
            with closing(open_state(tmp_path / "state").requests()) as requests:
                requests.ask("pause", "beta", {}, "anna@host")
            site.event("Studio_B")
            drained = sgevents("run", "--drain").text
    assert daemon.events_of("beta") == [first]
    assert "plugin beta is paused: anna@host paused it" in drained
