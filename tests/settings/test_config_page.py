"""The page on the configuration knows every key, with its default, and its samples are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
from msgspec.structs import FieldInfo, fields

from sgevents_core.settings import ListenAddress, parse_duration, read_settings
from sgevents_core.settings.config_file import SECTION_MODELS
from sgevents_core.settings.value_shapes import shape_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"
HEADINGS = {
    "groups": "[[groups]]",
    "alerts": "[[alerts]]",
    "hosts": "[hosts.NAME]",
    "lanes": "[lanes.NAME]",
    "plugins": "[plugins.NAME]",
    "classic.paths": "[[classic.paths]]",
}
CALCULATED = {"feed.idle_interval": "5 times `poll_interval`"}
KEYS = [
    pytest.param(section, key, id=f"{section}.{key.name}")
    for section, model in SECTION_MODELS.items()
    for key in fields(model)
]


def rows_of(section: str) -> dict[str, list[str]]:
    """Return the rows of a section's table on the page: key -> its cells."""
    heading = f"## `{HEADINGS.get(section, f'[{section}]')}`"
    _, heading_found, following_text = PAGE.read_text("utf-8").partition(f"\n{heading}\n")
    assert heading_found, f"the page has no heading {heading}"
    lines = [
        line for line in following_text.partition("\n## ")[0].splitlines() if line.startswith("| `")
    ]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {row[0].strip("`"): row for row in cells}


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_on_the_page_with_its_default(section: str, key: FieldInfo) -> None:
    """The default on the page is the one in the code, and the key has a meaning."""
    row = rows_of(section)[key.encode_name]
    assert len(row) == 4, row
    default = row[2]
    if f"{section}.{key.name}" in CALCULATED:
        assert default == CALCULATED[f"{section}.{key.name}"]
    elif key.required:
        assert default == "needed"
    elif default_of(key) is None:
        assert default == "none"
    else:
        value = tomli.loads(f"key = {default.strip('`')}")["key"]
        assert (parse_duration(value) if row[1] == "duration" else value) == default_of(key)


def test_page_says_what_editors_say() -> None:
    """The meanings on the page are those that the schema gives to editors, links aside."""
    link = re.compile(r"\[([^\]]+)\]\([^)]+\)")
    on_page = {
        section: {key: link.sub(r"\1", row[3]) for key, row in rows_of(section).items()}
        for section in SECTION_MODELS
    }
    assert on_page == {
        section: {key.encode_name: shape_of(key.type).description for key in fields(model)}
        for section, model in SECTION_MODELS.items()
    }


def default_of(key: FieldInfo) -> Any:
    """Return a key's default as TOML would have it."""
    if key.default_factory is not msgspec.NODEFAULT:
        return key.default_factory()
    default = key.default
    if isinstance(default, Path | ListenAddress):
        return str(default)
    if key.name == "note":
        return "call"
    return list(default) if isinstance(default, tuple) else default


@pytest.mark.parametrize("section", SECTION_MODELS)
def test_the_page_has_no_key_that_is_not_there(section: str) -> None:
    """A key that was removed leaves the page too."""
    assert set(rows_of(section)) == {key.encode_name for key in fields(SECTION_MODELS[section])}


def test_the_samples_on_the_page_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they are a configuration that is accepted as it stands."""
    samples = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(samples) == 2
    monkeypatch.setenv("SGEVENTS_API_KEY", "demo-key")
    settings = read_settings("\n".join(samples), Path("sgevents.toml"))
    assert settings.site.api_key.reveal() == "demo-key"
    assert set(settings.plugins) == {"log_events", "notify"}
