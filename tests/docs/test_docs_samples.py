"""What the pages tell people to type and write is right: commands, configurations, code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
import tomli
from doc_pages import DOCS, blocks, name_of, pages, prose

import sgevents_core
from sgevents_core.cli.root import sgevents
from sgevents_core.plugins.members import members_of
from sgevents_core.settings import read_settings
from sgevents_core.state.opening import open_state

HOW_TO = DOCS / "how-to"
TUTORIAL_SITE = "http://127.0.0.1:8020"
"""What a sample acts on that runs in the tutorial alone."""
SITE = '[site]\nurl = "https://studio.example.com"\nscript_name = "s"\napi_key = "demo-key"\n'


def typed(page: Path) -> Iterator[list[str]]:
    """The command lines of `sgevents` on a page, in blocks and in sentences, as words."""
    lines = [line for b in blocks(page) if b.language == "sh" for line in joined(b.text)]
    lines += re.findall(r"`(sgevents [^`]+)`", prose(page))
    for line in lines:
        found = re.search(r"(?:^|/bin/)sgevents (.*)", line)
        if found:
            yield shlex.split(found[1])


def joined(text: str) -> list[str]:
    """The lines of a block, those that end with a backslash joined to the next."""
    return text.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_and_options_on_the_pages_exist(page: Path) -> None:
    """Every `sgevents ...` that a reader may type is one that there is."""
    for words in typed(page):
        command: click.Command = sgevents
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            if name.isupper():  # stands for a name of the reader's
                break
            found = command.get_command(click.Context(command), name)
            if found is None and any(isinstance(p, click.Argument) for p in command.params):
                break  # an argument of the command itself
            assert found is not None, words
            command = found
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        options = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert options <= known | {"--help", "-h"}, words


def configurations() -> list[object]:
    """The TOML samples that are parts of a configuration."""
    return [
        pytest.param(block.text, id=f"{name_of(page)}-{number}")
        for page in pages()
        for number, block in enumerate(blocks(page))
        if block.language == "toml"
        and not any(other in block.text for other in ("[project]", ".fields]"))
    ]


@pytest.mark.parametrize("sample", configurations())
def test_configurations_on_the_pages_are_accepted(sample: str, tmp_path: Path) -> None:
    """By themselves, with a site where they have none and the certificates that they name."""
    text = sample if "[site]" in sample else SITE + sample
    missing = {group.get("group") for group in tomli.loads(text).get("plugins", {}).values()}
    listed = {group["name"] for group in tomli.loads(text).get("groups", [])}
    text += "".join(f'[[groups]]\nname = "{name}"\n' for name in missing - listed - {None})
    for name in re.findall(r'"([\w-]+\.pem)"', text):
        (tmp_path / name).touch()
    read_settings(text, tmp_path / "sgevents.toml", secrets_required=False)


def python_samples(page: Path) -> list[str]:
    """The Python samples of a page."""
    return [block.text for block in blocks(page) if block.language == "python"]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Makes a module of a text, importable while the test runs."""

    def make(name: str, text: str) -> ModuleType:
        made = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        exec(text, vars(made))
        return made

    return make


@pytest.mark.parametrize("page", [page for page in pages() if python_samples(page)], ids=name_of)
def test_python_samples_of_a_page_can_be_imported(
    page: Path, module: Callable[[str, str], ModuleType]
) -> None:
    """Whatever else a test does with them: every name is there, and every hook is accepted."""
    module("studio_hello", python_samples(DOCS / "tutorial" / "first-plugin.md")[0])
    for number, text in enumerate(python_samples(page)):
        if TUTORIAL_SITE not in text:
            name = "studio_counts" if "versions = Counter()" in text else f"sample{number}"
            made = module(name, text)
            assert members_of(made).warnings == ()
            if hasattr(made, "sg"):
                made.sg.close()


def test_backup_is_made_and_restored_as_the_page_has_it(tmp_path: Path) -> None:
    """The commands of the page, on a state, as the shell runs them."""
    state = tmp_path / "state"
    state.mkdir()
    open_state(state).writer().close()
    (tmp_path / "sgevents.toml").write_text(SITE)
    commands = [b.text for b in blocks(HOW_TO / "back-up.md") if b.language == "sh"]
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    source = str(Path(sgevents_core.__file__).parents[1])
    environment = {**os.environ, "PATH": os.pathsep.join(places), "PYTHONPATH": source}
    python = f"{sys.executable} -m sgevents_core "
    script = re.sub(r"^sgevents ", python, "\n".join(commands), flags=re.MULTILINE)
    shell = shutil.which("sh") or "sh"
    run = subprocess.run(
        [shell, "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    old, new = (
        sqlite3.connect(tmp_path / folder / "sgevents.db") for folder in ("state-before", "state")
    )
    assert old.execute(tables).fetchall() == new.execute(tables).fetchall() != []
    old.close()
    new.close()
    assert "the daemon is not running" in run.stdout
