"""The host's copy of the state: made from the logs, by the first process that reads them.

Several processes of a host may read: each applies what it finds within one transaction together
with the place up to which it has come, and passes over what another has applied.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from sgevents_core.errors import SgEventsError, StateError
from sgevents_core.state.nats.applying import (
    CopyTables,
    Place,
    apply_message,
    apply_rows_only,
)
from sgevents_core.state.nats.messages import Elsewhere, decode_message
from sgevents_core.state.nats.stream_keys import JOURNAL, JOURNAL_ROWS
from sgevents_core.state.nats.stream_log import LogMessage
from sgevents_core.state.plain_files import make_state_folder
from sgevents_core.state.sqlite.copy_files import restore_copy_file
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.log_copy import (
    first_known_page,
    forget_position,
    prepare_copy,
    read_identities,
    read_positions,
    write_identity,
    write_position,
)

COPY_FOLDER: Final = "copy"
"""The folder of the copy within the state's folder."""
_LOOK_EVERY: Final = 0.5
"""Seconds between two looks for what another process has applied."""


class Copy:
    """The copy, over the connection that applies messages to it.

    Any thread may ask how far it has come; one at a time applies.

    Args:
        state_folder: The state's folder.
        host_name: This host, for people.
    """

    def __init__(self, state_folder: Path, host_name: str) -> None:
        self.folder: Final = state_folder / COPY_FOLDER
        self._host_name = host_name
        make_state_folder(self.folder)
        self._database = Database(self.folder)
        prepare_copy(self._database)
        self._applying = threading.Lock()
        self._moved = threading.Condition()
        self._positions: Mapping[str, int] = read_positions(self._database)
        self._failure: SgEventsError | None = None
        self.elsewhere: Elsewhere | None = None
        """The message that says that the state is not in these logs, if one was read."""
        self.applied_bytes = 0
        """The bytes of messages applied by this process, those of the journal left out."""
        self.applied_journal_bytes = 0
        """The bytes of the journal's messages applied by this process."""

    @property
    def positions(self) -> Mapping[str, int]:
        """Stream -> the place up to which it is applied."""
        return self._positions

    @property
    def failure(self) -> SgEventsError | None:
        """Why nothing more can be applied; None if all is well."""
        return self._failure

    @property
    def database(self) -> Database:
        """The connection that applies; others use it only in `exclusively`."""
        return self._database

    @property
    def applying_lock(self) -> threading.Lock:
        """Held by whoever uses the connection."""
        return self._applying

    def apply(
        self, stream_key: str, read_from: int, log_messages: Sequence[LogMessage]
    ) -> int | None:
        """Apply messages of a stream up to the first that has to wait for another stream.

        Args:
            stream_key: The stream.
            read_from: The place behind which they follow.
            log_messages: Its messages.

        Returns:
            How many of them are applied now; None if the copy was made anew, and lacks messages
            before them.

        Raises:
            StateError: The copy cannot be written; nothing was applied.
        """
        with self._applying, self._database.transaction() as connection:
            tables = CopyTables(self._database, connection)
            positions = dict(read_positions(self._database))
            if positions.get(stream_key, 0) < read_from:
                return None
            if stream_key == JOURNAL and JOURNAL_ROWS in positions:
                return 0
            applied_count = 0
            for log_message in log_messages:
                if log_message.sequence > positions.get(stream_key, 0):
                    message = decode_message(log_message.data, self._host_name)
                    if isinstance(message, Elsewhere):
                        self.elsewhere = message
                        break
                    if any(positions.get(key, 0) < place for key, place in message.after.items()):
                        break
                    place = Place(stream_key, log_message.sequence)
                    apply_message(tables, place, message)
                    positions[stream_key] = log_message.sequence
                applied_count += 1
                if stream_key == JOURNAL:
                    self.applied_journal_bytes += len(log_message.data)
                else:
                    self.applied_bytes += len(log_message.data)
        self._set_positions(positions)
        return applied_count

    def restore(self, snapshot_folder: Path) -> None:
        """Put a snapshot in place of everything that the copy holds.

        The rows of the journal are to be read again: see `JOURNAL_ROWS` and `apply_rows`.
        """
        with self._applying:
            restore_copy_file(self._database, snapshot_folder, JOURNAL_ROWS)
        self.reload_positions()

    def apply_rows(self, read_from: int, log_messages: Sequence[LogMessage]) -> None:
        """Take the rows of the journal from messages whose other effects the snapshot had.

        Args:
            read_from: The place behind which the messages follow.
            log_messages: The journal's messages.
        """
        with self._applying, self._database.transaction() as connection:
            positions = dict(read_positions(self._database))
            if positions.get(JOURNAL_ROWS) == read_from:
                tables = CopyTables(self._database, connection)
                rows_end = positions.get(JOURNAL, 0)
                for log_message in log_messages:
                    if log_message.sequence <= rows_end:
                        message = decode_message(log_message.data, self._host_name)
                        apply_rows_only(tables, Place(JOURNAL, log_message.sequence), message)
                last_place = log_messages[-1].sequence if log_messages else read_from
                if last_place >= rows_end:
                    forget_position(connection, JOURNAL_ROWS)
                else:
                    write_position(connection, JOURNAL_ROWS, last_place)
        self.reload_positions()

    def needs_rows_before(self, place: int) -> bool:
        """Return whether messages below a place of the journal hold rows that are still kept."""
        with self._applying:
            first_page = first_known_page(self._database)
        return first_page > 0 and place > first_page + 1

    def skip_rows(self, place: int) -> None:
        """Begin with the rows of the journal behind a place, before which the stream is cut."""
        with self._applying, self._database.transaction() as connection:
            if read_positions(self._database).get(JOURNAL_ROWS, place) < place:
                write_position(connection, JOURNAL_ROWS, place)
        self.reload_positions()

    def identities(self) -> dict[str, str]:
        """Return what tells each stream that was read from another of its name."""
        with self._applying:
            return read_identities(self._database)

    def keep_identity(self, stream_key: str, identity: str) -> None:
        """Keep what tells a stream from another of its name, for later processes."""
        with self._applying, self._database.transaction() as connection:
            write_identity(connection, stream_key, identity)

    def reload_positions(self) -> None:
        """Take notice of what another process, or a restored copy, has applied."""
        with self._applying:
            positions = read_positions(self._database)
        self._set_positions(positions)

    def reload_if_possible(self) -> None:
        """Reload the positions unless the copy cannot be read now."""
        with suppress(StateError):
            self.reload_positions()

    def fail(self, error: SgEventsError) -> None:
        """Let everything that waits for the copy fail from now on."""
        with self._moved:
            self._failure = error
            self._moved.notify_all()

    def has(self, wanted: Mapping[str, int]) -> bool:
        """Return whether the copy has come to places, with all rows of the journal."""
        positions = self._positions
        if JOURNAL_ROWS in positions:
            return False
        return all(positions.get(stream_key, 0) >= place for stream_key, place in wanted.items())

    def wait_for(self, wanted: Mapping[str, int], within: float) -> None:
        """Wait until the copy has come to places.

        Args:
            wanted: Stream -> place.
            within: For how many seconds.

        Raises:
            StateError: It did not come there in time, or cannot.
        """
        deadline = time.monotonic() + within
        with self._moved:
            while not self.has(wanted):
                if self._failure is not None:
                    raise self._failure
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    reason_text = "it has not read its own messages back in time"
                    raise StateError(path=str(self.folder), reason=reason_text)
                self._moved.wait(min(remaining, _LOOK_EVERY))

    def close(self) -> None:
        """Close the connection."""
        with self._applying:
            self._database.close()

    def _set_positions(self, positions: Mapping[str, int]) -> None:
        with self._moved:
            self._positions = positions
            self._moved.notify_all()
