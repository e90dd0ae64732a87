"""What a process leaves behind when it ends by its own doing, and what counts as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from sgevents_core.calling.own_thread import LATE_LANE
from sgevents_core.crashes.evidence import (
    EVIDENCE_FILE,
    DeathEvidence,
    EvidenceRecorder,
    parse_evidence,
    read_death_evidence,
)
from sgevents_core.crashes.out_of_memory import OomKills, count_oom_kills, ran_out_of_memory

NO_KILLS = OomKills()
LANE = '@{"thread":4711,"lane":"default"}\n'
MAIN = '@{"thread":1,"lane":"\\u0000main"}\n'
CRASH = """Fatal Python error: Segmentation fault

Thread 0x0000000000000999 (most recent call first):
  File "/other.py", line 1 in other

Current thread 0x{thread:016x} (most recent call first):
  File "/plugin.py", line 12 in on_event
  File "/lane.py", line 3 in run

Extension modules: one (total: 1)
"""


def test_nothing_said_is_no_evidence() -> None:
    """A kill from outside leaves the file as it was at the start."""
    assert parse_evidence(MAIN + LANE, NO_KILLS) is None
    assert parse_evidence("", NO_KILLS) is None


def test_crash_is_blamed_on_the_thread_that_crashed() -> None:
    """Its traceback is kept, the other threads' are not."""
    words = parse_evidence(MAIN + LANE + CRASH.format(thread=4711), NO_KILLS)
    assert words is not None
    assert (words.cause_text, words.lane_name) == (
        "Fatal Python error: Segmentation fault",
        "default",
    )
    assert "/plugin.py" in words.traceback_text
    assert "/other.py" not in words.traceback_text
    assert words.may_blame_lane("default")
    assert not words.may_blame_lane("slow")
    assert words.rules_out_lane("slow")


def test_late_call_ends_the_process_at_nobodys_cost() -> None:
    """Its lane was in another call; once the thread has returned, it is the lane's again."""
    worker = '@{"thread":4712,"lane":"default"}\n'
    late = '@{"thread":4712,"lane":"\\u0000late"}\n'
    words = parse_evidence(MAIN + LANE + worker + late + CRASH.format(thread=4712), NO_KILLS)
    assert words is not None
    assert words.lane_name == LATE_LANE
    assert not words.may_blame_lane("default")
    assert words.rules_out_lane("default")
    back = parse_evidence(
        MAIN + LANE + worker + late + worker + CRASH.format(thread=4712), NO_KILLS
    )
    assert back is not None
    assert back.may_blame_lane("default")


def test_crash_of_an_unknown_thread_may_be_anyones() -> None:
    """A thread that a plugin started crashed: any call in hand may be meant."""
    words = parse_evidence(MAIN + LANE + CRASH.format(thread=5), NO_KILLS)
    assert words is not None
    assert words.may_blame_lane("default")
    assert not words.rules_out_lane("default")


def test_signal_to_the_main_thread_blames_no_lane() -> None:
    """A signal that somebody sends from outside is the main thread's."""
    words = parse_evidence(MAIN + LANE + CRASH.format(thread=1), NO_KILLS)
    assert words is not None
    assert not words.may_blame_lane("default")
    assert not words.rules_out_lane("default")


def test_end_that_was_announced_is_evidence() -> None:
    """A thread that said it would end the process, and is not known to have gone on, did."""
    said = '@{"thread":4711,"says":"it called os._exit(3)","traceback":"here"}\n'
    words = parse_evidence(MAIN + LANE + said, NO_KILLS)
    assert words == DeathEvidence("it called os._exit(3)", "here", "default")
    assert parse_evidence(MAIN + LANE + said + '@{"thread":4711}\n', NO_KILLS) is None


def test_line_that_was_cut_off_is_passed_over() -> None:
    """A full disk may have cut the file anywhere."""
    assert parse_evidence(MAIN + LANE + '@{"thread":47', NO_KILLS) is None


def test_memory_that_ran_out_is_evidence_for_any_call() -> None:
    """The system's counter is higher than at the start."""
    start = '@{"thread":1,"lane":"\\u0000main","memory":{"host":3}}\n'
    assert parse_evidence(start + LANE, OomKills(machine_kills=3)) is None
    words = parse_evidence(start + LANE, OomKills(machine_kills=4))
    assert words is not None
    assert "memory" in words.cause_text
    assert words.may_blame_lane("default")
    assert words.may_blame_lane("slow")


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (OomKills(), OomKills(), False),
        (OomKills(machine_kills=1), OomKills(machine_kills=2), True),
        (OomKills(machine_kills=1), OomKills(), False),
        (
            OomKills(machine_kills=1, group_kills=0, group_inode=9),
            OomKills(machine_kills=2, group_kills=0, group_inode=9),
            False,
        ),
        (
            OomKills(machine_kills=1, group_kills=0, group_inode=9),
            OomKills(machine_kills=2, group_kills=1, group_inode=9),
            True,
        ),
        (
            OomKills(machine_kills=1, group_kills=5, group_inode=9),
            OomKills(machine_kills=1, group_kills=0, group_inode=8),
            False,
        ),
        (
            OomKills(machine_kills=1, group_kills=0, group_inode=9),
            OomKills(machine_kills=2, group_kills=0, group_inode=8),
            True,
        ),
    ],
)
def test_own_control_group_is_believed_before_the_machine(
    before: OomKills, now: OomKills, expected: bool
) -> None:
    """Others on the machine may run out of memory; a group made anew counts from nothing."""
    assert ran_out_of_memory(before, now) is expected


def test_counters_can_be_read_here() -> None:
    """Linux tells at least the machine's own counter."""
    found = count_oom_kills()
    assert found.machine_kills is None or found.machine_kills >= 0


def test_what_ends_a_process_is_put_back(tmp_path: Path) -> None:
    """While it listens, the functions are wrapped; afterwards they are the old ones."""
    before = (os._exit, os.kill, signal.raise_signal)
    with closing(EvidenceRecorder(tmp_path)) as listener:
        assert os._exit is not before[0]
        listener.start_recording()
        assert read_death_evidence(tmp_path) is None
    assert (os._exit, os.kill, signal.raise_signal) == before
    assert not (tmp_path / EVIDENCE_FILE).exists()


def test_signal_that_does_not_end_the_process_is_no_evidence(tmp_path: Path) -> None:
    """A plugin may signal its own process, and go on."""
    got: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    try:
        with closing(EvidenceRecorder(tmp_path)) as listener:
            listener.start_recording()
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), 0)
            assert got == [signal.SIGUSR1]
            assert read_death_evidence(tmp_path) is None
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_exec_that_fails_is_no_evidence(tmp_path: Path) -> None:
    """The process goes on, so a kill from outside later is nobody's doing."""
    with closing(EvidenceRecorder(tmp_path)) as listener:
        listener.start_recording()
        with pytest.raises(OSError, match="No such file"):
            os.execl(tmp_path / "no-such-program", "p")
        with pytest.raises(OSError, match="No such file"):
            os.execve(tmp_path / "no-such-program", ["p"], {})
        assert read_death_evidence(tmp_path) is None


def test_arguments_of_a_program_are_not_kept(tmp_path: Path) -> None:
    """Neither its arguments nor its environment: keys stand in both."""
    words = ["argument", "variable"]
    arguments, environment = ["p", f"demo-{words[0]}"], {"KEY": f"demo-{words[1]}"}
    with closing(EvidenceRecorder(tmp_path)) as listener:
        listener.start_recording()
        with pytest.raises(OSError, match="No such file"):
            os.execve("/no-such-program", arguments, environment)
        text = (tmp_path / EVIDENCE_FILE).read_text("utf-8")
    assert "os.execve(..., ..., ...)" in text
    assert arguments[1] not in text
    assert environment["KEY"] not in text


def test_lanes_are_known_by_their_threads(tmp_path: Path) -> None:
    """Words of a lane's thread are that lane's."""

    def talk() -> None:
        signal.raise_signal(signal.SIGCONT)
        text = (tmp_path / EVIDENCE_FILE).read_text()
        found.append(parse_evidence("".join(text.splitlines(keepends=True)[:-1]), NO_KILLS))

    found: list[DeathEvidence | None] = []
    with closing(EvidenceRecorder(tmp_path)) as listener:
        listener.start_recording()
        thread = threading.Thread(target=listener.run_lane, args=("slow", talk))
        thread.start()
        thread.join()
    (words,) = found
    assert words is not None
    assert words.lane_name == "slow"
    assert "signal.raise_signal" in words.cause_text
    assert "talk" in words.traceback_text


CHILD = """
import os, sys
from pathlib import Path
from sgevents_core.crashes.evidence import EvidenceRecorder
listener = EvidenceRecorder(Path(sys.argv[1]))
listener.start_recording()
child = os.fork()
if not child:
    if sys.argv[2] == "exit":
        os._exit(0)
    import ctypes
    ctypes.string_at(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("end", ["exit", "crash"])
def test_end_of_a_child_is_not_the_daemon_s(tmp_path: Path, end: str) -> None:
    """What a plugin forks may end as it likes, crash included."""
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), end], check=True)
    assert (tmp_path / EVIDENCE_FILE).exists()
    assert read_death_evidence(tmp_path) is None


def test_file_of_somebody_else_is_no_obstacle(tmp_path: Path) -> None:
    """One left by another user, who ran the daemon once, is replaced."""
    (tmp_path / EVIDENCE_FILE).write_text("old words")
    (tmp_path / EVIDENCE_FILE).chmod(0o400)
    with closing(EvidenceRecorder(tmp_path)) as listener:
        listener.start_recording()
        assert "old words" not in (tmp_path / EVIDENCE_FILE).read_text()
