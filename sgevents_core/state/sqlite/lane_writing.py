"""Writing the ledger: each step of a lane is one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, SetAside
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import Register
from sgevents_core.state.sqlite.database import Database, Transaction
from sgevents_core.state.sqlite.events_aside import write_events_aside
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.writing import write_step
from sgevents_core.state.steps import Step


class SqliteLaneWriter(SqliteReader):
    """A lane's connection.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: See `SqliteReader`.
    """

    _is_read_only = False

    def take_lane(self, lane_name: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""
        with self._database.transaction() as connection:
            raise_fence(connection, lane_name)
            return self._database.fetch_number("SELECT fence FROM lanes WHERE name = ?", lane_name)

    def record(self, lane_name: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        with self._database.transaction(durable=step.durable) as connection:
            self._check_fence(lane_name, fence)
            return write_step(connection, lane_name, step)

    def advance(
        self, lane_name: str, fence: int, step_from_record: Callable[[RecordedLane], Step]
    ) -> None:
        """Advance a lane and its plugins from their recorded positions, in one transaction.

        Args:
            lane_name: The lane.
            fence: The lane's newest fence.
            step_from_record: Returns the step to write, given the lane's records.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """
        with self._database.transaction() as connection:
            self._check_fence(lane_name, fence)
            plugin_records = [
                plugin_record
                for plugin_record in self.plugins().values()
                if plugin_record.lane == lane_name
            ]
            lane_progress, strand_places = (
                self.lane_progress(lane_name) or BEGINNING,
                self.lane_places(lane_name),
            )
            write_step(
                connection,
                lane_name,
                step_from_record(RecordedLane(lane_progress, strand_places, plugin_records)),
            )

    def share_register(
        self,
        lane_name: str,
        fence: int,
        register: Register,
        *,
        stopping: threading.Event,
        trouble: LaneTrouble,
    ) -> None:
        """Do nothing: a lane of this state starts again only on this host."""

    def pass_over(self, entry: Entry, plugin_names: Collection[str], reason_text: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """
        event_aside = SetAside(
            str(entry.event_id), reason_text, ASIDE_IN_JOURNAL, time.time(), entry.era
        )
        with self._database.transaction(durable=True) as connection:
            return write_passed_over(connection, entry.seq, plugin_names, event_aside) > 0

    def record_first_cursors(self) -> None:
        """Record where each plugin began; it never gets earlier events."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO joined SELECT name, cursor FROM plugins")

    def sync(self) -> None:
        """Flush to disk everything committed by any connection."""
        self._database.sync()

    def _check_fence(self, lane_name: str, fence: int) -> None:
        if self._database.fetch_one("SELECT fence FROM lanes WHERE name = ?", lane_name) != (
            fence,
        ):
            raise StaleWriter(what=f"lane {lane_name}")


def raise_fence(connection: Transaction, lane_name: str) -> None:
    """Raise a lane's fence, and begin its record if it has none."""
    connection.execute(
        "INSERT INTO lanes (name, fence) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET fence = fence + 1",
        (lane_name,),
    )


def write_passed_over(
    connection: Transaction,
    seq: int,
    plugin_names: Collection[str],
    event_aside: SetAside,
    aside_numbers: Iterator[int] | None = None,
) -> int:
    """Write that an entry was passed over, and set its event aside; return 1 if that is new.

    Args:
        connection: The connection.
        seq: The entry.
        plugin_names: The plugins that need its event.
        event_aside: The record of the event, named by its id.
        aside_numbers: The number of that record; None for the next one.
    """
    connection.executemany(
        "INSERT OR IGNORE INTO passed_over VALUES (?, ?, ?, ?)",
        (
            (seq, plugin_name, event_aside.era, int(event_aside.event))
            for plugin_name in (*plugin_names, "")
        ),
    )
    return write_events_aside(connection, [event_aside], aside_numbers)


def write_first_cursors(connection: Transaction, cursors: Mapping[str, int]) -> None:
    """Write where plugins began, except for those of which it is known."""
    connection.executemany("INSERT OR IGNORE INTO joined VALUES (?, ?)", cursors.items())


def read_first_cursors(database: Database) -> dict[str, int]:
    """Return where plugins are, for those of which it is not known where they began."""
    return dict(
        database.fetch_all(
            "SELECT name, cursor FROM plugins WHERE name NOT IN (SELECT plugin FROM joined)"
        )
    )
