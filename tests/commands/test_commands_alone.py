"""The commands where no daemon runs: they hold the state's lock, and do the work themselves."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from commanding import Commands, installed_here
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state import lock
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite.database import DATABASE

PLUGIN = """
    import os, pathlib
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(word, ctx, event_id=0):
        os.write(_file, f"{{event_id}} {{ctx.plugin}} {{word}} {{ctx.attempt}}\\n".encode())

    @hookimpl
    def startup(ctx):
        note("startup", ctx)

    @hookimpl
    def shutdown(ctx):
        note("shutdown", ctx)

    @hookimpl
    def on_event(event, ctx):
        note("every", ctx, event.id)
        if event.event_type == "Studio_A":  # a store commits the lane's place with it
            ctx.store["last"] = event.id
        if pathlib.Path({fails!r}).exists():
            raise ValueError("not today")
"""


class House:
    """A state on which a daemon has run: `fickle` has a dead letter for its first event."""

    def __init__(self, daemon: RunningDaemon, sgevents: Commands) -> None:
        self.daemon = daemon
        self.sgevents = sgevents
        self.state = daemon.folder / "state"
        self.fails = daemon.folder / "fails"
        daemon.feed += 'idle_interval = "50ms"\n'
        text = PLUGIN.format(calls=str(daemon.calls), fails=str(self.fails))
        daemon.install("fickle", text)
        daemon.install("other", text.replace("every", "others"))
        self.fails.touch()
        self.event = daemon.site.event("Studio_A")
        self.run()
        self.fails.unlink()
        daemon.calls.write_text("")

    def run(self) -> None:
        """Let a daemon handle all there is; in this process, which is faster."""
        self.daemon.write_config()
        assert self.sgevents("run", "--drain").code == 0

    def called(self) -> list[str]:
        """What was called in plugins, in order."""
        return [f"{n.plugin}.{n.callback}" for n in self.daemon.noted()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A state that nothing runs on."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        with installed_here(daemon) as sgevents:
            yield House(daemon, sgevents)


def test_retry_loads_only_the_plugin_it_is_about(house: House) -> None:
    """It is started, called and shut down in the command's process; the letter is settled."""
    said = house.sgevents("dead-letters", "retry", 1)
    assert (said.code, "was handled" in said.text) == (0, True), said
    assert house.called() == ["fickle.startup", "fickle.every", "fickle.shutdown"]
    left = house.sgevents("dead-letters", "list", "--json").json["dead_letters"]
    assert [one["plugin"] for one in left] == ["other"]


def test_store_of_a_retry_is_committed(house: House) -> None:
    """As if the daemon had called it."""
    house.sgevents("dead-letters", "retry", 1)
    with closing(open_state(house.state).reader()) as state:
        assert state.store("fickle") == {"last": house.event}
        assert state.store("other") == {}


def test_pause_imports_no_plugin(house: House) -> None:
    """Pause, resume and dismiss are about records: one that breaks at import can be paused."""
    assert house.sgevents("pause", "fickle").code == 0
    assert house.sgevents("dead-letters", "dismiss", 1).code == 0
    assert house.called() == []
    event = house.daemon.site.event("Studio_B")
    house.run()
    assert house.daemon.events_of("fickle") == []
    house.daemon.calls.write_text("")
    assert house.sgevents("skip", "fickle", event + 1).code == 1
    assert house.sgevents("resume", "fickle").code == 0
    assert house.called() == []
    house.run()
    assert house.daemon.events_of("fickle") == [event]


def test_progress_of_a_killed_daemon_is_taken_over(house: House) -> None:
    """What only a register knows is in the ledger before anything is changed there."""
    daemon = house.daemon
    with daemon.running() as process:
        for count in range(1, 6):  # what comes within a second is not in the ledger at once
            event = daemon.site.event("Studio_B")
            wait_until(partial(_others_were_called, house, count))  # so fickle has returned
        process.kill()
    assert house.sgevents("pause", "fickle").code == 0
    assert "handled" in house.sgevents("explain", event).text
    house.sgevents("resume", "fickle")
    house.run()
    assert daemon.events_of("fickle") == list(range(event - 4, event + 1))


def test_explain_tells_when_calls_were_made_and_how_long_they_took(house: House) -> None:
    """Each attempt has a line: when, how long, and how it failed."""
    said = house.sgevents("explain", house.event).text
    took = r"called 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, took \d+\.\d ms"
    assert re.search(rf"fickle \S+: dead letter 1: .*\n +{took}: ValueError", said), said
    event = house.daemon.site.event("Studio_A")
    house.run()
    said = house.sgevents("explain", event).text
    assert re.search(rf"other \S+: handled\n +{took}\n", said), said
    told = json.loads(house.sgevents("explain", event, "--json").text)
    calls = [one["fate"]["calls"] for one in told["callbacks"] if one["fate"]]
    assert all(0 <= call["seconds"] < 60 for (call,) in calls)


def _others_were_called(house: House, times: int) -> bool:
    return house.called().count("other.others") == times


def test_replay_runs_to_its_end(house: House) -> None:
    """Without a daemon there is nothing to wait for: it is done when the command returns."""
    said = house.sgevents("replay", "--plugin", "fickle", house.event, "--timeout", "0")
    assert said.text.strip() == "fickle: replayed 1 event in 1 call"
    assert house.daemon.events_of("fickle") == [house.event]


def test_older_events_are_read_from_the_site(house: House) -> None:
    """What is below the feed's start is not in the journal, and the site still has it."""
    with closing(sqlite3.connect(house.state / DATABASE)) as db, db:
        db.execute("DELETE FROM journal")
    said = house.sgevents("replay", "--plugin", "fickle", f"1-{house.event}")
    assert f"replayed {house.event} event" in said.text
    assert "the site has it" in house.sgevents("explain", house.event).text
    house.daemon.site.hide([house.event])
    assert house.sgevents("replay", "--plugin", "fickle", house.event).code == 2
    assert "the site does not have it" in house.sgevents("explain", house.event).text


def test_failing_startup_is_told(house: House) -> None:
    """A plugin that cannot be started is not called."""
    broken = PLUGIN.replace('note("startup", ctx)', 'raise OSError("no disk")')
    text = broken.format(calls=str(house.daemon.calls), fails=str(house.fails))
    house.daemon.packages.install("dist-broken", {"broken": "broken"}, {"broken.py": text})
    config = house.daemon.config.read_text().replace("plugins.fickle", "plugins.broken")
    house.daemon.config.write_text(config)
    said = house.sgevents("replay", "--plugin", "broken", house.event, "--dry-run")
    assert (said.code, "no disk" in said.stderr) == (2, True)
    assert house.sgevents("replay", "--plugin", "broken", house.event).code == 1


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (
            'raise Defer("no movie yet", after="10m")',
            "would get this event again in 10m: no movie yet",
        ),
        ('raise Retry("not there yet")', "would be called again: not there yet"),
        ('ctx.ignore("no route")', "    ignored: no route"),
    ],
)
def test_dry_run_does_what_callbacks_ask_for(house: House, raised: str, shown: str) -> None:
    """Parts are done once and recorded nowhere; what a callback asks for is no failure."""
    body = f"""
    from sgevents_core import Defer, Retry

    @hookimpl
    def on_event(event, ctx):
        with ctx.once("post") as first:
            print("posts first", first)
        with ctx.once("post") as first:
            print("posts again", first)
        {raised}
    """
    text = PLUGIN.partition("    @hookimpl\n    def on_event")[0] + body
    text = text.format(calls=str(house.daemon.calls), fails=str(house.fails))
    house.daemon.packages.install("dist-parts", {"parts": "parts"}, {"parts.py": text})
    config = house.daemon.config.read_text().replace("plugins.fickle", "plugins.parts")
    house.daemon.config.write_text(config)
    for _ in range(2):
        said = house.sgevents("replay", "--plugin", "parts", house.event, "--dry-run")
        assert said.code == 0, said.text + said.stderr
        assert "posts first True" in said.text
        assert "would record 'post' as done" in said.text
        assert "posts again False" in said.text
        assert shown in said.text


def test_plugin_that_is_not_enabled_is_not_called(house: House) -> None:
    """Neither retried, nor replayed, nor in a dry run."""
    config = house.daemon.config.read_text().replace("enabled = true", "enabled = false")
    house.daemon.config.write_text(config)
    assert house.sgevents("dead-letters", "retry", 1).code == 1
    assert house.sgevents("replay", "--plugin", "fickle", house.event).code == 1
    assert house.sgevents("replay", "--plugin", "fickle", house.event, "--dry-run").code == 2
    assert house.called() == []


def test_what_waits_for_the_plugin_is_done_first(house: House) -> None:
    """A pause noted for a daemon that died comes before the resume of now."""
    with closing(open_state(house.state).requests()) as requests:
        requests.ask("pause", "fickle", {}, "anna@host")
        requests.ask("pause", "other", {}, "anna@host")
    assert house.sgevents("resume", "fickle").text == "fickle: no longer paused\n"
    with closing(open_state(house.state).requests()) as requests:
        assert [request.plugin for request in requests.waiting()] == ["other"]


def test_command_takes_over_when_the_daemon_ends(house: House) -> None:
    """Whoever waits for a daemon that ends does it itself."""
    held = StateLock(house.state)
    said: list[str] = []
    waiter = threading.Thread(
        target=lambda: said.append(house.sgevents("pause", "fickle", "--timeout", "30s").text)
    )
    waiter.start()
    with closing(open_state(house.state).requests()) as requests:
        wait_until(lambda: len(requests.waiting()) == 1)
    assert said == []
    held.close()
    waiter.join(PATIENCE)
    assert "paused" in said[0]


def test_daemon_waits_for_a_command(house: House) -> None:
    """A command that holds the lock for a moment does not keep a daemon from its start."""
    held = StateLock(house.state, "sgevents replay")
    assert (lock.find_holder(house.state) or {})["command"] == "sgevents replay"
    assert '"running": false' in house.sgevents("status", "--json").text
    thread = threading.Thread(target=lambda: StateLock(house.state).close())  # as a daemon does
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    held.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_nothing_has_run(tmp_path: Path) -> None:
    """A state that is not there is told, whatever is asked."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        sgevents = Commands(daemon)
        for words in (
            ["dead-letters", "list"],
            ["pause", "x"],
            ["replay", "--plugin", "x", "1"],
            ["explain", "1"],
            ["tail"],
            ["state", "check"],
            ["feed", "reset", "--from", "now"],
        ):
            said = sgevents(*words)
            assert (said.code, "Nothing has run" in said.stderr) == (2, True), words


def test_list_without_letters(house: House) -> None:
    """Said in words."""
    house.sgevents("dead-letters", "dismiss", "--all")
    assert house.sgevents("dead-letters", "list").text == "There are no dead letters.\n"
    assert house.sgevents("dead-letters", "show", 1).text.startswith("dead letter 1, dismissed")
    assert house.sgevents("dead-letters", "show", 77).code == 2
