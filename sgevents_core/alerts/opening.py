"""What the daemon opens for alerts: nothing, unless `[[alerts]]` is configured."""

from __future__ import annotations

from typing import Protocol

from sgevents_core.alerts.watched_daemon import WatchedDaemon
from sgevents_core.errors import ConfigError, ExtraMissingError, Problem
from sgevents_core.settings import Settings


class Alerts(Protocol):
    """The alerts of a running daemon."""

    def watch(self, daemon: WatchedDaemon) -> None:
        """Look at a run from now on."""

    def close(self) -> None:
        """Tell the last news, for a few seconds at most."""


class NoAlerts:
    """The alerts of a daemon that tells nobody."""

    def watch(self, daemon: WatchedDaemon) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_alerts(settings: Settings, crashed_at: float) -> Alerts:
    """Return the alerts that a configuration asks for.

    Args:
        settings: The configuration.
        crashed_at: When the daemon before this one was last alive, in seconds since 1970, if it was
            not stopped; 0 if it was.

    Raises:
        ConfigError: An address cannot be used.
        ExtraMissingError: The packages of the extra are not installed.
    """
    if not settings.alerts:
        return NoAlerts()
    check_addresses(settings)
    from sgevents_core.alerts.watching import AlertWatch

    return AlertWatch(settings, crashed_at)


def check_addresses(settings: Settings) -> None:
    """Check that every address can be used, without calling any.

    Raises:
        ConfigError: One cannot; carries every problem.
        ExtraMissingError: The packages of the extra are not installed.
    """
    if not settings.alerts:
        return
    try:
        from sgevents_core.alerts.recipients import is_address, recipients_of
    except ImportError as error:
        raise ExtraMissingError(
            config=settings.path, table="[[alerts]]", extra="alerts", reason=str(error)
        ) from None
    recipients = [
        recipient
        for index, table in enumerate(settings.alerts)
        for recipient in recipients_of(index, table.urls)
    ]
    fix = "write it as https://appriseit.com/services/ says for this service"
    problems = [
        Problem(settings.path, None, recipient.key, "it is not an address of an alert", fix)
        for recipient in recipients
        if recipient.address.is_there and not is_address(recipient.address)
    ]
    if problems:
        raise ConfigError(problems)
