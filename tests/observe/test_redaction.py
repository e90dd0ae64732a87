"""Secrets are taken out of texts in every form in which they are written."""

from __future__ import annotations

import base64
import html
import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.observe.redaction import SHORTEST_SECRET, Redactor, secrets_of
from sgevents_core.settings import PluginSettings, Secret, Settings, SiteSettings

SECRETS = st.text(st.characters(codec="utf-8"), min_size=SHORTEST_SECRET, max_size=12)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_secret_is_in_no_text(secret: str, before: str, after: str) -> None:
    """As it is, as Python, JSON, HTML and a shell quote it, and as addresses and dumps have it."""
    redact = Redactor([secret])
    forms = [secret, repr(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)]
    forms += [html.escape(secret), quote(secret, ""), quote(secret), quote_plus(secret)]
    forms += [quote(secret, "").lower()] if secret.islower() else []
    forms += [repr(secret.encode()), ascii(secret), html.escape(secret, quote=False)]
    forms += [json.dumps(json.dumps({"key": secret})), quote(quote(secret, ""), "")]
    forms += [shlex.quote(secret), secret.encode().hex(), secret.encode().hex().upper()]
    for written in forms:
        redacted_text = redact(f"{before}{written}{after}")
        assert "***" in redacted_text
        assert secret not in redacted_text.replace("***", "\0")
        redacted_text.encode()


@given(
    st.text(st.characters(codec="utf-8"), min_size=12, max_size=30),
    st.text(st.characters(codec="utf-8"), max_size=9),
    st.text(st.characters(codec="utf-8"), max_size=9),
    st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
)
def test_base64_of_a_secret_is_in_no_text(secret: str, user: str, behind: str, encode: Any) -> None:
    """Behind whatever user, as in a header for Basic: too little is left to get it back."""
    header = encode(f"{user}:{secret}{behind}".encode()).decode()
    redacted_text = Redactor([secret])(f"Basic {header}")
    assert "***" in redacted_text
    left = redacted_text.removeprefix("Basic ")
    around = len(encode(f"{user}:{behind}".encode()))
    assert len(left) <= around + 4 + len("***")


@pytest.mark.parametrize("secret", ["plain-demo-key-1", "S3c/r+t \"é&<k>'y?"])
def test_base64_of_json_shows_no_secret(secret: str) -> None:
    """A whole request that somebody encodes: the secret in it is written as JSON has it."""
    encoded = base64.b64encode(json.dumps({"script_key": secret}).encode()).decode()
    redacted_text = Redactor([secret])(encoded)
    assert "***" in redacted_text
    assert len(redacted_text) < len(encoded) - len(secret)


@pytest.mark.parametrize("password", ["p@ss/wo:rd", "50%25off", "ké y+&=", "a#b?c[d]e"])
def test_odd_password_of_a_proxy(password: str) -> None:
    """As it stands in the address, and as it is sent: both are known."""
    for written in (password, quote(password, "")):
        settings = Settings(
            path=Path("sgevents.toml"),
            site=SiteSettings(
                url="http://127.0.0.1",
                script_name="s",
                api_key=Secret("site-demo-key"),
                http_proxy=f"user:{written}@host:80",
            ),
        )
        redact = Redactor.of(settings)
        assert redact(f"407 from {written}: {password}") == "407 from ***: ***"


def test_secrets_that_are_learned_later_are_left_out() -> None:
    """A redactor that is in use knows what was found since."""
    settings = Settings(
        path=Path("sgevents.toml"),
        site=SiteSettings(url="http://127.0.0.1", script_name="s", api_key=Secret("site-demo-key")),
    )
    redact = Redactor.of(settings)
    assert redact("site-demo-key literal-demo") == "*** literal-demo"
    settings.learned_secrets.add_text("literal-demo")
    assert redact("site-demo-key literal-demo") == "*** ***"
    assert "literal-demo" not in repr(settings)


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
