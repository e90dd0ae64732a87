"""A log that went backwards: the feed stands still, and a person says where it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands, installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon that follows a site, with one plugin."""
    with Sandbox(project=False) as site:
        made = RunningDaemon(tmp_path, site)
        made.feed += 'idle_interval = "50ms"\n'
        made.install_writer("alpha")
        made.write_config()
        yield made


@pytest.fixture
def sgevents(daemon: RunningDaemon) -> Iterator[Commands]:
    """The commands."""
    with installed_here(daemon) as commands:
        yield commands


def rewound(sgevents: Commands) -> bool:
    """Whether the feed stands still."""
    feed = sgevents("status", "--json").json["feed"]
    return feed is not None and bool(feed["rewound"])


def test_reset_beside_the_daemon(daemon: RunningDaemon, sgevents: Commands) -> None:
    """A new era begins where the person says; ids that come again are other events."""
    site = daemon.site
    with daemon.running() as process:
        old = [site.event("Studio_Old") for _ in range(5)]
        daemon.wait_for(old, "alpha")
        site.rewind(0)
        wait_until(lambda: rewound(sgevents))
        again = [site.event("Studio_New") for _ in range(2)]
        assert again == old[:2]
        said = sgevents("feed", "reset", "--from", again[0])
        assert said.code == 0, said
        assert f"era 2 begins at event {again[0]}" in said.text
        wait_until(lambda: len(daemon.events_of("alpha")) == 7)
        assert not rewound(sgevents)
        assert daemon.stop(process) == 0
    assert daemon.events_of("alpha") == [*old, *again]
    explained = sgevents("explain", again[0], "--json").json
    assert (explained["era"], explained["event"]["event_type"]) == (2, "Studio_New")
    assert sgevents("tail", "--json", "-n0").text == ""


def test_reset_of_a_stopped_daemon_loses_nothing(daemon: RunningDaemon, sgevents: Commands) -> None:
    """What was appended and not handed out is handed out first, in the old order."""
    site = daemon.site
    with daemon.running() as process:
        old = [site.event("Studio_Old") for _ in range(3)]
        daemon.wait_for(old, "alpha")
        assert sgevents("pause", "alpha").code == 0
        unseen = site.event("Studio_Unseen")
        wait_until(lambda: sgevents("status", "--json").json["events"] == 4)
        site.rewind(0)
        wait_until(lambda: rewound(sgevents))
        assert daemon.stop(process) == 0
    new = site.event("Studio_New")
    assert sgevents("feed", "reset", "--from", "1h").code == 0
    assert sgevents("resume", "alpha").code == 0
    assert sgevents("run", "--drain").code == 0
    assert daemon.events_of("alpha") == [*old, unseen, new]
    assert new == old[0]


def test_keys_of_two_eras_differ(daemon: RunningDaemon, sgevents: Commands) -> None:
    """`ctx.key` names an event of one era only; within an era it stays as it was."""
    daemon.install("keys", _KEYS.format(calls=str(daemon.folder / "keys.txt")))
    daemon.write_config()
    daemon.site.event("Studio_A")
    assert sgevents("run", "--drain").code == 0
    assert sgevents("feed", "reset", "--from", "1", "--force").code == 0
    assert sgevents("run", "--drain").code == 0
    keys = (daemon.folder / "keys.txt").read_text().splitlines()
    host = daemon.site.url.removeprefix("http://")
    assert keys == [f"{host}:{era}:1:keys:keys:on_event" for era in (1, 2)]


_KEYS = """
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        with open({calls!r}, "a") as file:
            file.write(ctx.key + "\\n")
"""


def test_site_that_cannot_be_asked_changes_nothing(
    daemon: RunningDaemon, sgevents: Commands
) -> None:
    """Where the site does not say where now is, the feed stays as it was; ask again."""
    daemon.site.event("Studio_A")
    assert sgevents("run", "--drain").code == 0
    daemon.site.go_down()
    said = sgevents("feed", "reset", "--from", "now", "--force")
    assert said.code == 1
    assert "Nothing was changed" in said.stderr
    with closing(open_state(daemon.folder / "state").reader()) as state:
        record = state.load_feed()
    assert record is not None
    assert record.state.era == 1


def test_reset_is_made_once(daemon: RunningDaemon, sgevents: Commands) -> None:
    """Asked for twice in one era, by a process that died in between or by two people, it is one."""
    daemon.site.event("Studio_A")
    assert sgevents("run", "--drain").code == 0
    with closing(open_state(daemon.folder / "state").requests()) as requests:
        for _ in range(2):
            requests.ask("reset", "", {"from": "2", "era": 1, "force": True}, "anna@host")
    assert sgevents("feed", "reset", "--from", "2").code == 0
    with closing(open_state(daemon.folder / "state").reader()) as state:
        record = state.load_feed()
    assert record is not None
    assert (record.state.era, record.state.frontier) == (2, 1)


def test_missing_ids_of_the_old_log_are_given_up(daemon: RunningDaemon, sgevents: Commands) -> None:
    """The new log's ids are its own; what was missing in the old one is kept for the record."""
    daemon.site.event("Studio_A")
    daemon.site.burn(3)
    daemon.site.event("Studio_B")
    assert sgevents("run", "--drain").code == 0
    assert sgevents("feed", "reset", "--from", "6", "--force").code == 0
    with closing(open_state(daemon.folder / "state").reader()) as state:
        record = state.load_feed()
        assert record is not None
        assert record.missing == []
    with closing(open_state(daemon.folder / "state").past()) as past:
        assert [past.left_out("closed", era) for era in (1, 2)] == [[(2, 4)], []]


@pytest.mark.parametrize(
    "start", ["10201", "4", "20260131", "9" * 30, str(2**63), "2099-01-01", "9999-12-31T23:59:59Z"]
)
def test_a_place_ahead_of_the_site_is_refused(
    daemon: RunningDaemon, sgevents: Commands, start: str
) -> None:
    """A slip of the finger costs no event: it is said what the site's newest is."""
    daemon.site.event("Studio_A")
    daemon.site.event("Studio_B")
    assert sgevents("run", "--drain").code == 0
    said = sgevents("feed", "reset", "--from", start, "--force")
    assert said.code == 1
    assert "is ahead of the site, whose newest event is 2" in said.stderr
    assert "Write an id up to 3" in said.stderr
    assert r"\n" not in said.stderr, "the refusal is one sentence after the other"
    with closing(open_state(daemon.folder / "state").reader()) as state:
        record = state.load_feed()
    assert record is not None
    assert record.state.era == 1
    assert sgevents("feed", "reset", "--from", "3", "--force").code == 0


@pytest.mark.parametrize("start", ["0", "-5", "+7", "1_0", "\uff12", "1.5", "1e3", "", " 2"])
def test_what_is_no_place_is_refused(daemon: RunningDaemon, sgevents: Commands, start: str) -> None:
    """Only whole ids from 1 on, dates, durations and now are places."""
    daemon.site.event("Studio_A")
    assert sgevents("run", "--drain").code == 0
    said = sgevents("feed", "reset", f"--from={start}", "--force")
    assert said.code == 2
    assert "is not a valid moment" in said.stderr


def test_a_site_that_began_anew_is_told_with_the_way_out(
    daemon: RunningDaemon, sgevents: Commands
) -> None:
    """`check` finds it before anything runs; log and `status` say which commands lead out."""
    for _ in range(5):
        daemon.site.event("Studio_Old")
    assert sgevents("run", "--drain").code == 0
    assert "it continues after event 5" in sgevents("check").text
    daemon.site.rewind(0)
    said = sgevents("check")
    assert said.code == 1
    assert "the site's event log is not the one that was followed" in said.text
    assert "sgevents feed reset --from now" in said.text
    with daemon.running() as process:
        wait_until(lambda: rewound(sgevents))
        wait_until(lambda: daemon.tells("feed.rewound"))
        (told,) = [one for one in daemon.told() if one["action"] == "feed.rewound"]
        assert told["level"] == "error"
        assert "sgevents feed reset --from now" in told["message"]
        assert daemon.stop(process) == 0
    daemon.site.event("Studio_New")
    status = sgevents("status").text
    assert "went backwards, and nothing is appended" in status
    assert "sgevents feed reset --from now" in status
    assert "another path in [state]" in status
    assert sgevents("check").code == 1
    assert sgevents("feed", "reset", "--from", "1").code == 0
    assert sgevents("run", "--drain").code == 0
    assert daemon.events_of("alpha") == [1, 2, 3, 4, 5, 1]
    assert sgevents("check").code == 0
