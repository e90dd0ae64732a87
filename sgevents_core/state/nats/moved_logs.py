"""What the streams say of a move of the state: the messages after which nothing is applied."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from sgevents_core.errors import MoveRefused, StateElsewhere
from sgevents_core.state.move_record import MoveRecord
from sgevents_core.state.nats.appending import StoredAt
from sgevents_core.state.nats.broker_logs import BrokerLog, BrokerLogs
from sgevents_core.state.nats.copy_snapshots import read_snapshot_pointer
from sgevents_core.state.nats.messages import Elsewhere, decode_message, encode_message
from sgevents_core.state.nats.stream_keys import JOURNAL

_KIND: Final = Elsewhere.subject_kind


class Mark(NamedTuple):
    """A message that says that the state is elsewhere.

    Args:
        place: Its place.
        says: The message.
    """

    place: int
    says: Elsewhere


def elsewhere_error(says: Elsewhere) -> StateElsewhere:
    """Return the error of whoever would work at a state that is not in these logs."""
    if says.target == "disk":
        reason_text = (
            f"it was moved to the disk of host {says.host} ({says.folder}); move it back to the"
            " servers there with `sgevents state move servers`, or remove url from [state] there"
        )
    else:
        reason_text = (
            f"moving it here from host {says.host} ({says.folder}) is not complete; continue"
            " with `sgevents state move servers` there"
        )
    return StateElsewhere(path="on the servers", reason=reason_text)


def read_mark(log: BrokerLog) -> Mark | None:
    """Return the newest message of a log that says that the state is elsewhere.

    Raises:
        BrokerError: The servers do not answer.
    """
    stored = log.last_of_kind(_KIND)
    if stored is None:
        return None
    says = decode_message(stored.data, "")
    assert isinstance(says, Elsewhere)  # noqa: S101 - what its subject says
    return Mark(stored.sequence, says)


def write_mark(log: BrokerLog, says: Elsewhere) -> int:
    """Append a mark behind whatever is the last message, and return its place.

    Whoever appended before cannot any more, unless it takes over anew, behind the mark.

    Raises:
        OutcomeNotKnown: It may be written.
        BrokerError: It is not written.
    """
    data = encode_message(says)
    while True:
        token = f"move-{secrets.token_hex(8)}/1"
        outcome = log.append(_KIND, data, log.last_sequence(), token)
        if isinstance(outcome, StoredAt):
            return outcome.sequence


def refuse_hosts(logs: BrokerLogs, folder: str) -> None:
    """Refuse to move a state at which hosts work.

    Raises:
        MoveRefused: They do.
        BrokerError: The servers do not answer.
    """
    held_keys = sorted(logs.leases().read_all())
    host_names = [key.removeprefix("host.") for key in held_keys if key.startswith("host.")]
    if held_keys:
        workers = f"by {', '.join(host_names)}" if host_names else f"({', '.join(held_keys)})"
        reason_text = (
            f"it is in use {workers}; stop the daemon of each host, and wait"
            f" {logs.leases().seconds:g} s after one was killed"
        )
        raise MoveRefused(path=folder, reason=reason_text)


def is_moved_in(logs: BrokerLogs, move_record: MoveRecord | None) -> bool:
    """Return whether a move to these logs is complete, but for what its host has to tidy up."""
    if move_record is None or move_record.is_complete or not move_record.journal_place:
        return False
    pointer, _ = read_snapshot_pointer(logs)
    return pointer is not None and pointer.positions.get(JOURNAL, 0) >= move_record.journal_place


def refuse_used_logs(logs: BrokerLogs, folder: str, move_record: MoveRecord | None) -> None:
    """Refuse to move a state to logs that hold another one.

    Raises:
        MoveRefused: They do.
        BrokerError: The servers do not answer.
    """
    mark = read_mark(logs.log(JOURNAL))
    if mark is None:
        used = [key for key in logs.stream_keys() if logs.log(key).last_sequence()]
        if not used and logs.read_pointer() is None:
            return
        reason_text = (
            "there is a state on the servers. With --replace, this one takes its place, and what"
            " is there is lost"
        )
        raise MoveRefused(path=folder, reason=reason_text)
    pointer, _ = read_snapshot_pointer(logs)
    is_complete = pointer is not None and pointer.positions.get(JOURNAL, 0) >= mark.place
    if mark.says.target == "servers" and is_complete:
        reason_text = (
            f"the state on the servers is in use since host {mark.says.host} moved it. With"
            " --replace, this one takes its place, and what is there is lost"
        )
        raise MoveRefused(path=folder, reason=reason_text)
    if move_record is None or move_record.token != mark.says.token:
        reason_text = (
            f"the newest state is that of host {mark.says.host} ({mark.says.folder}): use the"
            " command there. With --replace, this one takes its place"
        )
        raise MoveRefused(path=folder, reason=reason_text)
