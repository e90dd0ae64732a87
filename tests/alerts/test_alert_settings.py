"""`[[alerts]]` in the configuration: what is refused, with file and key, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgevents_core.alerts.opening import check_addresses
from sgevents_core.choices import ALERT_KINDS
from sgevents_core.errors import ConfigError, Problem
from sgevents_core.settings import Settings, read_settings

SITE = '[site]\nurl = "https://studio.example"\nscript_name = "s"\napi_key = "only-a-demo-key"\n'
CONFIG = Path("/studio/sgevents.toml")
SECRET = "hunter2-hunter2"


def read(text: str) -> Settings:
    """Return the settings of a file that ends in a text."""
    return read_settings(SITE + text, CONFIG)


def problems_of(text: str) -> list[Problem]:
    """Return what is refused in a file that ends in a text, by its reading or by the library."""
    with pytest.raises(ConfigError) as raised:
        check_addresses(read(text))
    assert SECRET not in str(raised.value)
    return list(raised.value.problems)


def test_addresses_may_be_somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An address is a secret: from the environment, a file, or written out."""
    monkeypatch.setenv("CHAT", "slack://aaaa/bbbb/cccc")
    (tmp_path / "mail").write_text("mailto://user:pass@studio.example\n")
    (tmp_path / "mail").chmod(0o600)
    urls = f'[{{ env = "CHAT" }}, {{ file = "{tmp_path}/mail" }}, "json://127.0.0.1"]'
    (table,) = read(f"[[alerts]]\nurls = {urls}\n").alerts
    assert [url.reveal() for url in table.urls] == [
        "slack://aaaa/bbbb/cccc",
        "mailto://user:pass@studio.example",
        "json://127.0.0.1",
    ]
    assert (table.on, table.every, table.after) == (ALERT_KINDS, 14400.0, 60.0)
    assert "pass" not in repr(table)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[[alerts]]\n", "alerts[0].urls"),
        ("[[alerts]]\nurls = []\n", "alerts[0].urls"),
        ('[[alerts]]\nurls = "json://x"\n', "alerts[0].urls"),
        (f'[[alerts]]\nurls = ["json://x", "{SECRET}"]\n', "alerts[0].urls[1]"),
        (f'[[alerts]]\nurls = ["nosuch://{SECRET}"]\n', "alerts[0].urls[0]"),
        (f'[[alerts]]\nurls = ["slack://{SECRET}"]\n', "alerts[0].urls[0]"),
        (f'[[alerts]]\nurls = ["mailto://:{SECRET}@"]\n', "alerts[0].urls[0]"),
        ('[[alerts]]\nurls = [{ env = "NOT_THERE" }]\n', "alerts[0].urls[0]"),
        ("[[alerts]]\nurls = [7]\n", "alerts[0].urls[0]"),
        ('[[alerts]]\nurls = ["json://x"]\non = ["outages"]\n', "alerts[0].on[0]"),
        ('[[alerts]]\nurls = ["json://x"]\nevery = "0s"\n', "alerts[0].every"),
        ('[[alerts]]\nurls = ["json://x"]\nheartbeat = "ftp://x/y"\n', "alerts[0].heartbeat"),
        ('[[alerts]]\nurls = ["json://x"]\nheartbeat = "file:///etc/x"\n', "alerts[0].heartbeat"),
        ('[[alerts]]\nurls = ["json://x"]\nheartbeat = "https://"\n', "alerts[0].heartbeat"),
        ('[[alerts]]\nurls = ["json://x"]\nto = "x"\n', "alerts[0].to"),
        ('[alerts]\nurls = ["json://x"]\n', "alerts"),
        ('alerts = ["x"]\n', "alerts"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(text: str, key: str) -> None:
    """The key names table and entry, and no secret is in the message."""
    if text.startswith("alerts"):
        text = f"[log]\nlevel = 'info'\n{text}"
        key = "log.alerts"
    (problem,) = problems_of(text)
    assert (problem.key, problem.file) == (key, CONFIG)
    assert problem.fix


def test_plugins_that_there_are_not_are_warned_of() -> None:
    """A name that was mistyped would silence its alerts."""
    text = '[plugins.status]\n[[alerts]]\nurls = ["json://x"]\nplugins = ["statsu", "status"]\n'
    (warning,) = read(text).warnings
    assert (warning.key, warning.fix) == ("alerts[0].plugins[0]", 'did you mean "status"?')


def test_addresses_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    """As with every secret that is written in the file."""
    path = tmp_path / "sgevents.toml"
    path.write_text("")
    path.chmod(0o644)
    site = SITE.replace('"only-a-demo-key"', '{ env = "HOME" }')
    settings = read_settings(f'{site}[[alerts]]\nurls = ["json://u:p@x"]\n', path)
    (warning,) = settings.warnings
    assert warning.key == "alerts[0].urls[0]"
