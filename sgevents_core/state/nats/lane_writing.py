"""Writing the ledger of lanes, as messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, SetAside
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.nats import messages
from sgevents_core.state.nats.reading import CopyConnection
from sgevents_core.state.nats.session import HeldLane
from sgevents_core.state.nats.shared_register import SharedWords, mark_own, share_slots
from sgevents_core.state.nats.step_words import StepWords
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import Register
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.sqlite.done_parts import find_part_seq
from sgevents_core.state.sqlite.journal_reading import find_entry
from sgevents_core.state.sqlite.lane_writing import read_first_cursors
from sgevents_core.state.sqlite.log_copy import is_aside
from sgevents_core.state.steps import GivenValues, Step


class NatsLaneWriter(CopyConnection):
    """A lane's connection. Any connection of the process may write for a lane that it took."""

    def take_lane(self, lane_name: str) -> int:
        """Return a new fence for the lane; older ones, of any host, are refused from now on."""
        return self._session.take_lane(lane_name)

    def record(self, lane_name: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        return self._record(self._session.held_lane(lane_name, fence), step, origin=step)

    def advance(
        self, lane_name: str, fence: int, step_from_record: Callable[[RecordedLane], Step]
    ) -> None:
        """Advance a lane and its plugins from their recorded positions, atomically.

        The lane has no other writer: what the copy says once it has the last message is what all
        copies say when they come to the next.
        """
        held_lane = self._session.held_lane(lane_name, fence)
        with held_lane.writer.lock:
            self._settle_lane(held_lane)
            plugin_records = [
                plugin_record
                for plugin_record in self.plugins().values()
                if plugin_record.lane == lane_name
            ]
            recorded_lane = RecordedLane(
                self.lane_progress(lane_name) or BEGINNING,
                self.lane_places(lane_name),
                plugin_records,
            )
            self._record(held_lane, step_from_record(recorded_lane), origin=None)  # made anew

    def share_register(
        self,
        lane_name: str,
        fence: int,
        register: Register,
        *,
        stopping: threading.Event,
        trouble: LaneTrouble,
    ) -> None:
        """Let the words of a register go to the lane's stream; see `protocols.LaneWriter`."""
        held_lane = self._session.held_lane(lane_name, fence)
        names = [callback_key.encode() for callback_key in register.keys]
        opened = messages.RegisterOpened(register.order_by, names)
        with held_lane.writer.lock:
            self._settle_lane(held_lane)
            place = self._session.send(held_lane.writer, opened)
        mark_own(self._session.folder, lane_name, place)

        def send(words: Mapping[int, int]) -> None:
            with held_lane.writer.lock:
                self._settle_lane(held_lane)
                self._session.send(held_lane.writer, messages.LaneWords(dict(words)))

        share_slots(register, SharedWords(send, self._session.gather_seconds, stopping, trouble))

    def pass_over(self, entry: Entry, plugin_names: Collection[str], reason_text: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """
        event_aside = SetAside(
            str(entry.event_id), reason_text, ASIDE_IN_JOURNAL, time.time(), entry.era
        )
        is_new = not is_aside(self._database, event_aside)
        self._session.share(messages.PassedOver(entry.seq, list(plugin_names), event_aside), entry)
        return is_new

    def record_first_cursors(self) -> None:
        """Record where each plugin began; it never gets earlier events."""
        cursors = read_first_cursors(self._database)
        if cursors:
            self._session.share(messages.FirstCursors(cursors))

    def sync(self) -> None:
        """Do nothing: what the servers have confirmed is on their disks."""

    def _settle_lane(
        self, held_lane: HeldLane, origin: object = None
    ) -> tuple[object, messages.AnyMessage] | None:
        writer = held_lane.writer
        with self._session.translated(writer):
            settled = writer.settle(origin)
        if settled is not None:
            self._session.note_written(writer.stream_key, writer.position)
        return settled

    def _record(self, held_lane: HeldLane, step: Step, origin: Step | None) -> int:
        """Write a step; if its outcome is not known, only the same origin may follow."""
        with held_lane.writer.lock:
            settled = self._settle_lane(held_lane, origin)
            if settled is not None and settled[0] is step:
                assert isinstance(settled[1], messages.LaneStep)  # noqa: S101 - what steps become
                return _number_of(settled[1].step)
            words = self._words_of(step)
            self._session.send(held_lane.writer, messages.LaneStep(words), origin)
            return _number_of(words)

    def _words_of(self, step: Step) -> StepWords:
        """Return a step with all that its effect depends on."""
        request = step.request
        letter = None if request is None else request.letter
        words = StepWords.of(step, GivenValues())
        if step.failure is not None and step.failure_event is None:
            words.failure_event = self._event_at(step.failure.seq, step.failure.event_id)
        words.given = GivenValues(
            failure_number=None if step.failure is None else self._next_number(),
            letter_number=(
                self._next_number() if letter is not None and letter.number is None else None
            ),
            answered_at=time.time() if request is not None and request.answer is not None else None,
            part_seq=(
                None
                if step.done_part is None
                else find_part_seq(self._database.fetch_all, step.done_part)
            ),
        )
        return words

    def _event_at(self, seq: int, event_id: int) -> ReplayEvent:
        """Return the event of an entry, with an empty row if the journal does not have it."""
        event = find_entry(self._database.fetch_all, seq)
        return event or ReplayEvent(1, seq, event_id, b"")


def _number_of(words: StepWords) -> int:
    """Return the number of a step's failure or letter; 0 if it has none."""
    letter = None if words.request is None else words.request.letter
    if letter is not None:
        return letter.number or words.given.letter_number or 0
    return words.given.failure_number or 0
