"""Three hosts and a NATS server to which things happen at random, and what must be true then."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from host_processes import Host, Studio
from nats_server import NatsServer
from waiting import wait_until

LANES = ("day", "night", "farm", "disk")
COUNTING = """
    import os, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        os.write(_file, f"{{event.id}} {{ctx.plugin}} every {{ctx.attempt}}\\n".encode())
        if ctx.plugin in {{"plugin_day", "plugin_night"}}:
            ctx.store["count"] = ctx.store.get("count", 0) + 1
            ctx.store["last"] = event.id
        time.sleep(0.015)  # so that a kill is often in a call
"""
"""A plugin that notes each call; two of four count their events in their stores.

Of the others, the lane's register alone says where they are.
"""
COUNTERS = ("plugin_day", "plugin_night")
EVENT_INTERVAL = 0.05
LONGEST_CALM = 2.0


@dataclass
class Tally:
    """What happened in a run, and what is wrong with the outcome."""

    events: int = 0
    calls: int = 0
    repeated: int = 0
    takeovers: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it in a line for people."""
        deeds = ", ".join(f"{count} {deed}" for deed, count in sorted(self.deeds.items()))
        return (
            f"{self.events} events, {self.calls} calls, {self.repeated} repeated, "
            f"{self.takeovers} holderships, {self.requests} requests; {deeds or 'nothing happened'}"
        )


class Chaos:
    """A run: events come all the time, and every moment something happens to a host or the server.

    Args:
        studio: The hosts, not started.
        server: Their server.
        seed: What determines the deeds.
    """

    def __init__(self, studio: Studio, server: NatsServer, seed: int) -> None:
        self._studio = studio
        self._server = server
        self._random = random.Random(seed)
        self._frozen: set[str] = set()
        self._dead: set[str] = set()
        self._ended = threading.Event()
        self._event_ids: list[int] = []
        self.tally = Tally()

    def run(self, seconds: float) -> Tally:
        """Let things happen for so long, then let everything calm down, and judge it."""
        hosts = list(self._studio.hosts.values())
        for host in hosts:
            host.start()
        wait_until(self._have_started)
        self._studio.await_spread(*self._studio.hosts)
        events = threading.Thread(target=self._make_events)
        events.start()
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self._do_something()
                time.sleep(self._random.uniform(0.3, LONGEST_CALM))
        finally:
            self._ended.set()
            events.join()
        self._calm_down()
        self._judge()
        return self.tally

    def _have_started(self) -> bool:
        """Return whether all daemons have begun their work; start again those that ended."""
        hosts = list(self._studio.hosts.values())
        for host in hosts:
            self._supervise(host)
        return all('"daemon.started"' in host.log() for host in hosts)

    def _make_events(self) -> None:
        while not self._ended.wait(EVENT_INTERVAL):
            self._event_ids.append(self._studio.site.event("Studio_Ping"))

    def _do_something(self) -> None:
        deeds: list[Callable[[Host], str]] = [
            self._kill,
            self._kill_or_revive,
            self._kill_or_revive,
            self._freeze_or_thaw,
            self._freeze_or_thaw,
            self._stop,
            self._hurt_server,
            self._ask,
        ]
        for host in self._studio.hosts.values():
            self._supervise(host)
        host = self._random.choice(list(self._studio.hosts.values()))
        deed = self._kill_or_revive if host.name in self._dead else self._random.choice(deeds)
        self.tally.deeds[deed(host)] += 1

    def _supervise(self, host: Host) -> None:
        """Start a daemon again that has ended by itself, as systemd does.

        It may do so only if it could not reach the server while it started.
        """
        if host.name in self._dead or host.process is None or host.process.poll() is None:
            return
        last_words = host.log()[-3000:]
        if host.process.poll() != 1 or "does not answer" not in last_words[-500:]:
            self.tally.wrong.append(f"{host.name} has ended: {last_words}")
        self.tally.deeds["starts in vain"] += 1
        host.start()

    def _kill(self, host: Host) -> str:
        self._frozen.discard(host.name)
        host.kill()
        host.start()
        return "kills"

    def _kill_or_revive(self, host: Host) -> str:
        """Kill a host for longer: others have to take its lanes over."""
        if host.name in self._dead:
            self._dead.discard(host.name)
            host.start()
            return "revived"
        self._frozen.discard(host.name)
        host.kill()
        self._dead.add(host.name)
        return "deaths"

    def _stop(self, host: Host) -> str:
        if host.name in self._frozen:
            return self._freeze_or_thaw(host)
        code = host.stop()
        if code not in {0, -signal.SIGTERM}:  # the latter before it has begun
            self.tally.wrong.append(f"{host.name} stopped with {code}: {host.log()[-2000:]}")
        host.start()
        return "restarts"

    def _freeze_or_thaw(self, host: Host) -> str:
        assert host.process is not None
        if host.name in self._frozen:
            self._frozen.discard(host.name)
            host.process.send_signal(signal.SIGCONT)
            return "thawed"
        self._frozen.add(host.name)
        host.process.send_signal(signal.SIGSTOP)
        return "frozen"

    def _hurt_server(self, host: Host) -> str:
        if self._random.random() < 0.5:
            self._server.kill()
            time.sleep(self._random.uniform(0.0, 1.0))
            self._server.start()
            return "server kills"
        self._server.freeze()
        time.sleep(self._random.uniform(0.1, 3.0))
        self._server.thaw()
        return "server freezes"

    def _ask(self, host: Host) -> str:
        """Pause a plugin and resume it, from a host that need not have it."""
        plugin = f"plugin_{self._random.choice(LANES)}"
        for command in ("pause", "resume"):
            host.command(command, plugin, "--timeout", "0s", codes=(0, 1, 3))
            self.tally.requests += 1
        return "pauses"

    def _calm_down(self) -> None:
        """Let all hosts run, and wait until everything is handled."""
        for host in self._studio.hosts.values():
            if host.name in self._dead:
                self._kill_or_revive(host)
            if host.name in self._frozen:
                self._freeze_or_thaw(host)
            self._supervise(host)
        for host in self._studio.hosts.values():
            self._await_answers(host)
        for plugin in _plugins():  # one whose request to go on did not reach the server
            host.command("resume", plugin, codes=(0, 1))
        self._studio.await_calls(self._event_ids)
        self._studio.await_spread(*self._studio.hosts)
        last = self._event_ids[-1] if self._event_ids else 0
        for host in self._studio.hosts.values():
            wait_until(partial(_has_come_to, host, last))
        for host in self._studio.hosts.values():
            assert host.stop() == 0

    def _await_answers(self, host: Host) -> None:
        wait_until(lambda: not _query(host, "SELECT 1 FROM requests WHERE outcome IS NULL"))

    def _judge(self) -> None:
        tally, wrong = self.tally, self.tally.wrong
        calls = self._studio.noted_calls()
        counts = Counter(calls)
        holderships = Counter(
            f"plugin_{record['lane']}"
            for host in self._studio.hosts.values()
            for record in host.daemon.told()
            if record["action"] == "lane.taken"
        )
        tally.events, tally.calls = len(self._event_ids), len(calls)
        tally.repeated, tally.takeovers = len(calls) - len(counts), holderships.total()
        for plugin in _plugins():
            events = [event_id for name, event_id in calls if name == plugin]
            firsts = list(dict.fromkeys(events))
            missing = set(self._event_ids) - set(firsts)
            if missing:
                wrong.append(f"{plugin} was not called for {sorted(missing)[:20]}")
            if firsts != sorted(firsts):
                wrong.append(f"{plugin} was not called in order: {_disorder(firsts)}")
            repeats = len(events) - len(firsts)
            if repeats >= max(holderships[plugin], 1):
                wrong.append(f"{plugin}: {repeats} repeats in {holderships[plugin]} holderships")
        for host in self._studio.hosts.values():
            self._judge_copy(host)

    def _judge_copy(self, host: Host) -> None:
        """See that a host's copy has each row once, and what the plugins counted exactly."""
        rows = [row[0] for row in _query(host, "SELECT event_id FROM journal ORDER BY seq")]
        if sorted(rows) != self._event_ids:
            twice = [event_id for event_id, count in Counter(rows).items() if count > 1]
            lost = sorted(set(self._event_ids) - set(rows))
            self.tally.wrong.append(f"{host.name}: journal has {twice} twice and lacks {lost}")
        counted = _stores(host, "count")
        if counted != dict.fromkeys(COUNTERS, len(self._event_ids)):
            self.tally.wrong.append(f"{host.name}: {len(self._event_ids)} events counted {counted}")


def _has_come_to(host: Host, event_id: int) -> bool:
    """Return whether those that count have come to an event, as a host's copy says."""
    return _stores(host, "last") == dict.fromkeys(COUNTERS, event_id)


def _plugins() -> list[str]:
    return [f"plugin_{lane_name}" for lane_name in LANES]


def _disorder(event_ids: list[int]) -> list[tuple[int, int]]:
    return [(first, second) for first, second in pairwise(event_ids) if second < first][:10]


def _query(host: Host, sql: str) -> list[tuple[Any, ...]]:
    """Return rows of a host's copy."""
    path = host.daemon.folder / "state" / "copy" / "sgevents.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0)) as database:
        return database.execute(sql).fetchall()


def _stores(host: Host, key: str) -> dict[str, int]:
    """Return what each plugin keeps under a key, in a host's copy."""
    rows = _query(host, f"SELECT plugin, value FROM stores WHERE key = '{key}'")
    return {plugin: int(value) for plugin, value in rows}


def run_chaos(studio: Studio, server: NatsServer, *, seed: int, seconds: float) -> Tally:
    """Run it once, and return what happened; `wrong` is empty if all is right.

    Args:
        studio: The hosts, not started, with the lanes `LANES`.
        server: Their server.
        seed: What determines the deeds.
        seconds: For how long things happen.
    """
    return Chaos(studio, server, seed).run(seconds)
