"""The register: a worker's progress in shared memory, good until the machine starts anew."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgevents_core.errors import StateError
from sgevents_core.state import register
from sgevents_core.state.keys import CallKey
from sgevents_core.state.register import APART, LANE, NOTHING, NotedCall, Register

NAMES = [
    CallKey("count", "count:run"),
    CallKey("notify", "notify:on_new"),
    CallKey("notify", "notify:on_change"),
]
KILLS = 150
PATTERN = 0x0101010101
"""A `seq` of five equal bytes: a word written by halves would not be one."""

WRITER = f"""
import os, sys
from pathlib import Path
from sgevents_core.state.keys import CallKey
from sgevents_core.state.register import APART, LANE, Register

names = [CallKey("plugin", f"callback {{n}}") for n in range(128)]
for line in sys.stdin:
    child = os.fork()
    if not child:
        register = Register(Path(sys.argv[1]), names)
        os.write(1, f"{{os.getpid()}}\\n".encode())
        while True:
            for n in range(1, 128):
                register.begun(LANE, n * {PATTERN}, n)
                register.begun(APART, (128 - n) * {PATTERN}, 128 - n)
                register.returned(APART, (128 - n) * {PATTERN}, 128 - n)
                register.returned(LANE, n * {PATTERN}, n)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a register."""
    return register.path_of(tmp_path, "default")


@pytest.fixture
def opened(path: Path) -> Iterator[Register]:
    """A register of the callbacks `NAMES`."""
    made = Register(path, NAMES)
    yield made
    made.close()


def test_words_say_event_callback_and_whether_it_returned(path: Path, opened: Register) -> None:
    """What was noted last is read, for the lane and for the plugin catching up, at any time."""
    assert register.read(path) == NOTHING
    opened.begun(LANE, 7, 1)
    found = register.read(path)
    assert found.lane == NotedCall(7, NAMES[1], (NAMES[0],), returned=False, attempt=1)
    assert found.lane.done == {NAMES[0]}
    assert found.apart is None
    opened.returned(LANE, 7, 1)
    opened.begun(APART, 2**40 - 1, 2, attempt=35)
    found = register.read(path)
    assert found.lane is not None
    assert found.lane.done == {NAMES[0], NAMES[1]}
    assert found.apart == NotedCall(
        2**40 - 1, NAMES[2], (NAMES[0], NAMES[1]), returned=False, attempt=3
    )
    opened.clear(APART)
    assert register.read(path).apart is None
    assert register.read(path).lane == found.lane


def test_killed_writer_leaves_a_value_that_it_wrote(path: Path) -> None:
    """However often a process is killed in the middle of writing, no word is half of one."""
    rng = random.Random(5)
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(KILLS):
            writer.stdin.write(b"another\n")
            writer.stdin.flush()
            victim = int(writer.stdout.readline())
            time.sleep(rng.uniform(0, 0.004))
            os.kill(victim, signal.SIGKILL)
            assert writer.stdout.readline() == b"dead\n"
            found = register.read(path)
            for word in (found.lane, found.apart):
                if word is not None:
                    number, rest = divmod(word.seq, PATTERN)
                    assert rest == 0
                    assert word.key == CallKey("plugin", f"callback {number}")
                    seen.add((number, word.returned))
        writer.stdin.close()
    assert len(seen) > KILLS / 2


def test_register_of_another_boot_is_not_trusted(path: Path, opened: Register) -> None:
    """What a machine wrote before it was started anew may be old or new: it says nothing."""
    opened.begun(LANE, 7, 1)
    content = path.read_bytes()
    boot = register.boot_id().encode()
    assert boot in content
    path.write_bytes(content.replace(boot, b"f" * len(boot)))
    assert register.read(path) == NOTHING


def test_register_that_is_not_there_says_nothing(path: Path, opened: Register) -> None:
    """Before the first start, and after it was forgotten, there is nothing to be read."""
    opened.begun(LANE, 7, 1)
    register.forget(path)
    assert register.read(path) == NOTHING
    register.forget(path)


@given(st.binary(max_size=64) | st.integers(0, 200), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_says_nothing_or_what_is_possible(
    path: Path, damage: bytes | int, data: st.DataObject
) -> None:
    """A file of garbage, cut off or overwritten anywhere, raises nothing and names no unknown."""
    made = Register(path, NAMES)
    made.begun(LANE, 7, 1)
    made.close()
    content = path.read_bytes()
    if isinstance(damage, int):
        damaged = content[:damage]
    else:
        at = data.draw(st.integers(0, len(content)))
        damaged = data.draw(st.sampled_from([damage, content[:at] + damage + content[at:]]))
    path.write_bytes(damaged)
    found = register.read(path)
    for word in (found.lane, found.apart):
        assert word is None or word.key in NAMES
    if len(damaged) < len(content):
        assert found == NOTHING


def test_register_is_made_anew(path: Path, opened: Register) -> None:
    """A new register knows other callbacks and no progress; nobody else may read it."""
    opened.begun(LANE, 7, 1)
    fresh = Register(path, [CallKey("other", "other:run")])
    assert register.read(path) == NOTHING
    fresh.begun(LANE, 8, 0)
    found = register.read(path).lane
    assert found is not None
    assert found.key == CallKey("other", "other:run")
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    fresh.close()


def test_every_lane_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Names of lanes may hold anything; none leads out of the folder or to another's file."""
    names = ["default", "a/b", "a%2Fb", "..", ".", "ä b", "A/B"]
    paths = [register.path_of(tmp_path, name) for name in names]
    assert len(set(paths)) == len(names)
    assert all(path.parent == tmp_path for path in paths)


def test_register_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that is none is an error that names the file."""
    with pytest.raises(StateError, match="default"):
        Register(register.path_of(tmp_path / "no folder", "default"), NAMES)
