"""What is made of a process that died while it loaded plugins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sgevents_core.crashes import loading_deaths as load_deaths
from sgevents_core.crashes.evidence import FILE as WORDS
from sgevents_core.crashes.evidence import LOADING, DeathEvidence, LoadingStep
from sgevents_core.crashes.loading_deaths import LoadDeath, counted, known_from, take_stock

STEP = LoadingStep("one", "importing one", "mark")
EXIT = DeathEvidence("it called os._exit(3)", "here", LOADING)
BEGUN = '@{"thread":1,"lane":"\\u0000loading","step":' + (
    '{"plugin":"one","doing":"importing one","mark":"mark"}}\n'
)
OVER = '@{"thread":1,"lane":"\\u0000main"}\n'
SAID = '@{"thread":1,"says":"it called os._exit(3)"}\n'
OWNED = '@{"thread":7,"lane":"\\u0000thread 7","step":' + (
    '{"plugin":"one","doing":"a thread","mark":"mark","thread_since":1000.0}}\n'
)
OF_THREAD = '@{"thread":7,"says":"it called os._exit(3)"}\n'


def test_one_death_of_its_own_doing_is_enough() -> None:
    """Three of unknown cause are, too; those of another mark do not count."""
    assert known_from({"one": counted(STEP, EXIT, None)})["one"].reason == (
        "the process died in this: importing one; it called os._exit(3)"
    )
    death = None
    for number in (1, 2, 3):
        death = counted(STEP, None, death)
        assert bool(known_from({"one": death})) is (number == 3)
    assert counted(STEP, None, LoadDeath("importing one", "other", proved=4)).proved == 0


def test_death_is_taken_from_what_the_last_process_left(tmp_path: Path) -> None:
    """Only in a step that had begun and was not over."""
    (tmp_path / WORDS).write_text(BEGUN + SAID)
    assert take_stock(tmp_path)["one"].proved == 1
    (tmp_path / WORDS).write_text(BEGUN)
    assert take_stock(tmp_path)["one"].unproved == 1
    (tmp_path / WORDS).write_text(BEGUN + OVER + SAID)
    assert take_stock(tmp_path)["one"].proved == 1


@pytest.mark.parametrize(("died", "proved"), [(1100, 1), (5000, 0)])
def test_thread_that_ran_for_long_is_no_matter_of_loading(
    tmp_path: Path, died: int, proved: int
) -> None:
    """A crash once a week would keep the plugin away for good."""
    (tmp_path / WORDS).write_text(OVER + OWNED + OF_THREAD)
    os.utime(tmp_path / WORDS, (died, died))
    found = take_stock(tmp_path)
    assert sum(death.proved for death in found.values()) == proved


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"\xff", b'{"one": 3}'])
def test_file_that_cannot_be_read_is_no_obstacle(tmp_path: Path, left: bytes) -> None:
    """It is as if there were none."""
    (tmp_path / load_deaths.FILE).write_bytes(left)
    (tmp_path / WORDS).write_text(BEGUN + SAID)
    assert set(take_stock(tmp_path)) == {"one"}
