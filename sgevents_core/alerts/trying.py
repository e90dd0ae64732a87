"""Trying out what `[[alerts]]` configures, for `sgevents alerts test`."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

from sgevents_core.alerts.heartbeat import call_url
from sgevents_core.alerts.opening import check_addresses
from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import one_line
from sgevents_core.settings import Settings
from sgevents_core.settings.spelling import dotted_key


class Trial(NamedTuple):
    """What came of one address.

    Args:
        key: The key of the address in the configuration.
        scheme: The kind of address, such as `mailto`.
        reason: Why it could not be used, without secrets; empty if it could.
    """

    key: str
    scheme: str
    reason: str


def try_addresses(settings: Settings) -> Iterator[Trial]:
    """Send a message to every address of `[[alerts]]`, and call every heartbeat URL.

    Raises:
        ConfigError: An address cannot be used.
        ExtraMissingError: The packages of the extra are not installed.
    """
    check_addresses(settings)
    from sgevents_core.alerts.recipients import deliver, recipients_of

    redact = Redactor.of(settings)
    site_name = one_line(urlsplit(settings.site.url).hostname or "")
    title, body = f"sgevents {site_name}: a test", "This is a test: nothing is wrong."
    for table_index, table in enumerate(settings.alerts):
        for recipient in recipients_of(table_index, table.urls):
            scheme = recipient.address.reveal().partition("://")[0]
            yield Trial(recipient.key, scheme, deliver(recipient, title, body, redact))
        if table.heartbeat is not None:
            key = dotted_key(("alerts", table_index, "heartbeat"))
            scheme = table.heartbeat.reveal().partition("://")[0]
            try:
                call_url(table.heartbeat)
            except (OSError, HTTPException, ValueError) as error:
                yield Trial(key, scheme, redact(f"{type(error).__name__}: {error}"))
            else:
                yield Trial(key, scheme, "")
