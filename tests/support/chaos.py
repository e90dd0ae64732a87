"""Three hosts, their servers and links to which things happen at random, and what must be true."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos_network import SITE, Link, find_leader
from chaos_oracle import CallOracle, CopyRows, judge_copy, judge_log, read_copy
from chaos_plugins import BATCHED_TYPE, LANES, plugin_of, read_calls
from chaos_records import Holders
from chaos_studio import ChaosStudio, ChaosTraffic
from host_processes import Host
from nats_server import NatsServer
from takeover_times import Incident, TakeoverTimes

from sgevents_core.settings.broker_url import BrokerUrl
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.stream_keys import REQUESTS

TICK = 0.1
PATIENCE = 240.0
"""Seconds within which everything is done once nothing happens any more."""
STOPS_WITHIN = 60.0
_LOOK_INTERVAL = 0.5


@dataclass
class Tally:
    """What happened in a run, and what is wrong with the outcome."""

    rows: int = 0
    calls: int = 0
    repeated: int = 0
    late_begins: int = 0
    holderships: int = 0
    requests: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    takeovers: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it for people."""
        deeds = ", ".join(f"{count} {deed}" for deed, count in sorted(self.deeds.items()))
        summary = (
            f"{self.rows} rows, {self.calls} calls, {self.repeated} repeated, {self.late_begins} "
            f"begun late, {self.holderships} holderships, {self.requests} requests"
        )
        return "\n".join([summary, deeds or "nothing happened", *self.takeovers])


@dataclass(frozen=True)
class Weather:
    """How bad it is.

    Args:
        lease: How many seconds a lease lasts.
        longest: How many seconds a host is away, or a link cut, at most.
        calm: How many seconds pass between two things that happen, at most.
        is_timed: Whether it is judged how long take-overs took; not on a machine that may be slow.
    """

    lease: float = 5.0
    longest: float = 30.0
    calm: float = 8.0
    is_timed: bool = True


class Chaos:
    """A run: rows come all the time, and every moment something happens.

    Args:
        studio: The hosts, not started.
        seed: What determines the deeds.
        weather: How bad it is.
    """

    def __init__(self, studio: ChaosStudio, seed: int, weather: Weather) -> None:
        self._studio = studio
        self._servers = {server.folder.name: server for server in studio.network.servers}
        self._random = random.Random(seed)
        self._traffic = ChaosTraffic(studio.site, seed)
        self._weather = weather
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._hurt: dict[str, Incident] = {}
        """Host -> what it suffers from: it is dead, frozen or about to stop."""
        self._hurt_server = ""
        self._server_trouble = Incident("", "")
        self._cut: set[Link] = set()
        self._cut_off: dict[str, Incident] = {}
        self._cut_servers: Incident | None = None
        self._incidents: list[Incident] = []
        self._asking: threading.Thread | None = None
        self.tally = Tally()

    def run(self, seconds: float) -> Tally:
        """Let things happen for so long, then let everything calm down, and judge it."""
        for host in self._studio.hosts.values():
            host.start()
        self._await("the start", self._have_started)
        self._studio.await_spread(*self._studio.hosts)
        self._traffic.start()
        try:
            self._let_things_happen(seconds)
        finally:
            self._traffic.stop()
        self._calm_down()
        self._judge()
        return self.tally

    def _have_started(self) -> bool:
        self._supervise_all()
        return all(host.daemon.tells("daemon.started") for host in self._studio.hosts.values())

    def _let_things_happen(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        next_at = time.monotonic()
        while time.monotonic() < ends_at:
            self._carry_out_ends(time.monotonic())
            self._supervise_all()
            if time.monotonic() >= next_at:
                deed = self._choose()()
                self.tally.deeds[deed or "quiet moments"] += 1
                next_at = time.monotonic() + self._random.uniform(0.3, self._weather.calm)
            time.sleep(TICK)

    def _choose(self) -> Callable[[], str]:
        deeds: dict[Callable[[], str], int] = {
            self._kill: 2,
            self._die: 3,
            self._freeze: 3,
            self._stop: 2,
            self._cut_two_links: 3,
            self._cut_host_off: 3,
            self._trouble_server: 2,
            self._ask: 2,
        }
        return self._random.choices(list(deeds), list(deeds.values()))[0]

    # Hosts

    def _some_host(self) -> Host | None:
        """Return a host that is well; None if two suffer already."""
        names = [name for name in self._studio.hosts if name not in self._hurt]
        return self._studio.hosts[self._random.choice(names)] if len(names) > 1 else None

    def _kill(self) -> str:
        host = self._some_host()
        if host is None:
            return ""
        incident = self._note_host("kill", host)
        host.kill()
        self._start(host)
        incident.end()
        return "kills"

    def _die(self) -> str:
        """Kill a host for a while: others have to take its lanes over."""
        host = self._some_host()
        if host is None:
            return ""
        self._hurt[host.name] = self._note_host("death", host)
        host.kill()
        self._later(partial(self._revive, host))
        return "deaths"

    def _revive(self, host: Host) -> None:
        self._hurt.pop(host.name).end()
        self._start(host)

    def _freeze(self) -> str:
        host = self._some_host()
        if host is None or host.process is None:
            return ""
        self._hurt[host.name] = self._note_host("freeze", host)
        host.process.send_signal(signal.SIGSTOP)
        self._later(partial(self._thaw, host))
        return "freezes"

    def _thaw(self, host: Host) -> None:
        assert host.process is not None
        self._hurt.pop(host.name).end()
        host.process.send_signal(signal.SIGCONT)

    def _stop(self) -> str:
        """Stop a host in order; it is started again once it has ended."""
        host = self._some_host()
        if host is None or host.process is None:
            return ""
        self._hurt[host.name] = self._note_host("stop", host)
        host.process.terminate()
        return "restarts"

    def _supervise_all(self) -> None:
        for host in self._studio.hosts.values():
            self._supervise(host)

    def _supervise(self, host: Host) -> None:
        """Start a daemon again that has ended, as systemd does."""
        suffering = self._hurt.get(host.name)
        if suffering is not None and suffering.kind == "stop":
            self._await_stop(host, suffering)
        elif suffering is None and host.process is not None and host.process.poll() is not None:
            self._judge_end(host, host.process.returncode)
            self._start(host)

    def _await_stop(self, host: Host, suffering: Incident) -> None:
        assert host.process is not None
        code = host.process.poll()
        if code is None and suffering.lasts() < STOPS_WITHIN:
            return
        if code is None:
            code = -signal.SIGKILL
            host.kill()
        is_early = not self._studio.logs[host.name].is_started()  # it has not begun
        if code and not (is_early and (code == -signal.SIGTERM or _found_no_server(host))):
            self.tally.wrong.append(f"{host.name} stopped with {code}: {_last_words(host)}")
        self._revive(host)

    def _judge_end(self, host: Host, code: int) -> None:
        """A daemon may end by itself only if it could not reach the servers as it started."""
        self.tally.deeds["starts in vain"] += 1
        if code != 1 or not _found_no_server(host):
            self.tally.wrong.append(f"{host.name} has ended with {code}: {_last_words(host)}")

    def _start(self, host: Host) -> None:
        log = self._studio.logs[host.name]
        log.read()
        log.forget_held()
        host.start()

    def _note_host(self, kind: str, host: Host) -> Incident:
        held = frozenset(self._studio.logs[host.name].held_work())
        incident = Incident(kind, host.name, held)
        self._incidents.append(incident)
        return incident

    # Links

    def _cut_two_links(self) -> str:
        links = [link for link in self._studio.network.links if link not in self._cut]
        if self._cut or len(links) < 2:
            return ""
        self._cut_links(self._random.sample(links, 2))
        return "pairs of links cut"

    def _cut_host_off(self) -> str:
        """Cut a host off from all servers, and perhaps from the site."""
        host = self._some_host()
        if host is None or self._cut:
            return ""
        others = {SITE, *self._servers} if self._random.random() < 0.5 else set(self._servers)
        self._cut_links(_links_of(host.name, self._studio.network.links, others))
        return "hosts cut off"

    def _cut_links(self, links: list[Link], seconds: float | None = None) -> None:
        is_silent = self._random.random() < 0.7
        for link in links:
            self._studio.network.cut(link, is_silent=is_silent)
        self._cut |= set(links)
        self._note_cut_off()
        self._note_cut_servers()
        is_forgetful = self._random.random() < 0.5
        self._later(partial(self._mend_links, links, is_forgetful), seconds)

    def _mend_links(self, links: list[Link], is_forgetful: bool) -> None:
        for link in links:
            self._studio.network.mend(link, is_forgetful=is_forgetful)
        self._cut -= set(links)
        self._note_cut_off()
        self._note_cut_servers()

    def _note_cut_off(self) -> None:
        """Note which hosts reach no server, since when and until when."""
        for host in self._studio.hosts.values():
            links = _links_of(host.name, self._studio.network.links, set(self._servers))
            is_cut_off = set(links) <= self._cut
            if is_cut_off and host.name not in self._cut_off:
                self._cut_off[host.name] = self._note_host("cut", host)
            elif not is_cut_off and host.name in self._cut_off:
                self._cut_off.pop(host.name).end()

    def _note_cut_servers(self) -> None:
        """Note since when and until when servers do not reach each other."""
        is_cut = any(set(link) <= set(self._servers) for link in self._cut)
        if is_cut and self._cut_servers is None:
            self._cut_servers = Incident("cut between servers", "")
            self._incidents.append(self._cut_servers)
        elif not is_cut and self._cut_servers is not None:
            self._cut_servers.end()
            self._cut_servers = None

    # Servers

    def _trouble_server(self) -> str:
        if self._hurt_server:
            return ""
        is_cluster = len(self._servers) > 1
        name = self._random.choice(list(self._servers))
        leader = find_leader(list(self._servers.values())) if self._random.random() < 0.4 else ""
        name = leader or name
        self._hurt_server = name
        self._server_trouble = Incident(f"trouble of server {name}", "")
        self._incidents.append(self._server_trouble)
        deeds = [self._kill_server, self._freeze_server]
        deed = self._random.choice([*deeds, self._cut_server_off] if is_cluster else deeds)
        word = deed(self._servers[name])
        return f"leader {word}" if leader else f"server {word}"

    def _kill_server(self, server: NatsServer) -> str:
        server.kill()
        self._later(partial(self._end_trouble, server.start), self._random.uniform(0.0, 8.0))
        return "kills"

    def _freeze_server(self, server: NatsServer) -> str:
        server.freeze()
        self._later(partial(self._end_trouble, server.thaw), self._random.uniform(0.1, 8.0))
        return "freezes"

    def _cut_server_off(self, server: NatsServer) -> str:
        name = server.folder.name
        links = _links_of(name, self._studio.network.links, {*self._servers, *self._studio.hosts})
        self._cut_links([link for link in links if link not in self._cut])
        mend = self._ends.pop()
        self._ends.append((mend[0], partial(self._end_trouble, mend[1])))
        return "cut off"

    def _end_trouble(self, change: Callable[[], None]) -> None:
        change()
        self._hurt_server = ""
        self._server_trouble.end()

    # People

    def _ask(self) -> str:
        """Pause a plugin and resume it, from a host that need not have it."""
        if self._asking is not None and self._asking.is_alive():
            return ""
        host = self._random.choice(list(self._studio.hosts.values()))
        plugin = plugin_of(self._random.choice(list(LANES)))
        self._asking = threading.Thread(target=self._pause_and_resume, args=(host, plugin))
        self._asking.start()
        return "pauses"

    def _pause_and_resume(self, host: Host, plugin: str) -> None:
        for command in ("pause", "resume"):
            try:
                host.command(command, plugin, "--timeout", "0s", codes=(0, 1, 3))
            except AssertionError as error:
                self.tally.wrong.append(f"{command} on {host.name}: {error}")
            self.tally.requests += 1

    # The end

    def _later(self, change: Callable[[], None], seconds: float | None = None) -> None:
        if seconds is None:
            longest = self._weather.longest
            seconds = self._random.uniform(*self._random.choice([(1.0, 8.0), (8.0, 30.0)]))
            seconds = min(seconds, longest)
        self._ends.append((time.monotonic() + seconds, change))

    def _carry_out_ends(self, current_time: float) -> None:
        due = [change for due_at, change in self._ends if due_at <= current_time]
        self._ends = [entry for entry in self._ends if entry[0] > current_time]
        for change in due:
            change()

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until something is so; note it if it never is."""
        until = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > until:
                logs = [f"{host.name}: {_last_words(host)}" for host in self._studio.hosts.values()]
                self.tally.wrong.append("\n".join([f"waited in vain for {what}", *logs]))
                return
            time.sleep(_LOOK_INTERVAL)

    def _calm_down(self) -> None:
        """Let everything run, and wait until everything is handled."""
        self._carry_out_ends(float("inf"))
        if self._asking is not None:
            self._asking.join()
        hosts = list(self._studio.hosts.values())
        self._await("the hosts to be back", self._are_well)
        for lane_name in LANES:  # one whose request to go on did not reach the servers
            hosts[0].command("resume", plugin_of(lane_name), "--timeout", "60s", codes=(0, 1))
        self._await("all calls", self._are_all_called)
        self._await("the copies", self._are_copies_complete)
        with suppress(AssertionError):
            self._studio.await_spread(*self._studio.hosts)
        for host in hosts:
            code = host.stop()
            if code:
                self.tally.wrong.append(f"{host.name} stopped with {code}: {_last_words(host)}")

    def _are_well(self) -> bool:
        self._supervise_all()
        return not self._hurt and all(
            self._studio.logs[host.name].is_started() for host in self._studio.hosts.values()
        )

    def _are_all_called(self) -> bool:
        self._supervise_all()
        rows = self._studio.site_rows()
        batched = {row.event_id for row in rows.values() if row.event_type == BATCHED_TYPE}
        done = {
            (call.lane, call.callback, event_id)
            for call in read_calls(self._studio.calls)
            if call.outcome == "done"
            for event_id in call.event_ids
        }
        return done >= {
            (lane_name, callback, event_id)
            for lane_name, rules in LANES.items()
            for callback in rules.callbacks
            for event_id in (batched if callback == "batch" else rows)
        }

    def _are_copies_complete(self) -> bool:
        rows = self._studio.site_rows()
        copies = [self._copy_of(host) for host in self._studio.hosts.values()]
        return not any(list(judge_copy("", copy, rows)) for copy in copies)

    def _copy_of(self, host: Host) -> CopyRows:
        return read_copy(host.daemon.folder / "state")

    def _judge(self) -> None:
        studio, tally = self._studio, self.tally
        for log in studio.logs.values():
            log.read()
        holders = Holders(list(studio.logs.values()))
        rows, calls = studio.site_rows(), read_calls(studio.calls)
        copies = {name: self._copy_of(host) for name, host in studio.hosts.items()}
        for name, copy in copies.items():
            tally.wrong += judge_copy(name, copy, rows)
        first_copy = next(iter(copies.values()))
        if any(copy.journal != first_copy.journal for copy in copies.values()):
            tally.wrong.append("the hosts' copies have different journals")
        oracle = CallOracle(rows, dict(first_copy.journal), calls, holders)
        tally.wrong += oracle.wrong()
        tally.wrong += self._judge_logs()
        times = TakeoverTimes(self._incidents, holders, list(studio.hosts), self._weather.lease)
        tally.wrong += times.wrong() if self._weather.is_timed else ()
        tally.takeovers = [*times.lines(), *times.slow_lines()]
        tally.rows, tally.calls = len(rows), len(calls)
        tally.repeated, tally.late_begins = oracle.repeated, oracle.late_begins
        tally.holderships = holders.count()

    def _judge_logs(self) -> Iterator[str]:
        """See that nobody has written to a stream after another had taken it."""
        servers = tuple(f"{server.host}:{server.port}" for server in self._servers.values())
        settings = StateSettings(path=Path(), url=BrokerUrl(servers, is_encrypted=False))
        site_url = next(iter(self._studio.hosts.values())).daemon.url
        logs = BrokerLogs(settings, site_url, "the oracle")
        try:
            for stream_key in logs.stream_keys():
                if stream_key != REQUESTS:
                    yield from judge_log(stream_key, logs.log(stream_key))
        finally:
            logs.close()


def _links_of(machine: str, links: Iterable[Link], others: set[str]) -> list[Link]:
    """Return the links of a machine to any of some others."""
    return [link for link in links if machine in link and others & (set(link) - {machine})]


def _found_no_server(host: Host) -> bool:
    return "does not answer" in _last_words(host)[-1000:]


def _last_words(host: Host) -> str:
    return host.log()[-3000:]


def run_chaos(studio: ChaosStudio, *, seed: int, seconds: float, weather: Weather) -> Tally:
    """Run it once, and return what happened; `wrong` is empty if all is right.

    Args:
        studio: The hosts, not started.
        seed: What determines the deeds.
        seconds: For how long things happen.
        weather: How bad it is.
    """
    return Chaos(studio, seed, weather).run(seconds)
