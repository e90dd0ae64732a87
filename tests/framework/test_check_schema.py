"""`sgevents check --schema`: filters that want what the site does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from installed_packages import Packages

from sgevents_core.cli.check_schema import mismatches
from sgevents_core.cli.findings import Finding
from sgevents_core.cli.root import sgevents
from sgevents_core.filters import made_match
from sgevents_core.plugins.callback import Callback
from sgevents_core.sandbox import Sandbox


def field(data_type: str, **properties: list[str]) -> dict[str, Any]:
    """Return a field as `schema_read` tells of it."""
    told = {name: {"editable": True, "value": values} for name, values in properties.items()}
    return {"data_type": {"editable": False, "value": data_type}, "properties": told}


SCHEMA = {
    "Task": {
        "sg_status_list": field("status_list", valid_values=["wtg", "ip", "fin"]),
        "entity": field("entity", valid_types=["Shot", "Asset"]),
        "content": field("text"),
    },
    "Shot": {
        "sg_status_list": field("status_list", valid_values=["wtg", "omt"]),
        "tasks": field("multi_entity", valid_types=["Task"]),
    },
    "Asset": {
        "sg_asset_type": field("list", valid_values=["Prop"]),
        "sg_free": field("list", valid_values=[]),
        "tags": field("tag_list", valid_values=["old"]),
    },
}


def found(**conditions: Any) -> list[Finding]:
    """Return what a filter wants and the site does not have."""
    match = made_match(**conditions)
    callback = Callback("p", "p:on_change", "on_change", match, lambda event, ctx: None)
    return list(mismatches(callback, SCHEMA))


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"entity_type": "Task", "attribute": "sg_status_list", "new_value": ["fin", None]},
        {"entity_type": ["Task", "Shot"], "attribute": "tasks"},
        {"entity_type": "Ta*", "attribute": "sg_*"},
        {"event_type": "Shotgun_Task_Change", "attribute": "content", "new_value": "anything"},
        {"event_type": "Shotgun_*_Change", "attribute": "sg_asset_type"},
        {"event_type": ["Shotgun_*", "Studio_Done"], "attribute": "content"},
        {"event_type": "Shotgun_Reading_Change"},
        {"event_type": "CRS_PlaylistShare_Create"},
        {"attribute": "sg_status_list", "new_value": "omt"},
        {"entity_type": "Task", "attribute": "entity", "new_value": {"type": "Shot", "id": 1}},
        {"attribute": ["content", "sg_status_list"], "new_value": "of a text"},
        {"entity_type": "Asset", "attribute": ["sg_asset_type", "sg_*"], "new_value": "Hero"},
        {"entity_type": "Asset", "attribute": "sg_free", "new_value": "any"},
        {"entity_type": "Asset", "attribute": "tags", "new_value": "new"},
    ],
)
def test_what_the_site_has_is_fine(conditions: dict[str, Any]) -> None:
    """Also by patterns, and where a value may be one of a field without a list."""
    assert found(**conditions) == []


@pytest.mark.parametrize(
    ("conditions", "message", "fix"),
    [
        (
            {"entity_type": "Tasks"},
            "entity_type='Tasks': the site has no such",
            "did you mean Task?",
        ),
        (
            {"entity_type": "Q*"},
            "entity_type='Q*': the site has no",
            "there are: Asset, Shot, Task",
        ),
        ({"event_type": "Shotgun_Shto_New"}, "event_type='Shotgun_Shto_New'", "did you mean Shot?"),
        (
            {"entity_type": "Task", "attribute": "sg_staus_list"},
            "attribute='sg_staus_list': there is no such field of Task",
            "did you mean sg_status_list?",
        ),
        (
            {"event_type": "Shotgun_*", "attribute": "zzz"},
            "no such field of any type",
            "there are:",
        ),
        ({"attribute": "zzz"}, "there is no such field of any type", "there are: content"),
        (
            {"event_type": "Shotgun_Shot_Change", "attribute": "content"},
            "there is no such field of Shot",
            "there are:",
        ),
        (
            {"entity_type": "Task", "attribute": "sg_status_list", "new_value": ["ip", "final"]},
            "new_value: sg_status_list is never 'final'",
            "did you mean fin?",
        ),
        (
            {"entity_type": "Asset", "attribute": "sg_asset_type", "old_value": "Porp"},
            "old_value: sg_asset_type is never 'Porp'",
            "did you mean Prop?",
        ),
        (
            {"entity_type": "Task", "attribute": "entity", "new_value": {"type": "Sho", "id": 1}},
            "new_value: entity is never 'Sho'",
            "did you mean Shot?",
        ),
    ],
)
def test_what_it_does_not_have_is_told_with_what_may_be_meant(
    conditions: dict[str, Any], message: str, fix: str
) -> None:
    """One finding for each, with the plugin and the callback's place."""
    (one,) = found(**conditions)
    assert (one.area, one.status, one.subject) == ("schema", "problem", "p")
    assert one.message.startswith("(no source): p:on_change: ")
    assert message in one.message
    assert fix in one.fix


PLUGIN = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(entity_type="Task", attribute="sg_status_list", new_value="ip")
    def on_change(event): ...

    @hookimpl(specname="on_change")
    @match(entity_type="Shot", attribute="sg_status")
    def shots(event): ...
"""


def checked(config: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    """Run the command; return its report and exit code."""
    with pytest.raises(SystemExit) as ended:
        sgevents.main(["check", "--json", "--config", str(config), *options])
    report = json.loads(capsys.readouterr().out)
    found = [one for one in report["findings"] if one["area"] == "schema"]
    return [one["message"] for one in found], ended.value.code


def test_the_command_reads_the_schema_of_the_site(
    packages: Packages, site: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only when it is asked for; what is found makes it exit with 1."""
    packages.install_module("statuses", PLUGIN)
    config = tmp_path / "sgevents.toml"
    config.write_text(
        f'[site]\nurl = "{site.url}"\nscript_name = "{site.script_name}"\n'
        f'api_key = "{site.api_key}"\n[plugins.statuses]\nenabled = true\n'
    )
    assert checked(config, capsys) == ([], 0)
    (message,), code = checked(config, capsys, "--schema")
    assert message == (
        "statuses.py:8: statuses:shots: attribute='sg_status': there is no such field of Shot"
    )
    assert code == 1


def test_filters_that_fit_are_told_and_a_site_that_does_not_answer_too(
    packages: Packages, site: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody shall think that nothing was compared."""
    packages.install_module("statuses", PLUGIN.replace('"sg_status"', '"sg_status_list"'))
    config = tmp_path / "sgevents.toml"
    text = f'[site]\nurl = "{site.url}"\nscript_name = "{site.script_name}"\n'
    config.write_text(f'{text}api_key = "{site.api_key}"\n[plugins.statuses]\nenabled = true\n')
    assert checked(config, capsys, "--schema") == (
        ["the filters of 2 callbacks fit the site's schema"],
        0,
    )
    site.go_down()
    (message,), code = checked(config, capsys, "--schema")
    assert message.startswith("it cannot be read: ")
    assert code == 1
