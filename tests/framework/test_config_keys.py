"""Keys of the configuration for the framework: `ignore_own`, the breaker, systemd credentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sgevents_core.settings import ConfigError, Problem, SecretSource, load_settings

SITE = """\
[site]
url = "https://studio.example.com"
script_name = "sgevents"
api_key = "demo-key"
"""
OWN = 'script_name = "rollup"\napi_key = "demo-key"\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration, readable by its owner alone, and return its path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "sgevents.toml"
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    return write_text


@pytest.fixture
def problem(write: Callable[[str], Path]) -> Callable[[str], Problem]:
    """Return the one thing that is wrong with a text."""

    def problem_of(text: str) -> Problem:
        with pytest.raises(ConfigError) as caught:
            load_settings(write(text))
        (found,) = caught.value.problems
        return found

    return problem_of


def test_ignore_own_needs_a_script_of_the_plugins_own(
    write: Callable[[str], Path], problem: Callable[[str], Problem]
) -> None:
    """That of the site is everybody's: what others do would be ignored as well."""
    head = f"{SITE}[plugins.a]\nignore_own = true\n"
    found = problem(head)
    assert (found.line, found.key) == (6, "plugins.a.ignore_own")
    assert found.message == "it needs the plugin's own script_name"
    assert "script_name and api_key" in found.fix
    found = problem(head + OWN.replace("rollup", "sgevents"))
    assert "the script_name of [site]" in found.message
    assert load_settings(write(head + OWN)).plugins["a"].ignore_own is True


def test_a_script_that_two_plugins_share_is_warned_about(write: Callable[[str], Path]) -> None:
    """Each would be kept from what the other does."""
    text = f"{SITE}[plugins.a]\nignore_own = true\n{OWN}[plugins.b]\n{OWN}"
    (warning,) = load_settings(write(text)).warnings
    assert warning.message == "what b does is ignored too: it has the same script_name"


def test_the_breaker_has_limits_that_make_sense(
    write: Callable[[str], Path], problem: Callable[[str], Problem]
) -> None:
    """It can be turned off; a negative count and no time at all are mistakes."""
    plugin = load_settings(write(f"{SITE}[plugins.a]\n")).plugins["a"]
    assert (plugin.breaker_events, plugin.breaker_within) == (100, 300.0)
    text = f'{SITE}[plugins.a]\nbreaker_events = 0\nbreaker_within = "10s"\n'
    assert load_settings(write(text)).plugins["a"].breaker_events == 0
    assert problem(f"{SITE}[plugins.a]\nbreaker_events = -1\n").key == "plugins.a.breaker_events"
    assert "too short" in problem(f'{SITE}[plugins.a]\nbreaker_within = "1ms"\n').message


def test_keys_may_be_systemd_credentials(
    write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, for the site, for a plugin and in a plugin's own settings."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "api-key").write_text("demo-key-of-the-service\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    text = SITE.replace('"demo-key"', '{ credential = "api-key" }')
    text += '[plugins.a]\nenabled = true\nsettings = { token = { credential = "api-key" } }\n'
    settings = load_settings(write(text))
    assert settings.site.api_key.reveal() == "demo-key-of-the-service"
    assert settings.site.api_key.source == SecretSource("credential", "api-key")
    assert settings.plugins["a"].settings["token"] == settings.site.api_key


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("gone", "the credential gone does not exist", "LoadCredential=gone:"),
        ("empty", "the credential empty is empty", "write the value"),
        ("../key", "is not the name of a credential", "the name alone"),
        ("..", "is not the name of a credential", "the name alone"),
        ("", "is not the name of a credential", "the name alone"),
    ],
)
def test_what_is_wrong_with_a_credential_is_told(
    problem: Callable[[str], Problem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    message: str,
    fix: str,
) -> None:
    """With what to put into the unit."""
    (tmp_path / "empty").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    found = problem(SITE.replace('"demo-key"', f'{{ credential = "{name}" }}'))
    assert message in found.message
    assert fix in found.fix


def test_outside_of_the_service_there_are_no_credentials(
    problem: Callable[[str], Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says who hands them out."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = problem(SITE.replace('"demo-key"', '{ credential = "api-key" }'))
    assert "$CREDENTIALS_DIRECTORY is not set" in found.message
    assert "systemd" in found.fix
