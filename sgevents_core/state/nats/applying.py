"""The one place that applies messages to a host's copy, with the code that writes on a disk.

What a message does depends on nothing but the message and what the copy holds of its own stream and
of those that it names: hosts at the same places have equal tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import singledispatch
from itertools import count
from typing import Final

from msgspec.structs import astuple

from sgevents_core.errors import StateDamaged
from sgevents_core.state.entries import Row, TakenRow
from sgevents_core.state.feed_values import FeedState, SetAside
from sgevents_core.state.nats import messages
from sgevents_core.state.nats.messages import AnyMessage, Draft, PageRow
from sgevents_core.state.nats.stream_keys import JOURNAL, lane_of
from sgevents_core.state.requests import RequestDraft, RequestStep
from sgevents_core.state.sqlite.database import Database, Transaction
from sgevents_core.state.sqlite.events_aside import delete_events_aside, write_events_aside
from sgevents_core.state.sqlite.feed_writing import (
    forget_passed_over,
    write_feed,
    write_new_era,
    write_script_names,
)
from sgevents_core.state.sqlite.figures import write_figures
from sgevents_core.state.sqlite.forgetting import forget_lane_calls, forget_lane_failures
from sgevents_core.state.sqlite.importing import write_import
from sgevents_core.state.sqlite.journal_reading import END_QUERY
from sgevents_core.state.sqlite.journal_writing import (
    delete_entries,
    insert_entries,
    insert_moved_entries,
    mend_entries,
)
from sgevents_core.state.sqlite.lane_writing import (
    raise_fence,
    write_first_cursors,
    write_passed_over,
)
from sgevents_core.state.sqlite.log_copy import (
    forget_pages,
    write_first_number,
    write_page_position,
    write_position,
)
from sgevents_core.state.sqlite.reading import read_feed_state
from sgevents_core.state.sqlite.requests import (
    begin_request,
    delete_requests,
    write_new_request,
    write_request_step,
)
from sgevents_core.state.sqlite.shared_registers import write_shared_register, write_shared_words
from sgevents_core.state.sqlite.writing import write_step
from sgevents_core.state.steps import GivenValues

_ASIDES_PER_MESSAGE: Final = 1 << 20
"""More than one message can set aside: numbers of records are the message's place, then these."""


@dataclass(slots=True)
class CopyTables:
    """The tables of a copy within one transaction.

    Args:
        database: The copy's connection, which has the transaction.
        connection: The transaction.
        feed_state: The feed's state, if it was read or written in the transaction.
    """

    database: Database
    connection: Transaction
    feed_state: FeedState | None = field(default=None)

    def known_feed(self) -> FeedState | None:
        """Return the feed's state as the copy has it."""
        if self.feed_state is None:
            self.feed_state = read_feed_state(self.database)
        return self.feed_state

    def end(self) -> int:
        """Return the journal's end."""
        return self.database.fetch_number(END_QUERY)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is.

    Args:
        stream_key: Its stream; see `stream_keys`.
        position: Its place in it.
    """

    stream_key: str
    position: int

    @property
    def lane_name(self) -> str:
        """The lane whose stream it is."""
        return lane_of(self.stream_key)

    def aside_numbers(self) -> Iterator[int]:
        """Return numbers for records of events set aside, which no other message gives."""
        first = 2 * self.position * _ASIDES_PER_MESSAGE
        return count(first + (self.stream_key != JOURNAL), 2)


def apply_message(tables: CopyTables, place: Place, message: AnyMessage) -> None:
    """Write what a message says, and that it is applied, in the tables' transaction.

    Raises:
        StateDamaged: It does not follow from the messages before it.
    """
    try:
        _apply(message, tables, place)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason_text = f"message {place.position} of {place.stream_key}: {error}"
        raise StateDamaged(path=str(tables.database.file_path), reason=reason_text) from error
    write_position(tables.connection, place.stream_key, place.position)


def apply_rows_only(tables: CopyTables, place: Place, message: AnyMessage) -> None:
    """Write only the rows of the journal of a message whose other effects the copy has."""
    if isinstance(message, messages.Page):
        _insert_rows(tables, place, message)
    elif isinstance(message, messages.MovedRows):
        insert_moved_entries(tables.connection, map(astuple, message.rows))
        write_page_position(tables.connection, message.rows[0].seq, place.position)
    elif isinstance(message, messages.Mended | messages.Pruned):
        _apply(message, tables, place)


@singledispatch
def _apply(message: AnyMessage, tables: CopyTables, place: Place) -> None:
    raise TypeError(f"no effect is known of {type(message).__name__}")


# The journal


@_apply.register
def _(message: messages.FeedFence, tables: CopyTables, place: Place) -> None:
    """It has done its work by being there."""


@_apply.register
def _(message: messages.Page, tables: CopyTables, place: Place) -> None:
    change = message.feed.change(tables.known_feed())
    if tables.end() != message.base:
        raise ValueError(f"it follows entry {message.base}, and the journal ends at {tables.end()}")
    _insert_rows(tables, place, message)
    write_feed(tables.connection, change, place.aside_numbers())
    tables.feed_state = change.state


def _insert_rows(tables: CopyTables, place: Place, page: messages.Page) -> None:
    if not page.rows:
        return
    taken_rows = [TakenRow(_row_of(page_row), page_row.late) for page_row in page.rows]
    insert_entries(tables.connection, page.base + 1, page.era, taken_rows)
    write_page_position(tables.connection, page.base + 1, place.position)


def _row_of(page_row: PageRow) -> Row:
    return Row(
        page_row.event_id,
        page_row.created_at,
        page_row.event_type,
        page_row.body,
        strands=page_row.strands,
    )


@_apply.register
def _(message: messages.NewEra, tables: CopyTables, place: Place) -> None:
    write_new_era(tables.connection, message.change, place.aside_numbers())
    tables.feed_state = message.change.state
    _write_feed_request(tables, message.step, message.answered_at, message.letter_number)


@_apply.register
def _(message: messages.Decision, tables: CopyTables, place: Place) -> None:
    write_feed(tables.connection, message.change, place.aside_numbers())
    tables.feed_state = message.change.state
    _write_feed_request(tables, message.step, message.answered_at, message.letter_number)


@_apply.register
def _(message: messages.FeedAnswer, tables: CopyTables, place: Place) -> None:
    _write_feed_request(tables, message.step, message.answered_at, message.letter_number)


def _write_feed_request(
    tables: CopyTables, step: RequestStep, answered_at: float, letter_number: int | None = None
) -> None:
    given_values = GivenValues(letter_number=letter_number, answered_at=answered_at)
    write_request_step(tables.connection, step, given_values)


@_apply.register
def _(message: messages.RowAside, tables: CopyTables, place: Place) -> None:
    write_events_aside(tables.connection, [message.event_aside], place.aside_numbers())


@_apply.register
def _(message: messages.RowsCleared, tables: CopyTables, place: Place) -> None:
    _clear(tables, message.events_aside)
    _write_feed_request(tables, message.step, message.answered_at, message.letter_number)


def _clear(tables: CopyTables, events_aside: Iterable[SetAside]) -> None:
    for event_aside in events_aside:
        delete_events_aside(
            tables.connection, event_aside.era, [event_aside.event], event_aside.where
        )


@_apply.register
def _(message: messages.Mended, tables: CopyTables, place: Place) -> None:
    mend_entries(tables.connection, message.era, _row_of(message.row), message.seqs)


@_apply.register
def _(message: messages.Pruned, tables: CopyTables, place: Place) -> None:
    delete_entries(tables.connection, message.first_kept_seq)
    forget_pages(tables.connection, message.first_kept_seq)


@_apply.register
def _(message: messages.Imported, tables: CopyTables, place: Place) -> None:
    write_import(tables.connection, message.change, message.positions, message.lane_name)
    if message.change is not None:
        tables.feed_state = message.change.state


# A lane


@_apply.register
def _(message: messages.LaneFence, tables: CopyTables, place: Place) -> None:
    raise_fence(tables.connection, place.lane_name)


@_apply.register
def _(message: messages.LaneStep, tables: CopyTables, place: Place) -> None:
    write_step(tables.connection, place.lane_name, message.step.step(), message.step.given)


@_apply.register
def _(message: messages.CallsForgotten, tables: CopyTables, place: Place) -> None:
    forget_lane_calls(tables.connection, place.lane_name, message.first_kept_seq)
    forget_lane_failures(
        tables.connection,
        place.lane_name,
        message.first_kept_seq,
        message.failures_up_to,
        message.most_failures,
    )


@_apply.register
def _(message: messages.RegisterOpened, tables: CopyTables, place: Place) -> None:
    write_shared_register(
        tables.connection, place.lane_name, place.position, message.order_by, message.names
    )


@_apply.register
def _(message: messages.LaneWords, tables: CopyTables, place: Place) -> None:
    write_shared_words(tables.connection, place.lane_name, message.words)


@_apply.register
def _(message: messages.RequestBegun, tables: CopyTables, place: Place) -> None:
    begin_request(tables.connection, message.request_number)


# What anybody may write


@_apply.register
def _(message: messages.Asked, tables: CopyTables, place: Place) -> None:
    numbers = _write_drafts(tables, message.asked_by, message.asked_at, message.drafts)
    if numbers:
        write_first_number(tables.connection, place.position, numbers[0])


def _write_drafts(
    tables: CopyTables, asked_by: str, asked_at: float, drafts: Iterable[Draft]
) -> list[int]:
    """Write requests and return their numbers, which follow from this stream alone."""
    numbers = []
    for draft in drafts:
        request_draft: RequestDraft = (
            draft.request_kind,
            draft.plugin,
            messages.raw_json(draft.detail),
            draft.events,
        )
        numbers.append(write_new_request(tables.connection, asked_by, request_draft, asked_at))
    return numbers


@_apply.register
def _(message: messages.Answered, tables: CopyTables, place: Place) -> None:
    step = RequestStep(message.request_number, answer=message.answer)
    _write_feed_request(tables, step, message.answered_at)


@_apply.register
def _(message: messages.RequestsForgotten, tables: CopyTables, place: Place) -> None:
    delete_requests(tables.connection, message.request_numbers)


@_apply.register
def _(message: messages.PassedOver, tables: CopyTables, place: Place) -> None:
    write_passed_over(
        tables.connection, message.seq, message.plugins, message.event_aside, place.aside_numbers()
    )


@_apply.register
def _(message: messages.EntryAside, tables: CopyTables, place: Place) -> None:
    write_events_aside(tables.connection, [message.event_aside], place.aside_numbers())


@_apply.register
def _(message: messages.EntriesCleared, tables: CopyTables, place: Place) -> None:
    _clear(tables, message.events_aside)


@_apply.register
def _(message: messages.ReplaysAsked, tables: CopyTables, place: Place) -> None:
    _write_drafts(tables, "sgevents", message.asked_at, message.drafts)
    forget_passed_over(tables.connection, message.era, message.event_id, message.passed_over)


@_apply.register
def _(message: messages.FirstCursors, tables: CopyTables, place: Place) -> None:
    write_first_cursors(tables.connection, message.cursors)


@_apply.register
def _(message: messages.ScriptNames, tables: CopyTables, place: Place) -> None:
    write_script_names(tables.connection, message.forgotten_ids, message.changed_names)


@_apply.register
def _(message: messages.Figures, tables: CopyTables, place: Place) -> None:
    write_figures(tables.connection, message.figures, message.current_time)
