"""What the daemon opens for monitoring: nothing, unless `[metrics] listen` is configured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sgevents_core.errors import ExtraMissingError
from sgevents_core.metrics.call_counts import CallCounts
from sgevents_core.settings import ListenAddress, Settings

if TYPE_CHECKING:
    from sgevents_core.metrics.watched import WatchedParts


class Monitoring(Protocol):
    """The figures and the health of a daemon while it runs."""

    @property
    def call_counts(self) -> Sequence[CallCounts]:
        """What is to be notified of calls and failures; empty if nobody asks for figures."""

    def report_start(self, reason: str) -> None:
        """Say why the start waits; empty once it goes on."""

    def watch(self, parts: WatchedParts) -> None:
        """Look at the parts of a run from now on."""

    def close(self) -> None:
        """Answer nothing any more."""


class NoMonitoring:
    """The monitoring of a daemon that does not listen."""

    call_counts: Final[Sequence[CallCounts]] = ()

    def report_start(self, reason: str) -> None:
        """Do nothing."""

    def watch(self, parts: WatchedParts) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_monitoring(settings: Settings) -> Monitoring:
    """Return the monitoring that a configuration asks for.

    Raises:
        ListenError: The address cannot be listened on.
        ExtraMissingError: The packages of the extra are not installed.
    """
    if settings.metrics.listen is None:
        return NoMonitoring()
    check_extra(settings)
    from sgevents_core.metrics.monitoring import HttpMonitoring

    return HttpMonitoring(settings, settings.metrics.listen)


def check_extra(settings: Settings) -> None:
    """Check that what a configuration asks for is installed.

    Raises:
        ExtraMissingError: It is not.
    """
    if settings.metrics.listen is None:
        return
    try:
        import prometheus_client  # noqa: F401 - only whether it can be imported
    except ImportError as error:
        raise ExtraMissingError(
            config=settings.path, table="[metrics]", extra="metrics", reason=str(error)
        ) from None


def check_new_address(
    current_address: ListenAddress | None, new_address: ListenAddress | None, config_path: Path
) -> None:
    """Check that another address can be listened on, before the present one is given up.

    Args:
        current_address: The address in use; its port is free once it is given up.
        new_address: The address that a changed configuration names.
        config_path: The configuration file.

    Raises:
        ListenError: It cannot.
    """
    if new_address is None or (
        current_address is not None and new_address.port == current_address.port
    ):
        return
    from sgevents_core.metrics.answering import LISTEN_KEY, check_can_listen

    check_can_listen(new_address, config_path=config_path, key=LISTEN_KEY)
