"""Recipients of alerts: each gets the newest news on a thread of its own, and is tried again.

The only module that has the library. No address is logged or shown: it holds passwords and tokens.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple

import apprise

from sgevents_core.alerts.conditions import Condition
from sgevents_core.alerts.grouping import Announced, next_message
from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import one_line
from sgevents_core.settings import Secret
from sgevents_core.settings.spelling import dotted_key

logger = logging.getLogger("sgevents.alerts")

FIRST_WAIT: Final = 5.0
"""Seconds until a message that could not be delivered is tried again; then twice as long each time.
"""
LONGEST_WAIT: Final = 600.0


class Recipient(NamedTuple):
    """One address.

    Args:
        key: The key of its address in the configuration.
        address: The address.
    """

    key: str
    address: Secret

    @property
    def identity(self) -> str:
        """A text that stays the same for the same address, and does not show it."""
        return hashlib.sha256(self.address.reveal().encode("utf-8", "replace")).hexdigest()[:16]


def recipients_of(table_index: int, addresses: Sequence[Secret]) -> list[Recipient]:
    """Return the recipients of one table of `[[alerts]]`."""
    return [
        Recipient(dotted_key(("alerts", table_index, "urls", index)), address)
        for index, address in enumerate(addresses)
    ]


def is_address(address: Secret) -> bool:
    """Return whether the library understands an address."""
    with _HeardDelivery():
        return apprise.Apprise.instantiate(address.reveal(), suppress_exceptions=True) is not None


def deliver(
    recipient: Recipient,
    title: str,
    body: str,
    redact: Redactor,
    kind: apprise.NotifyType = apprise.NotifyType.INFO,
) -> str:
    """Deliver a message; return why that was not possible, without secrets; empty if it was.

    Args:
        recipient: The recipient.
        title: The title.
        body: The lines, as plain text.
        redact: Removes secrets.
        kind: What services colour it by.
    """
    with _HeardDelivery() as heard:
        try:
            target = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
            if not target.add(recipient.address.reveal()):
                return "the address cannot be used"
            is_delivered = target.notify(
                title=redact(title),
                body=redact(body),
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # of the library, or of a plugin of it
            return redact(f"{type(error).__name__}: {error}")
    return "" if is_delivered else redact(heard.last_line or "it was not accepted")


class _HeardDelivery:
    """What the library says about one delivery, while the block lasts."""

    def __init__(self) -> None:
        self.last_line = ""

    def __enter__(self) -> _HeardDelivery:
        self._token = _current_delivery.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current_delivery.reset(self._token)


class _LibraryLog(logging.Handler):
    """Keeps the last warning for the delivery that it is about, and from everybody else.

    The library delivers in threads of its own, which have the context of the one that asked.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's line."""
        delivery = _current_delivery.get()
        if delivery is not None:
            delivery.last_line = one_line(record.getMessage())


_current_delivery: Final[ContextVar[_HeardDelivery | None]] = ContextVar(
    "sgevents_alert", default=None
)
_library_log: Final = logging.getLogger("apprise")
_library_log.propagate = False
_library_log.setLevel(logging.WARNING)
_library_log.addHandler(_LibraryLog(logging.WARNING))


class Courier:
    """Tells one recipient what is wrong; what waits is only ever the newest state of things.

    Args:
        recipient: The recipient.
        site_name: The site's name.
        repeat_interval: The least seconds between two messages about the same.
        announced: What the recipient knows of.
        redact: Removes secrets.
        on_announced: Called, in the courier's thread, when that has changed.
    """

    def __init__(
        self,
        recipient: Recipient,
        *,
        site_name: str,
        repeat_interval: float,
        announced: dict[str, Announced],
        redact: Redactor,
        on_announced: Callable[[], None],
    ) -> None:
        self.recipient = recipient
        self.announced = announced
        self._site_name = site_name
        self._repeat_interval = repeat_interval
        self._redact = redact
        self._report_announced = on_announced
        self._conditions: Sequence[Condition] | None = None
        self._is_whole = True
        self._news_arrived = threading.Condition()
        self._is_closing = False
        self._failure_count = 0
        self._thread = threading.Thread(target=self._run, name="alerts-courier", daemon=True)
        self._thread.start()

    def tell(self, conditions: Sequence[Condition], *, is_whole: bool = True) -> None:
        """Let the recipient know what is wrong now; return at once.

        Args:
            conditions: What is wrong.
            is_whole: Whether that is everything: else nothing is told to be over.
        """
        with self._news_arrived:
            self._conditions, self._is_whole = conditions, is_whole
            self._news_arrived.notify_all()

    def close(self, timeout: float) -> None:
        """Deliver what there is, in so many seconds at most; nothing if it has just failed.

        The next run tells it.
        """
        with self._news_arrived:
            self._is_closing = True
            self._news_arrived.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        wait_seconds: float | None = None
        while True:
            with self._news_arrived:
                if self._conditions is None or wait_seconds:
                    self._wait(wait_seconds)
                conditions, self._conditions = self._conditions, None
                is_last = self._is_closing
            if conditions is not None and not (is_last and self._failure_count):
                wait_seconds = self._tell_now(conditions)
            if is_last:
                return

    def _wait(self, seconds: float | None) -> None:
        """Wait for news; after a failure at least so many seconds, whatever is new."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._is_closing:
            remaining_seconds = None if deadline is None else deadline - time.monotonic()
            if remaining_seconds is not None and remaining_seconds <= 0:
                return
            if deadline is None and self._conditions is not None:
                return
            self._news_arrived.wait(remaining_seconds)

    def _tell_now(self, conditions: Sequence[Condition]) -> float | None:
        """Tell the recipient what it does not know; return the seconds to wait after a failure."""
        message = next_message(
            self._site_name,
            conditions,
            self.announced,
            current_time=time.time(),
            repeat_interval=self._repeat_interval,
            is_whole=self._is_whole,
        )
        if message is None:
            return None
        kind = apprise.NotifyType.WARNING if message.tells_problems else apprise.NotifyType.SUCCESS
        failure_reason = deliver(self.recipient, message.title, message.body, self._redact, kind)
        if not failure_reason:
            self._note_delivery()
            self.announced = message.announced
            self._report_announced()
            return None
        self._note_failure(failure_reason)
        with self._news_arrived:
            if self._conditions is None:  # try the same again unless there is something newer
                self._conditions = conditions
        wait_seconds = min(FIRST_WAIT * 2.0 ** min(self._failure_count - 1, 10), LONGEST_WAIT)
        return wait_seconds * (0.75 + random.random() / 4)  # noqa: S311 - jitter

    def _note_delivery(self) -> None:
        if self._failure_count:
            log_extra = {"action": "alerts.delivered", "key": self.recipient.key}
            logger.info("Alerts to %s are delivered again", self.recipient.key, extra=log_extra)
        self._failure_count = 0

    def _note_failure(self, failure_reason: str) -> None:
        self._failure_count += 1
        log_text = "An alert to %s could not be delivered, and is tried again: %s"
        log_extra = {"action": "alerts.not_delivered", "key": self.recipient.key}
        log_level = logging.ERROR if self._failure_count == 1 else logging.DEBUG
        logger.log(log_level, log_text, self.recipient.key, failure_reason, extra=log_extra)
