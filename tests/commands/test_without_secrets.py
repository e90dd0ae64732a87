"""Whoever operates a daemon rarely has its secrets in the shell, and needs none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands, Said, installed_here
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

PLUGIN = """
    import dataclasses, pathlib
    from sgevents_core import Secret, hookimpl

    @dataclasses.dataclass
    class Chat:
        token: Secret
        channel: str

    @hookimpl
    def settings_model():
        return Chat

    @hookimpl
    def on_event(event, ctx):
        if event.event_type == "Studio_A" and pathlib.Path({fails!r}).exists():
            raise ValueError("not today")
"""
SETTINGS = """[plugins.chat.settings]
token = { env = "CHAT_TOKEN" }
channel = { env = "CHAT_CHANNEL" }
"""
SECRETS = ("SGEVENTS_TEST_KEY", "CHAT_TOKEN", "CHAT_CHANNEL")


class Shell:
    """A shell without secrets, beside a state with a dead letter."""

    def __init__(self, daemon: RunningDaemon, event: int) -> None:
        self.daemon = daemon
        self.event = event
        self.sgevents = Commands(daemon, secrets=False)
        self.state = daemon.folder / "state"

    def dead_letters(self) -> int:
        """How many there are."""
        with closing(open_state(self.state).letters()) as letters:
            return len(letters.find(None, None))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A daemon has run, with all secrets; now they are gone."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path, site)
        fails = tmp_path / "fails"
        fails.touch()
        keys = f"max_attempts = 1\n{SETTINGS}"
        daemon.install("chat", PLUGIN.format(fails=str(fails)), keys=keys)
        event = site.event("Studio_A")
        daemon.write_config()
        for name in SECRETS:
            monkeypatch.setenv(name, site.api_key)
        with installed_here(daemon) as sgevents:
            assert sgevents("run", "--drain").code == 0
            fails.unlink()
            for name in SECRETS:
                monkeypatch.delenv(name)
            yield Shell(daemon, event)


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("tail",),
        ("plugins", "list"),
        ("plan", "Studio_A"),
        ("plan",),
        ("plugins", "show", "chat"),
        ("config", "show"),
        ("explain", "{event}"),
        ("dead-letters", "list"),
        ("requests",),
        ("pause", "chat"),
        ("state", "check"),
    ],
    ids=" ".join,
)
def test_looking_and_pausing_need_no_secret(shell: Shell, words: tuple[str, ...]) -> None:
    """They exit with 0, and show the plugin as it is for the daemon."""
    told = shell.sgevents(*(word.format(event=shell.event) for word in words))
    assert told.code == 0, told.text
    if words[0] in ("config", "tail", "plan", "plugins", "explain"):
        assert "chat" in told.text
        assert "broken" not in told.text


def test_resuming_skipping_and_dismissing_need_none_either(shell: Shell) -> None:
    """What changes the state alone is carried out here where no daemon runs."""
    assert shell.sgevents("pause", "chat", "--reason", "it floods the channel").code == 0
    assert shell.sgevents("resume", "chat").code == 0
    assert shell.sgevents("dead-letters", "dismiss", "--all", "--reason", "by hand").code == 0
    assert shell.dead_letters() == 0


@pytest.mark.parametrize(
    "words", [("dead-letters", "retry", "--all"), ("replay", "--since", "1h", "--plugin", "chat")],
    ids=" ".join,
)  # fmt: skip
def test_calling_a_plugin_waits_for_who_has_its_secrets(
    shell: Shell, words: tuple[str, ...]
) -> None:
    """The request is kept for the next daemon, and nothing is called with a wrong key."""
    told = shell.sgevents(*words)
    assert told.code == 3
    assert "the environment variable SGEVENTS_TEST_KEY is not available" in told.stderr
    assert shell.dead_letters() == 1


def test_event_that_only_the_site_has_is_said_to_be_there_perhaps(shell: Shell) -> None:
    """Asking the site takes its key, and the answer says that it is missing."""
    told = shell.sgevents("explain", "999999")
    assert told.code == 0
    assert "the site could not be asked" in told.text
    assert "SGEVENTS_TEST_KEY" in told.text


def test_reasons_are_kept_with_who_asked(shell: Shell) -> None:
    """Whoever looks later sees who did what, and why."""
    shell.sgevents("pause", "chat", "--reason", "its startup failed on prod, ask Ada")
    shell.sgevents("resume", "chat", "--reason", "Ada\x1b[2Jfixed\nit")
    found = shell.sgevents("requests", "--json").json
    assert found["version"] == 1
    first, second = found["requests"]
    assert (first["kind"], first["plugin"], first["outcome"]) == ("pause", "chat", "done")
    assert first["reason"] == "its startup failed on prod, ask Ada"
    assert "@" in first["asked_by"]
    assert first["asked_at"] <= first["answered_at"]
    assert second["reason"] == "Ada\x1b[2Jfixed\nit"
    shown: Said = shell.sgevents("requests")
    assert r"Ada\x1b[2Jfixed\nit" in " ".join(shown.text.split())
    assert "\x1b" not in shown.text
    assert json.dumps(found).count("ask Ada") == 1


def test_stopped_daemon_needs_a_person(shell: Shell) -> None:
    """The first thing to do is to start it, and its log says why it ended."""
    first = shell.sgevents("status", "--json").json["needs"][0]
    assert (first["kind"], first["text"]) == ("not_running", "The daemon is not running")
    assert "sgevents run" in first["fix"]


def test_misspelled_plugin_is_refused_with_what_was_probably_meant(shell: Shell) -> None:
    """Whoever types at night gets the name to type, or where names are listed."""
    assert (
        "was ever enabled on this state; did you mean chat?"
        in shell.sgevents("pause", "chatt").stderr
    )
    assert "sgevents status lists those that were" in shell.sgevents("pause", "wholly").stderr


def test_requests_say_what_was_asked_for_and_whether_it_was_refused(shell: Shell) -> None:
    """With the event or place that was named; a refusal is told from what was done."""
    shell.sgevents("skip", "chat", "77", "--reason", "beyond help")
    refused = shell.sgevents("feed", "reset", "--force", "--from", "999999")
    assert "\\n" not in refused.text + refused.stderr
    skip, reset = shell.sgevents("requests", "--json").json["requests"]
    assert (skip["about"], skip["outcome"]) == ("77", "refused")
    assert (reset["about"], reset["outcome"]) == ("999999", None)
    shown = " ".join(shell.sgevents("requests").text.split())
    assert "skip chat 77 refused: it is neither held nor paused" in shown
    assert "(reason: beyond help)" in shown
    assert "reset 999999 waiting" in shown
