"""Thousands of rows that show late: the feed parks them, and a person says what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commanding import Commands, installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

OLD = range(10, 1510)
"""Rows that are hidden at first; all are older than an hour."""
YOUNG = range(5990, 5995)
"""Rows of the last minute that are hidden at first, too."""
LAST = 6000


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon for a site of which its script sees only a part."""
    with Sandbox(project=False) as site:
        site.fill(LAST)
        site.hide([*OLD, *YOUNG])
        made = RunningDaemon(tmp_path, site)
        made.feed = 'poll_interval = "50ms"\nidle_interval = "50ms"\nstart = 1\n'
        made.feed += 'backlog_timeout = "100ms"\n'
        made.install_writer("alpha")
        made.write_config()
        yield made


@pytest.fixture
def sgevents(daemon: RunningDaemon) -> Iterator[Commands]:
    """Commands; the daemon has run, and the rows show now: the next start's audit finds them."""
    with installed_here(daemon) as commands:
        with daemon.running() as process:
            wait_until(lambda: given_up(commands) == len([*OLD, *YOUNG]), what="none is waited for")
            daemon.wait_for(SEEN, "alpha")
            assert daemon.stop(process) == 0
        daemon.site.show()
        yield commands


SEEN = [id_ for id_ in range(1, LAST + 1) if id_ not in OLD and id_ not in YOUNG]


def given_up(sgevents: Commands) -> Any:
    """How many ids are no longer waited for."""
    feed = sgevents("status", "--json").json["feed"]
    return feed and feed["given_up"]


def parked(sgevents: Commands) -> Any:
    """How many rows are parked, as the status says."""
    return sgevents("status", "--json").json["feed"]["parked"]


def test_parked_and_handled_without_a_daemon(daemon: RunningDaemon, sgevents: Commands) -> None:
    """Young rows are handed out; of the old ones it is said how many, which, and what to do."""
    assert sgevents("feed", "parked").text == "Nothing is parked.\n"
    assert sgevents("feed", "parked", "handle").text == "feed: nothing is parked\n"
    assert daemon.drain() == 0
    assert daemon.events_of("alpha") == [*SEEN, *YOUNG]
    (told,) = [record for record in daemon.told() if record["action"] == "feed.parked"]
    assert (told["level"], told["rows"]) == ("error", 1500)
    assert (told["event_id"], told["last_event_id"]) == (10, 1509)
    feed = sgevents("status", "--json").json["feed"]
    assert (feed["parked"], feed["parked_first"], feed["parked_last"]) == (1500, 10, 1509)
    assert feed["parked_since"] > "2026-01-01T00:00:00"
    status = sgevents("status").text
    assert "1500 rows that came late are parked, events 10 to 1509" in status
    assert "sgevents feed parked" in status
    assert "parked" in sgevents("explain", 10).text
    shown = sgevents("feed", "parked")
    assert "1500 rows, parked since 20" in shown.text
    assert "\n  10 to 1509\n" in shown.text
    assert "sgevents feed parked handle" in shown.text
    (as_json,) = sgevents("feed", "parked", "--json").json["parked"]
    assert (as_json["rows"], as_json["ranges"]) == (1500, [[10, 1509]])
    said = sgevents("feed", "parked", "handle")
    assert said.code == 0, said
    assert "1500 parked rows, events 10 to 1509, will be handed to the plugins" in said.text
    assert parked(sgevents) == 0
    assert daemon.drain() == 0
    assert daemon.events_of("alpha") == [*SEEN, *YOUNG, *OLD]


def test_handled_beside_the_daemon(daemon: RunningDaemon, sgevents: Commands) -> None:
    """The running daemon hands them out at once, and newer events do not wait for them."""
    with daemon.running() as process:
        wait_until(lambda: parked(sgevents) == len(OLD), what="they are parked")
        newer = daemon.site.event("Studio_Newer")
        daemon.wait_for([newer, *YOUNG], "alpha")
        assert not set(OLD) & set(daemon.events_of("alpha"))
        said = sgevents("feed", "parked", "handle")
        assert said.code == 0, said
        daemon.wait_for(OLD, "alpha")
        assert daemon.stop(process) == 0
    got = daemon.events_of("alpha")
    assert [id_ for id_ in got if id_ in OLD] == [*OLD]
    assert len(got) == len(set(got)) == LAST + 1
    assert daemon.tells("feed.unparked")


def test_a_kill_while_they_are_handled(daemon: RunningDaemon, sgevents: Commands) -> None:
    """The next start hands out the rest: only the callback in hand may be called once more."""
    with daemon.running() as process:
        wait_until(lambda: parked(sgevents) == len(OLD), what="they are parked")
        before = daemon.calls_noted()
        assert sgevents("feed", "parked", "handle").code == 0
        wait_until(lambda: daemon.calls_noted() > before + 100, what="some are handled")
        process.kill()
        process.wait()
    assert daemon.drain() == 0
    got = [id_ for id_ in daemon.events_of("alpha") if id_ in OLD]
    assert sorted(set(got)) == [*OLD]
    assert len(got) - len(OLD) <= 1
    assert parked(sgevents) == 0


def test_a_kill_before_it_is_carried_out(daemon: RunningDaemon, sgevents: Commands) -> None:
    """A decision that was written down is carried out by the next start, and once."""
    assert daemon.drain() == 0
    detail = {"decision": "handle", "era": 1, "numbers": [1]}
    with closing(open_state(daemon.folder / "state").requests()) as requests:
        for _ in range(2):
            requests.ask("parked", "", detail, "anna@host")
    with daemon.running() as process:
        daemon.wait_for(OLD, "alpha")
        assert daemon.stop(process) == 0
    assert [id_ for id_ in daemon.events_of("alpha") if id_ in OLD] == [*OLD]
    assert sum(record["action"] == "feed.unparked" for record in daemon.told()) == 1


@pytest.mark.parametrize("running", [True, False])
def test_dropped(daemon: RunningDaemon, sgevents: Commands, running: bool) -> None:
    """No plugin gets them, now or after another audit; what became of them is remembered."""
    if running:
        with daemon.running() as process:
            wait_until(lambda: parked(sgevents) == len(OLD), what="they are parked")
            said = sgevents("feed", "parked", "drop")
            assert daemon.stop(process) == 0
    else:
        assert daemon.drain() == 0
        said = sgevents("feed", "parked", "drop")
    assert said.code == 0
    assert "1500 parked rows, events 10 to 1509, are dropped" in said.text
    assert parked(sgevents) == 0
    assert "dropped" in sgevents("explain", 700).text
    daemon.site.hide(OLD)
    assert daemon.drain() == 0
    daemon.site.show()
    assert daemon.drain() == 0
    assert not set(OLD) & set(daemon.events_of("alpha"))
    assert sum(record["action"] == "feed.parked" for record in daemon.told()) == 1


def test_a_decision_is_about_what_was_shown(daemon: RunningDaemon, sgevents: Commands) -> None:
    """What was parked after the person looked waits for a decision of its own."""
    assert daemon.drain() == 0
    detail = {"decision": "drop", "era": 1, "numbers": [7]}
    with closing(open_state(daemon.folder / "state").requests()) as requests:
        number = requests.ask("parked", "", detail, "anna@host")
        with daemon.running() as process:
            wait_until(lambda: requests.answer_of(number) is not None, what="it is answered")
            assert daemon.stop(process) == 0
        answer = requests.answer_of(number)
    assert answer is not None
    assert answer.text == "none of these rows is parked any more"
    assert parked(sgevents) == len(OLD)


def test_a_new_era_knows_no_parked_rows(daemon: RunningDaemon, sgevents: Commands) -> None:
    """`feed reset` clears them: their ids mean other events from there on."""
    assert daemon.drain() == 0
    assert parked(sgevents) == len(OLD)
    assert sgevents("feed", "reset", "--from", "now", "--force").code == 0
    assert parked(sgevents) == 0
    assert sgevents("feed", "parked", "handle").text == "feed: nothing is parked\n"
