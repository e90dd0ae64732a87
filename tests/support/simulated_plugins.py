"""Plugins that fail as a seed says, and a log of all calls that outlives every process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from lane_house import Plugin
from mortal_process import Machine
from simulated_children import LEAK_BYTES, SimulatedChild, SimulatedChildren
from simulated_threads import ProcessEnded

from sgevents_core import Defer, Retry
from sgevents_core.calling.deaths import (
    DEATHS_LIMIT,
    FIRST_WAIT,
    LONGEST_WAIT,
    PROVED_LIMIT,
    TOLERATED_ENDS,
)
from sgevents_core.calling.judging import WorkerEnd
from sgevents_core.calling.making import CallRequest, Hung
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.own_thread import PluginThread
from sgevents_core.children import worker
from sgevents_core.children.messages import SiteReport
from sgevents_core.children.process import ChildDeath
from sgevents_core.choices import OnError
from sgevents_core.dispatch.caller import Call, Caller
from sgevents_core.dispatch.errands import Errands
from sgevents_core.errors import CallIsOverError
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import PluginSettings
from sgevents_core.site.health import CALM_SECONDS
from sgevents_core.state.keys import CallKey

TYPES = ("Studio_A", "Studio_B", "Studio_C")
HANDLED = ("returned", "dead-letter", "skip")
"""What a call comes to after which its callback is done with the event."""
FINAL = (*HANDLED, "deferred")
"""What a call comes to after which its lane does not make it again."""
ABOUT_NOW = 0.001
"""Seconds by which a time that is exact may differ."""
FOR_EVER = 1e9
"""Seconds that no schedule lasts."""
POISON_LASTS = 6
"""Deaths after which even the worst call has healed."""
_RAISED: dict[str, Callable[[], BaseException]] = {
    "transient": lambda: ConnectionError("no answer"),
    "query": lambda: ConnectionError("no answer of the site"),
    "retry": lambda: Retry(after=40),
    "bug": lambda: ValueError("a bug"),
    "exit": lambda: SystemExit(3),
    "base": lambda: KeyboardInterrupt("somebody"),
}


def type_of(id_: int) -> str:
    """Return the type of the event of an id."""
    return TYPES[id_ * 7 // 5 % len(TYPES)]


def entity_of(id_: int) -> int:
    """Return the entity of the event of an id."""
    return id_ % 7


@dataclass
class Made:
    """One call, from the moment it was noted as begun.

    `end` is its outcome: `returned`, a verdict, `put off` while it waits for the site, or
    nothing where the process died in it; `when_late` what it is if it is given up.
    `touched` is whether the site did not answer it, `excused` whether it may be made again
    without being charged, `in_charge` whether the process may have died while it was.
    """

    lane: str
    word: int
    seq: int
    plugin: str
    callback: str
    life: int
    at: float
    number: int
    event_id: int = 0
    attempt: int | None = None
    key: str = ""
    end: str = ""
    noted: bool = False
    noted_at: float = 0.0
    request: int = 0
    wait: float = 0.0
    touched: bool = False
    in_outage: bool = False
    excused: bool = False
    in_charge: bool = False
    would_be: str = ""
    when_late: str = ""
    alive_at: float = 0.0
    """When it began, or last reported that it is alive."""
    hangs: bool = False
    """Whether it was given up because it took too long."""
    died: bool | None = None
    """Whether it is known to have ended its worker process; None if that did not die in it."""
    strand: int | None = None
    """Its strand; None in a lane that is not divided."""
    late: bool = False
    """Whether it was put off before."""


@dataclass
class CallLog:
    """All calls ever made.

    Args:
        machine: Tells the time.
    """

    machine: Machine
    made: list[Made] = field(default_factory=list)
    life: int = 0
    request: int = 0
    """The request of a person that is being carried out; 0 while none is."""
    is_late: bool = False
    """Whether a call is made that was put off."""
    deferrals: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    not_before: dict[tuple[str, int | None], float] = field(default_factory=dict)
    """When a plugin that is held may be called again, by its name and strand."""
    hanging: dict[tuple[str, int | None], Made] = field(default_factory=dict)
    """The call that a plugin hangs in, by its name and strand."""
    ended: dict[str, list[float]] = field(default_factory=dict)
    """When calls of a plugin have ended worker processes of this daemon, by its name."""
    single: set[str] = field(default_factory=set)
    """The plugins of which one call may run at once."""
    tries: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    is_down: Callable[[], bool] = lambda: False
    """Whether the site is down."""
    feed_failed: Callable[[], float] = lambda: float("-inf")
    """When the feed was last not answered, in the site's time."""
    interrupt: Callable[[], None] = lambda: None
    """Called in each call of a callback."""
    children: SimulatedChildren = field(init=False)
    _open: dict[str, Made] = field(default_factory=dict)
    _asked: Made | None = None
    _last: dict[tuple[str, str, int], Made] = field(default_factory=dict)

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        """Hear what becomes of calls that fail when the site does not answer."""
        put_off, charged, set_aside = Caller._wait_for_site, Caller._charge, Errands.put_off

        def puts_off(caller: Caller, call: Call, *rest: Any) -> None:
            process = self.machine.process
            if process is None or not process.dead:  # else its death is what it raised
                self._put_off(self._open[call.lane_plugin.record.name])
            put_off(caller, call, *rest)

        def charges(caller: Caller, call: Call, *rest: Any) -> bool:
            made = self._made(call)
            late = made.end == "put off"
            if late:
                made.end, made.in_charge = made.would_be, True
                made.noted, made.noted_at = True, self.machine.now
            if made.in_outage and made.end != "skip" and made.died is None:
                self.wrong.append(f"charged in an outage: {made}")
            stays = charged(caller, call, *rest)
            made.in_charge = False
            if late and made.end == "pause":
                self.paused.add(made.plugin)
            return stays

        def sets_aside(errands: Errands, *rest: Any) -> None:
            if self._asked is not None:
                self._put_off(self._asked)
            set_aside(errands, *rest)

        self._listen_to_children(patch)
        give_up = PluginThread._give_up

        def gives_up(thread: PluginThread, hung_call: Hung, *rest: Any) -> CallOutcome:
            outcome = give_up(thread, hung_call, *rest)
            if thread.hung is hung_call:
                self._give_up(hung_call)
            return outcome

        patch.setattr(PluginThread, "_give_up", gives_up)
        patch.setattr(Caller, "_wait_for_site", puts_off)
        patch.setattr(Caller, "_charge", charges)
        patch.setattr(Errands, "put_off", sets_aside)

    def _listen_to_children(self, patch: pytest.MonkeyPatch) -> None:
        """Hear what becomes of calls whose worker process dies or is ended."""
        count_end = Caller._count_worker_end
        end_overdue: Callable[..., CallOutcome] = vars(worker)["end_overdue_call"]

        def counts_end(caller: Caller, call: Call, outcome: CallOutcome) -> WorkerEnd:
            worker_end = count_end(caller, call, outcome)
            if outcome.death is None or outcome.death.is_proved:
                self.ended.setdefault(call.plugin, []).append(self.machine.now)
            if outcome.death is not None:
                self._note_death(self._made(call), worker_end, is_proved=outcome.death.is_proved)
            return worker_end

        def ends_overdue(request: CallRequest, child: Any, limit: float) -> CallOutcome:
            made = self._last_of(request)
            made.end = made.when_late
            waited = self.machine.now - made.alive_at
            if not abs(waited - limit) < ABOUT_NOW:
                self.wrong.append(f"ended after {waited} s, not {limit}: {made}")
            return end_overdue(request, child, limit)

        patch.setattr(Caller, "_count_worker_end", counts_end)
        patch.setattr(worker, "end_overdue_call", ends_overdue)

    def _note_death(self, made: Made, worker_end: WorkerEnd, *, is_proved: bool) -> None:
        """Take note of the death of a worker process in a call, and of what follows."""
        if made.died != is_proved:
            self.wrong.append(f"a death was charged to {made}")
        series = [
            one
            for one in self.made
            if (one.plugin, one.callback, one.seq, one.request)
            == (made.plugin, made.callback, made.seq, 0)
        ]
        proved = sum(one.died is True and (one.noted or one is made) for one in series)
        recorded = sum(one.died is True for one in series)  # the daemon may have died behind it
        deaths = sum(one.died is not None or not one.end for one in series)
        if worker_end.is_repeated and proved >= PROVED_LIMIT:
            self.wrong.append(f"repeated after {proved} deaths: {made}")
        if not worker_end.is_repeated and recorded < PROVED_LIMIT and deaths < DEATHS_LIMIT:
            self.wrong.append(f"given up after {deaths} deaths: {made}")
        made.end = "retry" if worker_end.is_repeated else made.when_late
        made.wait = FIRST_WAIT if worker_end.is_repeated else 0.0

    def _last_of(self, request: CallRequest) -> Made:
        """Return the last call of a callback."""
        name = (request.plugin, request.callback_name)
        return next(one for one in reversed(self.made) if (one.plugin, one.callback) == name)

    def _give_up(self, hung_call: Hung) -> None:
        """Take note that a call was given up, at its limit."""
        made = self._last_of(hung_call.request)
        made.end, made.hangs = made.when_late, True
        self.hanging[made.plugin, made.strand] = made
        waited = self.machine.now - made.alive_at
        if not abs(waited - hung_call.time_limit) < ABOUT_NOW:
            self.wrong.append(f"given up after {waited} s, not {hung_call.time_limit}: {made}")

    def lane_ends(self, lane_name: str) -> None:
        """Take note that a lane forgets what it has in memory, as a dead process does."""
        for made in self._last.values():
            made.excused |= made.lane == lane_name
            if made.lane == lane_name:
                self.ended.pop(made.plugin, None)

    def goes_without(self, plugin: str) -> None:
        """Take note that calls which a plugin hangs in run code that is no longer used."""
        for held in [held for held in self.hanging if held[0] == plugin]:
            del self.hanging[held]

    def _made(self, call: Call) -> Made:
        callback = call.planned_calls[call.position][1]
        return self._last[callback.plugin, callback.name, call.entry.seq]

    def _put_off(self, made: Made) -> None:
        if made.end in FINAL and made.end == "returned":
            self.wrong.append(f"put off although it returned: {made}")
        made.would_be, made.end = made.end, "put off"

    def begun(
        self, lane: str, word: int, seq: int, key: CallKey, strand: int | None = None
    ) -> None:
        """Take note of a call that is about to be made."""
        plugin, callback = key
        number, now = len(self.made), self.machine.now
        made = Made(lane, word, seq, plugin, callback, self.life, now, number, strand=strand)
        self.made.append(made)
        self._open[plugin] = made
        self._look_at_last(self._last.get((plugin, callback, seq)))
        self._last[plugin, callback, seq] = made
        if plugin in self.paused:
            self.wrong.append(f"called while paused: {made}")
        if now < self.not_before.get((plugin, strand), 0.0) - 0.001:
            self.wrong.append(f"called before the wait was over: {made}")
        if now < self._slow_until(plugin) - ABOUT_NOW:
            self.wrong.append(f"called too soon after {len(self.ended[plugin])} deaths: {made}")
        if hanging := self._hanging_beside(plugin, strand):
            self.wrong.append(f"called while it hangs in {hanging}: {made}")

    def _slow_until(self, plugin: str) -> float:
        """Return when a plugin may be called again that has ended many worker processes."""
        ended_at = [at for at in self.ended.get(plugin, []) if at > self.machine.now - 600]
        if len(ended_at) <= TOLERATED_ENDS:
            return 0.0
        return ended_at[-1] + min(FIRST_WAIT * 2.0 ** ((len(ended_at) - 1) // 2), LONGEST_WAIT)

    def _hanging_beside(self, plugin: str, strand: int | None) -> list[Made]:
        """Return the calls that a plugin hangs in, and that must return before another."""
        return [
            made
            for (name, place), made in self.hanging.items()
            if name == plugin and (place == strand or plugin in self.single)
        ]

    def _look_at_last(self, last: Made | None) -> None:
        """See that a call is made again without a charge only where there was trouble."""
        if last is None or last.end != "put off" or last.life != self.life or last.excused:
            return
        if not last.in_outage and self.feed_failed() < last.at - CALM_SECONDS:
            self.wrong.append(f"its own fault was taken for an outage: {last}")

    def returned(self, lane: str, word: int, seq: int, key: CallKey) -> None:
        """Take note of a call that was noted as finished."""
        made = self._open[key.plugin]
        assert (made.lane, made.word, made.seq) == (lane, word, seq)
        self._note(made)

    def cleared(self, lane: str, word: int) -> None:
        """Take note that what a word said is in the ledger."""
        for made in self._open.values():
            if (made.lane, made.word, made.life) == (lane, word, self.life) and not made.noted:
                self._note(made)

    def _note(self, made: Made) -> None:
        made.noted, made.noted_at = True, self.machine.now
        if made.end == "pause":
            self.paused.add(made.plugin)
        self.not_before.pop((made.plugin, made.strand), None)
        if made.end == "retry" and made.wait:
            self.not_before[made.plugin, made.strand] = made.at + made.wait

    def entered(self, plugin: str, callback: str, event: Event, ctx: Any) -> Made:
        """Take note that a callback runs, as a lane's own call or for a person."""
        if self.request:
            number, now = len(self.made), self.machine.now
            made = Made("", 0, 0, plugin, callback, self.life, now, number, request=self.request)
            self.made.append(made)
            self._asked = made
        elif self.is_late:
            number, now = len(self.made), self.machine.now
            made = Made("", 0, 0, plugin, callback, self.life, now, number, late=True)
            self.made.append(made)
            if plugin in self.paused:
                self.wrong.append(f"called while paused: {made}")
        else:
            made = self._open[plugin]
            if made.callback != callback:
                self.wrong.append(f"{callback} was called, not {made}")
        made.event_id, made.attempt, made.key = int(event.id or 0), ctx.attempt, ctx.key
        made.alive_at = self.machine.now
        self.tries[plugin, callback, made.event_id] += 1
        return made

    def goes_on(self, plugin: str) -> None:
        """Take note that a person lets a plugin go on."""
        for made in self._last.values():
            made.excused |= made.plugin == plugin
        self.paused.discard(plugin)
        for held in [held for held in self.not_before if held[0] == plugin]:
            del self.not_before[held]


@dataclass
class Behaviour:
    """What one callback does, the same for the same seed and event.

    Args:
        log: The log of calls.
        seed: Decides how it fails.
        table: Its plugin's settings.
        on_error: Its own policy; None for the plugin's.
        counts: Whether it counts in `ctx.store`.
        uses_site: Whether it needs the site.
        troubled: Share of events it has trouble with.
        deadly: Whether the process may die of it.
        begin_outage: Lets the site go down.
        stop: Lets all lanes stop.
        pass_time: Lets time pass.
        defers: Whether it puts some events off.
        time_limit: Seconds after which a call is given up; None for none.
        hanging: Share of events on which it takes longer than that, or nearly.
    """

    log: CallLog
    seed: int
    table: PluginSettings
    on_error: OnError | None
    counts: bool
    uses_site: bool
    troubled: float
    deadly: bool
    begin_outage: Callable[[], None]
    stop: Callable[[], None]
    pass_time: Callable[[float], None]
    defers: bool = False
    time_limit: float | None = None
    hanging: float = 0.0

    def __call__(self, plugin: str, callback: str, event: Event, ctx: Any) -> None:
        """Be called."""
        made = self.log.entered(plugin, callback, event, ctx)
        machine = self.log.machine
        rng = random.Random(f"{self.seed} {plugin} {callback} {event.id}")
        machine.step()
        self.pass_time(rng.choice([0.0, 0.001, 0.001, 0.03]))
        made.at = machine.now
        self.log.interrupt()
        tries = self.log.tries[plugin, callback, made.event_id]
        if self.uses_site and tries == 1 and rng.random() < 0.06:
            self.begin_outage()
        made.in_outage = self.uses_site and self.log.is_down()
        if self.defers and not made.request and self._is_put_off(plugin, callback, made):
            made.end = "deferred"
            raise Defer("too early", after=40)
        trouble = "query" if made.in_outage else self._trouble(rng, tries)
        if trouble == "query":
            made.touched = True
            ctx._services.contact.failed_at = machine.monotonic()
            if self.log.children.calling is not None:  # as its process reports at once
                report = SiteReport(plugin=plugin, waits=False, failed=machine.monotonic())
                self.log.children.calling.report(report)
        if self.counts:
            kind = "asked" if made.request else "late" if made.late else "live"
            name = f"{kind} {callback}"
            ctx.store[name] = ctx.store.get(name, 0) + 1
        if self._takes_too_long(made, ctx, tries):
            return
        child = self.log.children.calling
        if child is not None:
            self._trouble_process(child, made, ctx, trouble)
        elif trouble == "poison" and machine.process is not None:
            machine.process.die()
        if trouble in _RAISED:
            made.end, made.wait = self.verdict(trouble, ctx.attempt)
            if made.late and made.touched and made.end != "skip":
                made.end = "put off"
            raise _RAISED[trouble]()
        machine.step()
        made.end = "returned"
        machine.step()

    def _is_put_off(self, plugin: str, callback: str, made: Made) -> bool:
        """Return whether it is too early for an event, which is so once or twice for some."""
        call = (plugin, callback, made.event_id)
        rng = random.Random(f"defer {self.seed} {call}")
        times = rng.choice([1, 2]) if rng.random() < 0.1 else 0
        self.log.deferrals[call] += 1
        return self.log.deferrals[call] <= times

    def _trouble_process(self, child: SimulatedChild, made: Made, ctx: Any, trouble: str) -> None:
        """Let a worker process grow, or die in this call."""
        rng = random.Random(f"process {self.seed} {made.number}")
        if rng.random() < 0.03:
            child.held_memory += LEAK_BYTES
        if made.late or made.request:
            return
        is_killed = rng.random() < 0.02
        poison_rng = random.Random(f"poison {self.seed} {made.callback} {made.event_id}")
        tries = self.log.tries[made.plugin, made.callback, made.event_id]
        if tries <= PROVED_LIMIT + 1 and poison_rng.random() < self.log.children.poison_share:
            trouble = "poison"
        if trouble == "poison" or is_killed:
            made.died = not is_killed
            made.when_late, _ = self.verdict("death", ctx.attempt)
            child.die(ChildDeath("it died here", is_proved=made.died))
            raise ProcessEnded

    def _takes_too_long(self, made: Made, ctx: Any, tries: int) -> bool:
        """Take long, on some events; return whether the call was given up meanwhile."""
        rng = random.Random(f"hangs {self.seed} {made.plugin} {made.callback} {made.event_id}")
        if self.time_limit is None or rng.random() >= self.hanging or tries > rng.choice([1, 1, 2]):
            return False
        limit, kind = self.time_limit, rng.choice(["in time", "alive", "late", "late", "ever"])
        made.when_late, _ = self.verdict("timeout", ctx.attempt)
        for _ in range(5 if kind == "alive" else 0):
            self.pass_time(0.9 * limit)
            ctx.heartbeat()
            made.alive_at = self.log.machine.now
        late_seconds = {"late": rng.choice([limit + 0.1, limit + 5, limit + 300]), "ever": FOR_EVER}
        self.pass_time(late_seconds.get(kind, 0.9 * limit))
        is_late = kind in late_seconds
        if made.hangs != is_late:
            self.log.wrong.append(f"{kind}, and given up is {made.hangs}: {made}")
        if made.hangs:
            self._return_late(made, ctx)
        return made.hangs

    def _return_late(self, made: Made, ctx: Any) -> None:
        """Return from a call that was given up: what it does now must not count."""
        if self.log.hanging.get((made.plugin, made.strand)) is made:
            del self.log.hanging[made.plugin, made.strand]
        try:
            ctx.store["late"] = made.number
        except CallIsOverError:
            return
        self.log.wrong.append(f"a late change was taken: {made}")

    def _trouble(self, rng: random.Random, tries: int) -> str:
        if rng.random() >= self.troubled:
            if rng.random() < 0.003 and tries == 1:
                self.stop()
            return ""
        kinds = [kind for kind in _RAISED if kind != "query" or self.uses_site]
        kind = rng.choice([*kinds, "transient", "retry", "bug", "poison"])
        if kind == "poison":
            return kind if self.deadly and rng.random() < 0.1 and tries < POISON_LASTS else ""
        return kind if tries <= rng.choice([1, 1, 2, 3, 6]) else ""

    def verdict(self, trouble: str, attempt: int) -> tuple[str, float]:
        """Return what is to follow an error, and the least wait for a retry that is asked for."""
        on_error = self.on_error or self.table.on_error
        passes = trouble in ("transient", "query")
        passing = trouble == "retry" or (passes and on_error != "skip")
        if passing and attempt < self.table.max_attempts:
            return "retry", 40.0 if trouble == "retry" else 0.0
        return on_error, 0.0


def simulated_plugin(name: str, lane: str, behaviours: list[tuple[Match, Behaviour]]) -> Plugin:
    """Return a plugin of a callback for each behaviour, with its filter."""
    callbacks = []
    for number, (match, behaviour) in enumerate(behaviours):
        own = f"{name}:on_{number}"

        def function(event: Event, ctx: Any, own: str = own, act: Behaviour = behaviour) -> None:
            act(name, own, event, ctx)

        callbacks.append(
            Callback(
                plugin=name,
                name=own,
                hook=None,
                match=match,
                function=function,
                on_error=behaviour.on_error,
                timeout=behaviour.time_limit,
            )
        )
    return Plugin(name, callbacks, lane=lane, table=behaviours[0][1].table)
