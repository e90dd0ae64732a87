"""The record of a plugin changes itself: how it stands, and whether it goes with its lane."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sgevents_core
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress

KEYS = st.sampled_from([CallKey("p", "one"), CallKey("p", "two"), CallKey("q", "one")])
PROGRESS = st.builds(Progress, st.integers(0, 5), st.frozensets(KEYS))
FIELDS = set(PluginRecord.__dataclass_fields__) - {"name", "lane"}


def test_hold_pause_and_resume_leave_nothing_of_each_other() -> None:
    """Each says why and until when; what is resumed has neither reason nor time."""
    record = PluginRecord("p", "main")
    record.hold(99.0, "no route")
    assert (record.state, record.reason, record.retry_at) == ("held", "no route", 99.0)
    record.pause("moving house")
    assert (record.state, record.reason, record.retry_at) == ("paused", "moving house", 0.0)
    record.resume()
    assert record == PluginRecord("p", "main")


def test_hold_without_an_end_waits_for_a_call() -> None:
    """That of a call that hangs; no other hold does."""
    record = PluginRecord("p", "main")
    record.hold(0.0, "p:run hangs")
    assert record.hangs
    record.hold(99.0, "no route")
    assert not record.hangs


@pytest.mark.parametrize(("before", "after"), [("held", "not started"), ("paused", "paused")])
def test_failed_startup_ends_a_hold_and_no_pause(before: str, after: str) -> None:
    """A hold would promise that it is called again; a pause is a person's decision."""
    record = PluginRecord("p", "main")
    if before == "held":
        record.hold(99.0, "no route")
    else:
        record.pause("moving house")
    record.fail_to_start("OSError: no farm")
    assert (record.state, record.retry_at) == (after, 0.0)


def test_resumed_afresh_its_failures_are_counted_from_nothing() -> None:
    """A person who resumes it gives it as many failures in a row as at first."""
    record = PluginRecord("p", "main")
    record.count_failure()
    record.resume()
    assert record.failures == 1
    record.resume_afresh()
    assert record.failures == 0


@given(PROGRESS, PROGRESS)
def test_plugin_that_stops_goes_back_behind_nothing_it_has_done(
    lane: Progress, told: Progress
) -> None:
    """Riding, it stops where it is said to; on its own way, it is never put back."""
    record = PluginRecord("p", "main")
    record.leave_lane(lane)
    assert record.progress == lane.of("p")
    record.stop_at(told.of("p"))
    assert record.progress == lane.of("p").joined(told.of("p"))


@given(PROGRESS, PROGRESS)
def test_plugin_is_level_with_its_lane_between_two_events_alone(
    own: Progress, lane: Progress
) -> None:
    """In the middle of an event neither joins the other."""
    record = PluginRecord("p", "main", own, apart=True)
    level = own.finished == lane.finished and not own.done and not lane.done
    assert record.is_level_with(lane) is level


def test_nobody_else_sets_its_fields() -> None:
    """What a record may become is said in one class; everyone else asks it to change."""
    package = Path(sgevents_core.__file__).parent
    rooms = ("journal", "calling", "dispatch", "crashes", "requests", "reading", "testing", "cli")
    files = [path for room in rooms for path in (package / room).glob("*.py")]
    assert len(files) > 50
    assert [found for path in files for found in _set_outside(path)] == []


def _set_outside(path: Path) -> list[str]:
    """The places of a file that set a field of what they call a record."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if name == "record" and node.attr in FIELDS:
                found.append(f"{path.name}:{node.lineno}: {name}.{node.attr}")
    return found
