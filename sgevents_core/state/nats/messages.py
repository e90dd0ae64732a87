"""What the logs hold: each write of a state as a typed message, and its form in bytes.

A message is a byte, `R` or `Z` for compressed; the version of its kind, two bytes, which a host of
an older version can read before anything else; and a MessagePack map. It says everything that its
effect depends on, so that every host makes the same of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import Struct, field

from sgevents_core.choices import MoveTarget, OrderBy
from sgevents_core.errors import MessageTooNew
from sgevents_core.state.call_figures import MinuteFigures
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.nats.feed_words import FeedWords
from sgevents_core.state.nats.step_words import StepWords
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep

VERSION: Final = 2
"""The newest version of messages that this version of sgevents reads."""
WORDS: Final = "w"
"""The last word of the subject of a register's words, of which hosts take no immediate notice."""
_PLAIN: Final = b"R"
_COMPRESSED: Final = b"Z"
_COMPRESSED_FROM: Final = 2048
_PREFIX_LENGTH: Final = 3


class Message(Struct, kw_only=True, omit_defaults=True, tag_field="k"):
    """One write.

    Args:
        after: Stream -> the place that the writer's copy had read up to: what it saw there comes
            before this message in every copy. Streams that its earlier messages in this stream
            have named, and that have not moved since, are left out.
    """

    subject_kind: ClassVar[str] = "x"
    """The last word of its subject, for people who look into the streams."""
    version: ClassVar[int] = 1
    """The version of messages from which on its kind is as it is now.

    A host that reads only earlier versions stops at it. All others it reads, so that during an
    upgrade of one host after another only those stop that would miss something.
    """

    after: dict[str, int] = field(default_factory=dict)


# The journal


class FeedFence(Message, tag="feed_fence"):
    """A host takes over the feed: nobody who did not know of this message appends after it."""

    subject_kind: ClassVar[str] = "fence"

    host: str = ""


class PageRow(Struct, array_like=True):
    """One row of a page, in the journal's order."""

    event_id: int
    created_at: int
    event_type: str
    late: int
    strands: int | None
    body: bytes


class Page(Message, tag="page"):
    """Rows for the journal, and the feed's state after them.

    Args:
        base: The journal's end before them.
        era: Their era.
        rows: The rows.
        feed: The change of the feed.
    """

    subject_kind: ClassVar[str] = "page"

    base: int = 0
    era: int = 1
    rows: list[PageRow] = field(default_factory=list)
    feed: FeedWords = field(default_factory=FeedWords)


class NewEra(Message, tag="era"):
    """The feed begins a new era, as a person asked."""

    subject_kind: ClassVar[str] = "era"
    version: ClassVar[int] = 2

    change: FeedChange
    step: RequestStep
    answered_at: float
    letter_number: int | None = None


class Decision(Message, tag="decision"):
    """A person's decision about ids of the feed, and the answer."""

    subject_kind: ClassVar[str] = "decide"
    version: ClassVar[int] = 2

    change: FeedChange
    step: RequestStep
    answered_at: float
    letter_number: int | None = None


class FeedAnswer(Message, tag="feed_answer"):
    """The change to a request that the feed carries out."""

    subject_kind: ClassVar[str] = "decide"
    version: ClassVar[int] = 2

    step: RequestStep
    answered_at: float
    letter_number: int | None = None


class RowAside(Message, tag="row_aside"):
    """A row of the site that cannot be stored is set aside."""

    subject_kind: ClassVar[str] = "decide"

    event_aside: SetAside


class RowsCleared(Message, tag="rows_cleared"):
    """Rows that were set aside are forgotten, as a person asked."""

    subject_kind: ClassVar[str] = "decide"
    version: ClassVar[int] = 2

    events_aside: list[SetAside]
    step: RequestStep
    answered_at: float
    letter_number: int | None = None


class Mended(Message, tag="mended"):
    """Entries are replaced by a row that was read again from the site."""

    subject_kind: ClassVar[str] = "decide"

    era: int
    row: PageRow
    seqs: list[int]


class Pruned(Message, tag="pruned"):
    """The oldest entries of the journal are removed."""

    subject_kind: ClassVar[str] = "prune"

    first_kept_seq: int


class Imported(Message, tag="imported"):
    """The state begins where another daemon ended.

    Args:
        change: The feed's state; None if the feed keeps its own.
        positions: Plugin -> what it has had.
        lane_name: The lane of the plugins.
    """

    subject_kind: ClassVar[str] = "era"

    change: FeedChange | None
    positions: dict[str, ImportedPosition]
    lane_name: str


class MovedRow(Struct, array_like=True):
    """An entry of the journal as the table has it, whatever its state."""

    seq: int
    era: int
    event_id: int
    event_type: str
    created_at: int
    late: int
    body: bytes
    checksum: int | None
    strands: int | None


class MovedRows(Message, tag="moved_rows"):
    """Entries of the journal of a state that is moved to these logs; see `Elsewhere`."""

    subject_kind: ClassVar[str] = "page"

    rows: list[MovedRow]


class Elsewhere(Message, tag="elsewhere"):
    """The state is not in these logs from here on: nothing behind this message is applied.

    It is the last message of each log of a state that was moved to a host's disk; or the first of a
    state that is being moved here, which hosts begin with at a snapshot once it is complete.

    Args:
        host: The host that moves it.
        folder: That host's folder.
        target: Where it is moved.
        token: What tells a host's folder from all others.
    """

    subject_kind: ClassVar[str] = "elsewhere"

    host: str
    folder: str
    target: MoveTarget
    token: str


# A lane


class LaneFence(Message, tag="lane_fence"):
    """A host takes over a lane; see `FeedFence`."""

    subject_kind: ClassVar[str] = "fence"

    host: str = ""


class LaneStep(Message, tag="step"):
    """One step of a lane's work."""

    subject_kind: ClassVar[str] = "s"
    version: ClassVar[int] = 2

    step: StepWords


class CallsForgotten(Message, tag="calls_forgotten"):
    """What calls left behind for events that have left the journal is removed.

    Args:
        first_kept_seq: The lowest entry that the journal keeps.
        failures_up_to: The highest number of a failure that is too old whatever its event.
        most_failures: How many failures to remove at most.
    """

    subject_kind: ClassVar[str] = "s"

    first_kept_seq: int
    failures_up_to: int
    most_failures: int


class RequestBegun(Message, tag="begun"):
    """A plugin is about to be called for a request."""

    subject_kind: ClassVar[str] = "s"

    request_number: int


class RegisterOpened(Message, tag="register"):
    """A lane begins a new register, with nothing in it.

    Args:
        order_by: What divides the lane's events into strands.
        names: Its callbacks in call order, encoded; words name them by index.
    """

    subject_kind: ClassVar[str] = WORDS

    order_by: OrderBy | None
    names: list[str]


class LaneWords(Message, tag="words"):
    """Words of a lane's register that changed, by place in it; see `Register`."""

    subject_kind: ClassVar[str] = WORDS

    words: dict[int, int]


# What anybody may write


class Draft(Struct, array_like=True):
    """A request that is made; its detail is JSON."""

    request_kind: str
    plugin: str
    detail: bytes
    events: list[ReplayEvent]


class Asked(Message, tag="asked"):
    """Requests of a person; the copy numbers them.

    Args:
        asked_by: The person.
        asked_at: When, in seconds since 1970.
        drafts: The requests.
    """

    asked_by: str
    asked_at: float
    drafts: list[Draft]


class Answered(Message, tag="answered"):
    """The answer to a request that changes no other record."""

    request_number: int
    answer: RequestAnswer
    answered_at: float


class RequestsForgotten(Message, tag="requests_forgotten"):
    """Requests that were answered long ago are removed."""

    request_numbers: list[int]


class PassedOver(Message, tag="passed_over"):
    """An entry cannot be read: it is set aside, for plugins that need its event."""

    seq: int
    plugins: list[str]
    event_aside: SetAside


class EntryAside(Message, tag="entry_aside"):
    """An entry of the journal is set aside."""

    event_aside: SetAside


class EntriesCleared(Message, tag="entries_cleared"):
    """Entries that were set aside are forgotten, as a person asked."""

    events_aside: list[SetAside]


class ReplaysAsked(Message, tag="replays_asked"):
    """A mended event is no longer passed over; plugins get it by requests.

    Args:
        era: The event's era.
        event_id: The event.
        asked_at: When, in seconds since 1970.
        passed_over: `(seq, plugin)` of what is forgotten.
        drafts: The requests.
    """

    era: int
    event_id: int
    asked_at: float
    passed_over: list[tuple[int, str]]
    drafts: list[Draft]


class FirstCursors(Message, tag="first_cursors"):
    """Where plugins began."""

    cursors: dict[str, int]


class ScriptNames(Message, tag="script_names"):
    """Names of the site's scripts."""

    forgotten_ids: list[int]
    changed_names: dict[int, str]


class Figures(Message, tag="figures"):
    """Figures of minutes that are over."""

    figures: MinuteFigures
    current_time: float


AnyMessage: TypeAlias = (
    FeedFence
    | Page
    | NewEra
    | Decision
    | FeedAnswer
    | RowAside
    | RowsCleared
    | Mended
    | Pruned
    | Imported
    | MovedRows
    | Elsewhere
    | LaneFence
    | LaneStep
    | CallsForgotten
    | RequestBegun
    | RegisterOpened
    | LaneWords
    | Asked
    | Answered
    | RequestsForgotten
    | PassedOver
    | EntryAside
    | EntriesCleared
    | ReplaysAsked
    | FirstCursors
    | ScriptNames
    | Figures
)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(AnyMessage, strict=False).decode
encode_json: Final = msgspec.json.Encoder().encode


def encode_message(message: AnyMessage) -> bytes:
    """Return a message in bytes.

    Raises:
        TypeError: It holds a value that no message can hold.
    """
    content = _encode(message)
    mark = _PLAIN
    if len(content) >= _COMPRESSED_FROM:
        mark, content = _COMPRESSED, zlib.compress(content, 1)
    return mark + message.version.to_bytes(_PREFIX_LENGTH - 1, "big") + content


def decode_message(data: bytes, host_name: str) -> AnyMessage:
    """Return the message that bytes encode.

    Args:
        data: The bytes.
        host_name: This host, for people.

    Raises:
        MessageTooNew: A newer version wrote it.
        ValueError: They are no message.
    """
    mark, version = data[:1], int.from_bytes(data[1:_PREFIX_LENGTH], "big")
    if mark not in {_PLAIN, _COMPRESSED}:
        raise ValueError(f"it begins with {mark!r}")
    if version > VERSION:
        raise MessageTooNew(version=version, known=VERSION, host=host_name)
    content = data[_PREFIX_LENGTH:]
    try:
        message: AnyMessage = _decode(zlib.decompress(content) if mark == _COMPRESSED else content)
    except (msgspec.MsgspecError, zlib.error) as error:
        raise ValueError(str(error)) from None
    return message


def raw_json(encoded: bytes) -> Any:
    """Return JSON that an encoder takes over as it is."""
    return msgspec.Raw(encoded)


def draft_of(
    request_kind: str, plugin_name: str, request_detail: Mapping[str, Any], events: Any
) -> Draft:
    """Return a request as a message holds it."""
    return Draft(request_kind, plugin_name, encode_json(request_detail), list(events))
