"""`[state] url` with its keys, and `[hosts]`: what is read, and what is refused with which fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgevents_core.errors import ConfigError
from sgevents_core.observe.redaction import Redactor, secrets_of
from sgevents_core.settings import read_settings
from sgevents_core.settings.model import Settings
from sgevents_core.settings.state_settings import HostSettings

SITE = '[site]\nurl = "https://studio.test"\nscript_name = "a"\napi_key = "k"\n'
GROUPS = '[[groups]]\nname = "slow"\nlane = "slow"\n'


def read_text(text: str, folder: Path = Path("/etc/sgevents")) -> Settings:
    """The settings in a configuration with a site."""
    return read_settings(SITE + text, folder / "sgevents.toml")


def problems_of(text: str, folder: Path = Path("/etc/sgevents")) -> list[tuple[str, str, str]]:
    """The key, message and fix of each problem of a configuration with a site."""
    with pytest.raises(ConfigError) as caught:
        read_text(text, folder)
    return [(problem.key, problem.message, problem.fix) for problem in caught.value.problems]


def test_without_url_the_state_is_this_hosts_alone() -> None:
    """As ever, with nothing to install."""
    settings = read_text("")
    assert settings.state.url is None
    assert settings.hosts == {}


@pytest.mark.parametrize(
    ("url", "servers", "is_encrypted"),
    [
        ("nats://b1", ("b1:4222",), False),
        ("nats://b1:4223,b2", ("b1:4223", "b2:4222"), False),
        (
            "tls://b1.studio.test:4222, b2.studio.test/",
            ("b1.studio.test:4222", "b2.studio.test:4222"),
            True,
        ),
        ("nats://[::1]:4222", ("[::1]:4222",), False),
    ],
)
def test_servers_are_read(url: str, servers: tuple[str, ...], is_encrypted: bool) -> None:
    """Several, with and without a port."""
    state = read_text(f'[state]\nurl = "{url}"\n').state
    assert state.url == (servers, is_encrypted)
    assert state.path == Path("/etc/sgevents/state")  # which may be left out


@pytest.mark.parametrize(
    ("url", "message", "fix"),
    [
        ("http://b1", 'the scheme "http" is not one', "write nats://, or tls://"),
        ("ws://b1", 'the scheme "ws" is not one', "write nats://, or tls://"),
        ("b1:4222", "the address has no scheme", 'write url = "nats://HOST:4222"'),
        ("", "expected the address of a server", 'write url = "nats://HOST:4222"'),
        ("nats://", '"" is not a server', 'write url = "nats://HOST:4222"'),
        ("nats://b1,,b2", '"" is not a server', 'write url = "nats://HOST:4222"'),
        ("nats://b1:0", '"b1:0" is not a server', 'write url = "nats://HOST:4222"'),
        ("nats://b1:70000", '"b1:70000" is not a server', 'write url = "nats://HOST:4222"'),
        ("nats://b1/path", '"b1/path" is not a server', 'write url = "nats://HOST:4222"'),
        ("nats://b1,b1:4222", "names a server twice", "name each server once"),
        ("nats://anna:hunter2@b1", "holds a user or a password", "user and password in [state]"),
    ],
)
def test_a_wrong_address_is_refused(url: str, message: str, fix: str) -> None:
    """With what to write instead; a password in it is not repeated."""
    ((key, found, advice),) = problems_of(f'[state]\nurl = "{url}"\n')
    assert key == "state.url"
    assert message in found
    assert fix in advice
    assert "hunter2" not in found + advice


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ('lease = "1s"', "lease", "1s is too short, the minimum is 2s"),
        ('lease = "61s"', "lease", "1m1s is too long, the maximum is 1m"),
        ("replicas = 2", "replicas", "2"),
        ('note = "2s"', "note", "2s is too long, the maximum is 1s"),
        ('note = "batch"', "note", '"batch" is not a duration'),
        ('durability = "none"', "durability", '"none"'),
        ('user = "anna"', "user", "it needs password as well"),
        ('password = "hunter2"', "password", "it needs user as well"),
        ('cert = "file.pem"', "cert", "it needs key as well"),
        ('key = "file.pem"', "key", "it needs cert as well"),
        ('credentials = "gone.creds"', "credentials", "gone.creds is not a file"),
        (
            'user = "anna"\npassword = "hunter2"\ncredentials = "file.pem"',
            "credentials",
            "user and credentials are two ways to sign in",
        ),
        (
            'nkey = "file.pem"\ncredentials = "file.pem"',
            "nkey",
            "credentials and nkey are two ways to sign in",
        ),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, lines: str, key: str, message: str) -> None:
    """Each once, at its key; no secret is repeated."""
    (tmp_path / "file.pem").write_text("x")
    ((found_key, found, fix),) = problems_of(f'[state]\nurl = "nats://b1"\n{lines}\n', tmp_path)
    assert found_key == f"state.{key}"
    assert message in found
    assert "hunter2" not in found + fix


@pytest.mark.parametrize("line", ['user = "anna"\npassword = "x"', 'lease = "5s"', "replicas = 1"])
def test_keys_of_servers_need_url(line: str) -> None:
    """A url that was forgotten is no silent state of one host."""
    found = problems_of(f"[state]\n{line}\n")
    assert {message for _key, message, _fix in found} == {"it needs url, the NATS servers"}


def test_hosts_are_read() -> None:
    """A host without a table has the defaults; the name may come from the environment."""
    settings = read_text(
        '[state]\nurl = "nats://b1"\nhost = "render01"\nnote = "20ms"\n'
        + GROUPS
        + "[hosts.render01]\n"
        'weight = 3\nlanes = ["slow"]\npinned = ["slow"]\n[hosts."render 02"]\nfeed = false\n'
    )
    assert settings.hosts == {
        "render01": HostSettings(weight=3, lanes=("slow",), pinned=("slow",)),
        "render 02": HostSettings(feed=False),
    }
    assert (settings.state.host, settings.state.note) == ("render01", 0.02)


@pytest.mark.parametrize(
    ("table", "key", "message", "fix"),
    [
        ('lanes = ["slwo"]', "lanes", 'there is no lane "slwo"', 'did you mean "slow"?'),
        ('pinned = ["xyz"]', "pinned", 'there is no lane "xyz"', "leave it out"),
        ('lanes = ["default"]\npinned = ["slow"]', "pinned", "lanes leaves it out", "add it to"),
        ("weight = -1", "weight", "-1", ""),
        ("wieght = 1", "wieght", "", "did you mean weight?"),
        (
            '[hosts.other]\npinned = ["slow"]\n[hosts.last]\npinned = ["slow"]',
            "",
            "",
            "to one host",
        ),
    ],
)
def test_a_wrong_host_is_refused(table: str, key: str, message: str, fix: str) -> None:
    """With what was probably meant."""
    text = f'[state]\nurl = "nats://b1"\n{GROUPS}[hosts.render01]\n{table}\n'
    ((found_key, found, advice),) = problems_of(text)
    assert found_key.endswith(f"hosts.render01.{key}" if key else "hosts.last.pinned")
    assert message in found
    assert fix in advice


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[hosts.render01]\n", "hosts", "only this host works at the state"),
        (
            '[state]\nurl = "nats://far:4222"\nuser = "a"\npassword = "hunter2"\n',
            "state.url",
            "the password may travel unencrypted to far:4222",
        ),
    ],
)
def test_what_is_probably_a_mistake_is_warned_of(text: str, key: str, message: str) -> None:
    """And accepted."""
    warnings = [one for one in read_text(text).warnings if one.key == key]
    assert [message in one.message for one in warnings] == [True]


@pytest.mark.parametrize("url", ["tls://far:4222", "nats://localhost", "nats://127.0.0.1,[::1]"])
def test_a_password_that_is_safe_is_not_warned_of(url: str) -> None:
    """Encrypted, or on this machine alone."""
    state = f'[state]\nurl = "{url}"\nuser = "a"\npassword = "hunter2"\n'
    assert [one for one in read_text(state).warnings if one.key == "state.url"] == []


def test_passwords_are_secrets() -> None:
    """They are taken out of everything that is printed and logged; that of mails too."""
    settings = read_text(
        '[state]\nurl = "nats://b1"\nuser = "anna"\npassword = "hunter2"\n'
        '[classic.smtp]\nserver = "mail"\nsender = "a@b.test"\npassword = "hunter3"\n'
    )
    assert {"hunter2", "hunter3"} <= set(secrets_of(settings))
    assert "hunter" not in Redactor.of(settings)("the passwords are hunter2 and hunter3")
    assert "hunter" not in repr(settings)
