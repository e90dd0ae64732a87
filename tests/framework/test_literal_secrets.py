"""A secret written literally into the settings of a plugin is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from drained import drain
from installed_packages import Packages

from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import load
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Settings, load_settings

LITERAL = "literal-demo-text"

DATACLASS = """
    import dataclasses
    from sgevents_core import Secret

    @dataclasses.dataclass
    class Room:
        key: Secret | None = None

    @dataclasses.dataclass
    class Chat:
        token: Secret | None = None
        keys: dict[str, Secret] = dataclasses.field(default_factory=dict)
        rooms: list[Room] = dataclasses.field(default_factory=list)
"""
STRUCT = """
    import msgspec
    from sgevents_core import Secret

    class Room(msgspec.Struct):
        key: Secret | None = None

    class Chat(msgspec.Struct):
        token: Secret | None = None
        keys: dict[str, Secret] = {}
        rooms: list[Room] = []
"""
PYDANTIC = """
    from pydantic import BaseModel, ConfigDict, SecretStr

    class Room(BaseModel):
        key: SecretStr | None = None

    class Chat(BaseModel):
        token: SecretStr | None = None
        keys: dict[str, SecretStr] = {}
        rooms: list[Room] = []
"""
MIXED = """
    from pydantic import AliasChoices, BaseModel, ConfigDict, Field
    from sgevents_core import Secret

    class Room(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        key: Secret | None = Field(default=None)

    class Chat(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        token: Secret | None = Field(default=None, validation_alias=AliasChoices("token", "tok"))
        keys: dict[str, Secret] = {}
        rooms: list[Room] = []
"""
PLUGIN = """

    from sgevents_core import hookimpl

    @hookimpl
    def settings_model():
        return Chat

    @hookimpl
    def on_event(event, ctx):
        token = ctx.settings.token
        text = token.reveal() if hasattr(token, "reveal") else token.get_secret_value()
        ctx.logger.warning("the token is %s", text)
        ctx.store["seen"] = event.id
        raise ValueError(text)
"""
TABLES = [
    f'token = "{LITERAL}"',
    f'keys = {{ farm = "{LITERAL}" }}',
    f'rooms = [{{ key = "{LITERAL}" }}]',
]


def configured(folder: Path, table: str) -> Settings:
    """Return the settings of a configuration with one plugin and its table."""
    file = folder / "sgevents.toml"
    file.write_text(
        '[site]\nurl = "http://127.0.0.1:1"\nscript_name = "s"\napi_key = "demo-key"\n'
        f"[plugins.chat]\nenabled = true\n[plugins.chat.settings]\n{table}\n",
        encoding="utf-8",
    )
    return load_settings(file)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("model", [DATACLASS, STRUCT, PYDANTIC, MIXED])
def test_loaded_model_says_what_is_secret(
    packages: Packages, tmp_path: Path, model: str, table: str
) -> None:
    """However deep it is, and with whatever kind of model."""
    packages.install_module(
        "chat", model + PLUGIN.replace("\n    @hookimpl\n    def on", "\n    def un")
    )
    settings = configured(tmp_path, table)
    redact = Redactor.of(settings)
    (plugin,) = load(settings, discover()).plugins
    assert type(plugin.settings).__name__ == "Chat"
    assert redact(f"it is {LITERAL}") == "it is ***"


def test_alias_of_a_field_is_known(packages: Packages, tmp_path: Path) -> None:
    """A model of pydantic may read a key under another name."""
    packages.install_module("chat", MIXED + PLUGIN)
    settings = configured(tmp_path, f'tok = "{LITERAL}"')
    load(settings, discover())
    assert Redactor.of(settings)(LITERAL) == "***"


def test_model_that_refuses_its_table_shows_nothing(packages: Packages, tmp_path: Path) -> None:
    """The secrets of a table are known before the model complains about it."""
    model = """
    import dataclasses
    from sgevents_core import Secret

    @dataclasses.dataclass
    class Chat:
        token: Secret
        def __post_init__(self):
            raise ValueError(f"{self.token.reveal()} is too short")
    """
    packages.install_module("chat", model + PLUGIN)
    status = load(configured(tmp_path, f'token = "{LITERAL}"'), discover()).statuses[0]
    assert status.status == "broken"
    assert "*** is too short" in status.reason
    assert LITERAL not in repr(status)


@pytest.mark.parametrize("model", [DATACLASS, PYDANTIC])
def test_literal_secret_is_in_no_state_and_no_log(
    packages: Packages,
    tmp_path: Path,
    site: Sandbox,
    model: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither in a failure nor in a dead letter, whatever the plugin puts into its errors."""
    packages.install_module("chat", model + PLUGIN)
    table = "[plugins.chat]\nenabled = true\nmax_attempts = 1\n[plugins.chat.settings]\n"
    site.create("Shot", {"code": "sh010"})
    drain(tmp_path, site, f'{table}token = "{LITERAL}"\n')
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert any(b"ValueError: ***" in path.read_bytes() for path in kept)
    assert not [path for path in kept if LITERAL.encode() in path.read_bytes()]
    ours = [one for one in caplog.records if not one.name.startswith("sgevents.plugin.")]
    assert LITERAL not in "".join(f"{one.getMessage()}{vars(one)}" for one in ours)
