"""What is made of a process that died while it loaded plugins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sgevents_core.crashes.evidence import EVIDENCE_FILE as WORDS
from sgevents_core.crashes.evidence import LOADING_LANE, DeathEvidence, LoadingStep
from sgevents_core.crashes.loading_deaths import (
    DEATHS_FILE,
    LoadDeathCount,
    count_death,
    count_last_death,
    find_known_broken,
)

STEP = LoadingStep("one", "importing one", "mark")
EXIT = DeathEvidence("it called os._exit(3)", "here", LOADING_LANE)
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
    assert find_known_broken({"one": count_death(STEP, EXIT, None)})["one"].reason == (
        "the process died in this step: importing one; it called os._exit(3)"
    )
    death = None
    for number in (1, 2, 3):
        death = count_death(STEP, None, death)
        assert bool(find_known_broken({"one": death})) is (number == 3)
    assert (
        count_death(
            STEP, None, LoadDeathCount("importing one", "other", proved_count=4)
        ).proved_count
        == 0
    )


def test_death_is_taken_from_what_the_last_process_left(tmp_path: Path) -> None:
    """Only in a step that had begun and was not over."""
    (tmp_path / WORDS).write_text(BEGUN + SAID)
    assert count_last_death(tmp_path)["one"].proved_count == 1
    (tmp_path / WORDS).write_text(BEGUN)
    assert count_last_death(tmp_path)["one"].unproved_count == 1
    (tmp_path / WORDS).write_text(BEGUN + OVER + SAID)
    assert count_last_death(tmp_path)["one"].proved_count == 1


@pytest.mark.parametrize(("died", "proved"), [(1100, 1), (5000, 0)])
def test_thread_that_ran_for_long_is_no_matter_of_loading(
    tmp_path: Path, died: int, proved: int
) -> None:
    """A crash once a week would keep the plugin away for good."""
    (tmp_path / WORDS).write_text(OVER + OWNED + OF_THREAD)
    os.utime(tmp_path / WORDS, (died, died))
    found = count_last_death(tmp_path)
    assert sum(death.proved_count for death in found.values()) == proved


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"\xff", b'{"one": 3}'])
def test_file_that_cannot_be_read_is_no_obstacle(tmp_path: Path, left: bytes) -> None:
    """It is as if there were none."""
    (tmp_path / DEATHS_FILE).write_bytes(left)
    (tmp_path / WORDS).write_text(BEGUN + SAID)
    assert set(count_last_death(tmp_path)) == {"one"}
