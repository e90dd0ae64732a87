"""What must be true after a chaos run, as calls, copies and logs show it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from chaos_plugins import BATCHED_TYPE, LANES, LaneRules, NotedCall, plugin_of
from chaos_records import Holders

from sgevents_core.errors import FrontCut
from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.nats.logs import Log
from sgevents_core.state.nats.messages import FeedFence, LaneFence, decode_message
from sgevents_core.state.sqlite.reading import SqliteReader

_SHOWN: Final = 8
_PASSING: Final = {"Retry", "Defer"}


class SiteRow(NamedTuple):
    """A row of the site's log as all can see it at the end.

    Args:
        event_id: Its id.
        event_type: Its type.
        entity: What it is about.
    """

    event_id: int
    event_type: str
    entity: object


class CallOracle:
    """Judges the calls of a run.

    Args:
        rows: The site's rows, by id.
        seqs: Event id -> its place in the journal.
        calls: All calls, in the order in which they began.
        holders: Who held what when.
    """

    def __init__(
        self,
        rows: Mapping[int, SiteRow],
        seqs: Mapping[int, int],
        calls: Sequence[NotedCall],
        holders: Holders,
    ) -> None:
        self._rows = rows
        self._seqs = seqs
        self._holders = holders
        self._by_lane: dict[str, list[NotedCall]] = defaultdict(list)
        for call in calls:
            self._by_lane[call.lane].append(call)
        self.repeated = 0
        self.late_begins = 0
        """Calls that a holder began after its successor's first: it was about to as it froze."""

    def wrong(self) -> Iterator[str]:
        """Report everything that is not as promised."""
        for lane_name, rules in LANES.items():
            calls = self._by_lane[lane_name]
            for callback in rules.callbacks:
                own = [call for call in calls if call.callback == callback]
                yield from self._missing(lane_name, callback, own)
                yield from self._disorder(lane_name, callback, own)
            yield from self._repeats(lane_name, calls)
            yield from self._overlaps(lane_name, calls)
            yield from self._begins_of_superseded(lane_name, calls)

    def _missing(self, lane_name: str, callback: str, calls: Sequence[NotedCall]) -> Iterator[str]:
        """Every event has a call that is done, and in batches the same one."""
        wanted = {
            row.event_id
            for row in self._rows.values()
            if callback != "batch" or row.event_type == BATCHED_TYPE
        }
        done = {id_ for call in calls if call.outcome == "done" for id_ in call.event_ids}
        begun = {id_ for call in calls for id_ in call.event_ids}
        if done != wanted or begun != wanted:
            yield (
                f"{lane_name}.{callback} is not done for {sorted(wanted - done)[:_SHOWN]}, and "
                f"was called for {sorted(begun - wanted)[:_SHOWN]}"
            )
        keys = {(id_, call.key) for call in calls for id_ in call.event_ids}
        if len(keys) != len(begun):
            events = [id_ for id_, count in Counter(id_ for id_, _ in keys).items() if count > 1]
            yield f"{lane_name}.{callback} had {events[:_SHOWN]} in two different calls"

    def _disorder(self, lane_name: str, callback: str, calls: Sequence[NotedCall]) -> Iterator[str]:
        """First calls are made in the journal's order."""
        firsts = {call.key: call for call in reversed(calls)}.values()
        chains: dict[object, list[int]] = defaultdict(list)
        for call in sorted(firsts, key=lambda call: call.begun_at):
            chains[self._chain_of(lane_name, call)] += call.event_ids
        for chain, event_ids in chains.items():
            places = [self._seqs.get(id_, 0) for id_ in event_ids]
            if places != sorted(places):
                pairs = [
                    (first, second)
                    for first, second in pairwise(event_ids)
                    if self._seqs.get(second, 0) < self._seqs.get(first, 0)
                ]
                yield f"{lane_name}.{callback} is not in order for {chain}: {pairs[:_SHOWN]}"

    def _chain_of(self, lane_name: str, call: NotedCall) -> object:
        """Return what calls have in common that are made one after another."""
        is_by_entity = LANES[lane_name].is_by_entity or call.callback == "batch"
        row = self._rows.get(call.event_ids[0])
        return row.entity if is_by_entity and row is not None else "all"

    def _repeats(self, lane_name: str, calls: Sequence[NotedCall]) -> Iterator[str]:
        """At each take-over, each worker's call is made again at most once."""
        counts: Counter[int] = Counter()
        repeats: dict[int, list[NotedCall]] = defaultdict(list)
        by_key: dict[object, list[NotedCall]] = defaultdict(list)
        for call in calls:
            by_key[call.key].append(call)
        for same in by_key.values():
            for call in _repeated(same):
                number = self._holders.number_at(lane_name, call.host, call.begun_at)
                counts[number] += 1
                repeats[number].append(call)
        self.repeated += counts.total()
        for number, count in counts.items():
            if number <= 0 or count > LANES[lane_name].workers:
                calls_text = "; ".join(map(repr, repeats[number][:_SHOWN]))
                yield f"{lane_name} repeated {count} calls in holdership {number}: {calls_text}"

    def _overlaps(self, lane_name: str, calls: Sequence[NotedCall]) -> Iterator[str]:
        """Calls that are in order do not overlap, but for the running one of another host."""
        rules = LANES[lane_name]
        chains: dict[object, list[NotedCall]] = defaultdict(list)
        for call in calls:
            if call.callback != "batch":
                chains[self._chain_of(lane_name, call)].append(call)
        for chain in chains.values():
            latest: NotedCall | None = None
            for call in chain:
                if latest is not None and (latest.ended_at or 0.0) > call.begun_at:
                    yield from self._judge_overlap(rules, lane_name, latest, call)
                if latest is None or (call.ended_at or 0.0) > (latest.ended_at or 0.0):
                    latest = call

    def _judge_overlap(
        self, rules: LaneRules, lane_name: str, first: NotedCall, second: NotedCall
    ) -> Iterator[str]:
        numbers = [
            self._holders.number_at(lane_name, call.host, call.begun_at) for call in (first, second)
        ]
        if numbers[0] == numbers[1] or first.host == second.host:
            yield f"{lane_name}: {second!r} began during {first!r}"

    def _begins_of_superseded(self, lane_name: str, calls: Sequence[NotedCall]) -> Iterator[str]:
        """Once a successor has begun a call, a holder begins none but those it was about to."""
        numbered = [
            (self._holders.number_at(lane_name, call.host, call.begun_at), call) for call in calls
        ]
        newest = -1
        late: dict[int, list[NotedCall]] = defaultdict(list)
        for number, call in numbered:
            if number < newest:
                late[number].append(call)
            newest = max(newest, number)
        for number, begun in late.items():
            self.late_begins += len(begun)
            if len(begun) > LANES[lane_name].workers:
                yield f"{lane_name}: holder {number} was superseded, and began {begun[:_SHOWN]}"


def _repeated(same: Sequence[NotedCall]) -> Iterator[NotedCall]:
    """Yield the calls of one key that are made again, though nothing asked for it."""
    asked: set[tuple[int, str]] = set()
    for earlier, call in pairwise(same):
        request = (earlier.attempt, earlier.outcome)
        if earlier.outcome not in _PASSING or request in asked:
            yield call
        asked.add(request)


class CopyRows(NamedTuple):
    """What a host's copy says at the end.

    Args:
        journal: Event id and place of each entry, in order.
        stores: Plugin and key -> the value.
    """

    journal: list[tuple[int, int]]
    stores: dict[tuple[str, str], str]


def read_copy(state_folder: Path) -> CopyRows:
    """Read a host's copy."""
    with closing(SqliteReader(state_folder / COPY_FOLDER)) as reader:
        journal: list[tuple[int, int]] = []
        while entries := reader.read(journal[-1][1] if journal else 0, 500):
            journal += [(entry.event_id, entry.seq) for entry in entries]
        stores = {
            (plugin_of(lane_name), key): str(value)
            for lane_name in LANES
            for key, value in reader.store(plugin_of(lane_name)).items()
        }
    return CopyRows(journal, stores)


def judge_copy(host: str, copy: CopyRows, rows: Mapping[int, SiteRow]) -> Iterator[str]:
    """Each visible row is in the journal once, and what plugins count is exact."""
    counts = Counter(event_id for event_id, _ in copy.journal)
    twice = [event_id for event_id, count in counts.items() if count > 1]
    lost, strange = sorted(set(rows) - set(counts)), sorted(set(counts) - set(rows))
    if twice or lost or strange:
        yield (
            f"{host}: the journal has {twice[:_SHOWN]} twice, lacks {lost[:_SHOWN]}, and has "
            f"{strange[:_SHOWN]}, which the site does not show"
        )
    batched = sum(row.event_type == BATCHED_TYPE for row in rows.values())
    wanted = {"count": len(rows), "batched": batched}
    for lane_name, rules in LANES.items():
        for key in rules.counters:
            counted = copy.stores.get((plugin_of(lane_name), key), "0")
            if counted != str(wanted[key]):
                yield f"{host}: {plugin_of(lane_name)} has {key} = {counted} of {wanted[key]}"


def judge_log(name: str, log: Log) -> Iterator[str]:
    """Nobody but the writer of the last fence has written to a stream."""
    place, holder = 0, ""
    while True:
        try:
            log_messages = log.read_after(place)
        except FrontCut as error:
            place = error.first - 1
            continue
        if not log_messages:
            return
        for log_message in log_messages:
            writer = log_message.token.rpartition("/")[0]
            message = decode_message(log_message.data, "the oracle")
            if isinstance(message, FeedFence | LaneFence):
                holder = writer
            elif holder and writer != holder:
                yield f"{name}: {writer} has written message {log_message.sequence} after {holder}"
            place = log_message.sequence
