"""The plugin shot-folders, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from desk import Desk

from sgevents_core.testing import Harness

MAKE_FOLDER = "import pathlib, sys; pathlib.Path(sys.argv[1]).mkdir(parents=True)"


def command(folder: Path, script: str = MAKE_FOLDER) -> list[str]:
    """Return a command that makes the folder of a shot."""
    return [sys.executable, "-c", script, f"{folder}/$project/$sequence/$shot"]


def shot(desk: Desk, **values: Any) -> dict[str, Any]:
    """Make a shot with a name that a shell would not take as one."""
    sequence = desk.create("Sequence", code="BUN")
    return desk.create("Shot", code="BUN $(touch x); 1", sg_sequence=sequence, **values)


def test_folders_are_made_and_the_status_is_set(desk: Desk) -> None:
    """The names reach the command as they are."""
    desk.enable("shot-folders", command=command(desk.folder), status="rdy")
    made = shot(desk)
    desk.catch_up()
    assert (desk.folder / "Bunny" / "BUN" / "BUN $(touch x); 1").is_dir()
    assert desk.read(made, "sg_status_list") == "rdy"


def test_folders_are_not_made_again_when_the_rest_fails(desk: Desk) -> None:
    """The command would refuse to make a folder that is there; only the status is tried again."""
    desk.enable("shot-folders", command=command(desk.folder), status="rdy")
    made = shot(desk)
    desk.site.faults.add("status", status=503, calls=1, method="update")
    result = desk.harness.catch_up()
    assert [call.outcome for call in result.calls] == ["retry", "returned"]
    assert desk.read(made, "sg_status_list") == "rdy"


def test_failing_command_leaves_a_dead_letter_with_its_output(desk: Desk) -> None:
    """Whoever reads it sees what the command said."""
    script = "print('no space on', __import__('sys').argv[1]); raise SystemExit(3)"
    desk.enable("shot-folders", command=command(desk.folder, script))
    shot(desk)
    (letter,) = desk.harness.catch_up().dead_letters
    assert "ended with 3: no space on" in letter.reason


def test_hanging_command_is_ended_with_its_children(desk: Desk) -> None:
    """It is tried again, as something that may pass."""
    pids = desk.folder / "pids"
    hanging = ["sh", "-c", f"echo $$$$ >> {pids}; sleep 600"]
    keys = {"command": hanging, "seconds": 2.0}
    desk.harness.enable("shot-folders", settings=keys, max_attempts=2)
    shot(desk)
    result = desk.harness.catch_up()
    assert [call.outcome for call in result.calls] == ["retry", "dead-letter"]
    started = pids.read_text().split()
    assert len(started) == 2
    for process in started:
        assert not Path(f"/proc/{process}").exists()


def test_shot_that_was_deleted_meanwhile_gets_its_folders(desk: Desk) -> None:
    """Its record is read all the same: it may come back."""
    desk.enable("shot-folders", command=command(desk.folder))
    made = shot(desk)
    desk.site.delete("Shot", made["id"])
    desk.catch_up()
    assert (desk.folder / "Bunny").is_dir()


def test_dry_run_makes_nothing(desk: Desk, told: Callable[[], list[str]]) -> None:
    """It says what it would do."""
    keys = {"command": command(desk.folder), "status": "rdy"}
    with Harness("shot-folders", settings=keys, site=desk.site, dry_run=True) as harness:
        shot(desk)
        assert not harness.catch_up().raise_errors().writes
    assert told() == ["would make the folders of BUN $(touch x); 1"]
    assert not (desk.folder / "Bunny").exists()
