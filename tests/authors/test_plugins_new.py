"""`sgevents plugins new`: a package that builds, tests green, type-checks and can be installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli
from author_workshop import Workshop
from click.testing import CliRunner, Result

from sgevents_core.cli.root import sgevents


def new(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(sgevents, ["plugins", "new", *map(str, arguments)])


def files(folder: Path) -> list[str]:
    """All files in a folder."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(names)


def test_written_package(tmp_path: Path) -> None:
    """The package has a plugin, its tests and everything that pip and people need."""
    done = new("studio-fox", "-d", tmp_path / "plugins", "--author", "Ada Park <ada@a.example>")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "plugins" / "studio-fox"
    assert files(folder) == [
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "studio_fox/__init__.py",
        "studio_fox/plugin.py",
        "studio_fox/py.typed",
        "tests/test_plugin.py",
    ]
    assert "[plugins.studio-fox]" in done.output
    project = tomli.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"sgevents.plugins": {"studio-fox": "studio_fox.plugin"}}
    assert project["authors"] == [{"name": "Ada Park", "email": "ada@a.example"}]
    assert project["dependencies"] == ["sgevents-core>=0.1"]
    assert files(tmp_path) == [f"plugins/studio-fox/{name}" for name in files(folder)]


@pytest.mark.parametrize(
    "words", ['Says "hi"', "back\\slash\\", 'ends with "', '"""', "two\nlines", "\x7f \x00 ü €"]
)
def test_any_description_is_written_well(tmp_path: Path, words: str) -> None:
    """TOML and Python can read the files, whatever people type."""
    assert new("studio-fox", "-d", tmp_path, "--description", words).exit_code == 0
    folder = tmp_path / "studio-fox"
    project = tomli.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    scope: dict[str, object] = {}
    exec((folder / "studio_fox" / "__init__.py").read_text("utf-8"), scope)
    assert scope["__doc__"] == project["description"]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("Studio_Fox", "Call it studio-fox."),
        ("studioFox", "Call it studio-fox."),
        ("9-lives", "Call it lives."),
        ("studio--fox", "Call it studio-fox."),
        ("-", "Call it studio-status, say."),
        ("../fox", "Call it fox."),
        ("", "Call it studio-status, say."),
        ("class", "a Python keyword"),
        ("json", "a module of Python's standard library"),
        ("tests", "is reserved"),
        ("click", "a package click is installed already"),
        ("sgevents-core", "a package sgevents_core is installed already"),
    ],
)
def test_names_that_would_do_harm_are_refused(tmp_path: Path, name: str, output: str) -> None:
    """An invalid name is refused with the reason and a better one; nothing is written."""
    done = new("-d", tmp_path, "--", name)
    assert done.exit_code == 2
    assert output in done.stderr
    assert files(tmp_path) == []


@pytest.mark.parametrize("author", ["", "<ada@a.example>", "Ada <no mail>", "Ada\n<a@b>"])
def test_invalid_authors_are_refused(tmp_path: Path, author: str) -> None:
    """An invalid author is refused with the correct form."""
    done = new("studio-fox", "-d", tmp_path, "--author", author)
    assert done.exit_code == 2
    assert "Ada Park <ada@studio.example>" in done.stderr


@pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    """Existing files stay as they are."""
    target = tmp_path / "studio-fox"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to(tmp_path / "nowhere")
    done = new("studio-fox", "-d", tmp_path)
    assert done.exit_code == 2
    assert "already exists" in done.stderr
    assert files(tmp_path) == (["studio-fox"] if kind == "file" else [])


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    """A folder that cannot be created is reported, and nothing is left behind."""
    (tmp_path / "file").touch()
    done = new("studio-fox", "-d", tmp_path / "file" / "in-it")
    assert done.exit_code == 1
    assert "cannot be written: " in done.stderr
    assert files(tmp_path) == ["file"]


@pytest.fixture(scope="module")
def package(workshop: Workshop) -> Path:
    """A fresh package."""
    workshop.sgevents("plugins", "new", "studio-fresh")
    return workshop.folder / "studio-fresh"


def test_its_tests_pass_without_a_change(workshop: Workshop, package: Path) -> None:
    """The tests pass in an editable install, with the fixtures of sgevents-core."""
    workshop.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", str(package))
    strict = ["-W", "error", "-p", "no:cacheprovider"]
    assert "4 passed" in workshop.python("-m", "pytest", *strict, cwd=package)


def test_its_types_check(workshop: Workshop, package: Path) -> None:
    """The package passes mypy with its own strict configuration."""
    output = workshop.python("-m", "mypy", cwd=package)
    assert "Success: no issues found in 3 source files" in output
