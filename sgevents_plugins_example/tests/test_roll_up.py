"""The plugin roll-up, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

import pytest
from desk import Desk, set_status, task

from sgevents_core.errors import PluginError
from sgevents_core.sandbox.entity_schema import Field

FIELD = "sg_tasks_done"


@pytest.fixture
def rolled(desk: Desk) -> Desk:
    """A desk whose site has a field for the share, and the plugin."""
    desk.site.add_field("Shot", Field(FIELD, "number", "Tasks done"))
    desk.enable("roll-up")
    return desk


def test_many_changes_are_one_call_and_one_write(rolled: Desk) -> None:
    """All tasks of a project that change together are one batch."""
    tasks = [task(rolled) for _ in range(4)]
    rolled.catch_up()
    for changed in tasks[:3]:
        set_status(rolled, changed, "fin")
    result = rolled.harness.catch_up().raise_errors()
    (call,) = [call for call in result.calls if call.callback == "changes"]
    assert len(call.events) >= 3
    assert [write.data for write in result.writes] == [{FIELD: 75}]
    assert rolled.read(rolled.shot, FIELD) == 75


def test_share_follows_new_moved_and_deleted_tasks(rolled: Desk) -> None:
    """Both shots of a task that moves; a shot without tasks has nothing done."""
    other = rolled.link("Shot", code="BUN_020", project=rolled.project)
    first, second = task(rolled, "fin"), task(rolled)
    rolled.catch_up()
    assert rolled.read(rolled.shot, FIELD) == 50
    with rolled.site.transaction("anna") as work:
        work.update("Task", first["id"], {"entity": other})
    rolled.catch_up()
    assert (rolled.read(rolled.shot, FIELD), rolled.read(other, FIELD)) == (0, 100)
    with rolled.site.transaction("anna") as work:
        work.delete("Task", first["id"])
    rolled.catch_up()
    assert rolled.read(other, FIELD) == 0
    with rolled.site.transaction("anna") as work:
        work.revive("Task", first["id"])
    set_status(rolled, second, "fin")
    rolled.catch_up()
    assert (rolled.read(rolled.shot, FIELD), rolled.read(other, FIELD)) == (100, 100)


def test_nothing_is_written_that_is_there_already(rolled: Desk) -> None:
    """A call that is repeated after a kill finds nothing to do."""
    worked = task(rolled)
    set_status(rolled, worked, "fin")
    rolled.catch_up()
    set_status(rolled, worked, "omt")
    assert not rolled.harness.catch_up().raise_errors().writes


def test_tasks_of_other_records_are_left_alone(rolled: Desk) -> None:
    """A task of an asset, and one of nothing."""
    asset = rolled.create("Asset", code="carrot")
    rolled.create("Task", content="model", entity=asset)
    rolled.create("Task", content="plan")
    assert not rolled.harness.catch_up().raise_errors().writes


def test_settings_that_make_no_sense_are_refused(desk: Desk) -> None:
    """Before the first event: no status that is done, no pause."""
    desk.enable("roll-up", done=[])
    with pytest.raises(PluginError, match="at least one status"):
        desk.harness.start()
