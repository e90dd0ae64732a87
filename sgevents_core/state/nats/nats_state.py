"""A state whose logs several hosts share, and of which each host has a copy."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sgevents_core.errors import BrokerUnreachable
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.call_figures import MinuteFigures
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.imported import ImportedPosition, JournalStanding
from sgevents_core.state.nats import messages
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.nats.feed_writing import NatsFeedWriter
from sgevents_core.state.nats.lane_writing import NatsLaneWriter
from sgevents_core.state.nats.logs import Logs
from sgevents_core.state.nats.reading import CopyConnection, open_letters, open_past
from sgevents_core.state.nats.requests import NatsRequests
from sgevents_core.state.nats.session import Session
from sgevents_core.state.protocols import HostNotes, Leases
from sgevents_core.state.sqlite.database import database_exists
from sgevents_core.state.sqlite.letters import SqliteLetters
from sgevents_core.state.sqlite.past_events import SqlitePast
from sgevents_core.state.sqlite.presence import SqlitePresence
from sgevents_core.state.sqlite.reading import SqliteReader

logger = logging.getLogger(__name__)
_AWAY_SECONDS: Final = 10.0
"""Seconds for which servers that did not answer are not asked again by who only reads."""


class NatsWriter(NatsFeedWriter, NatsLaneWriter):
    """A connection that writes every kind of record."""

    def import_positions(
        self, change: FeedChange, positions: Mapping[str, ImportedPosition], lane_name: str
    ) -> bool:
        """Begin a state where another daemon ended, atomically; see `protocols.Writer`."""
        feed = self._hold_feed()
        with feed.writer.lock:
            if self._settle(feed) is change:
                return True
            feed_record = self.load_feed()
            feed_state = None if feed_record is None else feed_record.state
            standing = JournalStanding.of(feed_state, self.end(), self.plugins().values())
            if not standing.takes(change.state.floor):
                return False
            kept_change = None if standing.keeps_feed else change
            message = messages.Imported(kept_change, dict(positions), lane_name)
            self._session.send(feed.writer, message, origin=change)
            if kept_change is not None:
                feed.note_state(kept_change.state)
        return True

    def record_figures(self, figures: MinuteFigures, current_time: float) -> None:
        """Add figures to those recorded for the same minutes and hours; forget those too old."""
        self._session.share(messages.Figures(figures, current_time), figures)

    def upgrade_records(self, limit: int = 1_000) -> int:
        """Return 0: a copy holds no records of an older version."""
        return 0


class NatsState:
    """The state of several hosts, as this host sees it.

    Args:
        state_folder: The folder of this host's files, among them its copy.
        open_logs: Connects to the logs; called once in each process.
        host_name: This host's name.
        gather_seconds: For how long the words of quick calls are gathered; 0 not to.
    """

    def __init__(
        self,
        state_folder: Path,
        open_logs: Callable[[], Logs],
        host_name: str,
        gather_seconds: float = 0.0,
    ) -> None:
        self.folder: Final = state_folder
        self._copy_folder = state_folder / COPY_FOLDER
        self._open_logs = open_logs
        self._host_name = host_name
        self._gather_seconds = gather_seconds
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._process_id = 0
        self._failed_at = float("-inf")
        self._away_error: BrokerUnreachable | None = None

    def session(self) -> Session:
        """Return what this process shares; made anew after a fork.

        Raises:
            StateError: The servers do not answer, or the copy cannot be written.
        """
        with self._lock:
            if self._session is None or self._process_id != os.getpid():
                self._session = self._open_session(self._open_logs())
                self._process_id = os.getpid()
            return self._session

    def _reading_session(self) -> Session | None:
        """Return what the process shares; None if only the copy can be read now.

        Raises:
            StateError: The servers do not answer, and there is no copy yet.
        """
        if time.monotonic() < self._failed_at + _AWAY_SECONDS:
            return None
        try:
            session = self.session()
            self._away_error = None
            return session
        except BrokerUnreachable as error:
            if not database_exists(self._copy_folder):
                raise
            self._failed_at, self._away_error = time.monotonic(), error
            logger.warning(
                "%s Shown is what this host knew last.", error, extra={"action": "copy.read_alone"}
            )
            return None

    def close(self) -> None:
        """Close what this process shares; a later use opens it again."""
        with self._lock:
            if self._session is not None and self._process_id == os.getpid():
                self._session.close()
            self._session = None

    def _open_session(self, logs: Logs) -> Session:
        """Open what the process shares, with everything that the logs hold now.

        Raises:
            StateError: They cannot be read.
        """
        session = Session(self.folder, logs, self._host_name, self._gather_seconds)
        try:
            session.wait_until_read()
        except BaseException:
            session.close()
            raise
        return session

    def leases(self) -> Leases:
        """Return the leases by which hosts share the work.

        Raises:
            BrokerUnreachable: The servers do not answer, or did not a moment ago.
        """
        if self._away_error is not None and time.monotonic() < self._failed_at + _AWAY_SECONDS:
            raise self._away_error
        return self.session().logs.leases()

    def host_notes(self) -> HostNotes:
        """Return what hosts note for each other."""
        return self.session().logs.host_notes()

    def is_made(self) -> bool:
        """Return True: it is made with the streams, by `sgevents cluster init`."""
        return True

    def reader(self) -> SqliteReader:
        """Open a connection that reads; without the servers, what this host knew last."""
        session = self._reading_session()
        return SqliteReader(self._copy_folder) if session is None else CopyConnection(session)

    def feed_writer(self) -> NatsFeedWriter:
        """Open the feed's connection; its first write takes over the feed."""
        return NatsFeedWriter(self.session())

    def lane_writer(self) -> NatsLaneWriter:
        """Open the connection of a lane."""
        return NatsLaneWriter(self.session())

    def writer(self) -> NatsWriter:
        """Open a connection that writes every kind of record."""
        return NatsWriter(self.session())

    def requests(self) -> NatsRequests:
        """Open the requests."""
        return NatsRequests(self.session())

    def letters(self) -> SqliteLetters:
        """Open the dead letters; without the servers, what this host knew last."""
        session = self._reading_session()
        return SqliteLetters(self._copy_folder) if session is None else open_letters(session)

    def past(self) -> SqlitePast:
        """Open the past events; without the servers, what this host knew last."""
        session = self._reading_session()
        return SqlitePast(self._copy_folder) if session is None else open_past(session)

    def presence(self) -> SqlitePresence:
        """Watch that the copy still exists."""
        return SqlitePresence(self._copy_folder)


def host_name_of(settings: StateSettings) -> str:
    """Return the name of this host among the others."""
    return settings.host or socket.gethostname()


def state_on_servers(settings: StateSettings, site_url: str) -> NatsState:
    """Return the state that `[state] url` names.

    Args:
        settings: `[state]`.
        site_url: The site that it is of.
    """
    host_name = host_name_of(settings)

    def open_logs() -> BrokerLogs:
        return BrokerLogs(settings, site_url, f"sgevents {host_name}")

    return NatsState(settings.path, open_logs, host_name, settings.note)
