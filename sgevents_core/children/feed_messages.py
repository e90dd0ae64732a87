"""The messages between the daemon and the process that follows the log while it is far behind.

The process runs no code of plugins, so both ends trust each other.
"""

from __future__ import annotations

import pickle
from typing import Final, TypeAlias

import msgspec

from sgevents_core.children.log_record import LogRecord
from sgevents_core.site.catching_up import CommittedStep
from sgevents_core.site.feed_counts import PollKind
from sgevents_core.site.handing_over import Report, Stint, StintEnded

# From the daemon


class BeginFeed(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Get ready.

    Args:
        settings: The configuration without plugins, pickled, with its secrets.
        search_path: `sys.path`.
    """

    settings: bytes
    search_path: list[str]


class BeginStint(msgspec.Struct, frozen=True, tag=True):
    """Follow the log until nothing is due."""

    stint: Stint


class ScriptsKnown(msgspec.Struct, frozen=True, tag=True):
    """The names of the scripts that were shown have been looked up: go on."""


# From the process


class FeedReady(msgspec.Struct, frozen=True, tag=True):
    """Everything is imported: a stint can begin."""


class StepCommitted(msgspec.Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """A step is committed; see `CommittedStep`. Its notices are pickled, if there are any."""

    asked_at: float
    poll_kind: PollKind
    row_count: int
    late_count: int = 0
    notices: bytes = b""


class ScriptsShown(msgspec.Struct, frozen=True, tag=True):
    """Rows that are about to be committed show scripts for the first time: id and name of each."""

    scripts: list[tuple[int, str]]


class StintOver(msgspec.Struct, frozen=True, tag=True):
    """The stint has ended; see `StintEnded`."""

    has_failed: bool


ToFeedProcess: TypeAlias = BeginFeed | BeginStint | ScriptsKnown
FromFeedProcess: TypeAlias = FeedReady | StepCommitted | ScriptsShown | StintOver | LogRecord

encode: Final = msgspec.msgpack.Encoder().encode
decode_to_feed: Final = msgspec.msgpack.Decoder(ToFeedProcess).decode
decode_from_feed: Final = msgspec.msgpack.Decoder(FromFeedProcess).decode


def step_message(committed_step: CommittedStep) -> StepCommitted:
    """Return the message about a committed step."""
    return StepCommitted(
        asked_at=committed_step.asked_at,
        poll_kind=committed_step.poll_kind,
        row_count=committed_step.row_count,
        late_count=committed_step.late_count,
        notices=pickle.dumps(committed_step.notices) if committed_step.notices else b"",
    )


def report_of(message: StepCommitted | ScriptsShown | StintOver) -> Report:
    """Return the report that a message carries."""
    if isinstance(message, StintOver):
        return StintEnded(message.has_failed)
    if isinstance(message, ScriptsShown):
        return message.scripts
    notices = pickle.loads(message.notices) if message.notices else ()  # noqa: S301 - from our own process
    return CommittedStep(
        message.asked_at, message.poll_kind, message.row_count, message.late_count, notices
    )
