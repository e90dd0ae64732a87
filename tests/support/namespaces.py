"""Network namespaces of Linux: machines of their own for a test, whose links can be taken down.

Each machine has one cable, to a machine in the middle that forwards, and may be told not to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_NETWORK: Final = "10.213"
_HUB: Final = "hub"


def missing_rights() -> str:
    """Return what is missing to make namespaces, for people; empty if nothing is."""
    if shutil.which("ip") is None:
        return "the command ip is not there: install the package iproute2"
    if os.geteuid() != 0:
        return "only root may make network namespaces: run it as root, or in a privileged container"
    name = f"sgx{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"the system lets nobody make network namespaces here: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


class Namespaces:
    """Machines, each in a namespace of its own; made by `namespaces`.

    Args:
        prefix: What the names of the namespaces begin with.
        machines: The names of the machines.
    """

    def __init__(self, prefix: str, machines: Sequence[str]) -> None:
        self.prefix = prefix
        self._numbers = {machine: number for number, machine in enumerate(machines, 1)}

    def name_of(self, machine: str) -> str:
        """Return the namespace of a machine."""
        return f"{self.prefix}-{machine}"

    def address_of(self, machine: str) -> str:
        """Return the address of a machine."""
        return f"{_NETWORK}.{self._numbers[machine]}.2"

    def command_in(self, machine: str) -> tuple[str, ...]:
        """Return what to write in front of a command that is to run on a machine."""
        return ("ip", "netns", "exec", self.name_of(machine))

    def make(self) -> None:
        """Make all machines and their cables."""
        hub = self.name_of(_HUB)
        _ip("netns", "add", hub)
        _ip("netns", "exec", hub, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for machine, number in self._numbers.items():
            self._connect(machine, number, hub)

    def _connect(self, machine: str, number: int, hub: str) -> None:
        name, cable, plug = self.name_of(machine), f"eth{number}", f"port{number}"
        gateway = f"{_NETWORK}.{number}.1"
        _ip("netns", "add", name)
        _ip("link", "add", cable, "netns", name, "type", "veth", "peer", plug, "netns", hub)
        _ip("-n", name, "address", "add", f"{self.address_of(machine)}/24", "dev", cable)
        _ip("-n", hub, "address", "add", f"{gateway}/24", "dev", plug)
        for namespace, device in ((name, "lo"), (name, cable), (hub, plug)):
            _ip("-n", namespace, "link", "set", device, "up")
        _ip("-n", name, "route", "add", "default", "via", gateway)

    def part(self, first: str, second: str, kind: str) -> None:
        """Let no packet between two machines pass.

        Args:
            first: A machine.
            second: Another.
            kind: `blackhole` lets packets vanish, `unreachable` answers that nobody is there.
        """
        self._change_rules("add", first, second, kind)

    def join(self, first: str, second: str, kind: str) -> None:
        """Let packets pass again; see `part`."""
        self._change_rules("delete", first, second, kind)

    def _change_rules(self, change: str, first: str, second: str, kind: str) -> None:
        for source, target in ((first, second), (second, first)):
            ends = ("from", self.address_of(source), "to", self.address_of(target))
            _ip("-n", self.name_of(_HUB), "rule", change, *ends, kind)

    def unplug(self, machine: str) -> None:
        """Take the only cable of a machine down, at the far end."""
        plug = f"port{self._numbers[machine]}"
        _ip("-n", self.name_of(_HUB), "link", "set", plug, "down")

    def plug_in(self, machine: str) -> None:
        """Take its cable up again."""
        plug = f"port{self._numbers[machine]}"
        _ip("-n", self.name_of(_HUB), "link", "set", plug, "up")

    def remove(self) -> None:
        """Remove everything that is there of it."""
        for machine in (*self._numbers, _HUB):
            subprocess.run(["ip", "netns", "delete", self.name_of(machine)], capture_output=True)


@contextmanager
def namespaces(machines: Sequence[str]) -> Iterator[Namespaces]:
    """Have machines while the block lasts; processes in them must have ended before."""
    made = Namespaces(f"sgx{os.getpid()}", machines)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
