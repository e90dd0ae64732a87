"""The hooks that are no event's: when they are called, with what, and that they hurt nobody."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from lane_house import House, raising
from waiting import PATIENCE, wait_until

from sgevents_core.calling.store import PluginStore
from sgevents_core.dispatch import alerting
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.hookspecs import BacklogTimeout, CallbackFailure, DeadLetter, PluginPause
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Secret, SiteSettings


class Heard:
    """The hooks of a plugin, and what they were told, in order."""

    NAMES = ("callback_failed", "dead_lettered", "plugin_paused", "backlog_timed_out")

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.threads: set[str] = set()

    def hooks(self) -> dict[str, Any]:
        """The implementations."""
        return {name: self._hook(name) for name in self.NAMES}

    def _hook(self, name: str) -> Any:
        def hook(details: Any, ctx: Any) -> None:
            self.told.append((name, details))
            self.threads.add(threading.current_thread().name)

        return hook

    def of(self, name: str) -> list[Any]:
        """What one hook was told."""
        return [details for hook, details in self.told if hook == name]


class Listens:
    """All that an announcer needs of the services of a plugin, where nothing is asked of them."""

    name = "listens"
    store = PluginStore("listens", {})
    late_start = None


def test_startup_comes_before_events_and_shutdown_after(house: House) -> None:
    """Both are called once a run, one plugin at a time, in call order."""

    def note(hook: str) -> Any:
        return lambda ctx: house.calls.append(f"{hook} {ctx.plugin}")

    hooks = {"startup": note("startup"), "shutdown": note("shutdown")}
    house.plugin("zulu", "run", hooks=hooks)
    house.plugin("alpha", "run", hooks=hooks)
    with house.running():
        house.events(1)
        house.settle()
    assert house.calls == [
        "startup zulu", "startup alpha", "1 zulu.run", "1 alpha.run", "shutdown zulu",
        "shutdown alpha",
    ]  # fmt: skip


def test_shutdown_that_fails_keeps_no_other_from_ending(house: House) -> None:
    """Its error is told, and the next plugin's is called."""
    ended = []

    def fails(ctx: Any) -> None:
        raise SystemExit(3)

    house.plugin("bad", "run", hooks={"shutdown": fails})
    house.plugin("good", "run", hooks={"shutdown": lambda ctx: ended.append(ctx.plugin)})
    house.run()
    assert ended == ["good"]


def test_failures_are_told_to_every_plugin_that_listens(house: House) -> None:
    """Each attempt, the dead letter with its number and the pause are told, in that order."""
    heard = Heard()

    def fails(event: Event, ctx: Any) -> None:
        raise Retry("not yet", after=0)

    house.plugin("listens", "run", hooks=heard.hooks())
    house.plugin("bad", fails, max_attempts=2, pause_after=1)
    with house.running():
        house.events(7)
        wait_until(lambda: heard.of("plugin_paused"))
    assert [name for name, _ in heard.told] == [
        "callback_failed", "callback_failed", "dead_lettered", "plugin_paused"
    ]  # fmt: skip
    first, last = heard.of("callback_failed")
    assert isinstance(first, CallbackFailure)
    assert (first.plugin, first.callback, first.event.id) == ("bad", "bad:fails", 7)
    assert (first.error, first.attempt, last.attempt) == ("Retry: not yet", 1, 2)
    assert first.next_attempt_at is not None
    assert first.next_attempt_at.tzinfo is not None
    assert last.next_attempt_at is None
    (letter,) = heard.of("dead_lettered")
    assert isinstance(letter, DeadLetter)
    assert (letter.attempts, letter.event.id) == (2, 7)
    assert letter.number > 0
    assert "raise Retry" in letter.traceback
    (pause,) = heard.of("plugin_paused")
    assert isinstance(pause, PluginPause)
    assert (pause.plugin, pause.event_id) == ("bad", 7)
    assert "1 failures in a row" in pause.reason
    assert heard.threads == {"alerts"}


def test_hook_that_hangs_or_raises_holds_up_no_event(house: House) -> None:
    """Alerts have a thread of their own; a failing one is told and causes no other."""
    hang, seen = threading.Event(), []

    def hangs(details: Any, ctx: Any) -> None:
        seen.append(details.event.id)
        hang.wait()
        raise KeyboardInterrupt

    house.plugin("listens", "run", hooks={"callback_failed": hangs})
    house.plugin("bad", raising(ValueError("no")))
    try:
        with house.running():
            house.events(1, 2, 3)
            house.settle()
            assert house.calls[-1] == "3 bad.fails"
            wait_until(lambda: seen == [1])
            hang.set()
    finally:
        hang.set()
    assert seen == [1, 2, 3]


def test_end_is_not_held_up_by_a_hook_that_hangs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with more alerts waiting than are kept, closing takes no longer than it may."""
    monkeypatch.setattr(alerting, "MOST_WAITING", 2)
    hang, hangs = threading.Event(), threading.Event()

    def waits(details: Any, ctx: Any) -> None:
        hangs.set()
        hang.wait()

    announcer = Announcer([(Listens(), {"backlog_timed_out": waits})])  # type: ignore[list-item]  # a stand-in
    announcer.timed_out(0, 0, datetime.now(timezone.utc))
    assert hangs.wait(PATIENCE)
    for number in range(1, 10):
        announcer.timed_out(number, number, datetime.now(timezone.utc))
    announcer.close(0.05)
    hang.set()


def test_timeout_of_the_backlog_is_told(house: House) -> None:
    """Plugins hear of ids that are no longer waited for, with both ends and since when."""
    heard = Heard()
    plugin = house.plugin("listens", "run", hooks=heard.hooks())
    noticed = datetime.now(timezone.utc)

    announcer = Announcer([(Listens(), plugin.hooks)])  # type: ignore[list-item]  # a stand-in
    announcer.timed_out(5, 9, noticed)
    announcer.close(5.0)
    assert heard.told == [
        ("backlog_timed_out", BacklogTimeout(first_id=5, last_id=9, noticed_at=noticed))
    ]


def test_secrets_are_in_nothing_that_is_kept_or_told(tmp_path: Path) -> None:
    """A plugin that raises with the key in its text: ledger and hooks show *** in its place."""
    site = SiteSettings(url="http://127.0.0.1:1", script_name="s", api_key=Secret("very-demo-key"))
    house = House(tmp_path, site)
    heard = Heard()

    def tells(event: Event, ctx: Any) -> None:
        raise ValueError(f"refused: {ctx.sg.config.api_key}")

    house.plugin("bad", tells, hooks=heard.hooks())
    with house.running():
        house.events(1)
        house.settle()
    house.state.close()
    assert heard.of("dead_lettered")[0].error == "ValueError: refused: ***"
    assert "very-demo-key" not in heard.of("callback_failed")[0].traceback
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert all(b"very-demo-key" not in path.read_bytes() for path in files)


def test_site_knows_the_session_that_caused_a_plugins_doings(tmp_path: Path) -> None:
    """What is written through `ctx.sg` carries the `session_uuid` of the event in hand."""
    with Sandbox(project=False) as site:
        settings = SiteSettings(
            url=site.url, script_name=site.script_name, api_key=Secret(site.api_key)
        )
        house = House(tmp_path, settings)

        def writes(event: Event, ctx: Any) -> None:
            ctx.sg.create("Project", {"name": f"made at {event.id}"})

        house.plugin("writes", writes)
        uuids = [f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2)]
        with house.running():
            for event, uuid in enumerate(uuids, 1):
                house.events(event, session_uuid=uuid)
            house.events(3)
            house.settle()
        rows = site.event_rows()
        house.state.close()
    made = [row["session_uuid"] for row in rows if row["event_type"] == "Shotgun_Project_New"]
    assert made[:2] == uuids
    assert made[2] not in uuids
    assert house.calls == ["1 writes.writes", "2 writes.writes", "3 writes.writes"]
