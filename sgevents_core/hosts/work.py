"""What a process is to work at: everything for ever, or what it has leases of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.rolling import RollingReload
from sgevents_core.hosts.spread import FEED, lane_work
from sgevents_core.observe.lasting_failure import LastingFailure


class Work(Protocol):
    """What this process is to work at; for the main thread."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may take over: then the end of a lane is not the daemon's end."""

    @property
    def trouble(self) -> LastingFailure | None:
        """Why this process cannot keep its right to work; None if it can."""

    @property
    def rolling(self) -> RollingReload | None:
        """This host's part in a reload of all hosts; None if there are no others."""

    def wanted(self) -> Collection[str]:
        """Return the work that this process is to do now; see `spread` for the names."""

    def change_files(self, files: HostFiles) -> None:
        """Take notice that this process runs something else now, because its files changed."""

    def right_to(self, work_name: str) -> Callable[[], bool] | None:
        """Return what says whether something may be begun right now; None if it always may.

        It is asked right before each call.
        """

    def begin(self, work_name: str) -> None:
        """Note that this process begins some work that it is to do."""

    def finish(self, work_name: str) -> None:
        """Note that some work has ended here, and let others have it."""

    def leave(self) -> None:
        """Want nothing any more: this process ends."""

    def close(self) -> None:
        """Give back what is left."""


class Everything:
    """The work of a process whose state nobody shares: the feed and all lanes, for ever.

    Args:
        lane_names: The lanes.
    """

    is_shared = False
    trouble = None
    rolling = None

    def __init__(self, lane_names: Collection[str]) -> None:
        self._work_names = frozenset([FEED, *map(lane_work, lane_names)])

    def wanted(self) -> Collection[str]:
        """Return everything."""
        return self._work_names

    def change_files(self, files: HostFiles) -> None:
        """Do nothing: there is nobody to compare with."""

    def right_to(self, work_name: str) -> Callable[[], bool] | None:
        """Return None: whatever is to be done may be begun."""

    def begin(self, work_name: str) -> None:
        """Do nothing."""

    def finish(self, work_name: str) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing: the daemon ends its lanes."""

    def close(self) -> None:
        """Do nothing."""
