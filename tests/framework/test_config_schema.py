"""`sgevents config schema`: editors accept what a run accepts, plugins' keys included."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli
from installed_packages import Packages

from sgevents_core.cli.root import sgevents
from sgevents_core.settings.json_schema import config_schema

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"
SITE = """
[site]
url = "https://studio.example.com"
script_name = "sgevents"
api_key = { env = "SGEVENTS_API_KEY" }
"""
PLUGINS = """
[plugins.chat]
enabled = true
[plugins.strict]
enabled = true
[plugins.odd]
enabled = true
[plugins.broken]
enabled = true
"""
CHAT = """
    import dataclasses, datetime, typing, msgspec
    from sgevents_core import Secret, hookimpl

    class Room(msgspec.Struct):
        name: str

    @dataclasses.dataclass
    class Chat:
        token: Secret
        tone: typing.Literal["short", "chatty"] = "short"
        quiet: datetime.timedelta = datetime.timedelta(0)
        rooms: list[Room] = dataclasses.field(default_factory=list)

    @hookimpl
    def settings_model():
        return Chat
"""
STRICT = """
    import pydantic
    from sgevents_core import Secret, hookimpl

    class Room(pydantic.BaseModel):
        size: int = pydantic.Field(ge=1)

    class Strict(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        token: Secret
        room: Room

    @hookimpl
    def settings_model():
        return Strict
"""
ODD = """
    import dataclasses, re
    from sgevents_core import hookimpl

    @dataclasses.dataclass
    class Odd:
        pattern: re.Pattern

    @hookimpl
    def settings_model():
        return Odd
"""


def is_valid(schema: Any, text: str) -> bool:
    """Return whether an editor would accept the text of a configuration."""
    try:
        jsonschema.validate(json.loads(json.dumps(tomli.loads(text), default=str)), schema)
    except jsonschema.ValidationError:
        return False
    return True


@pytest.fixture
def schema(packages: Packages, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """What the command writes for a configuration with four plugins."""
    texts = {"chat": CHAT, "strict": STRICT, "odd": ODD, "broken": "raise OSError"}
    for name, text in texts.items():
        packages.install_module(name, text)
    config, output = tmp_path / "sgevents.toml", tmp_path / "schema.json"
    config.write_text(SITE + PLUGINS, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        sgevents.main(["config", "schema", "-c", str(config), "-o", str(output)])
    assert ended.value.code == 0
    assert "The settings of odd are not in the schema" in capsys.readouterr().err
    return json.loads(output.read_text())


def test_it_is_a_schema_and_accepts_the_samples_of_the_page(schema: Any) -> None:
    """A sample that people copy must not be underlined in red."""
    jsonschema.Draft7Validator.check_schema(schema)
    samples = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert is_valid(schema, "\n".join(samples))
    quiet = schema["$defs"]["chat.Chat"]["properties"]["quiet"]
    assert quiet["anyOf"][0] == {"type": "string"}, "durations are ours, not those of ISO 8601"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('feed.poll_interval = "250ms"', True),
        ("feed.poll_interval = 1", False),
        ("feed.pol_interval = '1s'", False),
        ("feed.start = 2026-01-31T08:00:00Z", True),
        ("feed.start = 0", False),
        ("feed.page_size = 1", False),
        ('[[groups]]\nname = "a"', True),
        ("[[groups]]\nlane = 'x'", False),
        ('[lanes.a]\norder_by = "nothing"', False),
        ('[log.levels]\na = "debug"', True),
        ('[log.levels]\na = "loud"', False),
        ("[plugins.any]\nenabled = true\nsettings = { a = [1] }", True),
        ("[plugins.any]\nenabeld = true", False),
        ("[fed]", False),
        ('[plugins.chat.settings]\ntoken = { env = "A" }\nquiet = "5m"', True),
        ('[plugins.chat.settings]\ntoken = "a"\ntone = { file = "tone" }', True),
        ('[plugins.chat.settings]\ntoken = "a"\ntone = "loud"', False),
        ('[plugins.chat.settings]\ntone = "short"', False),
        ('[plugins.chat.settings]\ntoken = "a"\ntoen = "short"', False),
        ('[plugins.chat.settings]\ntoken = "a"\nrooms = [{ name = "x" }]', True),
        ('[plugins.chat.settings]\ntoken = "a"\nrooms = [{ }]', False),
        ('[plugins.strict.settings]\ntoken = { credential = "a" }\nroom.size = 1', True),
        ('[plugins.strict.settings]\ntoken = "a"\nroom.size = 0', False),
        ('[plugins.strict.settings]\ntoken = "a"\nroom = { size = 1 }\nmore = 1', False),
    ],
)
def test_it_tells_right_from_wrong(schema: Any, text: str, expected: bool) -> None:
    """Keys, kinds and limits, of sgevents and of the plugins that declare a model."""
    assert is_valid(schema, f"{SITE}\n{text}".replace("feed.", "[feed]\n", 1)) is expected


def test_defaults_are_written_as_the_file_has_them() -> None:
    """Editors fill them in."""
    feed = config_schema({}, {})["properties"]["feed"]["properties"]
    assert feed["backlog_timeout"]["default"] == "5m"
    assert "default" not in feed["idle_interval"], "it is calculated"


def test_without_a_configuration_it_knows_the_keys_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing one does may be to set the editor up."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        sgevents.main(["config", "schema"])
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert "there is no such file" in told.err
    assert set(json.loads(told.out)["properties"]) >= {"site", "feed", "plugins"}


def test_every_key_is_described() -> None:
    """An editor has a text to show for each key, those of a plugin's table included."""
    tables = config_schema({"chat": {"type": "object"}}, {})["properties"]
    groups, lanes, plugins = tables.pop("groups"), tables.pop("lanes"), tables.pop("plugins")
    named = [
        groups["items"],
        tables.pop("alerts")["items"],
        lanes["additionalProperties"],
        tables.pop("hosts")["additionalProperties"],
        plugins["additionalProperties"],
    ]
    for table in [*tables.values(), *named, plugins["properties"]["chat"]]:
        assert table["description"]
        for name, key in table["properties"].items():
            assert key["description"].endswith("."), name
