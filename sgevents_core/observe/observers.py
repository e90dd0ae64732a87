"""Observers of a lane's calls, such as the log, the times of calls and signs of life.

Observers decide nothing; the progress of a lane is recorded in its register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Final, Protocol, TypeAlias


class ObservedCall(Protocol):
    """A call of a callback, as observers see it."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def callback_name(self) -> str:
        """The callback's name."""

    @property
    def event_id(self) -> int:
        """The event's id."""

    @property
    def created(self) -> float:
        """When the event was created, in seconds since 1970; 0 if that is not known."""

    @property
    def seq(self) -> int:
        """The event's place in the journal; 0 if it is not in the journal."""

    @property
    def number_in_lane(self) -> int | None:
        """The callback's number in its lane; None for a call that a person requested."""


class ObservedError(Protocol):
    """An error that a callback raised, as observers see it."""

    @property
    def type_name(self) -> str:
        """The name of its type."""

    @property
    def line(self) -> str:
        """Type and message in one line, secrets removed."""


class CallObserver:
    """Base class of observers; each overrides the methods it needs.

    All methods are called in the lane's thread, around every call: they must be quick, and never
    wait or raise.
    """

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Observe that a call begins, possibly with the callback's filter.

        Args:
            call: The call.
            limit: How long it may take, in seconds; None for no limit.
        """

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Observe that a call has ended, or was given up.

        Args:
            call: The call.
            began: When it began, by `time.perf_counter`.
            seconds: How long it took.
            error: The exception that the call raised, None if it returned.
        """

    def passed(self, call: ObservedCall) -> None:
        """Observe that a begun call was not made because the callback's filter rejected the event.

        Args:
            call: The call.
        """


class OneAtATime(CallObserver):
    """Observers of a lane with several workers, called by one of them at a time.

    Args:
        observers: They are called in this order.
    """

    def __init__(self, observers: Iterable[CallObserver]) -> None:
        self._observers = CallObservers(observers)
        self._lock = Lock()

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Call the observers one after another."""
        with self._lock:
            for began in self._observers.began:
                began(call, limit)

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Call the observers one after another."""
        with self._lock:
            for ended in self._observers.ended:
                ended(call, began, seconds, error)

    def passed(self, call: ObservedCall) -> None:
        """Call the observers one after another."""
        with self._lock:
            for passed in self._observers.passed:
                passed(call)


Began: TypeAlias = Callable[[ObservedCall, "float | None"], None]


Ended: TypeAlias = Callable[[ObservedCall, float, float, "ObservedError | None"], None]
Passed: TypeAlias = Callable[[ObservedCall], None]


class CallObservers:
    """The observers of one lane; a method that no observer overrides costs the calls nothing.

    Args:
        observers: They are called in this order.
    """

    def __init__(self, observers: Iterable[CallObserver]) -> None:
        call_observers = list(observers)
        self.began: Final[tuple[Began, ...]] = tuple(
            observer.began
            for observer in call_observers
            if type(observer).began is not CallObserver.began
        )
        self.ended: Final[tuple[Ended, ...]] = tuple(
            observer.ended
            for observer in call_observers
            if type(observer).ended is not CallObserver.ended
        )
        self.passed: Final[tuple[Passed, ...]] = tuple(
            observer.passed
            for observer in call_observers
            if type(observer).passed is not CallObserver.passed
        )
