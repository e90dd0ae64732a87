"""The invariants after a schedule of the whole daemon; each oracle reports what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import random_schedules
from simulated_daemon import SimulatedDaemon
from simulated_plugins import FINAL, HANDLED, Made, entity_of

from sgevents_core.calling.journal_events import event_of
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import LANE_WORD

SYNCED_WITHIN = 0.5
"""Seconds whose calls a power cut may repeat."""
Way = tuple[str, str, int]
"""`plugin` or `lane`, its name, and the key of what is in order; 0 for everything."""
Series = tuple[str, str, int]
"""Plugin, callback and `seq`: the calls for one event."""
Kept = tuple[str, str, str]
"""Plugin, `live` or `asked`, and callback: the calls that a store counts separately."""


@dataclass
class Verdict:
    """The result of a schedule.

    Args:
        wrong: What is not as promised, by kind: `lost`, `repeated` and so on.
        hours: Simulated hours.
        rows: Rows of the site.
        calls: Calls made.
        crashes: Deaths of a process.
    """

    wrong: list[tuple[str, str]] = field(default_factory=list)
    hours: float = 0.0
    rows: int = 0
    calls: int = 0
    crashes: int = 0


def judged(daemon: SimulatedDaemon) -> Verdict:
    """Return the result of a schedule that has come to rest."""
    deaths = [how for how, _ in daemon.ends.values() if how != "stop"]
    verdict = Verdict(
        hours=daemon.site.now / 3600,
        rows=len(daemon.journal.rows),
        calls=len(daemon.log.made),
        crashes=len(deaths),
    )
    calls = Calls(daemon)
    for kind, oracle in _ORACLES.items():
        verdict.wrong += [(kind, text) for text in oracle(daemon, calls)]
    return verdict


class Calls:
    """The calls of a schedule, sorted.

    Args:
        daemon: The daemon that made them.
    """

    def __init__(self, daemon: SimulatedDaemon) -> None:
        self.live = [made for made in daemon.log.made if not made.request and not made.late]
        self.asked = [made for made in daemon.log.made if made.request]
        self.series: dict[Series, list[Made]] = {}
        for made in self.live:
            self.series.setdefault((made.plugin, made.callback, made.seq), []).append(made)
        seq_of = {id_: seq for seq, id_ in enumerate(daemon.journal.ids, 1)}
        self.late: dict[Series, list[Made]] = {}
        """The calls that were put off, once they were made."""
        for made in daemon.log.made:
            if made.late:
                series = (made.plugin, made.callback, seq_of[made.event_id])
                self.late.setdefault(series, []).append(made)
        self.last_late = {made.life: made for made in daemon.log.made if made.late}
        self.replayed = {
            (made.plugin, made.callback, seq_of[made.event_id])
            for made in self.asked
            if made.end == "returned"
        }
        self.last_of = {(made.lane, made.life): made for made in self.live}
        self.last_asked = {made.life: made for made in self.asked}
        self._daemon = daemon

    def ended(self, made: Made) -> str:
        """Return how the life of a call ended."""
        return self._daemon.ends[made.life][0]

    def in_doubt(self, made: Made) -> bool:
        """Return whether the process may have died before a call was noted as finished."""
        if made.in_charge:
            return True
        how, at = self._daemon.ends[made.life]
        if how == "power":
            return not made.noted or at - made.noted_at <= SYNCED_WITHIN
        return how == "kill" and not made.noted and self.last_of[made.lane, made.life] is made


def feed(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that each visible row is in the journal once, in order or marked late.

    Those that a person has dropped are not; those that a person wants handled are.
    """
    if parked := daemon.parked():
        yield f"nobody has decided about {parked}"
    try:
        random_schedules.check(daemon.feed, daemon.dropped)
    except AssertionError as error:
        yield str(error)
    if daemon.house.state.end() != len(daemon.journal.rows):
        yield f"the journal ends at {daemon.house.state.end()}, not {len(daemon.journal.rows)}"


def seen(daemon: SimulatedDaemon, calls: Calls) -> list[str]:
    """Check what was seen while it ran."""
    return daemon.log.wrong


def lost(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that every matching callback got every event, unless a person decided otherwise."""
    for series in _wanted(daemon):
        plugin, _, seq = series
        made = calls.series.get(series, [])
        done = made and made[-1].end in FINAL
        if done and made[-1].end == "deferred":
            late = calls.late.get(series, [])
            done = bool(late and late[-1].end in HANDLED) or series in calls.replayed
        given_up = daemon.condemned.get(series) in ("dead-letter", "skip")
        if not (done or given_up or (plugin, seq) in daemon.skipped):
            yield f"{series}: {made}"


def _wanted(daemon: SimulatedDaemon) -> Iterator[Series]:
    events = [event_of(one.row.body) for one in daemon.journal.rows]
    for name, plugin in daemon.house.plugins.items():
        first = max(daemon.joined[name], daemon.pruned.get(name, 0)) + 1
        for callback in plugin.callbacks:
            for seq, event in enumerate(events[first - 1 :], first):
                if callback.matches(event):
                    yield name, callback.name, seq


def unwanted(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that no callback got an event that it does not want, or from before its plugin."""
    callbacks = {one.name: one for p in daemon.house.plugins.values() for one in p.callbacks}
    for (plugin, name, seq), made in calls.series.items():
        event = event_of(daemon.journal.rows[seq - 1].row.body)
        handed = [m for m in made if m.attempt is not None]  # else its filter has said no
        if handed and (seq <= daemon.joined[plugin] or not callbacks[name].matches(event)):
            yield f"not for it: {handed[0]}"
        key = f"127.0.0.1:1:1:{event.id}:{plugin}:{name}"
        yield from (f"not its event: {m}" for m in made if m.event_id not in (0, event.id))
        yield from (f"not its key: {m}" for m in made if m.key not in ("", key))


def repeated(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that no finished call is made again, unless a death left it in doubt."""
    for made in calls.series.values():
        for one in made[:-1]:
            if one.end in FINAL and not calls.in_doubt(one):
                yield f"{one} was made again"


def late_twice(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that a call that was put off is made once; only one running at a death is repeated."""
    for made in calls.late.values():
        for one in made[:-1]:
            in_doubt = calls.ended(one) != "stop" and calls.last_late[one.life] is one
            if one.end in HANDLED and not in_doubt:
                yield f"{one} was made again"


def asked_twice(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that a request is carried out once; only a call running at a death is made again."""
    series: dict[tuple[int, str, int], list[Made]] = {}
    for made in calls.asked:
        series.setdefault((made.request, made.callback, made.event_id), []).append(made)
    for again in series.values():
        for one in again[:-1]:
            if one.end == "put off":
                continue
            if calls.last_asked[one.life] is not one or calls.ended(one) == "stop":
                yield f"{one} was made again for {daemon.asked[one.request]}"


def counted(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that `ctx.attempt` counts the calls begun; a power cut may lose some of the count."""
    for made in calls.series.values():
        sure, number = True, 0
        for place, one in enumerate(made):
            before = made[place - 1]
            number += place == 0 or before.end != "put off" or not before.noted
            doubtful = before.in_charge or (before.end == "put off" and not before.noted)
            sure = sure and not (place and doubtful)
            doubled = sum(made[0].number < at <= one.number for at in daemon.troubled_starts)
            right = range(number if sure else 1, number + doubled + 1)
            if one.attempt is not None and one.attempt not in right:
                yield f"attempt {one.attempt} is call {number} of {made}"
            sure = sure and calls.ended(one) != "power"


def order(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that events are handled in journal order, and callbacks called in call order."""
    callbacks = [one.name for p in daemon.house.plugins.values() for one in p.callbacks]
    places = {name: place for place, name in enumerate(callbacks)}
    last: dict[Way, Made] = {}
    for made in calls.live:
        for way in _ways(daemon, made):
            before = last.get(way)
            last[way] = made
            if before is None or (before.life < made.life and calls.ended(before) == "power"):
                continue
            is_made_again = not before.end or calls.in_doubt(before)
            if before.life < made.life and before.seq == made.seq and is_made_again:
                continue  # nobody noted it: it comes again, behind what a start has let rejoin
            again = way[0] == "plugin" or before.life < made.life
            then, now = (before.seq, places[before.callback]), (made.seq, places[made.callback])
            if now < then or (now == then and not again):
                yield f"{way}: {made} came after {before}"


def _ways(daemon: SimulatedDaemon, made: Made) -> Iterator[Way]:
    """Yield the series in which a call has its order: its plugin's calls, and its lane's.

    In a divided lane those of its entity, or of its event where nothing else is promised.
    """
    key = 0
    if made.strand is not None:
        event_id = daemon.journal.rows[made.seq - 1].row.id
        by_event = daemon.divisions[made.life][made.lane] == "none"
        key = -event_id if by_event else entity_of(event_id) + 1
    yield "plugin", made.plugin, key
    if made.word == LANE_WORD:
        yield "lane", made.lane, key


def stored(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that a store holds what the recorded calls have put there, each exactly once."""
    most: Counter[Kept] = Counter()
    doubtful: Counter[Kept] = Counter()
    for (plugin, name, seq), made in calls.series.items():
        most[plugin, "live", name] += made[-1].end == "returned"
        pruned = seq <= daemon.pruned.get(plugin, 0)  # while not enabled: it is never made again
        doubtful[plugin, "live", name] += pruned and calls.in_doubt(made[-1])
    for (plugin, name, _), made in calls.late.items():
        most[plugin, "late", name] += made[-1].end == "returned"
    for one in calls.asked:
        most[one.plugin, "asked", one.callback] += one.end == "returned"
        doubtful[one.plugin, "asked", one.callback] += calls.last_asked[one.life] is one
    for plugin in daemon.house.plugins:
        for key, value in daemon.house.state.store(plugin).items():
            kind, _, name = key.partition(" ")
            sure = most[plugin, kind, name]
            least = sure - doubtful[plugin, kind, name]
            if not least <= value <= sure:
                yield f"{plugin}: {key} is {value}, not {least} to {sure}"


def letters(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that dead letters are the calls that failed for good and were not settled since."""
    expected, doubtful = _expected_letters(daemon, calls)
    found = {(plugin, name, seq) for plugin, name, seq, _ in daemon.letters()}
    for series in sorted((expected ^ found) - doubtful):
        what = "is missing" if series in expected else "is too much"
        yield f"dead letter {series} {what}: {calls.series.get(series)}"


def _expected_letters(daemon: SimulatedDaemon, calls: Calls) -> tuple[set[Series], set[Series]]:
    seq_of = {id_: seq for seq, id_ in enumerate(daemon.journal.ids, 1)}
    expected, doubtful = set(), set()
    for series, made in calls.series.items():
        if made[-1].end == "dead-letter" or daemon.condemned.get(series) == "dead-letter":
            expected.add(series)
    for series, made in calls.late.items():
        if made[-1].end == "dead-letter":
            expected.add(series)
    for one in calls.asked:
        series = (one.plugin, one.callback, seq_of[one.event_id])
        kind, _, _ = daemon.asked[one.request]
        dead_before = series in expected
        if kind == "replay" or calls.last_asked[one.life] is one or not dead_before:
            doubtful.add(series)
        elif one.end == "returned":
            expected.discard(series)
    return expected - daemon.dismissed, doubtful


def at_rest(daemon: SimulatedDaemon, calls: Calls) -> Iterator[str]:
    """Check that in the end no plugin is behind, and no request waits."""
    end = len(daemon.journal.rows)
    for record in daemon.house.records().values():
        progress = daemon.house.state.lane_progress(record.lane)
        if record.apart or record.strands or progress != Progress(end):
            yield f"{record}, its lane at {progress} of {end}"
    for call in daemon.house.state.deferred_calls():
        yield f"still put off: {call}"
    for call_deaths in daemon.house.state.deaths():
        yield f"nobody will make it again, and it is not settled: {call_deaths}"
    for number in daemon.asked.keys() - daemon.answers.keys():
        yield f"request {number} was not answered: {daemon.asked[number]}"
    for number, (outcome, text) in daemon.answers.items():
        if "went wrong" in text:
            yield f"request {number} {outcome}: {text}"


_ORACLES = {
    "feed": feed,
    "seen": seen,
    "lost": lost,
    "unwanted": unwanted,
    "repeated": repeated,
    "asked twice": asked_twice,
    "late twice": late_twice,
    "attempts": counted,
    "order": order,
    "store": stored,
    "letters": letters,
    "rest": at_rest,
}
