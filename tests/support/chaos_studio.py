"""The hosts of a chaos run, their site, and the traffic on it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from chaos_network import Network
from chaos_oracle import SiteRow
from chaos_plugins import BATCHED_TYPE, LANES, plugin_of, plugin_text
from chaos_records import HostLog
from host_processes import Host, Studio, end_host

from sgevents_core.sandbox import Sandbox

HOSTS: Final = ("alpha", "beta", "gamma")
_ENTITIES: Final = 12
_EVENT_INTERVAL: Final = 0.2
_FEED: Final = 'poll_interval = "100ms"\nbacklog_timeout = "60s"\nstart = 1\npage_size = 50\n'


class ChaosStudio(Studio):
    """Three hosts with the lanes of `chaos_plugins`.

    Args:
        folder: Where everything lives.
        site: The site.
        network: What connects everything.
        lease: How long a lease lasts.
    """

    def __init__(self, folder: Path, site: Sandbox, network: Network, lease: str) -> None:
        self.network = network
        super().__init__(folder, site, "", host_names=HOSTS, lanes=tuple(LANES), lease=lease)
        self.logs = {name: HostLog(host.daemon.output, name) for name, host in self.hosts.items()}

    def _configure(self, host: Host, server_url: str, lease: str) -> None:
        daemon, network = host.daemon, self.network
        surroundings = network.surroundings_of(host.name)
        daemon.under = surroundings.under
        daemon.variables = {"CHAOS_HOST": host.name, "CHAOS_PROXY": surroundings.proxy}
        daemon.site_keys += 'http_proxy = { env = "CHAOS_PROXY" }\n'
        daemon.feed = _FEED
        for lane_name, rules in LANES.items():
            daemon.install(plugin_of(lane_name), plugin_text(lane_name, self.calls), lane_name)
            daemon.log += f'[[groups]]\nname = "{lane_name}"\nlane = "{lane_name}"\n'
            daemon.log += f"[lanes.{lane_name}]\n{rules.table}" if rules.table else ""
        daemon.state = (
            f'path = "state"\nurl = "{surroundings.server_url}"\nhost = "{host.name}"\n'
            f'lease = "{lease}"\nreplicas = {len(network.servers)}\n'
        )
        daemon.log += '[log]\nlevel = "info"\n'
        daemon.write_config()

    def site_rows(self) -> dict[int, SiteRow]:
        """Return the rows that the site shows, by id."""
        return {
            row["id"]: SiteRow(row["id"], row["event_type"], (row["meta"] or {}).get("entity_id"))
            for row in self.site.event_rows()
        }


class ChaosTraffic(threading.Thread):
    """A site with rows about some tasks: at once, late, hidden for a while, or never; outages.

    Args:
        site: The site.
        seed: What determines it.
    """

    def __init__(self, site: Sandbox, seed: int) -> None:
        super().__init__(name="traffic")
        self._site = site
        self._random = random.Random(seed)
        self._is_over = threading.Event()
        self._due: list[tuple[float, Callable[[], object]]] = []

    def run(self) -> None:
        """Write rows until stopped, then let everything become visible."""
        while not self._is_over.wait(_EVENT_INTERVAL):
            self._write_something()
            self._carry_out(time.monotonic())
        self._carry_out(math.inf)
        self._site.come_back()

    def stop(self) -> None:
        """End it."""
        self._is_over.set()
        self.join()

    def _write_something(self) -> None:
        chance = self._random.random()
        if chance < 0.03:
            self._site.burn(self._random.choice([1, 3, 300]))
        elif chance < 0.1:
            transaction = self._site.begin()
            for _ in range(2):
                transaction.event(self._some_type(), meta=self._some_entity())
            self._later(transaction.commit)
        elif chance < 0.105:
            self._site.outage_for(self._random.uniform(0.2, 3.0))
        else:
            event_id = self._site.event(self._some_type(), meta=self._some_entity())
            if chance > 0.96:
                self._site.hide([event_id])
                self._later(partial(self._site.show, [event_id]))

    def _later(self, change: Callable[[], object]) -> None:
        seconds = self._random.choice([0.3, 2.0, 8.0, 20.0])
        self._due.append((time.monotonic() + seconds, change))

    def _carry_out(self, current_time: float) -> None:
        due = [change for due_at, change in self._due if due_at <= current_time]
        self._due = [entry for entry in self._due if entry[0] > current_time]
        for change in due:
            change()

    def _some_type(self) -> str:
        return BATCHED_TYPE if self._random.random() < 0.4 else "Studio_Ping"

    def _some_entity(self) -> dict[str, object]:
        return {"entity_type": "Task", "entity_id": self._random.randrange(_ENTITIES)}


@contextmanager
def chaos_studio(folder: Path, network: Network, lease: str, seed: int) -> Iterator[ChaosStudio]:
    """Have the servers running, and hosts that are not started; all ends with the block."""
    with ExitStack() as opened:
        for server in network.servers:
            opened.callback(server.kill)
            server.start()
        site = opened.enter_context(Sandbox(project=False, seed=seed))
        studio = ChaosStudio(folder, site, network, lease)
        for host in studio.hosts.values():
            opened.callback(end_host, host)
        studio.make_streams()
        yield studio
