"""Parts of a call that are done once: `with ctx.once("channel-1") as first:`."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from sgevents_core.errors import PartOutsideCallError
from sgevents_core.state.done_parts import DonePart

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME: Final = 200
"""The most characters of the name of a part."""


class PartRecords(Protocol):
    """Where the parts that are done are recorded; any thread may use it."""

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""

    def note_part_done(self, done_part: DonePart) -> None:
        """Record that a part is done, before this returns."""


class OncePart:
    """A part of a call, as a context manager.

    Args:
        part_records: Where it is recorded.
        done_part: The part.
        is_over: Returns whether the call is over, so that nothing is recorded for it any more.
    """

    def __init__(
        self, part_records: PartRecords, done_part: DonePart, is_over: Callable[[], bool]
    ) -> None:
        self._part_records = part_records
        self._done_part = done_part
        self._is_over = is_over
        self._is_first = False

    def is_done(self) -> bool:
        """Return whether the part is done."""
        return self._part_records.is_part_done(self._done_part)

    def note_done(self) -> None:
        """Record that the part is done."""
        if self._is_over():
            raise PartOutsideCallError(
                name=self._done_part.name, reason="the call is over, and its parts do not count"
            )
        self._part_records.note_part_done(self._done_part)

    def __enter__(self) -> bool:
        self._is_first = not self.is_done()
        return self._is_first

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        error_traceback: TracebackType | None,
    ) -> None:
        if error_type is None and self._is_first:
            self.note_done()
