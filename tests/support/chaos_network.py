"""What connects the hosts, the NATS servers and the site of a chaos run, and can be cut."""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import combinations
from pathlib import Path
from socket import create_server
from typing import Final, NamedTuple, Protocol

from forward_proxy import forward_proxy
from link_relays import Relay, Relays
from namespaces import Namespaces
from nats_server import NatsServer

SITE: Final = "site"
_NOBODY: Final = "127.0.0.1:1"
_SERVER_PORTS: Final = range(20_000, 30_000)
_CLIENT_PORT: Final = 4222
_CLUSTER_PORT: Final = 6222
_MONITOR_PORT: Final = 8222


class Link(NamedTuple):
    """A connection between two machines."""

    first: str
    second: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.first} - {self.second}"


class Surroundings(NamedTuple):
    """What a host needs to know of the others.

    Args:
        server_url: The servers.
        proxy: The proxy before the site.
        under: What to write in front of its commands.
    """

    server_url: str
    proxy: str
    under: tuple[str, ...]


class Network(Protocol):
    """The machines, and what connects them."""

    servers: Sequence[NatsServer]

    @property
    def links(self) -> Sequence[Link]:
        """All links."""

    def surroundings_of(self, host: str) -> Surroundings:
        """Return what a host needs to know."""

    def cut(self, link: Link, *, is_silent: bool) -> None:
        """Cut a link: what is sent vanishes, or comes back as refused."""

    def mend(self, link: Link, *, is_forgetful: bool) -> None:
        """Mend a link; what was kept meanwhile arrives, or has been lost."""

    def close(self) -> None:
        """Remove it."""


def server_names(count: int) -> list[str]:
    """Return the names of the servers."""
    return [f"n{number}" for number in range(count)]


class RelayNetwork:
    """Everything on one machine, with a relay in front of whatever is connected to.

    Args:
        folder: Where the servers live.
        hosts: The names of the hosts.
        server_count: How many servers there are: 1 or 3.
    """

    def __init__(self, folder: Path, hosts: Sequence[str], server_count: int) -> None:
        self._stack = ExitStack()
        proxy = self._stack.enter_context(forward_proxy())
        self._relays = Relays()
        self._stack.callback(self._relays.close)
        self._by_link: dict[Link, list[Relay]] = {}
        self._urls: dict[str, str] = {}
        self._proxies: dict[str, str] = {}
        names = server_names(server_count)
        free_ports = _free_ports(3 * server_count)
        ports = {name: free_ports[3 * at : 3 * at + 3] for at, name in enumerate(names)}
        routes: dict[str, list[str]] = {name: [] for name in names}
        for first, second in combinations(names, 2):
            for source, target in ((first, second), (second, first)):
                relay = self._open(Link(first, second), ports[target][1])
                routes[source].append(_address_of(relay))
        self.servers: Sequence[NatsServer] = [
            _make_server(folder, name, "127.0.0.1", ports[name], routes[name], advertised=_NOBODY)
            for name in names
        ]
        for host in hosts:
            relays = [self._open(Link(host, name), ports[name][0]) for name in names]
            addresses = [_address_of(relay) for relay in relays]
            self._urls[host] = f"nats://{','.join(addresses)}"
            relay = self._open(Link(host, SITE), int(proxy.server_address[1]))
            self._proxies[host] = _address_of(relay)

    @property
    def links(self) -> Sequence[Link]:
        """All links."""
        return list(self._by_link)

    def surroundings_of(self, host: str) -> Surroundings:
        """Return what a host needs to know."""
        return Surroundings(self._urls[host], self._proxies[host], ())

    def cut(self, link: Link, *, is_silent: bool) -> None:
        """Cut a link."""
        for relay in self._by_link[link]:
            self._relays.run(relay.go_silent() if is_silent else relay.break_off())

    def mend(self, link: Link, *, is_forgetful: bool) -> None:
        """Mend a link."""
        for relay in self._by_link[link]:
            self._relays.run(relay.mend(is_forgetful=is_forgetful))

    def close(self) -> None:
        """End all relays."""
        self._stack.close()

    def _open(self, link: Link, port: int) -> Relay:
        relay = self._relays.open(("127.0.0.1", port))
        self._by_link.setdefault(link, []).append(relay)
        return relay


class NamespaceNetwork:
    """Each host and each server on a machine of its own; the site is this process's machine.

    Args:
        folder: Where the servers live.
        machines: The machines, which are there.
        hosts: The names of the hosts.
        server_count: How many servers there are: 1 or 3.
    """

    def __init__(
        self, folder: Path, machines: Namespaces, hosts: Sequence[str], server_count: int
    ) -> None:
        self._machines = machines
        self._stack = ExitStack()
        proxy = self._stack.enter_context(forward_proxy())
        relays = Relays()
        self._stack.callback(relays.close)
        way_to_site = relays.open(
            ("127.0.0.1", int(proxy.server_address[1])), machines.address_of(SITE)
        )
        self._proxy = _address_of(way_to_site)
        self._rules: dict[Link, str] = {}
        names = server_names(server_count)
        addresses = [machines.address_of(name) for name in names]
        ports = [_CLIENT_PORT, _CLUSTER_PORT, _MONITOR_PORT]
        self.servers: Sequence[NatsServer] = [
            _make_server(
                folder,
                name,
                machines.address_of(name),
                ports,
                [f"{machines.address_of(other)}:{ports[1]}" for other in names if other != name],
                under=machines.command_in(name),
            )
            for name in names
        ]
        self._url = "nats://" + ",".join(f"{address}:{ports[0]}" for address in addresses)
        self._links = [
            *(Link(host, other) for host in hosts for other in (*names, SITE)),
            *(Link(*pair) for pair in combinations(names, 2)),
        ]

    @property
    def links(self) -> Sequence[Link]:
        """All links."""
        return self._links

    def surroundings_of(self, host: str) -> Surroundings:
        """Return what a host needs to know."""
        return Surroundings(self._url, self._proxy, self._machines.command_in(host))

    def cut(self, link: Link, *, is_silent: bool) -> None:
        """Cut a link."""
        self._rules[link] = "blackhole" if is_silent else "unreachable"
        self._machines.part(*link, self._rules[link])

    def mend(self, link: Link, *, is_forgetful: bool) -> None:
        """Mend a link; the systems send again what was not received."""
        self._machines.join(*link, self._rules.pop(link))

    def close(self) -> None:
        """End the way to the site."""
        self._stack.close()


def _make_server(
    folder: Path,
    name: str,
    host: str,
    ports: Sequence[int],
    routes: Sequence[str],
    *,
    advertised: str = "",
    under: Sequence[str] = (),
) -> NatsServer:
    """Return a server: one of a cluster if there are routes to others."""
    client_port, cluster_port, monitor_port = ports
    more = f"server_name: {name}\nhttp: '{host}:{monitor_port}'\n"
    if routes:
        quoted = ", ".join(f"'nats://{route}'" for route in routes)
        more += f"cluster {{ name: studio\nlisten: '{host}:{cluster_port}'\nroutes: [{quoted}]\n"
        more += f"advertise: '{advertised}'\n" if advertised else ""
        more += 'ping_interval: "1s"\nping_max: 2\nwrite_deadline: "3s"\n'
        more += "}\n"
    server = NatsServer(folder / name, more=more, host=host, port=client_port, under=under)
    server.monitor_url = f"http://{host}:{monitor_port}"
    return server


def find_leader(servers: Sequence[NatsServer]) -> str:
    """Return the name of the server that leads the cluster, as those say that answer."""
    for server in servers:
        try:
            with urllib.request.urlopen(f"{server.monitor_url}/jsz", timeout=1.0) as answer:
                jetstream: Mapping[str, Mapping[str, str]] = json.load(answer)
        except OSError:
            continue
        leader = jetstream.get("meta_cluster", {}).get("leader", "")
        if leader:
            return leader
    return ""


def _address_of(relay: Relay) -> str:
    host, port = relay.address
    return f"{host}:{port}"


def _free_ports(count: int) -> list[int]:
    """Return ports below those that the system gives to connections while a server is down."""
    ports: list[int] = []
    for port in random.sample(_SERVER_PORTS, len(_SERVER_PORTS)):
        with suppress(OSError), create_server(("127.0.0.1", port)):
            ports.append(port)
        if len(ports) == count:
            break
    return ports
