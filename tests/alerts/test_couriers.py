"""Messages reach real servers, are tried again if they do not, and show no secret."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from waiting import wait_until
from web_hooks import WebHooks

from sgevents_core.alerts import heartbeat, recipients
from sgevents_core.alerts.conditions import Condition
from sgevents_core.alerts.grouping import Announced
from sgevents_core.alerts.heartbeat import Heartbeat
from sgevents_core.alerts.recipients import Courier, deliver, recipients_of
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import Secret, SecretSource, Settings, read_settings

TOKEN = "tok3n-of-a-chat"
PASSWORD = "hunter2-hunter2"
SITE = '[site]\nurl = "https://studio.example"\nscript_name = "s"\napi_key = "only-a-demo-key"\n'
PAUSED = Condition("paused", "status", "", "Plugin status is paused", "mend it")


@pytest.fixture
def hooks() -> Iterator[WebHooks]:
    """A web server that takes messages."""
    with WebHooks() as server:
        yield server


class AnyPort(Controller):
    """A mail server on a port that is free."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        trigger: Any = super()._trigger_server
        trigger()


@pytest.fixture
def mails() -> Iterator[tuple[Controller, list[Envelope]]]:
    """A mail server, and what it got."""
    received: list[Envelope] = []

    class Inbox:
        async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802 - the library's name
            received.append(envelope)
            return "250 kept"

    controller = AnyPort(Inbox(), hostname="127.0.0.1", port=0, server_hostname="studio.example")
    controller.start()
    try:
        yield controller, received
    finally:
        controller.stop()


def hook_address(hooks: WebHooks, path: str = f"hooks/{TOKEN}") -> str:
    """Return the address of a web hook with a token and a password in it."""
    return f"json://user:{PASSWORD}@127.0.0.1:{hooks.port}/{path}"


def settings_with(*addresses: str, more: str = "") -> Settings:
    """Return the settings of a configuration with alerts to these addresses."""
    urls = ", ".join(f'"{address}"' for address in addresses)
    return read_settings(f"{SITE}[[alerts]]\nurls = [{urls}]\n{more}", Path("/s/sgevents.toml"))


@contextmanager
def courier_to(address: str, announced: dict[str, Announced] | None = None) -> Iterator[Courier]:
    """Run a courier to an address."""
    settings = settings_with(address)
    (recipient,) = recipients_of(0, settings.alerts[0].urls)
    courier = Courier(
        recipient,
        site_name="studio.example",
        repeat_interval=3600.0,
        announced=announced or {},
        redact=Redactor.of(settings),
        on_announced=lambda: None,
    )
    try:
        yield courier
    finally:
        courier.close(5.0)


def test_a_web_hook_gets_one_message_and_one_when_it_is_over(hooks: WebHooks) -> None:
    """What was told is known, so that the next look tells only what is new."""
    with courier_to(hook_address(hooks)) as courier:
        courier.tell([PAUSED])
        wait_until(lambda: len(hooks.received) == 1)
        wait_until(lambda: PAUSED.key in courier.announced)
        courier.tell([PAUSED])
        courier.tell([])
        wait_until(lambda: len(hooks.received) == 2)
    assert hooks.messages(f"/hooks/{TOKEN}") == [
        "sgevents studio.example: paused\nPlugin status is paused\nTo do: mend it",
        "sgevents studio.example: 1 problem is over\nOver: Plugin status is paused",
    ]
    # Chats colour them by that.
    assert [message.values["type"] for message in hooks.received] == ["warning", "success"]


def test_a_mail_arrives(mails: tuple[Controller, list[Envelope]]) -> None:
    """A mail has the title as its subject, and what is wrong as its text."""
    controller, received = mails
    address = (
        f"mailto://127.0.0.1:{controller.port}?from=sgevents@studio.example&to=td@studio.example"
    )
    with courier_to(address) as courier:
        courier.tell([PAUSED])
        wait_until(lambda: received)
    content = received[0].content
    assert isinstance(content, bytes)
    assert b"Subject: sgevents studio.example: paused" in content
    assert b"Plugin status is paused" in content
    assert received[0].rcpt_tos == ["td@studio.example"]


def test_what_cannot_be_delivered_is_tried_again_with_the_newest_news(
    hooks: WebHooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that refuses gets what is wrong once it accepts; the log has one record."""
    monkeypatch.setattr(recipients, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(recipients, "LONGEST_WAIT", 0.05)
    hooks.status = 503
    with courier_to(hook_address(hooks)) as courier:
        courier.tell([PAUSED])
        wait_until(lambda: hooks.refused >= 3)
        courier.tell([PAUSED._replace(plugin="other", text="Plugin other is paused")])
        refused = hooks.refused
        wait_until(lambda: hooks.refused > refused + 1)
        hooks.status = 200
        wait_until(lambda: hooks.received)
    (message,) = hooks.messages()
    assert "Plugin other is paused" in message
    assert "Plugin status" not in message
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.__dict__["action"] for record in errors] == ["alerts.not_delivered"]
    assert errors[0].__dict__["key"] == "alerts[0].urls[0]"
    for secret in (TOKEN, PASSWORD):
        assert secret not in caplog.text


def test_nobody_waits_for_a_server_that_hangs(hooks: WebHooks) -> None:
    """News are left with a courier at once, and are not queued while it waits."""
    hooks.answering.clear()
    with courier_to(hook_address(hooks)) as courier:
        for number in range(10_000):
            courier.tell([PAUSED._replace(times=number)])
        assert not hooks.received
        hooks.answering.set()
        wait_until(lambda: hooks.received)
        courier.tell([])
        wait_until(lambda: len(hooks.received) == 2)


def test_a_stop_does_not_wait_for_a_server_that_refuses(hooks: WebHooks) -> None:
    """What could not be delivered is not tried once more: the next run tells it."""
    hooks.status = 503
    with courier_to(hook_address(hooks)) as courier:
        courier.tell([PAUSED])
        wait_until(lambda: hooks.refused == 1)
        courier.tell([PAUSED])
        courier.close(60.0)
        assert hooks.refused == 1
        assert courier.announced == {}


@pytest.mark.parametrize("closed", [True, False])
def test_reasons_hold_no_secret(hooks: WebHooks, closed: bool) -> None:
    """Neither of a server that refuses, nor of one that is not there."""
    address = hook_address(hooks)
    hooks.status = 401
    if closed:
        hooks.server_close()
    settings = settings_with(address)
    (recipient,) = recipients_of(0, settings.alerts[0].urls)
    reason = deliver(recipient, "title", "body", Redactor.of(settings))
    assert reason
    assert TOKEN not in reason
    assert PASSWORD not in reason
    assert "\n" not in reason


def test_messages_hold_no_secret(hooks: WebHooks) -> None:
    """An error that quotes the address it failed on is masked, also in parts."""
    told = PAUSED._replace(text=f"failed at https://chat/{TOKEN}/x with {PASSWORD} only-a-demo-key")
    with courier_to(hook_address(hooks)) as courier:
        courier.tell([told])
        wait_until(lambda: hooks.received)
    (message,) = hooks.messages()
    assert "failed at https://chat/***/x with *** ***" in message


def test_hosts_and_options_are_no_secrets() -> None:
    """The log goes on naming this machine and the words that addresses are made of."""
    settings = settings_with(
        "mailto://127.0.0.1:25?from=td@studio.example", f"slack://{TOKEN}/bbbb/cccc"
    )
    redact = Redactor.of(settings)
    assert redact("127.0.0.1:25 from mailto slack studio.example") == (
        "127.0.0.1:25 from mailto slack studio.example"
    )
    assert TOKEN not in redact(f"https://hooks.slack.com/{TOKEN}")


def test_heartbeats_stop_while_something_is_wrong(hooks: WebHooks) -> None:
    """The URL is called again and again, and not while all is not well."""
    is_well = threading.Event()
    url = f"http://127.0.0.1:{hooks.port}/ping/{TOKEN}"
    beating = Heartbeat(
        Secret(url, SecretSource("env", "X")),
        key="alerts[0].heartbeat",
        interval=0.01,
        is_well=is_well.is_set,
        redact=Redactor(),
    )
    with closing(beating):
        assert not hooks.received
        is_well.set()
        wait_until(lambda: len(hooks.received) > 2)
        is_well.clear()
        assert {one.path for one in hooks.received} == {f"/ping/{TOKEN}"}


def test_a_heartbeat_that_fails_is_logged_once_without_its_address(
    hooks: WebHooks, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, and nothing else notices."""
    hooks.status = 404
    url = f"http://127.0.0.1:{hooks.port}/ping/{TOKEN}"
    settings = settings_with("json://127.0.0.1", more=f'heartbeat = "{url}"')
    beating = Heartbeat(
        settings.alerts[0].heartbeat or Secret(None),
        key="alerts[0].heartbeat",
        interval=0.01,
        is_well=lambda: True,
        redact=Redactor.of(settings),
    )
    with closing(beating):
        wait_until(lambda: hooks.refused > 3)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.__dict__["action"] for record in warnings] == ["alerts.no_heartbeat"]
    assert TOKEN not in caplog.text
    assert heartbeat.CALL_SECONDS < 60
