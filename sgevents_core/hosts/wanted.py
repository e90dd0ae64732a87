"""The decision which version of configuration and plugins is wanted, and who reloads next. Pure.

A person's `sgevents reload` says what is wanted, and its hosts then reload one after another. While
nobody is to reload, what is wanted follows the hosts: the version that more than half of those
present have or, if no host present has what is wanted, the one that most of them have. So hosts
that are upgraded by hand, one after another, never wait for a person.

Every host decides from the same record and the same leases; a change of the record names the
record that it was made from, so of two changes one is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace


class HostVersion(NamedTuple):
    """The version that a host shows.

    Args:
        version: The one that it has; empty if its program is too old to say.
        previous: The one that it had until some seconds ago, if its files changed while it runs.
    """

    version: str
    previous: str = ""


class WantedVersion(Struct, frozen=True, omit_defaults=True):
    """What is wanted, and how far the hosts are.

    Args:
        version: The version that is wanted.
        number: Counts the requests of people.
        asked_on: The host on which a person asked for it; empty if nobody did.
        asked_at: When, in seconds since 1970, by that host's clock.
        waiting: The hosts that are still to reload, in their order.
        reloading: The host whose turn it is; empty if it is nobody's.
        turn: The number of the request for which it is its turn.
        stopped_on: The host that could not reload, where the others wait; empty if all goes well.
        reason: Why it could not.
    """

    version: str
    number: int = 0
    asked_on: str = ""
    asked_at: float = 0.0
    waiting: tuple[str, ...] = ()
    reloading: str = ""
    turn: int = 0
    stopped_on: str = ""
    reason: str = ""

    def encode(self) -> bytes:
        """Return it as it is stored."""
        return msgspec.json.encode(self)


def read_wanted(stored: bytes) -> WantedVersion | None:
    """Return what was stored; None if this version does not understand it."""
    try:
        return msgspec.json.decode(stored, type=WantedVersion)
    except msgspec.MsgspecError:
        return None


def ready_hosts(
    wanted: WantedVersion | None, host_versions: Mapping[str, HostVersion]
) -> frozenset[str]:
    """Return the hosts that may take work before others.

    Args:
        wanted: What is wanted; None if nothing is yet.
        host_versions: The hosts that are present.
    """
    if wanted is None or _has_silent_host(host_versions):
        return frozenset(host_versions)
    return frozenset(
        name for name, host_version in host_versions.items() if wanted.version in host_version
    )


def is_rolling(wanted: WantedVersion, host_versions: Mapping[str, HostVersion]) -> bool:
    """Return whether a host is to reload, so that what is wanted does not follow the hosts."""
    return bool(wanted.reloading) or any(name in host_versions for name in wanted.waiting)


def follow_hosts(
    wanted: WantedVersion | None, host_versions: Mapping[str, HostVersion], host_name: str
) -> WantedVersion | None:
    """Return what is wanted from now on if that is this host's version; None if nothing changes.

    Args:
        wanted: What is wanted.
        host_versions: The hosts that are present.
        host_name: This host.
    """
    own_version = host_versions[host_name].version
    if _has_silent_host(host_versions) or (wanted is not None and wanted.version == own_version):
        return None
    if wanted is not None and is_rolling(wanted, host_versions):
        return None
    version_counts = Counter(host_version.version for host_version in host_versions.values())
    if not _is_chosen(own_version, version_counts, wanted, host_versions):
        return None
    return WantedVersion(own_version, number=0 if wanted is None else wanted.number)


def _is_chosen(
    version: str,
    version_counts: Mapping[str, int],
    wanted: WantedVersion | None,
    host_versions: Mapping[str, HostVersion],
) -> bool:
    """Return whether the hosts want a version that is not the one recorded."""
    if version_counts[version] == len(host_versions):
        return True
    if any(host_version.previous for host_version in host_versions.values()):
        return False  # others may be about to follow
    if wanted is None or wanted.version not in version_counts:
        return version == min(version_counts, key=lambda name: (-version_counts[name], name))
    return 2 * version_counts[version] > len(host_versions)


def ask_for(
    wanted: WantedVersion | None,
    version: str,
    host_versions: Mapping[str, HostVersion],
    host_name: str,
    asked_at: float,
) -> WantedVersion:
    """Return what is wanted once a person has asked a host to reload.

    All hosts that are present reload then, that one first. If they were stopped on the way to the
    same version, those that have it already need not.

    Args:
        wanted: What was wanted.
        version: The version that the host will have.
        host_versions: The hosts that are present.
        host_name: The host.
        asked_at: The time, in seconds since 1970.
    """
    previous_record = wanted or WantedVersion(version)
    is_resumed = previous_record.version == version and bool(previous_record.waiting)
    speaking_hosts = sorted(
        name for name, host_version in host_versions.items() if host_version.version
    )
    waiting = previous_record.waiting if is_resumed else tuple(speaking_hosts)
    other_names = [name for name in waiting if name != host_name]
    number = previous_record.number + 1
    is_turn_of_other = (
        previous_record.reloading != host_name and previous_record.reloading in host_versions
    )
    reloading = previous_record.reloading if is_turn_of_other else host_name
    return WantedVersion(
        version,
        number=number,
        asked_on=host_name,
        asked_at=asked_at,
        waiting=(host_name, *other_names),
        reloading=reloading,
        turn=previous_record.turn if is_turn_of_other else number,
    )


def take_turn(
    wanted: WantedVersion, host_versions: Mapping[str, HostVersion], host_name: str
) -> WantedVersion | None:
    """Return the record if it is a host's turn to reload now; None if it is not.

    Args:
        wanted: What is wanted.
        host_versions: The hosts that are present.
        host_name: The host.
    """
    if wanted.reloading or wanted.stopped_on:
        return None
    present_hosts = [name for name in wanted.waiting if name in host_versions]
    if not present_hosts or present_hosts[0] != host_name:
        return None
    return replace(wanted, reloading=host_name, turn=wanted.number)


def arrive(wanted: WantedVersion, host_name: str, version: str) -> WantedVersion | None:
    """Return the record once a new process of a host is there; None if nothing changes.

    Args:
        wanted: What is wanted.
        host_name: The host.
        version: The version that the process has.
    """
    is_its_turn = wanted.reloading == host_name
    if version == wanted.version:
        if not (is_its_turn or host_name in wanted.waiting):
            return None
        arrived = replace(wanted, waiting=_without(wanted.waiting, host_name))
        if is_its_turn:
            arrived = replace(arrived, reloading="")
        if wanted.stopped_on == host_name:
            arrived = replace(arrived, stopped_on="", reason="")
        return arrived
    if not is_its_turn:
        return None
    if wanted.turn != wanted.number:  # something else is wanted meanwhile: it reloads once more
        return replace(wanted, reloading="")
    reason = "it started with another version than its trial had shown"
    return replace(wanted, reloading="", stopped_on=host_name, reason=reason)


def refuse_turn(wanted: WantedVersion, host_name: str, reason: str) -> WantedVersion | None:
    """Return the record once a host has refused to reload; None if it is not its turn.

    Args:
        wanted: What is wanted.
        host_name: The host.
        reason: Why, for people.
    """
    if wanted.reloading != host_name:
        return None
    if wanted.turn != wanted.number:
        return replace(wanted, reloading="")
    return replace(wanted, reloading="", stopped_on=host_name, reason=reason)


def _has_silent_host(host_versions: Mapping[str, HostVersion]) -> bool:
    """Return whether a host is present that shows no version, and takes all hosts to be equal."""
    return any(not host_version.version for host_version in host_versions.values())


def _without(names: tuple[str, ...], left_out: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != left_out)
