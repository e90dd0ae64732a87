"""`sgevents tail --follow` as a process: it shows what comes, and ends with Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest
from journal_rows import event_row, grow
from lane_house import House
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.cli.tail import _journal_events
from sgevents_core.dispatch.plan import Plan
from sgevents_core.events import Event
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Writer]:
    """A state beside a configuration."""
    (tmp_path / "state").mkdir()
    with Sandbox(project=False) as site, closing(open_state(tmp_path / "state").writer()) as opened:
        RunningDaemon(tmp_path, site).write_config()
        yield opened


def test_follows_until_ctrl_c(tmp_path: Path, state: Writer) -> None:
    """Events that come are shown, late ones marked; Ctrl-C is no error."""
    grow(state, [event_row(n, "Studio_Before") for n in (1, 3)])
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "SGEVENTS_TEST_KEY": "demo-key", "PYTHONPATH": path}
    command = [sys.executable, "-m", "sgevents_core", "tail", "--follow", "-n", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=_collect, args=(process.stdout, lines))
        reader.start()
        wait_until(lambda: len(lines) == 1, what="the last event is shown")
        grow(state, [event_row(2, "Studio_Late")], late=[2])
        wait_until(lambda: len(lines) == 2, what="what came is shown")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        reader.join()
    assert "3 Studio_Before  -> nobody" in lines[0]
    assert "2 Studio_Late late  -> nobody" in lines[1]


def _collect(stream: IO[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line)


def test_event_waits_a_moment_for_who_is_called(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown when all is over with it; where that takes long, it is shown all the same."""

    def takes_a_while(event: Event, ctx: Any) -> None:
        time.sleep(0.2)

    house.plugin("alpha", takes_a_while)
    house.run()
    plan = Plan(house.loaded().callbacks)
    shown = _journal_events(house.folder, plan, 10, follow=True)
    with house.running():
        house.events(1)
        assert next(shown).outcomes["alpha"].what == "handled"
    monkeypatch.setattr("sgevents_core.cli.tail._SETTLE_TIME", 0.2)
    house.events(2)
    assert next(shown).outcomes["alpha"].what == "not yet"


def test_more_than_a_page(tmp_path: Path, state: Writer) -> None:
    """As many as are asked for, in order."""
    grow(state, [event_row(n) for n in range(1, 1201)])
    shown = list(_journal_events(tmp_path / "state", Plan([]), 1100, follow=False))
    assert [one.entry.event_id for one in shown] == list(range(101, 1201))
