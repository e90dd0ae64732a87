"""Secrets show themselves to those who ask by name, and to nobody else."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import msgspec
import pytest

from sgevents_core.errors import SecretMissingError
from sgevents_core.settings import Secret, SecretSource, SiteSettings

TEXT = "not-to-be-seen"


def test_a_secret_gives_its_text_when_asked_by_name() -> None:
    """reveal() is the one way to the text."""
    assert Secret(TEXT).reveal() == TEXT


def test_a_secret_shows_stars_however_it_is_printed() -> None:
    """repr, str, format and % never show the text."""
    secret = Secret(TEXT)
    by_percent = "%s" % secret  # noqa: UP031 - it is what is tested
    forms = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", by_percent, repr([secret])]
    assert all("***" in form and TEXT not in form for form in forms)


def test_settings_show_no_secret() -> None:
    """The repr of the site shows neither the key nor the password of the proxy."""
    site = SiteSettings(
        url="https://s", script_name="n", api_key=Secret(TEXT), http_proxy="user:pass-word@host:1"
    )
    assert TEXT not in repr(site)
    assert "pass-word" not in repr(site)


def test_a_secret_refuses_to_be_pickled_or_encoded() -> None:
    """It gets neither into a pickle nor into JSON."""
    secret = Secret(TEXT)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"key": secret})
    with pytest.raises(TypeError):
        msgspec.json.encode({"key": secret})
    with pytest.raises(TypeError):
        msgspec.to_builtins(secret)


def test_a_secret_has_no_dict_to_look_into() -> None:
    """vars() finds nothing, so tools that dump objects do not either."""
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


def test_a_copy_of_a_secret_is_the_secret() -> None:
    """Copying settings in a process is fine."""
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret


def test_secrets_with_the_same_text_are_equal() -> None:
    """Equality goes by the text; a secret never equals its plain text."""
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret("ünï") == Secret("ünï")
    assert Secret(TEXT) != Secret("another")
    assert Secret(TEXT) != TEXT


def test_a_secret_cannot_be_hashed() -> None:
    """A hash would tell about the text."""
    with pytest.raises(TypeError):
        hash(Secret(TEXT))


def test_a_secret_that_was_not_found_says_where_it_should_be() -> None:
    """Revealing it is a mistake of the user's, told with its place."""
    missing = Secret(None, SecretSource("env", "CHAT_TOKEN"))
    assert not missing.is_there
    assert missing != Secret(None)
    with pytest.raises(SecretMissingError, match="CHAT_TOKEN") as caught:
        missing.reveal()
    assert caught.value.exit_code == 2
    assert "CHAT_TOKEN" in traceback.format_exception_only(caught.value)[0]
