"""Reading the state from the host's copy, with everything that this process wrote."""

from __future__ import annotations

from sgevents_core.state.nats.session import Session
from sgevents_core.state.nats.shared_register import read_own
from sgevents_core.state.register import NotedLane
from sgevents_core.state.sqlite.letters import SqliteLetters
from sgevents_core.state.sqlite.moved_files import newest_number
from sgevents_core.state.sqlite.past_events import SqlitePast
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.shared_registers import read_shared_register


class CopyConnection(SqliteReader):
    """A connection to the copy, for one thread at a time.

    Args:
        session: What the process shares.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.copy.folder)
        self._session = session
        self._database.before_read = session.wait_for_own

    def _next_number(self) -> int:
        """Return a number of a failure or a dead letter that nobody else gets."""
        return self._session.logs.next_number(newest_number(self._database))

    def noted_lane(self, lane_name: str) -> NotedLane:
        """Return what a lane has noted in its register, on whatever host that is."""
        shared_register = read_shared_register(self._database, lane_name)
        if shared_register is None:
            return NotedLane(None, {})
        own = read_own(self._session.folder, lane_name, shared_register.position)
        return shared_register.noted_lane if own is None else own


def open_letters(session: Session) -> SqliteLetters:
    """Open the dead letters in the copy."""
    letters = SqliteLetters(session.copy.folder)
    letters.database.before_read = session.wait_for_own
    return letters


def open_past(session: Session) -> SqlitePast:
    """Open the past events in the copy."""
    past = SqlitePast(session.copy.folder)
    past.database.before_read = session.wait_for_own
    return past
