"""The work of one of several hosts: what it has leases of, renewed and spread by a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from sgevents_core.errors import HostNameTaken, StateError
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.leases import HOST_PREFIX, HolderNote, read_note
from sgevents_core.hosts.rolling import RollingReload
from sgevents_core.hosts.spread import FEED, PresentHost, decide_change, lane_work
from sgevents_core.hosts.unclaimed import UnclaimedWork
from sgevents_core.hosts.wanted import HostVersion
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.protocols import HeldLease, LeaseEntry, Leases

logger = logging.getLogger("sgevents.hosts")

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at all leases."""
_RENEWALS: Final = 4
"""How often a lease is renewed while it lasts."""
FOLLOW_SECONDS: Final = 10.0
"""For how long a host whose files change while it runs counts as one that has what it had."""
_RECORD_PAUSE: Final = 5.0
"""Seconds for which what is wanted is not asked for again after it could not be read."""
_END_WITHIN: Final = 5.0


class LeasedWork:
    """The work of this host, as its leases say.

    Args:
        leases: The leases of the site.
        note: This process: its host, its files, its run, its version.
        lane_names: All lanes.
        describe_host: Returns what the configuration says about a host, by its name.
        rolling: This host's part in what is wanted; None to take all hosts to be equal.
    """

    is_shared = True

    def __init__(
        self,
        leases: Leases,
        note: HolderNote,
        lane_names: Collection[str],
        describe_host: Callable[[str], PresentHost],
        rolling: RollingReload | None = None,
    ) -> None:
        self.rolling: Final = rolling
        self._leases = leases
        self._note = note
        self._work_names = frozenset([FEED, *map(lane_work, lane_names)])
        self._describe_host = describe_host
        self._host_key = f"{HOST_PREFIX}{note.host}"
        self._lock = threading.Lock()
        self._held: dict[str, HeldLease] = {}
        self._deadlines: dict[str, float] = {}
        """Work -> when the right to begin something of it ends."""
        self._in_use: set[str] = set()
        self._released: set[str] = set()
        self._given_back: list[HeldLease] = []
        self._is_leaving = False
        self._is_closing = threading.Event()
        self._woken = threading.Event()
        self._renewed_at = float("-inf")
        self._trouble: LastingFailure | None = None
        self._ready_hosts: frozenset[str] | None = None
        self._record_due = float("-inf")
        self._follows_until = float("inf")
        self._is_note_old = False
        self._error: HostNameTaken | None = None
        self._unclaimed = UnclaimedWork()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Show that this host is there, and begin to take leases; later, if that is not possible.

        Raises:
            HostNameTaken: Another host of this name is there.
        """
        try:
            self._appear()
        except StateError as error:
            self._note_trouble(error)
        self._thread.start()

    @property
    def trouble(self) -> LastingFailure | None:
        """Why the leases cannot be renewed; None while they can. May be read from any thread."""
        return self._trouble

    # For the main thread

    def wanted(self) -> Collection[str]:
        """Return the work that this process has leases of, and is not to give to others.

        Raises:
            HostNameTaken: Another host of this name has come.
        """
        error, self._error = self._error, None
        if error is not None:
            raise error
        current_time = self._leases.clock()
        with self._lock:
            if self._is_leaving:
                return frozenset()
            return frozenset(
                work_name
                for work_name in self._held
                if work_name in self._work_names
                and work_name not in self._released
                and self._deadlines[work_name] > current_time
            )

    def right_to(self, work_name: str) -> Callable[[], bool]:
        """Return what says whether something may be begun right now."""
        return partial(self._has_right, work_name)

    def begin(self, work_name: str) -> None:
        """Note that this process begins some work that it is to do."""
        with self._lock:
            self._in_use.add(work_name)

    def finish(self, work_name: str) -> None:
        """Note that some work has ended here, and let others have it."""
        with self._lock:
            self._in_use.discard(work_name)
            self._released.discard(work_name)
            self._give_back(work_name)
        self._woken.set()

    def change_files(self, files: HostFiles) -> None:
        """Show that this host runs something else now, because its files changed."""
        if self.rolling is None or files.version() == self._note.version:
            return
        self.rolling.change_files(files)
        wanted_version = self.rolling.wanted_version
        with self._lock:
            had_wanted = wanted_version in {self._note.version, self._note.previous}
            previous = wanted_version if had_wanted else ""
            self._note = msgspec.structs.replace(
                self._note, version=files.version(), previous=previous
            )
            self._follows_until = self._leases.clock() + FOLLOW_SECONDS
            self._is_note_old = True
        self._woken.set()

    def leave(self) -> None:
        """Take nothing more, and let others see that this host leaves."""
        with self._lock:
            self._is_leaving = True
            self._give_back(self._host_key)
        self._woken.set()

    def close(self) -> None:
        """Give back what is left, and end the thread."""
        self.leave()
        with self._lock:
            for work_name in list(self._held):
                self._give_back(work_name)
        self._is_closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(_END_WITHIN)

    def _has_right(self, work_name: str) -> bool:
        return self._deadlines.get(work_name, 0.0) > self._leases.clock()

    def _give_back(self, key: str) -> None:
        """Queue a lease to be given back; whoever calls this holds the lock."""
        held = self._held.pop(key, None)
        self._deadlines.pop(key, None)
        if held is not None:
            self._given_back.append(held)

    # The thread

    def _run(self) -> None:
        pause_seconds = min(LOOK_INTERVAL, self._leases.seconds / _RENEWALS)
        while not self._is_closing.is_set():
            self._woken.clear()
            self._turn_safely()
            self._woken.wait(pause_seconds)
        self._turn_safely()

    def _turn_safely(self) -> None:
        """Do what is due; report once that the servers do not answer."""
        try:
            self._turn()
        except StateError as error:
            self._note_trouble(error)
            return
        except HostNameTaken as error:
            self._error = error
            self.leave()
            return
        except Exception:  # a bug of ours must not end the thread silently
            log_text = "Leases cannot be renewed, and this host loses them"
            logger.exception(log_text, extra={"action": "hosts.failed"})
            return
        if self._trouble is not None:
            logger.info("Leases are renewed again", extra={"action": "hosts.leases_renewed"})
        self._trouble = None

    def _note_trouble(self, error: StateError) -> None:
        """Take notice of servers that do not answer, or take nothing."""
        if self._trouble is None:
            log_text = "%s No lane begins anything once its lease is over."
            logger.error(log_text, error, extra={"action": "hosts.leases_unreachable"})
        since = time.time() if self._trouble is None else self._trouble.since
        self._trouble = LastingFailure(str(error), since, fix=error.fix)

    def _turn(self) -> None:
        self._return_leases()
        current_time = self._leases.clock()
        self._end_following(current_time)
        renewal_due = self._renewed_at + self._leases.seconds / _RENEWALS
        if current_time >= renewal_due or self._is_note_old:
            self._renewed_at = current_time
            self._renew_all()
        if not self._is_leaving:
            self._spread()

    def _return_leases(self) -> None:
        while self._given_back:
            self._leases.give_back(self._given_back[0])
            del self._given_back[0]

    def _renew_all(self) -> None:
        """Renew every lease; one that is over is no longer this process's."""
        with self._lock:
            held, shown_note = dict(self._held), self._note
            self._is_note_old = False
        for key, lease in held.items():
            shown = self._show_note(lease, shown_note) if key == self._host_key else None
            renewed = self._leases.renew(lease, shown)
            with self._lock:
                if self._held.get(key) is not lease:  # given back meanwhile
                    if renewed is not None and lease in self._given_back:
                        self._given_back[self._given_back.index(lease)] = renewed
                elif renewed is not None:
                    self._keep(key, renewed)
                else:
                    del self._held[key], self._deadlines[key]
                    self._report_lost(key)
        if self._host_key not in self._held and not self._is_leaving:
            self._appear()

    def _show_note(self, lease: HeldLease, note: HolderNote) -> bytes:
        """Return what this host's own lease says from now on: since when it is there stays."""
        before = read_note(lease.holder)
        since = note.since if before is None else before.since
        return msgspec.structs.replace(note, since=since).encode()

    def _end_following(self, current_time: float) -> None:
        """No longer count as one that has what it had before its files changed."""
        if current_time >= self._follows_until:
            with self._lock:
                self._follows_until = float("inf")
                self._note = msgspec.structs.replace(self._note, previous="")
                self._is_note_old = True

    def _keep(self, key: str, lease: HeldLease) -> None:
        self._held[key] = lease
        self._deadlines[key] = lease.valid_until

    def _report_lost(self, key: str) -> None:
        extra = {"action": "hosts.lease_lost", "work": key}
        logger.warning("The lease of %s is over: another host may have it", key, extra=extra)

    def _appear(self) -> None:
        """Show that this host is there.

        Raises:
            HostNameTaken: Another host of this name is there.
        """
        lease = self._take(self._host_key, self._leases.read_all())
        if lease is None:
            raise HostNameTaken(host=self._note.host)
        with self._lock:
            self._keep(self._host_key, lease)

    def _spread(self) -> None:
        """Take what this host should have, and choose what it should give to others."""
        entries = self._leases.read_all()
        notes = {key: read_note(entry.holder) for key, entry in entries.items()}
        holders = {key: note.host if note is not None else "" for key, note in notes.items()}
        with self._lock:
            for work_name in self._held:
                holders[work_name] = self._note.host
        own_old = {
            key
            for key, note in notes.items()
            if note is not None and self._is_predecessor(note) and key in self._work_names
        }
        holders = {
            key: name
            for key, name in holders.items()
            if key in self._work_names and key not in own_old
        }
        current_time = self._leases.clock()
        change = decide_change(
            self._note.host,
            self._work_names,
            holders,
            self._present_hosts(notes),
            overdue=self._unclaimed.overdue(current_time),
            avoided=self._unclaimed.avoided(current_time),
        )
        self._unclaimed.note(change.awaited, current_time)
        for work_name in change.taken:
            if work_name not in self._in_use:
                self._take_work(work_name, entries)
        with self._lock:
            self._released = set(change.released) & set(self._held)

    def _take_work(self, work_name: str, entries: Mapping[str, LeaseEntry]) -> None:
        lease = self._take(work_name, entries)
        if lease is not None:
            with self._lock:
                self._keep(work_name, lease)

    def _take(self, key: str, entries: Mapping[str, LeaseEntry]) -> HeldLease | None:
        """Take a lease that nobody has, or that a dead process of this host had."""
        holder = replace_since(self._note).encode()
        entry = entries.get(key)
        note = None if entry is None else read_note(entry.holder)
        if entry is not None and note is not None and self._is_predecessor(note):
            return self._leases.inherit(key, entry, holder)
        return self._leases.take(key, holder)

    def _is_predecessor(self, note: HolderNote) -> bool:
        """Return whether a dead process of this host wrote a note: this one has its lock."""
        return note.home == self._note.home and note.run != self._note.run

    def _present_hosts(self, notes: Mapping[str, HolderNote | None]) -> Sequence[PresentHost]:
        versions = {
            note.host: HostVersion(note.version, note.previous)
            for key, note in notes.items()
            if note is not None and key.startswith(HOST_PREFIX)
        }
        versions[self._note.host] = HostVersion(self._note.version, self._note.previous)
        ready_hosts = self._find_ready_hosts(versions)
        return [
            replace(self._describe_host(name), is_ready=name in ready_hosts)
            for name in sorted(versions)
        ]

    def _find_ready_hosts(self, versions: Mapping[str, HostVersion]) -> Collection[str]:
        """Return the hosts that have what is wanted; as they were, while that cannot be read."""
        current_time = self._leases.clock()
        if self.rolling is None:
            return versions
        if self._ready_hosts is None or current_time >= self._record_due:
            try:
                self._ready_hosts = self.rolling.look(versions)
            except StateError as error:
                logger.debug("What is wanted cannot be read: %s", error)
                self._record_due = current_time + _RECORD_PAUSE
        return versions if self._ready_hosts is None else self._ready_hosts


def replace_since(note: HolderNote) -> HolderNote:
    """Return a note of something that begins now."""
    return msgspec.structs.replace(note, since=time.time())
