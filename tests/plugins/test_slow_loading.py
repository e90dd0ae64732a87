"""A step of loading that everybody waits for has a name while it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from waiting import wait_until

from sgevents_core.crashes import loading_watch
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.plugins.load_watching import LoadingTurn


def test_slow_step_is_warned_of_once_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon has not started yet, and its log would be empty for a minute otherwise."""
    monkeypatch.setattr(loading_watch, "SLOW_AFTER", 0.01)
    turn = LoadingTurn(plugin="notes", fingerprint="", time_limit=60.0)
    with InterruptingWatch(EvidenceRecorder(Path(os.devnull))) as watch:
        watch.run_step(turn, "importing notes", lambda: wait_until(lambda: caplog.records))
    (record,) = (
        log_record
        for log_record in caplog.records
        if log_record.__dict__["action"] == "plugin.loads_slowly"
    )
    assert record.__dict__["plugin"] == "notes"
    assert "Plugin notes: importing notes takes more than" in record.getMessage()
    assert "after 1m it is given up (load_timeout in [plugins.notes])" in record.getMessage()
