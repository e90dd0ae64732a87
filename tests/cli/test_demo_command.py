"""The demo, run as a person runs it."""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console
from waiting import PATIENCE

from sgevents_core.cli._demo_daemon import DemoDaemon
from sgevents_core.cli._demo_day import Day
from sgevents_core.cli._demo_promises import Promise, judge_promises
from sgevents_core.cli._demo_screen import Screen, ScreenLine
from sgevents_core.cli._demo_studio import Studio
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.event_log import EventRow

DEMO = [sys.executable, "-m", "sgevents_core", "demo", "--fast"]


def commands() -> Iterator[bytes]:
    """Yield the command lines of all processes."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield file.read_bytes()


def row(event_id: int, kind: str = "Shotgun_Task_Change", **fields: object) -> EventRow:
    """A row of the event log."""
    values = {"attribute_name": "sg_status_list", "created_at": "2026-01-31T12:00:00Z", **fields}
    return EventRow(id=event_id, event_type=kind, **values)  # type: ignore[arg-type]  # of object


def test_demo_in_a_pipe_holds_every_promise() -> None:
    """It ends with exit code 0, plain text, and six promises held, and costs a few seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(DEMO, capture_output=True, text=True, timeout=PATIENCE, encoding="utf-8")
    assert run.returncode == 0, run.stdout + run.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15
    assert "\x1b" not in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80
    assert sum(line.rstrip().endswith(" yes") for line in run.stdout.splitlines()) == 6
    assert run.stdout.rstrip().endswith("Every promise held.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_with_keep_ends_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """With --keep, it prints next steps, keeps running, and leaves neither daemon nor folder."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*DEMO, "--keep"], stdout=subprocess.PIPE, text=True, env=environment, encoding="utf-8"
    ) as run:
        assert run.stdout is not None
        said = ""
        for line in run.stdout:
            said += line
            if "Read the configuration" in line:
                break
        assert run.poll() is None
        (folder,) = tmp_path.glob("sgevents-demo-*")
        run.send_signal(number)
        said += run.stdout.read()
        assert run.wait(PATIENCE) == 0
    assert "http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert not folder.exists()
    assert not any(str(folder).encode() in command for command in commands())


class TestScreen:
    """What is printed."""

    @pytest.fixture
    def printed(self) -> io.StringIO:
        """What the screen writes to."""
        return io.StringIO()

    @pytest.fixture
    def screen(self, printed: io.StringIO) -> Screen:
        """A screen of a narrow pipe."""
        return Screen(Console(file=printed, width=80))

    def test_line_shows_the_order_of_calls(self, screen: Screen, printed: io.StringIO) -> None:
        """An event's line has its id, what happened, and a number for each plugin called."""
        screen.print_event(
            ScreenLine(
                row(12), call_positions={"shot-status": 1, "event-log": 2}, seconds_after=0.25
            )
        )
        screen.print_pending_line()
        assert printed.getvalue().split() == [
            *("12", "Task", "status", "1", "·", "·", "·", "2", "0.25", "s")
        ]

    def test_plugin_that_raised_is_marked(self, screen: Screen, printed: io.StringIO) -> None:
        """A plugin that raised has a cross beside its number."""
        screen.print_event(
            ScreenLine(row(12), call_positions={"shot-status": 1}, failed_plugins={"shot-status"})
        )
        screen.print_pending_line()
        assert " 1✗ " in printed.getvalue()

    def test_events_that_look_the_same_share_a_line(
        self, screen: Screen, printed: io.StringIO
    ) -> None:
        """Consecutive events that look the same are one line with their count."""
        for event_id in (12, 13, 14):
            screen.print_event(ScreenLine(row(event_id), call_positions={"event-log": 1}))
        screen.print_event(ScreenLine(row(15), call_positions={"event-log": 1}, is_late=True))
        screen.print_pending_line()
        first, second = printed.getvalue().splitlines()
        assert first.startswith("12+2 ")
        assert second.startswith("15 ")
        assert "late: Task status" in second

    def test_broken_promise_is_printed(self, screen: Screen, printed: io.StringIO) -> None:
        """A promise that did not hold is marked NO, and the conclusion counts it."""
        screen.print_promises(
            [Promise("A", "seen", is_held=True), Promise("B", "not seen", is_held=False)]
        )
        assert printed.getvalue().count(" NO") == 1
        assert printed.getvalue().rstrip().endswith("1 of them did not hold.")

    def test_colours_on_a_terminal_change_no_width(self, printed: io.StringIO) -> None:
        """A terminal of 80 columns gets colours, and no line that is wider."""
        console = Console(file=printed, force_terminal=True, width=80, color_system="standard")
        with Screen(console) as screen:
            screen.print_columns()
            screen.print_scene("09:00", "A title", "And " * 40)
            screen.print_event(
                ScreenLine(row(1234567, "Shotgun_CustomEntity06_Change"), is_late=True)
            )
        text = printed.getvalue()
        assert "\x1b[1m" in text
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split("\n")
        assert max(len(line.rpartition("\r")[2]) for line in lines) <= 80

    def test_console_without_utf8_gets_ascii(self) -> None:
        """If the output accepts only ASCII, no other character is printed."""
        raw = io.BytesIO()
        console = Console(file=io.TextIOWrapper(raw, "ascii"), width=80)
        screen = Screen(console)
        screen.print_title("A title", "About it.")
        screen.print_columns()
        screen.print_event(
            ScreenLine(row(12), call_positions={"shot-status": 1}, failed_plugins={"shot-status"})
        )
        screen.print_promises([Promise("A", "seen", is_held=True)])
        console.file.flush()
        assert b"1x" in raw.getvalue()


def test_daemon_that_does_not_start_ends_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the daemon ends by itself, the day ends at once, and its last output is kept."""
    monkeypatch.setattr("sgevents_core.cli._demo_day.CALL_PATIENCE", float("inf"))
    with Sandbox(project=False) as site:
        daemon = DemoDaemon(tmp_path / "missing.toml", tmp_path)
        day = Day(Studio(site), daemon, Screen(Console(file=io.StringIO())), scene_pause=0.0)
        day.play_scenes()
        assert daemon.stop() == 2
    assert any("missing.toml" in text for text in daemon.complaints)
    assert "Nothing is lost" in [
        one.name for one in judge_promises(day.evidence()) if not one.is_held
    ]
