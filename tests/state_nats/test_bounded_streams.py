"""Streams, copy and memory of a state that runs for long: they hold what is kept, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from long_running_streams import run_long
from nats_server import NatsServer

from sgevents_core.state.nats import snapshot_keeping


def test_streams_and_copy_stay_as_large_as_what_is_kept(
    tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old events, steps and snapshots go; a state that has taken much more is no larger.

    The journal is cut also while the lanes write little.
    """
    monkeypatch.setattr(snapshot_keeping, "LEAST_GROWTH", 10**9)
    monkeypatch.setattr(snapshot_keeping, "_LEAST_JOURNAL_GROWTH", 300_000)
    footprints = list(run_long(tmp_path, nats_server.port, 9_000))
    first, second = footprints[3:6], footprints[-3:]
    assert max(one.stream_bytes for one in second) <= 1.3 * max(one.stream_bytes for one in first)
    assert max(one.copy_bytes for one in second) <= 1.3 * max(one.copy_bytes for one in first)
