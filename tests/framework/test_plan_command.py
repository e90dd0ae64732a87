"""`sgevents plan`: who is called for a type, in order, through what, and where it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from installed_packages import Packages

from sgevents_core.cli.plan import likely_event_type
from sgevents_core.cli.root import sgevents

CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "demo-key"

[[groups]]
name = "first"
[[groups]]
name = "slow"
lane = "slow"

[plugins.alpha]
enabled = true
[plugins.zulu]
enabled = true
group = "first"
[plugins.mike]
enabled = true
group = "slow"
[plugins.bad]
enabled = true
"""
TEXTS = {
    "alpha": """
        from sgevents_core import hookimpl, match

        @hookimpl
        def on_event(event): ...

        @hookimpl
        @match(entity_type="Task", attribute="sg_*")
        def on_change(event): ...
    """,
    "zulu": """
        from sgevents_core import hookimpl

        class Counter:
            def __call__(self, event): ...

        @hookimpl
        def register_callbacks(registrar):
            registrar.register(Counter(), event_type="Shotgun_*_Change", name="counter")

        @hookimpl
        def on_new(event): ...
    """,
    "mike": "from sgevents_core import hookimpl\n@hookimpl\ndef on_change(event): ...\n",
    "bad": "raise OSError('no luck')",
}


@pytest.fixture
def config(packages: Packages, tmp_path: Path) -> Path:
    """Install four plugins; return a configuration with two lanes that enables them."""
    for name, text in TEXTS.items():
        packages.install_module(name, text)
    file = tmp_path / "sgevents.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run the command; return what it printed, and on the error stream."""
    with pytest.raises(SystemExit) as ended:
        sgevents.main(["plan", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr()


def test_calls_are_listed_in_order_with_numbers(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By lane, and in it by group, name and registration; numbers count within a lane."""
    monkeypatch.setenv("COLUMNS", "200")
    told = run(capsys, "Shotgun_Task_Change", "-c", str(config))
    assert told.out.startswith("Shotgun_Task_Change fires on_change and on_event.\n")
    rows = [line.split() for line in told.out.splitlines()]
    where = ["every", "event"]
    assert ["1", "default", "first", "zulu", "counter", "register_callbacks"] in [
        row[:6] for row in rows
    ]
    assert ["2", "default", "default", "alpha", "alpha:on_event", "on_event", *where] in [
        row[:8] for row in rows
    ]
    third = ["3", "default", "default", "alpha", "alpha:on_change", "on_change"]
    assert [*third, "entity_type=Task", "attribute=sg_*", "alpha.py:7"] in rows
    assert ["1", "slow", "slow", "mike", "mike:on_change", "on_change", *where] in [
        row[:8] for row in rows
    ]
    assert [row[0] for row in rows if row and row[0].isdigit()] == ["1", "2", "3", "1"]
    assert "Lanes run side by side" in told.out
    assert told.err == "bad is broken and not called: importing bad raised OSError: no luck at " + (
        f"{config.parent}/site-packages/bad.py:1.\n"
    )


def test_json_has_the_same_for_programs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object for each call, in the same order."""
    told = json.loads(run(capsys, "Shotgun_Shot_New", "--json", "--config", str(config)).out)
    assert told == {
        "version": 1,
        "event_type": "Shotgun_Shot_New",
        "seen": False,
        "did_you_mean": None,
        "hook": "on_new",
        "calls": [
            {
                "number": 1,
                "lane": "default",
                "executor": "thread",
                "workers": 1,
                "order_by": None,
                "group": "first",
                "plugin": "zulu",
                "callback": "zulu:on_new",
                "hook": "on_new",
                "filter": "every event",
                "where": "zulu.py:11",
            },
            {
                "number": 2,
                "lane": "default",
                "executor": "thread",
                "workers": 1,
                "order_by": None,
                "group": "default",
                "plugin": "alpha",
                "callback": "alpha:on_event",
                "hook": "on_event",
                "filter": "every event",
                "where": "alpha.py:4",
            },
        ],
    }


def test_nobody_called_is_an_answer_too(
    packages: Packages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing went wrong."""
    config = tmp_path / "sgevents.toml"
    config.write_text(CONFIG.partition("[[groups]]")[0])
    assert "No callback is called." in run(capsys, "Studio_Done", "-c", str(config)).out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Shotgun_Task_Chnge", "Shotgun_Task_Change"),
        ("shotgun_Task_change", "Shotgun_Task_Change"),
        ("Shotgn_CustomEntity06_New", "Shotgun_CustomEntity06_New"),
        ("Shotgun_User_Loggin", "Shotgun_User_Login"),
        ("Studio_Publish_Don", "Studio_Publish_Done"),
        ("Shotgun_Task_Change", None),
        ("Studio_Anything", None),
        ("Shotgun_User_Login", None),
        ("", None),
    ],
)
def test_misspelled_type_is_noticed(typed: str, meant: str | None) -> None:
    """By the types there are, and by the form that types of records have."""
    assert likely_event_type(typed, {"Studio_Publish_Done"}) == meant


def test_misspelled_type_is_said_to_be_one(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the plan of what was typed, which may be right all the same."""
    with pytest.raises(SystemExit):
        sgevents.main(["plan", "Shotgun_Task_Chnge", "--config", str(config)])
    told = capsys.readouterr()
    assert "fires on_other" in told.out
    assert "Did you mean Shotgun_Task_Change?" in told.err
    with pytest.raises(SystemExit):
        sgevents.main(["plan", "Shotgun_Task_Change", "--config", str(config)])
    assert "Did you mean" not in capsys.readouterr().err


def test_lane_with_workers_is_described(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """Where calls are made, by how many workers, and which events stay in order."""
    lane = '[lanes.slow]\nworkers = 4\norder_by = "entity"\nexecutor = "process"\n'
    config.write_text(CONFIG + lane, encoding="utf-8")
    shown = run(capsys, "Shotgun_Task_Change", "-c", str(config)).out
    assert "Lane slow: 4 worker processes, the events of one entity in order." in shown
    assert "Lane default" not in shown
    calls = json.loads(run(capsys, "Shotgun_Task_Change", "-c", str(config), "--json").out)["calls"]
    lanes = {one["lane"]: (one["executor"], one["workers"], one["order_by"]) for one in calls}
    assert lanes == {"default": ("thread", 1, None), "slow": ("process", 4, "entity")}
