"""The site's webhooks at the console: genuine ones wake the feed, all others change nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from console_visits import config_file, console_client
from starlette.testclient import TestClient

from sgevents_core.console import hooks
from sgevents_core.console.hooks import HOOK_PATH, MOST_HOOK_BYTES
from sgevents_core.state.wake_signal import WakeReceiver

SECRET = "hunter2-hunter2"
OTHER_SECRET = "correct-horse-battery"
BODY = json.dumps({"data": {"event_log_entry_id": 7, "event_type": "Shotgun_Shot_New"}}).encode()


def signature(body: bytes = BODY, secret: str = SECRET) -> str:
    """Return the signature that a site sends with a body."""
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def with_secret(folder: Path, name: str, secret: str) -> Path:
    """Return a configuration with a secret for webhooks, and a state."""
    (folder / name).mkdir()
    return config_file(folder, name, f'[console]\nwebhook_secret = "{secret}"\n')


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[WakeReceiver]:
    """The end of the daemon of the site `studio`."""
    (tmp_path / "studio").mkdir()
    with closing(WakeReceiver(tmp_path / "studio")) as receiver:
        yield receiver


@pytest.fixture
def client(tmp_path: Path, studio: WakeReceiver) -> Iterator[TestClient]:
    """A console of that site, with a secret."""
    more = f'[console]\nwebhook_secret = "{SECRET}"\n'
    with console_client([config_file(tmp_path, "studio", more)]) as browser:
        yield browser


def test_a_genuine_webhook_wakes_the_feed(client: TestClient, studio: WakeReceiver) -> None:
    """Each does, also one that comes twice; what it says is not read."""
    for body in (BODY, BODY, b"", b"no JSON", b"\xff" * 1000):
        answer = client.post(HOOK_PATH, content=body, headers={"X-SG-Signature": signature(body)})
        assert (answer.status_code, answer.content) == (204, b"")
        assert studio.wait(60.0)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha1=",
        signature().removeprefix("sha1="),
        signature().upper(),
        signature() + "0",
        signature()[:-1],
        signature(secret=OTHER_SECRET),
        signature(BODY + b" "),
        "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest(),
        "md5=" + hmac.new(SECRET.encode(), BODY, hashlib.md5).hexdigest(),
        "sha1=" + hashlib.sha1(BODY).hexdigest(),
        "sha1=" + "\u0661" * 40,
    ],
)
def test_a_forged_one_changes_nothing(
    client: TestClient, studio: WakeReceiver, header: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused, and the log says so without the signature, once in a while."""
    headers = {} if header is None else {b"X-SG-Signature": header.encode("utf-8")}
    hooks._refusals._next_report_at = 0.0
    for _ in range(3):
        answer = client.post(HOOK_PATH, content=BODY, headers=headers)
        assert answer.status_code == 403
    assert not studio.wait(0.0)
    records = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.__dict__["action"] for record in records] == ["console.hook_refused"]
    assert SECRET not in caplog.text + answer.text


def test_a_huge_one_is_not_read(client: TestClient, studio: WakeReceiver) -> None:
    """Not even if it is signed; the largest that is read is more than a site sends."""
    largest = bytes(MOST_HOOK_BYTES)
    headers = {"X-SG-Signature": signature(largest)}
    assert client.post(HOOK_PATH, content=largest, headers=headers).status_code == 204
    assert studio.wait(60.0)
    huge = largest + b"x"
    headers = {"X-SG-Signature": signature(huge)}
    assert client.post(HOOK_PATH, content=huge, headers=headers).status_code == 413
    assert not studio.wait(0.0)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_it_only_takes_posts(client: TestClient, studio: WakeReceiver, method: str) -> None:
    """There is nothing to see there."""
    answer = client.request(method, HOOK_PATH, headers={"X-SG-Signature": signature(b"")})
    assert answer.status_code == 405
    assert not studio.wait(0.0)


@pytest.mark.parametrize("more", ["", '[console]\nwebhook_secret = { env = "NOT_THERE" }\n'])
def test_without_a_secret_it_is_not_there(tmp_path: Path, studio: WakeReceiver, more: str) -> None:
    """No secret is not an empty one: nothing can be signed with it."""
    with console_client([config_file(tmp_path, "studio", more)]) as client:
        headers = {"X-SG-Signature": signature(secret="")}
        assert client.post(HOOK_PATH, content=BODY, headers=headers).status_code == 404
        assert not studio.wait(0.0)


def test_each_site_is_woken_by_its_own_secret(tmp_path: Path) -> None:
    """A console of several sites tells them apart by who signed."""
    configs = [with_secret(tmp_path, "north", SECRET), with_secret(tmp_path, "south", OTHER_SECRET)]
    with (
        closing(WakeReceiver(tmp_path / "north")) as north,
        closing(WakeReceiver(tmp_path / "south")) as south,
        console_client(configs) as client,
    ):
        headers = {"X-SG-Signature": signature(secret=OTHER_SECRET)}
        assert client.post(HOOK_PATH, content=BODY, headers=headers).status_code == 204
        assert south.wait(60.0)
        assert not north.wait(0.0)


def test_a_daemon_that_is_down_is_no_failure(tmp_path: Path) -> None:
    """The site would disable a webhook that fails too often."""
    with console_client([with_secret(tmp_path, "studio", SECRET)]) as client:
        headers = {"X-SG-Signature": signature()}
        assert client.post(HOOK_PATH, content=BODY, headers=headers).status_code == 204
