"""Mails about the errors of classic plugins, to whom `setEmails` says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from classic_files import ClassicStudio
from mail_server import MailServer
from waiting import wait_until

from sgevents_core.events import Event
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.protocols import CallbackFailure

PLUGIN = """
def registerCallbacks(reg):
    {emails}
    reg.registerCallback("studio", "studio-demo-key", call)

def call(sg, logger, event, args):
    pass
"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server."""
    with MailServer() as running:
        yield running


def loaded(studio: ClassicStudio, server: MailServer, emails: str = "") -> LoadedPlugin:
    """Return a loaded plugin that calls `setEmails` so."""
    studio.write("studio/mails.py", PLUGIN.format(emails=emails))
    tables = f"""
        [classic.smtp]
        server = "127.0.0.1"
        port = {server.port}
        sender = "daemon@studio.example"
        recipients = ["td@studio.example", "night@studio.example"]
        subject = "[SG]"
    """
    (plugin,) = studio.load("studio", tables=tables).plugins
    return plugin


def failure(plugin: str = "classic:studio/mails") -> CallbackFailure:
    """Return what is reported when a call of a plugin failed for good."""
    return CallbackFailure(
        plugin=plugin,
        callback="call",
        event=Event({"id": 7}),
        error="ValueError: no",
        traceback="Traceback of studio-demo-key",
        attempt=1,
        next_attempt_at=None,
    )


@pytest.mark.parametrize(
    ("emails", "recipients"),
    [
        ("", ["td@studio.example", "night@studio.example"]),
        ("reg.setEmails(True)", ["td@studio.example", "night@studio.example"]),
        ("reg.setEmails('a@b.example', 'c@d.example')", ["a@b.example", "c@d.example"]),
        ("reg.setEmails(['a@b.example'])", ["a@b.example"]),
        ("reg.setEmails(['a@b.example', ''])", ["a@b.example"]),
        ("reg.setEmails('')", ["td@studio.example", "night@studio.example"]),
        ("reg.setEmails(3)", ["td@studio.example", "night@studio.example"]),
        ("reg.setEmails(False); reg.setEmails('a@b.example')", ["a@b.example"]),
    ],
)
def test_errors_are_mailed_to_whom_the_plugin_says(
    studio: ClassicStudio, server: MailServer, emails: str, recipients: list[str]
) -> None:
    """What it logs as an error, with the place; less is only in the log."""
    loaded(studio, server, emails)
    logger = logging.getLogger("plugin.mails.call")
    logger.warning("not this")
    logger.error("the %s of studio-demo-key", "error\nin two lines")
    wait_until(lambda: len(server.mails) == 1)
    (mail,) = server.mails
    assert [one.strip() for one in mail["To"].split(",")] == recipients
    assert mail["From"] == "daemon@studio.example"
    assert mail["Subject"] == "[SG] ERROR of plugin.mails.call"
    text = mail.get_content()
    assert "the error\nin two lines of ***" in text.replace("\r\n", "\n")
    assert "test_mails.py" in text


@pytest.mark.parametrize(("emails", "count"), [("''", 1), ("3", 1), ("[]", 0), ("None", 0)])
def test_no_address_at_all_is_warned_of(
    studio: ClassicStudio, server: MailServer, emails: str, count: int
) -> None:
    """As from a variable that is not set; the plugin is loaded, as by the classic daemon."""
    warnings = loaded(studio, server, f"reg.setEmails({emails})").warnings
    assert len(warnings) == count
    assert all(f"mails.py:3: setEmails was given {emails}: give" in one for one in warnings)


def test_calls_that_fail_are_mailed(studio: ClassicStudio, server: MailServer) -> None:
    """With the traceback and without the key; those of other plugins, and retries, are not."""
    plugin = loaded(studio, server)
    plugin.hooks["callback_failed"](failure("other"), None)
    plugin.hooks["callback_failed"](failure(), None)
    plugin.hooks["shutdown"](None)
    (mail,) = server.mails
    assert mail["Subject"] == "[SG] call of classic:studio/mails failed on event 7"
    assert "Traceback of ***" in mail.get_content()


def test_nobody_is_mailed_if_the_plugin_says_so(studio: ClassicStudio, server: MailServer) -> None:
    """`setEmails(False)`; loading the plugin again also changes what it said before."""
    loaded(studio, server)
    plugin = loaded(studio, server, "reg.setEmails(False)")
    logging.getLogger("plugin.mails").error("nobody reads this")
    plugin.hooks["callback_failed"](failure(), None)
    plugin.hooks["shutdown"](None)
    assert server.mails == []


def test_a_mail_server_that_is_away_holds_up_nothing(
    studio: ClassicStudio, caplog: pytest.LogCaptureFixture
) -> None:
    """The mail is lost, with a warning; the call does not notice."""
    with MailServer() as server:
        pass
    plugin = loaded(studio, server)
    logging.getLogger("plugin.mails").error("lost")
    plugin.hooks["shutdown"](None)
    assert "classic.mail_not_sent" in [vars(record).get("action") for record in caplog.records]
    wait_until(lambda: "mails" not in [thread.name for thread in threading.enumerate()])
