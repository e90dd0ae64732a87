"""Plugins that fail as a seed says, and a log of all calls that outlives every process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lane_house import Plugin
from mortal_process import Machine

from sgevents_core import Retry
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import PluginSettings

TYPES = ("Studio_A", "Studio_B", "Studio_C")
FINAL = ("returned", "dead-letter", "skip")
"""What a call comes to after which it is not made again."""
POISON_LASTS = 6
"""Deaths after which even the worst call has healed."""
_RAISED: dict[str, Callable[[], BaseException]] = {
    "transient": lambda: ConnectionError("no answer"),
    "retry": lambda: Retry(after=40),
    "bug": lambda: ValueError("a bug"),
    "exit": lambda: SystemExit(3),
    "base": lambda: KeyboardInterrupt("somebody"),
}


def type_of(id_: int) -> str:
    """Return the type of the event of an id."""
    return TYPES[id_ * 7 // 5 % len(TYPES)]


@dataclass
class Made:
    """One call, from the moment it was noted as begun.

    `end` is what it came to: `returned`, a verdict, or nothing where the process died in it.
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
    request: int = 0
    wait: float = 0.0


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
    wrong: list[str] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    not_before: dict[str, float] = field(default_factory=dict)
    tries: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    _open: dict[str, Made] = field(default_factory=dict)

    def begun(self, lane: str, word: int, seq: int, key: str) -> None:
        """Take note of a call that is about to be made."""
        plugin, _, callback = key.partition("\0")
        number, now = len(self.made), self.machine.now
        made = Made(lane, word, seq, plugin, callback, self.life, now, number)
        self.made.append(made)
        self._open[plugin] = made
        if plugin in self.paused:
            self.wrong.append(f"called while paused: {made}")
        if now < self.not_before.get(plugin, 0.0) - 0.001:
            self.wrong.append(f"called before the wait was over: {made}")

    def returned(self, lane: str, word: int, seq: int, key: str) -> None:
        """Take note of a call that was noted as finished."""
        made = self._open[key.partition("\0")[0]]
        assert (made.lane, made.word, made.seq) == (lane, word, seq)
        self._note(made)

    def cleared(self, lane: str, word: int) -> None:
        """Take note that what a word said is in the ledger."""
        for made in self._open.values():
            if (made.lane, made.word, made.life) == (lane, word, self.life) and not made.noted:
                self._note(made)

    def _note(self, made: Made) -> None:
        made.noted = True
        if made.end == "pause":
            self.paused.add(made.plugin)
        self.not_before.pop(made.plugin, None)
        if made.end == "retry" and made.wait:
            self.not_before[made.plugin] = made.at + made.wait

    def entered(self, plugin: str, callback: str, event: Event, ctx: Any) -> Made:
        """Take note that a callback runs, as a lane's own call or for a person."""
        if self.request:
            number, now = len(self.made), self.machine.now
            made = Made("", 0, 0, plugin, callback, self.life, now, number, request=self.request)
            self.made.append(made)
        else:
            made = self._open[plugin]
            if made.callback != callback:
                self.wrong.append(f"{callback} was called, not {made}")
        made.event_id, made.attempt, made.key = int(event.id or 0), ctx.attempt, ctx.key
        self.tries[plugin, callback, made.event_id] += 1
        return made

    def goes_on(self, plugin: str) -> None:
        """Take note that a person lets a plugin go on."""
        self.paused.discard(plugin)
        self.not_before.pop(plugin, None)


@dataclass
class Behaviour:
    """What one callback does, the same for the same seed and event.

    Args:
        log: The log of calls.
        seed: Decides how it fails.
        table: Its plugin's settings.
        on_error: Its own policy; None for the plugin's.
        counts: Whether it counts in `ctx.store`.
        troubled: Share of events it has trouble with.
        deadly: Whether the process may die of it.
        stop: Lets all lanes stop.
        pass_time: Lets time pass.
    """

    log: CallLog
    seed: int
    table: PluginSettings
    on_error: str | None
    counts: bool
    troubled: float
    deadly: bool
    stop: Callable[[], None]
    pass_time: Callable[[float], None]

    def __call__(self, plugin: str, callback: str, event: Event, ctx: Any) -> None:
        """Be called."""
        made = self.log.entered(plugin, callback, event, ctx)
        machine = self.log.machine
        rng = random.Random(f"{self.seed} {plugin} {callback} {event.id}")
        machine.step()
        self.pass_time(rng.choice([0.0, 0.001, 0.001, 0.03]))
        made.at = machine.now
        tries = self.log.tries[plugin, callback, made.event_id]
        trouble = self._trouble(rng, tries)
        if self.counts:
            name = f"{'asked' if made.request else 'live'} {callback}"
            ctx.store[name] = ctx.store.get(name, 0) + 1
        if trouble == "poison" and machine.process is not None:
            machine.process.die()
        if trouble in _RAISED:
            made.end, made.wait = self.verdict(trouble, ctx.attempt)
            raise _RAISED[trouble]()
        machine.step()
        made.end = "returned"
        machine.step()

    def _trouble(self, rng: random.Random, tries: int) -> str:
        if rng.random() >= self.troubled:
            if rng.random() < 0.003 and tries == 1:
                self.stop()
            return ""
        kind = rng.choice([*_RAISED, "transient", "retry", "bug", "poison"])
        if kind == "poison":
            return kind if self.deadly and rng.random() < 0.1 and tries < POISON_LASTS else ""
        return kind if tries <= rng.choice([1, 1, 2, 3, 6]) else ""

    def verdict(self, trouble: str, attempt: int) -> tuple[str, float]:
        """Return what is to follow an error, and the least wait for a retry that is asked for."""
        on_error = self.on_error or self.table.on_error
        passing = trouble == "retry" or (trouble == "transient" and on_error != "skip")
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
            )
        )
    return Plugin(name, callbacks, lane=lane, table=behaviours[0][1].table)
