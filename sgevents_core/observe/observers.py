"""Who is told when a lane's calls begin and end: the log, the times of calls, signs of life.

Nothing is decided by what observers hear; how far a lane has come is for its register to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        """When the event was created, in seconds since 1970; 0 where that is not known."""

    @property
    def seq(self) -> int:
        """The event's place in the journal; 0 where the journal does not hold it."""

    @property
    def number_in_lane(self) -> int | None:
        """The callback's number among all of its lane; None for a call that a person asked for."""


class CallObserver:
    """Base of those that are told; each overrides what it wants to hear of.

    All are called in the thread of the lane, around every call: they have to be quick, never to
    wait, and never to raise.
    """

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Hear that a call begins, or that the callback's filter is asked first.

        Args:
            call: The call.
            limit: How long it may take, in seconds; None for as long as it takes.
        """

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: BaseException | None
    ) -> None:
        """Hear that a call is over, or given up.

        Args:
            call: The call.
            began: When it began, by `time.perf_counter`.
            seconds: How long it took.
            error: What it raised, None if it returned.
        """

    def passed(self, call: ObservedCall) -> None:
        """Hear that a call that began was none: the callback's filter did not want the event.

        Args:
            call: The call.
        """


Began: TypeAlias = Callable[[ObservedCall, "float | None"], None]


Ended: TypeAlias = Callable[[ObservedCall, float, float, "BaseException | None"], None]
Passed: TypeAlias = Callable[[ObservedCall], None]


class CallObservers:
    """The observers of one lane; what an observer does not override costs its calls nothing.

    Args:
        observers: They are told in this order.
    """

    def __init__(self, observers: Iterable[CallObserver]) -> None:
        heard = list(observers)
        self.began: Final[tuple[Began, ...]] = tuple(
            one.began for one in heard if type(one).began is not CallObserver.began
        )
        self.ended: Final[tuple[Ended, ...]] = tuple(
            one.ended for one in heard if type(one).ended is not CallObserver.ended
        )
        self.passed: Final[tuple[Passed, ...]] = tuple(
            one.passed for one in heard if type(one).passed is not CallObserver.passed
        )
