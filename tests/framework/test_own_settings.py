"""A plugin's own settings: read into the model it declares, all problems told, no secret shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional

import msgspec
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from installed_packages import Packages
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from sgevents_core import Secret
from sgevents_core.errors import ConfigError, Problem
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.plugins.own_settings import fit_to_model
from sgevents_core.settings import SecretSource, Settings, load_settings
from sgevents_core.settings.diagnostics import Diagnostic

CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "demo-key"

[plugins.chat]
enabled = true

[plugins.chat.settings]
"""


class Tone(Enum):
    """A choice."""

    SHORT = "short"
    CHATTY = "chatty"


@dataclasses.dataclass(frozen=True)
class Room:
    """A table in a table."""

    name: str
    size: int = 1


@dataclasses.dataclass(frozen=True)
class Chat:
    """A model with a field of each kind."""

    token: Secret
    channel: str = "#dailies"
    retries: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    tone: Tone = Tone.SHORT
    way: Literal["in", "out"] = "out"
    quiet: timedelta = timedelta(0)
    log: Optional[Path] = None  # noqa: UP045 - the way older plugins write it
    rooms: list[Room] = dataclasses.field(default_factory=list)
    keys: dict[str, Secret] = dataclasses.field(default_factory=dict)
    ratio: float = 0.5
    since: datetime | None = None
    anything: Any = None
    tags: frozenset[str] = frozenset()
    hidden: int = dataclasses.field(default=0, init=False)


class ChatStruct(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The same idea as a msgspec Struct, with a key that Python cannot name."""

    token: Secret
    from_: str = "sgevents"
    room: Room | None = None

    def __post_init__(self) -> None:
        if self.from_ == "nobody":
            raise ValueError("somebody has to send it")


class ChatModel(BaseModel):
    """The same idea in pydantic, whose validators know more."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    token: Secret
    password: SecretStr = SecretStr("")
    port: int = Field(default=80, ge=1)
    room: dict[str, int] = {}

    @field_validator("port")
    @classmethod
    def _no_odd_port(cls, port: int) -> int:
        if port % 2:
            raise ValueError("ports are even here")
        return port


TOKEN = Secret("demo-token", SecretSource("env", "CHAT"))


def fit(model: Any, **table: Any) -> Any:
    """Return a table as `model`; nothing may be wrong with it."""
    value, wrong = fit_to_model(model, table, Path("/etc/sgevents"))
    assert wrong == []
    return value


def wrongs(model: Any, **table: Any) -> list[Diagnostic]:
    """Return what is wrong with a table."""
    value, wrong = fit_to_model(model, table, Path("/etc/sgevents"))
    assert value is None or (isinstance(model, type) and issubclass(model, BaseModel))
    return wrong


def test_a_dataclass_gets_values_of_its_types() -> None:
    """Durations, paths, choices and secrets as they are written in the file."""
    since = datetime(2026, 1, 31, tzinfo=timezone.utc)
    chat = fit(
        Chat,
        token=TOKEN,
        retries=9,
        tone="chatty",
        way="in",
        quiet="1h30m",
        log="chat/log.txt",
        rooms=[{"name": "a"}, {"name": "b", "size": 2}],
        keys={"a": TOKEN, "b": "demo-plain"},
        ratio=1,
        since=since,
        anything={"x": [TOKEN]},
        tags=["a", "a", "b"],
    )
    assert chat.token is TOKEN
    assert (chat.channel, chat.retries, chat.tone, chat.way) == ("#dailies", 9, Tone.CHATTY, "in")
    assert chat.quiet == timedelta(minutes=90)
    assert chat.log == Path("/etc/sgevents/chat/log.txt")
    assert chat.rooms == [Room("a"), Room("b", 2)]
    assert chat.keys["b"].reveal() == "demo-plain"
    assert (chat.ratio, chat.since, chat.tags) == (1.0, since, {"a", "b"})
    assert chat.anything == {"x": [TOKEN]}


def test_a_struct_and_a_pydantic_model_do_too() -> None:
    """With the names they give their keys."""
    struct = fit(ChatStruct, **{"token": TOKEN, "from": "ada", "room": {"name": "a"}})
    assert (struct.from_, struct.room, struct.token) == ("ada", Room("a"), TOKEN)
    model = fit(ChatModel, token=TOKEN, password=Secret("demo-pass"), room={"size": 3})
    assert (model.token.reveal(), model.password.get_secret_value()) == ("demo-token", "demo-pass")
    assert model.room == {"size": 3}


def test_without_a_model_it_is_a_read_only_mapping() -> None:
    """What one callback wrote into it would be seen by the next."""
    own = fit(None, channel="#dailies")
    assert isinstance(own, MappingProxyType)
    assert own == {"channel": "#dailies"}


@pytest.mark.parametrize("model", [Chat, ChatStruct, ChatModel])
def test_nothing_secret_is_in_what_a_model_shows(model: Any) -> None:
    """A text of the type Secret is shown as stars, wherever it comes from."""
    for token in (TOKEN, "demo-token"):
        shown = fit(model, token=token)
        assert "demo-token" not in repr(shown) + str(shown)
        assert shown.token.reveal() == "demo-token"


def test_a_reference_reaches_other_types_as_its_text() -> None:
    """Not only secrets are kept elsewhere."""
    chat = fit(Chat, token=TOKEN, channel=Secret("#farm"), retries=Secret("5"), quiet=Secret("5m"))
    assert (chat.channel, chat.retries, chat.quiet) == ("#farm", 5, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("table", "where", "message", "fix"),
    [
        ({}, ("token",), "it is missing", 'add token = { env = "NAME" }'),
        ({"chanel": "x"}, ("chanel",), "there is no such key", "did you mean channel?"),
        ({"zzz": 1}, ("zzz",), "there is no such key", "the plugin knows token, channel"),
        ({"hidden": 1}, ("hidden",), "there is no such key", "the plugin knows"),
        ({"channel": 5}, ("channel",), "expected a string, got the number 5", 'channel = "5"'),
        (
            {"retries": "5"},
            ("retries",),
            'expected a whole number, from 1 to 9, got the string "5"',
            "write retries = 5",
        ),
        ({"retries": 10}, ("retries",), "from 1 to 9, got the number 10", "write retries = 3"),
        (
            {"tone": "shrot"},
            ("tone",),
            'one of "short", "chatty"',
            'did you mean "short"?',
        ),
        ({"way": "up"}, ("way",), 'one of "in", "out", got the string "up"', 'one of "in", "out"'),
        ({"quiet": 5}, ("quiet",), "expected a duration, got the number 5", 'quiet = "5s"'),
        ({"quiet": "5 m"}, ("quiet",), "leave out the spaces", 'quiet = "5m"'),
        ({"log": 5}, ("log",), "expected a path, got the number 5", 'log = "folder/file"'),
        ({"rooms": {}}, ("rooms",), "expected a list, got a table", "rooms = [...]"),
        ({"rooms": ["a"]}, ("rooms", 0), "expected Room, got the string", "write"),
        (
            {"rooms": [{"name": "a"}, {"nmae": "b"}]},
            ("rooms", 1, "nmae"),
            "there is no such key",
            "did you mean name?",
        ),
        ({"tags": ["a", 5]}, ("tags", 1), "expected a string, got the number 5", 'write "5"'),
        ({"token": 1234}, ("token",), "expected a string, got a number", "{ env"),
        ({"keys": {"a": 1}}, ("keys", "a"), "expected a string, got a number", "{ env"),
        ({"since": "2026"}, ("since",), "expected a date and time, got the string", "2026-01-31T"),
        ({"tags": "a"}, ("tags",), "expected a list of strings, got", 'tags = ["a"]'),
        (
            {"retries": Secret("many", SecretSource("file", "n"))},
            ("retries",),
            "expected a whole number, from 1 to 9, and the file n holds something",
            "correct the text there",
        ),
        (
            {"channel": Secret(None, SecretSource("file", "n"))},
            ("channel",),
            "the file n is not there",
            "put",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_the_fix(
    table: dict[str, Any], where: tuple[object, ...], message: str, fix: str
) -> None:
    """In the words of the file, not of Python."""
    (wrong, *_) = [one for one in wrongs(Chat, **table) if one.key_path == where]
    assert message in wrong.message
    assert fix in wrong.fix


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('max_attempts = "3"', "max_attempts"),
        ("max_attempts = 0", "max_attempts"),
        ('enabled = "yes"', "enabled"),
        ('on_error = "skipp"', "on_error"),
        ("group = 5", "group"),
        ("load_timeout = 5", "load_timeout"),
    ],
)
def test_a_plugin_hears_of_a_mistake_as_sgevents_does(config: Path, line: str, key: str) -> None:
    """One fitter reads both, so the same mistake has the same words and the same fix."""

    @dataclasses.dataclass
    class Own:
        max_attempts: Annotated[int, msgspec.Meta(ge=1)] = 10
        enabled: bool = False
        on_error: Literal["dead-letter", "pause", "skip"] = "dead-letter"
        group: Annotated[str, msgspec.Meta(min_length=1)] = "a"
        load_timeout: timedelta = timedelta(minutes=1)

    config.write_text(CONFIG + f"[plugins.other]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    (problem,) = caught.value.problems
    (wrong,) = wrongs(Own, **tomli.loads(line))
    assert (problem.message, problem.fix) == (wrong.message, wrong.fix)
    assert (problem.key, wrong.key_path) == (f"plugins.other.{key}", (key,))


def test_all_problems_are_told_at_once() -> None:
    """One run of `check` is enough."""
    found = wrongs(Chat, chanel="x", retries="5", rooms=[{}, {"name": 1}])
    assert [one.key_path for one in found] == [
        ("token",),
        ("retries",),
        ("rooms", 0, "name"),
        ("rooms", 1, "name"),
        ("chanel",),
    ]


def test_what_a_model_itself_has_against_its_values_is_told() -> None:
    """Its own rules count like the types."""
    (wrong,) = wrongs(ChatStruct, **{"token": TOKEN, "from": "nobody"})
    assert wrong == Diagnostic((), "somebody has to send it", "correct the values in this table")
    found = {one.key_path: one for one in wrongs(ChatModel, port=81, prot=1, room={"a": "b"})}
    assert found[("token",)].message == "it is missing"
    assert "ports are even here" in found[("port",)].message
    assert found[("prot",)].fix == "did you mean port?"
    assert "valid integer" in found[("room", "a")].message


def test_a_pydantic_model_that_wants_other_keys_may_have_them() -> None:
    """And one that forbids them says so itself."""

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        channel: str = ""

    assert fit(Open, channel="x").channel == "x"
    (wrong,) = wrongs(Closed, chanel="x")
    assert (wrong.message, wrong.fix) == ("there is no such key", "did you mean channel?")


def test_any_class_with_model_validate_will_do() -> None:
    """What counts is the method, not the library."""

    class Refusal(Exception):
        def errors(self) -> list[Mapping[str, Any]]:
            return [{"loc": ("channel",), "msg": "No such channel", "input": "demo-token"}]

    class Own:
        @classmethod
        def model_validate(cls, table: Mapping[str, Any]) -> object:
            if "channel" in table:
                raise Refusal
            return ("made", table)

    assert fit(Own, token=TOKEN) == ("made", {"token": "demo-token"})
    (wrong,) = wrongs(Own, channel="x")
    assert wrong.message == "no such channel"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TOKEN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
KEYS = st.sampled_from([field.name for field in dataclasses.fields(Chat)]) | st.text(max_size=5)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_table_is_either_fitted_or_told(table: dict[str, Any]) -> None:
    """Never both, never an exception, and the text of a reference is in no message."""
    value, wrong = fit_to_model(Chat, table, Path("/etc"))
    assert (value is None) is bool(wrong)
    assert "demo-token" not in repr(wrong)
    assert isinstance(value, Chat | None)


PLUGIN = """
    import dataclasses
    from sgevents_core import Secret, hookimpl

    @dataclasses.dataclass
    class Chat:
        token: Secret
        channel: str = "#dailies"

        def __post_init__(self):
            if self.channel == self.token.reveal():
                raise ValueError(f"{self.channel} is a token")

    @hookimpl
    def settings_model():
        return Chat

    @hookimpl
    def register_callbacks(registrar):
        registrar.register(lambda event, ctx: ctx.settings, name=registrar.settings.channel)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without settings of the plugin; its token is in CHAT_TOKEN."""
    monkeypatch.setenv("CHAT_TOKEN", "demo-token-of-chat")
    file = tmp_path / "sgevents.toml"
    file.write_text(CONFIG, encoding="utf-8")
    file.chmod(0o600)
    return file


def loaded(config: Path, more: str) -> Loaded:
    """Load what a configuration with `more` lines enables."""
    config.write_text(CONFIG + more, encoding="utf-8")
    settings: Settings = load_settings(config)
    return load(settings, discover())


def test_the_plugin_is_given_an_instance_of_its_model(packages: Packages, config: Path) -> None:
    """In the registrar, and in ctx."""
    packages.install_module("chat", PLUGIN)
    (plugin,) = loaded(config, 'token = { env = "CHAT_TOKEN" }\nchannel = "#farm"').plugins
    assert plugin.settings.token.reveal() == "demo-token-of-chat"
    assert plugin.callbacks[0].name == "#farm"
    assert "demo-token" not in repr(plugin)


def test_wrong_settings_break_that_plugin_alone_with_line_and_fix(
    packages: Packages, config: Path
) -> None:
    """Every problem carries its place in the file; the others run."""
    packages.install_module("chat", PLUGIN)
    packages.install_module(
        "other", "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(): 0"
    )
    found = loaded(config, "chanel = 1\nchannel = 5\n[plugins.other]\nenabled = true\n")
    assert [plugin.name for plugin in found.plugins] == ["other"]
    status = next(one for one in found.statuses if one.name == "chat")
    assert status.status == "broken"
    assert status.reason.startswith("its settings have 3 problems: ")
    where = "plugins.chat.settings"
    assert {(one.line, one.key) for one in status.problems} == {
        (10, f"{where}.token"),
        (11, f"{where}.chanel"),
        (12, f"{where}.channel"),
    }
    unknown = next(one for one in status.problems if one.line == 11)
    fix = "did you mean channel?"
    assert unknown == Problem(config, 11, f"{where}.chanel", "there is no such key", fix)


def test_a_message_in_paragraphs_is_all_reason_and_no_fix(packages: Packages, config: Path) -> None:
    """What a model raises is shown whole; the fix is that of the error, whatever a text holds."""
    packages.install_module(
        "chat", PLUGIN.replace('f"{self.channel} is a token"', '"no such channel.\\n\\nAsk Ada."')
    )
    more = 'token = { env = "CHAT_TOKEN" }\nchannel = { env = "CHAT_TOKEN" }'
    status = loaded(config, more).statuses[0]
    assert status.reason.endswith("no such channel. Ask Ada.")
    assert status.fix.startswith("Correct [plugins.chat.settings]; ")
    assert [one.message for one in status.problems] == ["no such channel.\n\nAsk Ada."]


def test_a_secret_is_in_no_message_of_a_model(packages: Packages, config: Path) -> None:
    """Also where the plugin itself quotes it."""
    packages.install_module("chat", PLUGIN)
    more = 'token = { env = "CHAT_TOKEN" }\nchannel = { env = "CHAT_TOKEN" }'
    status = loaded(config, more).statuses[0]
    assert "*** is a token" in status.reason
    assert "demo-token" not in repr(status)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return dict", "settings_model returns the class dict, which is not a model"),
        ("return {'a': int}", "settings_model returns {'a': <class 'int'>}, which is not a model"),
        ("return Chat(Secret('demo-key'))", "settings_model returns Chat(token=***"),
        ("raise OSError('no')", "settings_model raised OSError: no"),
    ],
)
def test_what_is_no_model_is_refused_with_file_and_line(
    packages: Packages, config: Path, body: str, reason: str
) -> None:
    """Before any event; what to return instead is in the fix."""
    packages.install_module("chat", PLUGIN.replace("return Chat\n", f"{body}\n"))
    status = loaded(config, "").statuses[0]
    assert status.status == "broken"
    assert reason in status.reason
    assert "chat.py:" in status.reason
    assert status.fix
