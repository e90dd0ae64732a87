"""Every value in effect is listed with its source, and no secret is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field, SecretStr

from sgevents_core.settings import Secret, load_settings
from sgevents_core.settings.config_file import SECTION_MODELS
from sgevents_core.settings.effective import (
    EffectiveValue,
    ValueSources,
    effective_values,
    own_values,
)
from sgevents_core.settings.spelling import dotted_key

SITE = """[site]
url = "https://studio.example"
script_name = "daemon"
api_key = { env = "EFFECTIVE_KEY" }
"""
HIDDEN = "hidden-words"
OWN_TABLE = ("plugins", "chat", "settings")


def write_config(folder: Path, text: str = "") -> Path:
    """Write a configuration, and return its path."""
    path = folder / "sgevents.toml"
    path.write_text(SITE + text, encoding="utf-8")
    return path


def values_of(config: Path) -> dict[str, EffectiveValue]:
    """Return the effective values by their keys."""
    settings = load_settings(config, secrets_required=False)
    values = effective_values(settings, ValueSources(config), {})
    return {dotted_key(value.key_path): value for value in values}


def test_value_names_its_line_and_a_default_says_so(tmp_path: Path) -> None:
    """Durations and paths are written as the file takes them."""
    values = values_of(write_config(tmp_path, '[feed]\n\npoll_interval = "90s"\n'))
    assert values["feed.poll_interval"][1:] == ('"1m30s"', "sgevents.toml:7")
    assert values["feed.idle_interval"][1:] == ('"7m30s"', "default")
    assert values["site.url"][1:] == ('"https://studio.example"', "sgevents.toml:2")
    assert values["state.path"][1:] == (f'"{tmp_path / "state"}"', "default")


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ('{ env = "EFFECTIVE_KEY" }', "the environment variable EFFECTIVE_KEY"),
        ('{ file = "key.txt" }', "the file {folder}/key.txt"),
        ('{ credential = "key" }', "the credential key"),
    ],
)
def test_secret_is_hidden_and_its_source_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, source: str
) -> None:
    """The source is marked as long as the secret is not available to this command."""
    config = tmp_path / "sgevents.toml"
    config.write_text(SITE.replace('{ env = "EFFECTIVE_KEY" }', reference), encoding="utf-8")
    expected = f"sgevents.toml:4, {source.format(folder=tmp_path)}"
    assert values_of(config)["site.api_key"][1:] == ("***", f"{expected} (not available here)")
    monkeypatch.setenv("EFFECTIVE_KEY", HIDDEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("key", "key.txt"):
        (tmp_path / name).write_text(HIDDEN, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    assert values_of(config)["site.api_key"][1:] == ("***", expected)


def test_literal_secrets_are_hidden(tmp_path: Path) -> None:
    """So is the password of a proxy, but not a proxy without one."""
    config = write_config(tmp_path)
    written = config.read_text().replace('{ env = "EFFECTIVE_KEY" }', f'"{HIDDEN}"')
    config.write_text(f'{written}http_proxy = "ada:{HIDDEN}@proxy:80"\n')
    assert HIDDEN not in str(values_of(config))
    config.write_text(f'{SITE}http_proxy = "proxy:80"\n')
    assert values_of(config)["site.http_proxy"].value_text == '"proxy:80"'


def test_every_table_is_listed(tmp_path: Path) -> None:
    """Those of lanes, groups, plugins and classic folders too, each key of the model once."""
    (tmp_path / "old").mkdir()
    text = """[[groups]]
name = "first"
lane = "slow"
[lanes.slow]
workers = 2
order_by = "none"
[state]
url = "nats://b1"
user = "sgevents"
password = "hunter2"
[hosts.render01]
[plugins.chat]
[[classic.paths]]
path = "old"
[classic.smtp]
server = "mail"
sender = "a@b.example"
[console.access]
header = "X-Remote-User"
from = ["10.1.0.0/16"]
[[alerts]]
urls = ["json://user:hunter2@mail", { env = "NOT_THERE" }]
"""
    settings = load_settings(write_config(tmp_path, text), secrets_required=False)
    listed = [*effective_values(settings, ValueSources(settings.path), {})]
    keys = [dotted_key(value.key_path) for value in listed]
    assert not any("hunter2" in value.value_text for value in listed)
    assert len(keys) == len(set(keys))
    for section, model in SECTION_MODELS.items():
        prefix = {"groups": "groups[0]", "lanes": "lanes.slow", "plugins": "plugins.chat"}
        prefix |= {"classic.paths": "classic.paths[0]", "alerts": "alerts[0]"}
        prefix["hosts"] = "hosts.render01"
        for key in model.__struct_encode_fields__:
            if not (section == "plugins" and key == "settings"):
                assert f"{prefix.get(section, section)}.{key}" in keys, section


@dataclasses.dataclass
class PlainModel:
    """Settings of a plugin as a dataclass."""

    token: Secret
    channel: str = "general"


class StructModel(msgspec.Struct, rename="kebab"):
    """Settings of a plugin as a Struct, whose keys are spelled otherwise than its attributes."""

    token: Secret
    channel: str = "general"
    most_posts: int = 3


class PydanticModel(BaseModel):
    """Settings of a plugin as a pydantic model."""

    token: SecretStr
    channel: str = Field(default="general", alias="room")


@pytest.mark.parametrize(
    ("own_settings", "expected"),
    [
        (PlainModel(Secret(HIDDEN)), {"token": "***", "channel": '"general"'}),
        (
            StructModel(Secret(HIDDEN)),
            {"token": "***", "channel": '"general"', "most-posts": "3"},
        ),
        (PydanticModel(token=SecretStr(HIDDEN)), {"token": "***", "room": '"general"'}),
    ],
    ids=["dataclass", "struct", "pydantic"],
)
def test_own_settings_of_any_model_have_their_defaults(
    tmp_path: Path, own_settings: Any, expected: dict[str, str]
) -> None:
    """A field that the model declares secret is hidden though the file spells it out."""
    text = f'[plugins.chat.settings]\ntoken = "{HIDDEN}"\n'
    sources = ValueSources(write_config(tmp_path, text))
    listed = list(own_values(own_settings, OWN_TABLE, sources, is_checked=True))
    assert {value.key_path[-1]: value.value_text for value in listed} == expected
    assert [value.source_text for value in listed][:2] == ["sgevents.toml:6", "default"]


def test_texts_without_a_model_are_hidden_at_any_depth(tmp_path: Path) -> None:
    """Nobody knows which of them are secret; numbers and switches are shown."""
    text = f"""[plugins.chat.settings]
token = "{HIDDEN}"
posts = 3
[plugins.chat.settings.inner]
words = ["{HIDDEN}"]
loud = true
"""
    values = values_of(write_config(tmp_path, text))
    assert HIDDEN not in str(values)
    assert values["plugins.chat.settings.posts"].value_text == "3"
    assert values["plugins.chat.settings.inner.words"].value_text == "..."
    assert values["plugins.chat.settings.inner.loud"][1:] == ("true", "sgevents.toml:10")


def test_secrets_in_lists_and_tables_are_hidden(tmp_path: Path) -> None:
    """A model may hold secrets in any container."""
    own_settings = {"tokens": [Secret(HIDDEN)], "by name": {"a": {"b": (Secret(HIDDEN), "c")}}}
    sources = ValueSources(write_config(tmp_path))
    listed = own_values(own_settings, OWN_TABLE, sources, is_checked=True)
    assert [value.value_text for value in listed] == ["[***]", '[***, "c"]']
