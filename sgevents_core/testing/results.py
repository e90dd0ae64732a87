"""The result of a run of a harness: the calls in order, what they wrote and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import LogRecord
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from sgevents_core.choices import OnError
from sgevents_core.testing.recorder import Write

if TYPE_CHECKING:
    from sgevents_core.events import Event

Outcome: TypeAlias = Literal["returned", "retry", "defer"] | OnError
"""How a call ended: it returned, or what the failure policy decided about its failure."""

PLUGIN_LOGGER: Final = "sgevents.plugin."


class PluginWarning(UserWarning):
    """A likely mistake in a plugin, of which the daemon warns when it loads the plugin."""


@dataclass(slots=True)
class Called:
    """A call of a callback."""

    plugin: str
    callback: str
    """`module:qualname`, or the name that it was registered under."""
    event: Event
    attempt: int = 1
    """The number of this attempt for the event, from 1."""
    key: str = ""
    """`ctx.key`."""
    outcome: Outcome = "returned"
    error: BaseException | None = None
    """The exception it raised; None if it returned, or if its filter raised."""
    reason: str = ""
    """The exception in one line for people; empty if the callback returned."""
    wait: float | None = None
    """How long until the next attempt, or until a deferred event comes again, in seconds; None
    without one."""
    writes: list[Write] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """The events it was called with: those of its batch, or the one."""

    ignored: str = ""
    """The reason that it gave to `ctx.ignore`; empty if it did not call it."""

    @property
    def function(self) -> str:
        """The callback's name without its module: `on_new`, `Notifier.on_new`."""
        return self.callback.rpartition(":")[2]

    def __str__(self) -> str:
        shown_events = ", ".join(map(str, self.events)) or str(self.event)
        description = f"{self.plugin} {self.function}({shown_events})"
        if self.attempt > 1:
            description += f", attempt {self.attempt}"
        return (
            description
            if self.outcome == "returned"
            else f"{description}: {self.outcome}: {self.reason}"
        )


@dataclass(slots=True)
class HookCalled:
    """A call of a hook that has no event: `startup`, `shutdown`, `callback_failed` and so on."""

    plugin: str
    hook: str
    details: object = None
    """The details that an alerting hook was given."""
    error: BaseException | None = None
    writes: list[Write] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """The result of a run."""

    calls: list[Called] = field(default_factory=list)
    """In the order in which they were made."""
    hooks: list[HookCalled] = field(default_factory=list)
    log: list[LogRecord] = field(default_factory=list)
    """The records that the plugins logged, at any level."""
    stores: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Plugin -> its store, as committed."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Plugin -> `active`, `held`, `paused` or `not started`."""
    not_started: Mapping[str, str] = field(default_factory=dict)
    """Plugin -> why it gets no events: how its `startup` failed. In every result from then on."""

    @property
    def called(self) -> list[str]:
        """The functions that were called, in order: `["on_new", "Notifier.on_change"]`."""
        return [call.function for call in self.calls]

    @property
    def writes(self) -> list[Write]:
        """The writes made through `ctx.sg`, in order."""
        write_lists = [call.writes for call in self.hooks] + [call.writes for call in self.calls]
        return [write for call_writes in write_lists for write in call_writes]

    @property
    def failed(self) -> list[Called]:
        """The calls that neither returned nor put their event off."""
        return [call for call in self.calls if call.outcome not in {"returned", "defer"}]

    @property
    def deferred(self) -> list[Called]:
        """The calls that put their event off; `wait` is for how many seconds."""
        return [call for call in self.calls if call.outcome == "defer"]

    @property
    def dead_letters(self) -> list[Called]:
        """The calls that failed for good and became dead letters."""
        return [call for call in self.calls if call.outcome == "dead-letter"]

    @property
    def messages(self) -> list[str]:
        """The plugins' log as text."""
        return [record.getMessage() for record in self.log]

    @property
    def store(self) -> dict[str, Any]:
        """The store of the plugin, if there is exactly one.

        Raises:
            ValueError: There are several plugins; see `stores`.
        """
        (only_value,) = self.stores.values()
        return only_value

    @property
    def state(self) -> str:
        """The state of the plugin, if there is exactly one.

        Raises:
            ValueError: There are several plugins; see `states`.
        """
        (only_value,) = self.states.values()
        return only_value

    def raise_errors(self) -> Result:
        """Raise the first exception of a callback or hook, if any; otherwise return the result.

        Use it in tests of code that has to work: the traceback is the plugin's own. A call that
        put its event off with `Defer` has not failed.
        """
        raised_errors = [call.error for call in self.hooks]
        raised_errors += [call.error for call in self.calls if call.outcome != "defer"]
        for error in raised_errors:
            if error is not None:
                raise error
        for call in self.failed:
            raise AssertionError(str(call))
        for plugin_name, reason in self.not_started.items():
            raise AssertionError(f"plugin {plugin_name} gets no events: {reason}")
        return self

    def __str__(self) -> str:
        lines = [f"{name} gets no events: {reason}" for name, reason in self.not_started.items()]
        lines += [str(call) for call in self.calls]
        return "\n".join(lines) or "nothing was called"
