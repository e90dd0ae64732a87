"""The plugin status-rules: what its rules set, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desk import Desk

from sgevents_core.errors import PluginError
from sgevents_core.testing import Harness

Told = Callable[[], list[str]]
Values = dict[str, Any]


def task(desk: Desk, status: str = "wtg", **values: Any) -> Values:
    """Make a task of the desk's shot."""
    return desk.create("Task", content="anim", entity=desk.shot, sg_status_list=status, **values)


def change(desk: Desk, record: Values, **values: Any) -> None:
    """Let Anna change a record."""
    with desk.site.transaction("anna") as work:
        work.update(record["type"], record["id"], values)


def status_when(entity_type: str, status: str) -> Values:
    """Return a condition: the status becomes this."""
    return {"entity_type": entity_type, "attribute": "sg_status_list", "new_value": status}


class TestSetting:
    """What rules set."""

    def test_field_of_the_record_itself(self, desk: Desk, told: Told) -> None:
        """Without an attribute in its condition a rule waits for new records."""
        rule = {"when": {"entity_type": "Version"}, "set": {"description": "to review"}}
        desk.enable("status-rules", rules=[rule])
        version = desk.create("Version", code="v1", entity=desk.shot)
        assert desk.catch_up() == ["rule 1"]
        assert desk.read(version, "description") == "to review"
        assert told() == [f"set description of Version {version['id']}"]

    def test_field_of_a_linked_record(self, desk: Desk) -> None:
        """A shot begins with its first task; another type of record is left alone."""
        rule = {"when": status_when("Task", "ip"), "linked": "entity.Shot"}
        desk.enable("status-rules", rules=[{**rule, "set": {"sg_status_list": "ip"}}])
        asset = desk.create("Asset", code="fox", sg_status_list="wtg")
        other = desk.create("Task", content="model", entity=asset, sg_status_list="wtg")
        change(desk, other, sg_status_list="ip")
        change(desk, task(desk), sg_status_list="ip")
        desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "ip"
        assert desk.read(asset, "sg_status_list") == "wtg"

    def test_fields_of_all_linking_records(self, desk: Desk) -> None:
        """Tasks follow their shot, those alone that are in a status that may be left."""
        rule = {
            "when": status_when("Shot", "omt"),
            "linking": "Task.entity",
            "currently": {"sg_status_list": ["wtg", "rdy"]},
            "set": {"sg_status_list": "omt"},
        }
        desk.enable("status-rules", rules=[rule])
        tasks = [task(desk, status) for status in ("wtg", "rdy", "fin")]
        change(desk, desk.shot, sg_status_list="omt")
        desk.catch_up()
        assert [desk.read(one, "sg_status_list") for one in tasks] == ["omt", "omt", "fin"]

    def test_field_is_emptied(self, desk: Desk) -> None:
        """TOML has no word for nothing, so fields to empty are listed."""
        rule = {"when": status_when("Task", "omt"), "clear": ["due_date"]}
        desk.enable("status-rules", rules=[rule])
        made = task(desk, due_date="2026-05-01")
        change(desk, made, sg_status_list="omt")
        desk.catch_up()
        assert desk.read(made, "due_date") is None

    def test_what_is_set_already_is_not_written(self, desk: Desk) -> None:
        """So a rule that causes its own event comes to rest, and a second call does nothing."""
        rule = {"when": status_when("Task", "ip"), "set": {"sg_status_list": "ip"}}
        desk.enable("status-rules", rules=[rule])
        change(desk, task(desk), sg_status_list="ip")
        result = desk.harness.catch_up().raise_errors()
        assert result.called == ["rule 1"]
        assert not result.writes

    def test_record_that_is_gone_is_left_alone(self, desk: Desk) -> None:
        """It may be deleted before its event is handled."""
        rule = {"when": status_when("Task", "ip"), "linked": "entity.Shot"}
        desk.enable("status-rules", rules=[{**rule, "set": {"sg_status_list": "ip"}}])
        made = task(desk)
        change(desk, made, sg_status_list="ip")
        desk.site.delete("Task", made["id"])
        result = desk.harness.catch_up().raise_errors()
        assert result.called == ["rule 1"]
        assert not result.writes

    def test_dry_run_shows_what_would_be_set(self, desk: Desk) -> None:
        """And the site keeps what it has."""
        rule = {"when": status_when("Shot", "ip"), "set": {"sg_status_list": "fin"}}
        with Harness(
            "status-rules", settings={"rules": [rule]}, site=desk.site, dry_run=True
        ) as run:
            change(desk, desk.shot, sg_status_list="ip")
            (write,) = run.catch_up().raise_errors().writes
        assert write == ("update", "Shot", desk.shot["id"], {"sg_status_list": "fin"})
        assert desk.read(desk.shot, "sg_status_list") == "ip"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"when": {"entity_type": "Shott"}, "set": {"code": "a"}}, "no type Shott; did you mean"),
        (
            {"when": {"entity_type": "Shot"}, "set": {"sg_status_lst": "ip"}},
            "Shot has no field sg_status_lst; did you mean sg_status_list?",
        ),
        (
            {"when": {"entity_type": "Shot"}, "set": {"sg_status_list": "in progress"}},
            "Shot.sg_status_list cannot be in progress",
        ),
        (
            {"when": {"entity_type": "Task"}, "linked": "entty.Shot", "set": {"code": "a"}},
            "Task has no field entty; did you mean entity?",
        ),
        (
            {"when": {"entity_type": "Shot"}, "linking": "Task.entty", "set": {"content": "a"}},
            "Task has no field entty; did you mean entity?",
        ),
        (
            {"when": {"entity_type": "Shot"}, "set": {"id": 3}},
            "Shot.id cannot be changed",
        ),
    ],
)
def test_rule_that_the_site_cannot_follow_is_refused(
    desk: Desk, rule: Values, complaint: str
) -> None:
    """Before the first event, with what was probably meant."""
    desk.enable("status-rules", rules=[rule])
    result = desk.harness.run()
    (call,) = [call for call in result.hooks if call.hook == "startup"]
    assert complaint in str(call.error)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"when": {"entity_type": "Shot"}}, "has to `set` or `clear`"),
        (
            {
                "when": {"entity_type": "Shot"},
                "set": {"code": "a"},
                "linked": "project.Project",
                "linking": "Task.entity",
            },
            "not both",
        ),
        (
            {"when": {"entity_type": "Shot"}, "set": {"code": "a"}, "linked": "project"},
            "has to be written as field.Type",
        ),
    ],
)
def test_rule_that_says_nothing_or_two_things_is_refused(
    desk: Desk, rule: Values, complaint: str
) -> None:
    """Without a site, when the configuration is checked."""
    desk.enable("status-rules", rules=[rule])
    with pytest.raises(PluginError, match=complaint):
        desk.harness.start()


def follow(status: str, written: str, **more: Any) -> Values:
    """Return a rule: where a shot's status becomes one thing, set it to another."""
    return {"when": status_when("Shot", status), "set": {"sg_status_list": written}, **more}


class TestCircles:
    """Rules that would set each other off for ever."""

    def test_are_refused(self, desk: Desk) -> None:
        """However many rules lie between."""
        rules = [follow("wtg", "rdy"), follow("rdy", "ip"), follow("ip", "wtg")]
        desk.enable("status-rules", rules=rules)
        with pytest.raises(PluginError, match=r"rules 1 and 2 would set Shot\.sg_status_list"):
            desk.harness.start()

    def test_rules_that_come_to_rest_are_not(self, desk: Desk) -> None:
        """Tasks follow their shot and the shot its tasks: both write the same."""
        rules = [
            {"when": status_when("Shot", "fin"), "linking": "Task.entity"},
            {"when": status_when("Task", "fin"), "linked": "entity.Shot"},
        ]
        rules = [{**rule, "set": {"sg_status_list": "fin"}} for rule in rules]
        desk.enable("status-rules", rules=rules)
        change(desk, task(desk), sg_status_list="fin")
        for _ in range(3):
            desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "fin"
        assert desk.catch_up() == []

    def test_rule_limited_to_current_values_breaks_one(self, desk: Desk) -> None:
        """The second leaves alone what the first has set."""
        limited = follow("rdy", "wtg", currently={"sg_status_list": ["hld"]})
        desk.enable("status-rules", rules=[follow("wtg", "rdy"), limited])
        change(desk, desk.shot, sg_status_list="ip")
        change(desk, desk.shot, sg_status_list="wtg")
        for _ in range(4):
            desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "rdy"
