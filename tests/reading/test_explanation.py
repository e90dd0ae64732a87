"""What happened to one event, and how it arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from commanding import installed_here
from journal_rows import AT, event_row
from running_daemon import RunningDaemon
from state_values import failure

from sgevents_core.reading.explanation import Explanation, explain_event
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import load_settings
from sgevents_core.state.entries import IN_TURN, LATE, LATE_BY_AUDIT, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.steps import Step

ALPHA = "from sgevents_core import hookimpl\n@hookimpl\ndef on_change(event): ..."
ROWS = [
    TakenRow(event_row(1), IN_TURN),
    TakenRow(event_row(9, at=AT + 100), IN_TURN),
    TakenRow(event_row(4, at=AT + 40), LATE),
    TakenRow(event_row(3, at=AT + 30), LATE_BY_AUDIT),
]
Explain = Callable[[int], Explanation]


@pytest.fixture
def explain(tmp_path: Path) -> Iterator[Explain]:
    """Explain events of a state with late ones; a plugin that is gone failed on one."""
    (tmp_path / "state").mkdir()
    with Sandbox(project=False) as site, closing(open_state(tmp_path / "state").writer()) as state:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("alpha", ALPHA)
        daemon.install("broken", "def nothing")
        daemon.write_config()
        state.append(0, ROWS, FeedChange(FeedState(frontier=9)))
        records = [PluginRecord("alpha", "default"), PluginRecord("gone", "default")]
        fence = state.take_lane("default")
        failed = replace(failure("alpha", seq=3, event_id=4), callback="alpha:on_change")
        state.record("default", fence, Step(plugins=records, failure=failed, dead=True))
        with installed_here(daemon):
            settings = load_settings(daemon.config, secrets_required=False)
            yield lambda event_id: explain_event(settings, event_id)


def arrival(explanation: Explanation) -> tuple[str, float | None]:
    """How an event came, and how late."""
    assert explanation.arrival is not None
    return explanation.arrival.how, explanation.arrival.late_by


def test_arrival(explain: Explain) -> None:
    """In turn, late by as much as the newest event before it shows, and by which search."""
    assert arrival(explain(1)) == ("in turn", None)
    assert arrival(explain(4)) == ("late", 60.0)
    assert arrival(explain(3)) == ("late, found by an audit", 70.0)
    text = explain(3).arrival
    assert text is not None
    assert text.text == (
        "it came late: an audit found it, at least 70 seconds after it was created"
        " (event 9 came before it)"
    )


def test_callbacks_and_plugins_that_are_not_loaded(explain: Explain) -> None:
    """Each wanting callback with its outcome and the number of its letter; others by name."""
    explanation = explain(4)
    assert (explanation.found, explanation.seq, explanation.era) == ("journal", 3, 1)
    (callback,) = explanation.callbacks
    assert callback.outcome is not None
    assert (callback.outcome.what, callback.outcome.letter_number) == ("dead letter", 1)
    left_out = {one.plugin: one.why for one in explanation.left_out}
    assert left_out["gone"] == "it is no longer installed"
    assert left_out["broken"].startswith("broken: ")


def test_event_that_is_nowhere(explain: Explain) -> None:
    """Why it is not there, and that the site does not have it either."""
    explanation = explain(5)
    assert (explanation.found, explanation.row, explanation.arrival) == (None, None, None)
    assert "the site" in explanation.missing
