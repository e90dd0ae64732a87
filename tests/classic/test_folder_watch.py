"""Noticing that files change: while they are written, and on disks that are slow or away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sgevents_core.classic.folder_watch import (
    FileMark,
    FolderWatch,
    SeenFiles,
    rest_after,
)
from sgevents_core.settings import ClassicFolder

OLD, NEW, NEWER = FileMark(1, 10, 100), FileMark(1, 11, 200), FileMark(2, 11, 200)


def test_a_change_counts_once_it_stands_still() -> None:
    """One that is being written is not read; one replaced by another of its size is seen."""
    seen = SeenFiles({"a.py": OLD})
    assert seen.see({"a.py": NEW}) == []
    assert not seen.is_settled
    assert seen.see({"a.py": NEWER}) == []
    assert seen.see({"a.py": NEWER}) == ["a.py"]
    assert seen.is_settled
    assert seen.see({"a.py": NEWER}) == []


def test_what_comes_and_goes_between_two_looks_is_nothing() -> None:
    """An editor that moves a file away and puts it back has changed nothing."""
    seen = SeenFiles({"a.py": OLD})
    assert seen.see({}) == []
    assert seen.see({"a.py": OLD}) == []
    assert seen.see({"a.py": OLD, "b.py": NEW}) == []
    assert seen.see({"a.py": OLD}) == []
    assert seen.is_settled
    assert seen.see({}) == []
    assert seen.see({}) == ["a.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files."""
    path = tmp_path / "studio"
    path.mkdir()
    (path / "a.py").write_text("1")
    (path / "b.py").write_text("1")
    return path


def look_twice(watch: FolderWatch) -> list[tuple[str, bool]]:
    """Return what has changed after two looks."""
    watch.look()
    watch.look()
    return [(path.name, is_there) for path, is_there in watch.take_changes()]


def test_files_are_seen_to_come_change_and_go(folder: Path) -> None:
    """Hidden files and those that are no Python are not looked at."""
    watch = FolderWatch([ClassicFolder(path=folder)])
    assert [path.name for path in watch.files()] == ["a.py", "b.py"]
    assert look_twice(watch) == []
    (folder / "a.py").write_text("22")
    (folder / "b.py").unlink()
    for name in ("c.py", ".d.py", "e.txt"):
        (folder / name).write_text("3")
    assert look_twice(watch) == [("a.py", True), ("b.py", False), ("c.py", True)]
    assert look_twice(watch) == []


def test_a_folder_that_vanishes_and_returns_has_not_changed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once, and once that it is there again; what changed meanwhile is seen then."""
    caplog.set_level("INFO", logger="sgevents.daemon")
    watch = FolderWatch([ClassicFolder(path=folder)])
    away = folder.rename(folder.with_name("away"))
    assert look_twice(watch) == look_twice(watch) == []
    (away / "b.py").write_text("22")
    away.rename(folder)
    assert look_twice(watch) == [("b.py", True)]
    actions = [vars(record)["action"] for record in caplog.records]
    assert actions == ["classic.folder_unreadable", "classic.folder_readable"]


def test_a_file_that_cannot_be_looked_at_has_not_changed(folder: Path) -> None:
    """Such as a link in a circle, or a file whose disk is away; a link to nothing is gone."""
    watch = FolderWatch([ClassicFolder(path=folder)])
    (folder / "a.py").unlink()
    (folder / "a.py").symlink_to("a.py")
    assert look_twice(watch) == []
    (folder / "a.py").unlink()
    (folder / "a.py").symlink_to("nowhere.py")
    assert look_twice(watch) == [("a.py", False)]


def test_a_name_that_is_not_utf8_is_reported_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is not a plugin, whenever it comes."""
    watch = FolderWatch([ClassicFolder(path=folder)])
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.py")).touch()
    assert look_twice(watch) == []
    assert [record.action for record in caplog.records] == ["classic.name_unusable"]  # type: ignore[attr-defined]  # an extra


def test_a_file_is_reported_again_on_request(folder: Path) -> None:
    """So that one that could not be read is tried again although it stays as it is."""
    watch = FolderWatch([ClassicFolder(path=folder)])
    watch.report_again(folder / "a.py")
    assert look_twice(watch) == [("a.py", True)]


def test_a_quick_look_is_only_at_what_changes(folder: Path, tmp_path: Path) -> None:
    """Looks in short succession, while a file is written, leave the other folders alone."""
    other = tmp_path / "other"
    other.mkdir()
    watch = FolderWatch([ClassicFolder(path=folder), ClassicFolder(path=other)])
    (folder / "a.py").write_text("22")
    watch.look()
    other.rmdir()
    watch.look(only_unsettled=True)
    assert [path.name for path, _ in watch.take_changes()] == ["a.py"]


def test_a_slow_disk_has_a_rest() -> None:
    """Looks take a fifth of the time at most; on a quick disk there is one each second."""
    assert rest_after(0.002, 1.0) == 1.0
    assert rest_after(3.0, 1.0) == 27.0
