"""Secrets are taken out of texts in every form in which they are written."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.observe.redaction import SHORTEST, Redactor, secrets_of
from sgevents_core.settings import PluginSettings, Secret, Settings, SiteSettings

SECRETS = st.text(st.characters(codec="utf-8"), min_size=SHORTEST, max_size=12)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_secret_is_in_no_text(secret: str, before: str, after: str) -> None:
    """As it is, as Python and JSON quote it, and as an address has it."""
    redact = Redactor([secret])
    for written in (secret, repr(secret), json.dumps(secret), quote(secret, "")):
        told = redact(f"{before}{written}{after}")
        assert secret not in told.replace("***", "\0")
        told.encode()


def test_longer_secret_goes_first() -> None:
    """One that is part of another leaves nothing of it."""
    redact = Redactor(["demo", "demo-key-of-the-farm"])
    assert redact("key=demo-key-of-the-farm or demo") == "key=*** or ***"


def test_short_texts_are_no_secrets() -> None:
    """A key of two letters would make every sentence unreadable."""
    assert Redactor(["", "a", "the"])("the cat") == "the cat"


def test_all_secrets_of_a_configuration_are_known() -> None:
    """Keys of site and plugins, the proxy's password, and what plugins' own settings hold."""
    settings = Settings(
        path=Path("sgevents.toml"),
        site=SiteSettings(
            url="http://127.0.0.1",
            script_name="s",
            api_key=Secret("site-demo-key"),
            http_proxy="http://user:proxy-demo-word@host:80",
        ),
        plugins={
            "own": PluginSettings(api_key=Secret("own-demo-key"), script_name="x"),
            "chat": PluginSettings(
                settings={
                    "token": Secret("chat-demo-word"),
                    "more": [{"deep": Secret("deep-demo")}],
                }
            ),
            "lacks": PluginSettings(settings={"token": Secret(None)}),
        },
    )
    assert sorted(secrets_of(settings)) == [
        "chat-demo-word", "deep-demo", "own-demo-key", "proxy-demo-word", "site-demo-key"
    ]  # fmt: skip
