"""Configurations, and files with values: plain ones of a sensible size, or a clear refusal."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sgevents_core.errors import ConfigError
from sgevents_core.settings import load_settings
from sgevents_core.settings.config_file import state_path

SITE = '[site]\nurl = "https://studio.example"\nscript_name = "s"\n'
LARGE = 10 * 1024**3


def pipe(path: Path) -> str:
    """A pipe that nobody writes to."""
    os.mkfifo(path)
    return str(path)


def listening(path: Path) -> str:
    """A socket of Unix."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return str(path)


def folder(path: Path) -> str:
    """A folder."""
    path.mkdir()
    return str(path)


def huge(path: Path) -> str:
    """A file of 10 GB, of which nothing is on disk."""
    with path.open("wb") as file:
        file.truncate(LARGE)
    return str(path)


def linked(path: Path) -> str:
    """A link to a device."""
    path.symlink_to("/dev/zero")
    return str(path)


THINGS: list[tuple[Callable[[Path], str], str]] = [
    (lambda _: "/dev/zero", "is a device"),
    (lambda _: "/dev/urandom", "is a device"),
    (lambda _: "/dev/tty", "is a device"),
    (lambda _: "/dev/null", "is a device"),
    (pipe, "is a pipe"),
    (listening, "is a socket"),
    (folder, "is a folder"),
    (huge, "is longer than"),
    (linked, "is a device"),
]
IDS = ["zero", "urandom", "tty", "null", "pipe", "socket", "folder", "huge", "link"]


@pytest.mark.parametrize(("thing", "expected_message"), THINGS, ids=IDS)
def test_a_configuration_that_is_no_file(
    tmp_path: Path, thing: Callable[[Path], str], expected_message: str
) -> None:
    """What blocks, has no end or is too large is refused, with what it is."""
    path = Path(thing(tmp_path / "sgevents.toml"))
    with pytest.raises(ConfigError, match=f"this {expected_message}") as caught:
        load_settings(path)
    assert "--config" in caught.value.problems[0].fix
    assert state_path(path) is None


@pytest.mark.parametrize(("thing", "expected_message"), THINGS, ids=IDS)
def test_a_value_in_what_is_no_file(
    tmp_path: Path, thing: Callable[[Path], str], expected_message: str
) -> None:
    """The same for a file that a value is in."""
    path = thing(tmp_path / "key")
    config = tmp_path / "sgevents.toml"
    config.write_text(f'{SITE}api_key = {{ file = "{path}" }}\n')
    with pytest.raises(ConfigError, match=f"the file {path} {expected_message}") as caught:
        load_settings(config)
    assert "plain file" in caught.value.problems[0].fix
    assert caught.value.problems[0].line == 4


@pytest.mark.parametrize("form", ["pipe", "folder", "huge", "link"])
def test_a_credential_that_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The same for a credential of systemd."""
    thing, expected_message = THINGS[IDS.index(form)]
    thing(tmp_path / "api-key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = tmp_path / "sgevents.toml"
    config.write_text(f'{SITE}api_key = {{ credential = "api-key" }}\n')
    with pytest.raises(ConfigError, match=f"the credential api-key {expected_message}"):
        load_settings(config)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    """A name with a character that no file has is told, and no traceback."""
    config = tmp_path / "sgevents.toml"
    config.write_text(f'{SITE}api_key = {{ file = "a\\u0000b" }}\n')
    with pytest.raises(ConfigError, match="is not the name of a file"):
        load_settings(config)


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """Deployments swap links; what they lead to counts."""
    (tmp_path / "real").write_text("demo-key\n")
    (tmp_path / "key").symlink_to("real")
    config = tmp_path / "real.toml"
    config.write_text(f'{SITE}api_key = {{ file = "key" }}\n')
    (tmp_path / "sgevents.toml").symlink_to("real.toml")
    assert load_settings(tmp_path / "sgevents.toml").site.api_key.reveal() == "demo-key"


@pytest.mark.parametrize(
    "toml_text",
    ["a = " + "[" * 5000, "a" + ".a" * 5000 + " = 1", "a = " + "1" * 5000, "[" * 100_000],
    ids=["nested", "parts", "digits", "brackets"],
)
def test_a_configuration_made_to_harm(tmp_path: Path, toml_text: str) -> None:
    """What the parser cannot take is a problem of the file, and no traceback."""
    config = tmp_path / "sgevents.toml"
    config.write_text(toml_text)
    with pytest.raises(ConfigError):
        load_settings(config)
    assert state_path(config) in {None, tmp_path / "state"}  # a tomli may read the many parts
