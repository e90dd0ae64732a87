"""This host's part in what is wanted: it reads the record, takes its turn, and says what it did.

The thread of the leases does all that asks the servers; the main thread asks, and reads answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from sgevents_core.hosts.host_files import (
    HostFiles,
    difference_text,
    find_differences,
    read_host_files,
)
from sgevents_core.hosts.wanted import (
    HostVersion,
    WantedVersion,
    arrive,
    ask_for,
    follow_hosts,
    read_wanted,
    ready_hosts,
    refuse_turn,
    take_turn,
)
from sgevents_core.state.protocols import HostNotes, StoredNote

WANTED_KEY: Final = "wanted"
WANTED_FILES_KEY: Final = "wanted.files"
_FILES_PREFIX: Final = "files."

Answer: TypeAlias = Literal["", "its turn", "later"]
"""What became of a request: nothing yet, this host reloads at once, or when its turn comes."""


def files_key(host_name: str) -> str:
    """Return the key under which a host notes what it runs."""
    return f"{_FILES_PREFIX}{host_name}"


class RollingReload:
    """What is wanted, as one host sees it.

    Args:
        notes: The notes that hosts share.
        host_name: This host.
        files: What it runs.
    """

    def __init__(self, notes: HostNotes, host_name: str, files: HostFiles) -> None:
        self._notes = notes
        self._host_name = host_name
        self._lock = threading.Lock()
        self._files = files
        self._wanted: WantedVersion | None = None
        self._wanted_files: HostFiles | None = None
        self._noted_files: HostFiles | None = None
        self._has_arrived = False
        self._asked_files: HostFiles | None = None
        self._answer: Answer = ""
        self._refusal_reason = ""
        self._turn_taken = -1
        """The number of the request for which this process has noticed that it is its turn."""

    # For the main thread

    @property
    def version(self) -> str:
        """The version that this host has."""
        return self._files.version()

    @property
    def wanted_version(self) -> str:
        """The version that is wanted, as far as this host knows; empty if it knows of none."""
        return "" if self._wanted is None else self._wanted.version

    def change_files(self, files: HostFiles) -> None:
        """Take notice that this host runs something else now."""
        with self._lock:
            self._files = files

    def notice_turn(self) -> bool:
        """Return whether it is this host's turn to reload; True once for each turn."""
        with self._lock:
            wanted = self._wanted
            if wanted is None or not self._has_arrived or wanted.reloading != self._host_name:
                return False
            is_new = self._turn_taken != wanted.turn
            self._turn_taken = wanted.turn
            return is_new

    def ask(self, files: HostFiles) -> None:
        """Ask for what a trial on this host has shown; `answer` says what becomes of it."""
        with self._lock:
            self._asked_files, self._answer = files, ""

    def withdraw(self) -> None:
        """Ask for nothing any more."""
        with self._lock:
            self._asked_files = None

    @property
    def answer(self) -> Answer:
        """What became of the last request."""
        return self._answer

    def refuse(self, reason: str) -> None:
        """Let all hosts know that this one does not reload now."""
        with self._lock:
            self._refusal_reason = reason

    def find_objection(self, files: HostFiles) -> str:
        """Return how something differs from what is wanted, for people; empty if it does not."""
        with self._lock:
            wanted, wanted_files = self._wanted, self._wanted_files
        if wanted is None or wanted.version == files.version():
            return ""
        if wanted_files is None:
            return "it differs from what is wanted"
        return difference_text(find_differences(wanted_files, files))

    # For the thread of the leases

    def look(self, host_versions: Mapping[str, HostVersion]) -> frozenset[str]:
        """Read what is wanted, do this host's part, and return the hosts that may take work.

        Args:
            host_versions: The hosts that are present, this one too.

        Raises:
            StateError: The servers do not answer.
        """
        self._note_files()
        stored_note = self._notes.read(WANTED_KEY)
        wanted = None if stored_note is None else read_wanted(stored_note.content)
        with self._lock:
            asked_files, refusal_reason = self._asked_files, self._refusal_reason
        changed_record = self._decide(wanted, host_versions, asked_files, refusal_reason)
        if changed_record is not None:
            wanted = self._replace(stored_note, wanted, changed_record, asked_files)
        self._take_notice(
            wanted, has_changed=changed_record is not None and wanted is changed_record
        )
        return ready_hosts(wanted, host_versions)

    def _decide(
        self,
        wanted: WantedVersion | None,
        host_versions: Mapping[str, HostVersion],
        asked_files: HostFiles | None,
        refusal_reason: str,
    ) -> WantedVersion | None:
        """Return what the record is to say from now on; None if this host changes nothing."""
        host_name = self._host_name
        if wanted is not None and not self._has_arrived:
            arrival_record = arrive(wanted, host_name, self.version)
            if arrival_record is not None:
                return arrival_record
        if asked_files is not None:
            return ask_for(wanted, asked_files.version(), host_versions, host_name, time.time())
        if wanted is not None and refusal_reason:
            refusal_record = refuse_turn(wanted, host_name, refusal_reason)
            if refusal_record is not None:
                return refusal_record
        turn_record = None if wanted is None else take_turn(wanted, host_versions, host_name)
        return turn_record or follow_hosts(wanted, host_versions, host_name)

    def _replace(
        self,
        stored_note: StoredNote | None,
        wanted: WantedVersion | None,
        changed_record: WantedVersion,
        asked_files: HostFiles | None,
    ) -> WantedVersion | None:
        """Change the record; return what it says now, as far as this host knows."""
        if wanted is None or changed_record.version != wanted.version:
            files = self._files if asked_files is None else asked_files
            self._overwrite(WANTED_FILES_KEY, files.encode())
        revision = 0 if stored_note is None else stored_note.revision
        is_changed = self._notes.replace(WANTED_KEY, changed_record.encode(), revision)
        return changed_record if is_changed else wanted

    def _take_notice(self, wanted: WantedVersion | None, *, has_changed: bool) -> None:
        """Remember what is wanted now, and what became of requests."""
        if wanted is None:
            return
        if self._wanted is None or self._wanted.version != wanted.version:
            self._wanted_files = self._read_wanted_files(wanted.version)
        with self._lock:
            self._wanted = wanted
            if has_changed and self._is_answered(wanted):
                self._asked_files = None
                is_its_turn = wanted.reloading == self._host_name
                self._answer = "its turn" if is_its_turn else "later"
            if wanted.reloading != self._host_name:
                self._refusal_reason = ""
            if not self._has_arrived:
                self._has_arrived = arrive(wanted, self._host_name, self.version) is None

    def _is_answered(self, wanted: WantedVersion) -> bool:
        """Return whether a change of the record is what this host asked for."""
        asked_files = self._asked_files
        return (
            asked_files is not None
            and wanted.asked_on == self._host_name
            and wanted.version == asked_files.version()
        )

    def _read_wanted_files(self, wanted_version: str) -> HostFiles | None:
        """Return what the wanted version is; None if nobody has noted that."""
        if self.version == wanted_version:  # of two hosts that asked, the other may have noted its
            self._overwrite(WANTED_FILES_KEY, self._files.encode())
            return self._files
        note = self._notes.read(WANTED_FILES_KEY)
        stored_note = None if note is None else read_host_files(note.content)
        return (
            stored_note.files
            if stored_note is not None and stored_note.version == wanted_version
            else None
        )

    def _note_files(self) -> None:
        """Let people see what this host runs, wherever they look."""
        with self._lock:
            files = self._files
        if files is not self._noted_files:
            self._overwrite(files_key(self._host_name), files.encode())
            self._noted_files = files

    def _overwrite(self, key: str, content: bytes) -> None:
        """Write a note that only this host writes, or that any host may write."""
        previous_note = self._notes.read(key)
        if previous_note is None or previous_note.content != content:
            self._notes.replace(
                key, content, 0 if previous_note is None else previous_note.revision
            )
