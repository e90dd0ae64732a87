"""Batches with the real command, a real site and kills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commanding import Commands, installed_here
from forked_runs import launcher
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

ROLLS = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(entity_type="Shot", attribute="description", batch="1s", by="entity", at_most="20s")
    def on_change(events, ctx):
        ctx.store["calls"] = [*ctx.store.get("calls", []), [event.id for event in events]]
"""
PROJECT = {"type": "Project", "id": 1}
FAILS = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(event_type="Studio_*", batch="1h", by="project")
    def on_other(events, ctx):
        raise ValueError(f"cannot roll up {len(events)} events")
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site with a project."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon of that site that reads its log from the beginning."""
    made = RunningDaemon(tmp_path, site)
    made.feed = 'poll_interval = "10ms"\nstart = 1\n'
    return made


def test_fifty_saves_of_a_shot_and_five_kills(daemon: RunningDaemon, site: Sandbox) -> None:
    """Few calls, and every save in exactly one of them, wherever the daemon is killed."""
    daemon.install("rolls", ROLLS)
    shot = site.create("Shot", {"code": "sh010", "project": PROJECT})
    saves = 0
    with launcher() as started:
        for kill in range(6):
            run = started.start(daemon)
            for _ in range(50 - saves if kill == 5 else 8):
                saves += 1
                site.update("Shot", shot["id"], {"description": f"save {saves}"}, user="ada")
            wait_until(partial(has_collected, daemon, saves))
            if kill < 5:
                run.kill()
        wait_until(lambda: sum(map(len, calls(daemon))) >= 50)
        run.stop()
    rolled = [event for call in calls(daemon) for event in call]
    assert len(rolled) == len(set(rolled)) == 50
    assert len(calls(daemon)) <= 8
    assert waiting(daemon) == 0


def test_a_drain_calls_open_batches_and_people_see_what_failed(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """`explain` for each event, `dead-letters show` with all of them; a retry takes them all."""
    daemon.install("fails", FAILS)
    events = [site.event("Studio_Ping", project=PROJECT) for _ in range(3)]
    assert daemon.drain() == 0
    with installed_here(daemon) as command:
        for event_id in events:
            explanation = command("explain", event_id).text
            assert "dead letter 1" in explanation
            assert "ValueError: cannot roll up 3 events" in explanation
        shown = command("dead-letters", "show", 1)
        ids = ", ".join(map(str, events))
        assert f"a batch of 3 events ({ids}), attempt 1" in shown.text
        as_json = command("dead-letters", "show", 1, "--json").json
        assert [event["id"] for event in as_json["events"]] == events
        listed = command("dead-letters", "list", "--event", events[1])
        assert f"{events[0]}-{events[-1]} (3)" in listed.text
        (letter,) = command("dead-letters", "list", "--json").json["dead_letters"]
        assert (letter["event_id"], letter["event_ids"]) == (events[0], events)
        replayed = command("replay", "--plugin", "fails", f"{events[0]}-{events[-1]}")
        expected = "replayed 3 events in 1 call, 1 failed; kept as dead letters: 1"
        assert expected in replayed.text
        retried = command("dead-letters", "retry", 1)
        assert "failed again: ValueError: cannot roll up 3 events" in retried.text


def test_status_counts_and_explain_names_the_time(daemon: RunningDaemon, site: Sandbox) -> None:
    """While a batch is open; a stop keeps it."""
    daemon.install("fails", FAILS)
    site.event("Studio_Ping", project=PROJECT)
    event_id = site.event("Studio_Ping", project=PROJECT)
    with daemon.running() as process:
        wait_until(lambda: waiting(daemon) == 2)
        daemon.stop(process)
    with installed_here(daemon) as command:
        assert "2 events in 1 batch" in command("status").text
        rules = "in batches by project, pause 1h, at most 1h, size 100"
        assert rules in command("plan", "Studio_Ping", "--json").json["calls"][0]["filter"]
        (plugin,) = command("status", "--json").json["plugins"]
        assert (plugin["batches"], plugin["batched"]) == (1, 2)
        assert "waiting in a batch of 2 events until" in command("explain", event_id).text
        (fate,) = [one["fate"] for one in explained(command, event_id)]
        assert fate["what"] == "in a batch"


def test_a_dry_run_calls_a_batch_for_each_key(daemon: RunningDaemon, site: Sandbox) -> None:
    """With all of its events; nothing is kept."""
    daemon.install("fails", FAILS.replace("raise ValueError", "print"))
    events = [site.event("Studio_Ping", project=PROJECT) for _ in range(2)]
    assert daemon.drain() == 0
    with installed_here(daemon) as command:
        said = command("replay", "--plugin", "fails", f"{events[0]}-{events[-1]}", "--dry-run")
    assert "a batch of 2 events from event" in said.text
    assert said.code == 0


def has_collected(daemon: RunningDaemon, saves: int) -> bool:
    """Return whether so many saves are in batches, or were."""
    return sum(map(len, calls(daemon))) + waiting(daemon) >= saves


def explained(command: Commands, event_id: int) -> list[Any]:
    """Return the callbacks in the explanation of an event."""
    return list(command("explain", event_id, "--json").json["callbacks"])


def calls(daemon: RunningDaemon) -> list[list[int]]:
    """Return the events of each call that has ended."""
    if not open_state(daemon.folder / "state").is_made():
        return []
    with closing(open_state(daemon.folder / "state").reader()) as state:
        return list(state.store("rolls").get("calls", [])) if state.is_ready else []


def waiting(daemon: RunningDaemon) -> int:
    """Return how many events wait in batches."""
    if not open_state(daemon.folder / "state").is_made():
        return 0
    with closing(open_state(daemon.folder / "state").reader()) as state:
        return sum(batch.events for batch in state.batches()) if state.is_ready else 0


IN_WORKERS = """
    import asyncio, os
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(event_type="Studio_*", batch="1h", by=lambda event: event.id % 2, timeout="30s")
    async def on_other(events, ctx):
        await asyncio.sleep(0)
        ids = [event.id for event in events]
        if any(event.event_type == "Studio_Deadly" for event in events):
            os._exit(3)
        ctx.store["calls"] = [*ctx.store.get("calls", []), ids]
"""


PUTS_OFF = """
    import pathlib
    from sgevents_core import Defer, hookimpl, match

    _file = pathlib.Path({file!r})

    def _handle(ids, ctx):
        if not _file.exists():
            raise Defer("no file yet", after="1s")
        ctx.store[ctx.key.rpartition(":")[2]] = [ids, ctx.attempt]

    @hookimpl
    @match(event_type="Studio_Single")
    def on_other(event, ctx):
        _handle([event.id], ctx)

    @hookimpl(specname="on_other")
    @match(event_type="Studio_Many", batch="100ms", by="project")
    def many(events, ctx):
        _handle([event.id for event in events], ctx)
"""


def test_what_a_worker_process_puts_off_is_called_later(tmp_path: Path) -> None:
    """One event and a batch, after a restart and in the worker again; no attempt is spent."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.feed = 'poll_interval = "10ms"\nstart = 1\n'
        file = tmp_path / "file"
        daemon.install("waits", PUTS_OFF.replace("{file!r}", repr(str(file))), group="apart")
        daemon.log += '[[groups]]\nname = "apart"\nlane = "apart"\n'
        daemon.log += '[lanes.apart]\nexecutor = "process"\nworkers = 2\norder_by = "entity"\n'
        single = site.event("Studio_Single", project=PROJECT)
        many = [site.event("Studio_Many", project=PROJECT) for _ in range(3)]
        with daemon.running() as process:
            wait_until(lambda: put_off(daemon) == [1, 3])
            daemon.stop(process)
        with installed_here(daemon) as command:
            assert "put off until" in command("explain", single).text
            explanation = command("explain", many[1]).text
            assert "in a batch of 3 events, which is put off until" in explanation
            assert "no file yet" in explanation
        file.touch()
        with daemon.running() as process:
            wait_until(lambda: len(stored(daemon, "waits")) == 2)
            daemon.stop(process)
    assert put_off(daemon) == [0, 0]
    assert stored(daemon, "waits") == {"on_other": [[single], 1], "many": [many, 1]}


def put_off(daemon: RunningDaemon) -> list[int]:
    """Return how many events are put off one by one, and how many in batches."""
    if not open_state(daemon.folder / "state").is_made():
        return []
    with closing(open_state(daemon.folder / "state").reader()) as state:
        if not state.is_ready:
            return []
        batched = sum(batch.events for batch in state.batches() if batch.put_off_at)
        return [len(state.deferred_calls()), batched]


def stored(daemon: RunningDaemon, plugin: str) -> dict[str, Any]:
    """Return what a plugin has stored."""
    with closing(open_state(daemon.folder / "state").reader()) as state:
        return state.store(plugin)


def test_batches_in_worker_processes(tmp_path: Path) -> None:
    """The key is asked there, and the batch is called there; one that ends its process is given up.

    Its events are in one dead letter, and the other batch is called.
    """
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.feed = 'poll_interval = "10ms"\nstart = 1\n'
        daemon.install("rolls", IN_WORKERS, group="apart")
        daemon.log += '[[groups]]\nname = "apart"\nlane = "apart"\n'
        daemon.log += '[lanes.apart]\nexecutor = "process"\nworkers = 2\norder_by = "entity"\n'
        kinds = ["Studio_Ping", "Studio_Deadly", "Studio_Ping", "Studio_Ping", "Studio_Ping"]
        first, *_ = events = [site.event(kind) for kind in kinds]
        assert daemon.drain() == 0, daemon.output.read_text()
        assert waiting(daemon) == 2  # a drain waits for no second try
        assert daemon.drain() == 0, daemon.output.read_text()
    (call,) = calls(daemon)
    assert call == [event_id for event_id in events if event_id % 2 == first % 2]
    with closing(open_state(daemon.folder / "state").letters()) as letters:
        (letter,) = letters.find()
        assert letter.failure.error.startswith("ProcessDied: its worker process died")
        buried = [event.event_id for event in letters.events_of(letter.number)]
    assert buried == [event_id for event_id in events if event_id % 2 != first % 2]
