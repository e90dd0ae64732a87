"""The register: a lane's progress in shared memory, good until the machine starts anew."""

from __future__ import annotations

import json
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
from sgevents_core.state.register import APART_WORD, EMPTY_SLOT, LANE_WORD, NotedCall, Register
from sgevents_core.state.strands import STRANDS

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
from sgevents_core.state.register import APART_WORD, LANE_WORD, Register

names = [CallKey("plugin", f"callback {{n}}") for n in range(128)]
for line in sys.stdin:
    child = os.fork()
    if not child:
        register = Register(Path(sys.argv[1]), names)
        os.write(1, f"{{os.getpid()}}\\n".encode())
        while True:
            for n in range(1, 128):
                register.slots[0].begun(LANE_WORD, n * {PATTERN}, n)
                register.slots[0].begun(APART_WORD, (128 - n) * {PATTERN}, 128 - n)
                register.slots[0].returned(APART_WORD, (128 - n) * {PATTERN}, 128 - n)
                register.slots[0].returned(LANE_WORD, n * {PATTERN}, n)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a register."""
    return register.lane_register_path(tmp_path, "default")


@pytest.fixture
def opened(path: Path) -> Iterator[Register]:
    """A register of the callbacks `NAMES`."""
    made = Register(path, NAMES)
    yield made
    made.close()


def test_words_say_event_callback_and_whether_it_returned(path: Path, opened: Register) -> None:
    """What was noted last is read, for the lane and for the plugin catching up, at any time."""
    assert register.read_register(path).of() == EMPTY_SLOT
    opened.slots[0].begun(LANE_WORD, 7, 1)
    found = register.read_register(path).of()
    assert found.lane == NotedCall(7, NAMES[1], (NAMES[0],), returned=False, attempt=1)
    assert found.lane.done == {NAMES[0]}
    assert found.apart is None
    opened.slots[0].returned(LANE_WORD, 7, 1)
    opened.slots[0].begun(APART_WORD, 2**40 - 1, 2, attempt_number=35)
    found = register.read_register(path).of()
    assert found.lane is not None
    assert found.lane.done == {NAMES[0], NAMES[1]}
    assert found.apart == NotedCall(
        2**40 - 1, NAMES[2], (NAMES[0], NAMES[1]), returned=False, attempt=3
    )
    opened.slots[0].clear(APART_WORD)
    assert register.read_register(path).of().apart is None
    assert register.read_register(path).of().lane == found.lane


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
            found = register.read_register(path).of()
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
    opened.slots[0].begun(LANE_WORD, 7, 1)
    content = path.read_bytes()
    boot = register.boot_id().encode()
    assert boot in content
    path.write_bytes(content.replace(boot, b"f" * len(boot)))
    assert register.read_register(path).of() == EMPTY_SLOT


def test_register_that_is_not_there_says_nothing(path: Path, opened: Register) -> None:
    """Before the first start, and after it was forgotten, there is nothing to be read."""
    opened.slots[0].begun(LANE_WORD, 7, 1)
    register.remove_register(path)
    assert register.read_register(path).of() == EMPTY_SLOT
    register.remove_register(path)


@given(st.binary(max_size=64) | st.integers(0, 200), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_says_nothing_or_what_is_possible(
    path: Path, damage: bytes | int, data: st.DataObject
) -> None:
    """A file of garbage, cut off or overwritten anywhere, raises nothing and names no unknown."""
    made = Register(path, NAMES)
    made.slots[0].begun(LANE_WORD, 7, 1)
    made.close()
    content = path.read_bytes()
    if isinstance(damage, int):
        damaged = content[:damage]
    else:
        at = data.draw(st.integers(0, len(content)))
        damaged = data.draw(st.sampled_from([damage, content[:at] + damage + content[at:]]))
    path.write_bytes(damaged)
    found = register.read_register(path).of()
    for word in (found.lane, found.apart):
        assert word is None or word.key in NAMES
    if len(damaged) < len(content):
        assert found == EMPTY_SLOT


def test_register_is_made_anew(path: Path, opened: Register) -> None:
    """A new register knows other callbacks and no progress; nobody else may read it."""
    opened.slots[0].begun(LANE_WORD, 7, 1)
    fresh = Register(path, [CallKey("other", "other:run")])
    assert register.read_register(path).of() == EMPTY_SLOT
    fresh.slots[0].begun(LANE_WORD, 8, 0)
    found = register.read_register(path).of().lane
    assert found is not None
    assert found.key == CallKey("other", "other:run")
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    fresh.close()


def test_every_lane_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Names of lanes may hold anything; none leads out of the folder or to another's file."""
    names = ["default", "a/b", "a%2Fb", "..", ".", "ä b", "A/B"]
    paths = [register.lane_register_path(tmp_path, name) for name in names]
    assert len(set(paths)) == len(names)
    assert all(path.parent == tmp_path for path in paths)


def test_register_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that is none is an error that names the file."""
    with pytest.raises(StateError, match="default"):
        Register(register.lane_register_path(tmp_path / "no folder", "default"), NAMES)


def test_each_strand_has_a_slot_of_its_own(path: Path) -> None:
    """What one strand notes changes no other; the register says what divides the lane, and who
    serves a strand.
    """
    made = Register(path, NAMES, "project")
    assert register.read_register(path) == register.NotedLane("project", {})
    made.slots[0].begun(LANE_WORD, 7, 0)
    made.slots[STRANDS - 1].returned(LANE_WORD, 9, 2)
    made.slots[STRANDS - 1].begun(APART_WORD, 3, 1)
    made.slots[STRANDS - 1].serve(8)
    assert len(made.slots) == STRANDS + 1  # and one of plugins apart as a whole
    made.slots[5].serve(2)
    found = register.read_register(path)
    assert found == made.noted()
    assert found.order_by == "project"
    assert sorted(found.slots) == [0, STRANDS - 1]
    assert found.of(0).lane == NotedCall(7, NAMES[0], (), returned=False, attempt=1)
    last = found.of(STRANDS - 1)
    assert last.lane == NotedCall(9, NAMES[2], (NAMES[0], NAMES[1]), returned=True)
    assert last.apart == NotedCall(3, NAMES[1], (NAMES[0],), returned=False, attempt=1)
    assert (last.worker, found.of(5), found.highest) == (8, EMPTY_SLOT, 9)
    assert sorted(made.open()) == [(3, 1), (7, 0)]
    made.close()
    assert (made.open(), made.noted()) == ([], register.NotedLane("project", {}))


def test_register_of_the_version_before_is_read(path: Path) -> None:
    """A daemon that is upgraded finds what the last one was doing: layout `sgevreg1`."""
    names = [key.encode() for key in NAMES]
    header = json.dumps({"boot": register.boot_id(), "names": names}).encode()
    words = [7 << 24 | 1 << 20 | 1 << 2 | 1, 5 << 24 | 2 << 2 | 2]
    numbers = b"".join(number.to_bytes(8, sys.byteorder) for number in (*words, len(header)))
    path.write_bytes(b"sgevreg1" + numbers + header)
    found = register.read_register(path)
    assert found.order_by is None
    assert found.of().lane == NotedCall(7, NAMES[1], (NAMES[0],), returned=False, attempt=1)
    assert found.of().apart == NotedCall(5, NAMES[2], (NAMES[0], NAMES[1]), returned=True)
    assert register.is_readable(path)
