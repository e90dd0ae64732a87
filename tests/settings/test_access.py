"""Who else can change or read what decides what the daemon runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sgevents_core.settings import Problem, load_settings
from sgevents_core.settings.file_access import find_exposures

CONFIG = '[site]\nurl = "https://studio.example.com"\nscript_name = "s"\napi_key = {key}\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that its owner alone can read; its key is in the environment."""
    monkeypatch.setenv("SITE_KEY", "demo-key")
    file = tmp_path / "own" / "sgevents.toml"
    file.parent.mkdir(mode=0o755)
    file.write_text(CONFIG.format(key='{ env = "SITE_KEY" }'), encoding="utf-8")
    file.chmod(0o600)
    return file


def warnings(config: Path) -> list[str]:
    """What is said of a configuration."""
    problems: tuple[Problem, ...] = load_settings(config).warnings
    return [f"{problem.message}: {problem.fix}" for problem in problems]


def test_usual_modes_need_no_word(config: Path) -> None:
    """One that all may read, but which holds no key; one of the service's group that does."""
    assert warnings(config) == []
    config.chmod(0o644)
    assert warnings(config) == []
    config.write_text(CONFIG.format(key='"demo-key"'), encoding="utf-8")
    config.chmod(0o640)
    assert warnings(config) == []


def test_file_that_others_can_change(config: Path) -> None:
    """It says which plugins run, so who changes it runs code as the daemon."""
    config.chmod(0o646)
    assert warnings(config) == [f"every user can change this file: chmod o-w {config}"]
    config.chmod(0o660)
    os.chown(config, -1, 65534)
    (warning_text,) = warnings(config)
    assert warning_text.startswith("every member of the group ")
    assert warning_text.endswith(f"can change this file: chmod g-w {config}")


def test_folder_in_which_others_can_replace_it(config: Path) -> None:
    """Unless only a file's owner may remove it there, as in /tmp."""
    config.parent.chmod(0o777)
    assert warnings(config) == [f"every user can replace this file: chmod o-w {config.parent}"]
    config.parent.chmod(0o1777)
    assert warnings(config) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_somebody_else(config: Path) -> None:
    """The owner can change it, whatever its mode is."""
    os.chown(config, 4711, -1)
    (warning_text,) = warnings(config)
    assert warning_text.startswith("this file belongs to user 4711, who can change it: chown ")


def test_password_of_a_proxy_is_a_secret_too(config: Path) -> None:
    """Also without a key in the file."""
    toml_text = CONFIG.format(key='{ env = "SITE_KEY" }') + 'http_proxy = "user:word@host:80"\n'
    config.write_text(toml_text, encoding="utf-8")
    config.chmod(0o644)
    (warning_text,) = warnings(config)
    assert warning_text.startswith("every user can read this file and the key in it: chmod o-r ")


def test_key_file_that_others_can_change(config: Path) -> None:
    """Of a key in a file of its own the same is said, with its place in the configuration."""
    key = config.with_name("key")
    key.write_text("demo-key", encoding="utf-8")
    key.chmod(0o602)
    config.write_text(CONFIG.format(key='{ file = "key" }'), encoding="utf-8")
    (warning,) = load_settings(config).warnings
    assert (warning.key, warning.line) == ("site.api_key", 4)
    assert warning.message == f"every user can change the file {key}"


def test_what_is_not_there_is_not_exposed(tmp_path: Path) -> None:
    """That it is missing is told elsewhere."""
    assert not [*find_exposures(tmp_path / "none", "it", holds_secret=True)]


@pytest.mark.parametrize(
    "reference",
    ['{ env = "A\\nExecStartPre=/bin/x" }', '{ env = "A B" }', '{ env = "" }', '{ env = "1A" }',
     '{ credential = "a\\nb" }', '{ credential = "a:b" }', '{ credential = "a b" }'],
)  # fmt: skip
@pytest.mark.parametrize("secrets", [True, False])
def test_place_of_a_secret_has_a_name_that_can_exist(
    config: Path, reference: str, secrets: bool
) -> None:
    """What is no name is refused where it stands, also by commands that need no secret."""
    config.write_text(CONFIG.format(key=reference), encoding="utf-8")
    with pytest.raises(
        Exception, match=r"is not the name of an? (environment|credential)"
    ) as caught_error:
        load_settings(config, secrets_required=secrets)
    assert "\nExecStartPre" not in str(caught_error.value)


READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from sgevents_core.settings import ConfigError, load_settings
try:  # so that all modules are there before others may not be read
    load_settings(Path(sys.argv[1]))
except ConfigError:
    pass
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    load_settings(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "keys",
    ['api_key = { credential = "key" }', 'api_key = { file = "closed/key" }',
     'api_key = "demo-key"\nca_certs = "closed/key"'],
)  # fmt: skip
def test_file_in_a_folder_that_may_not_be_looked_into(keys: str) -> None:
    """It is said to be that, by whatever kind of key it is named."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir()
        (closed / "key").write_text("demo-key", encoding="utf-8")
        config = folder / "sgevents.toml"
        site = '[site]\nurl = "https://studio.example.com"\nscript_name = "s"\n'
        config.write_text(site + keys, encoding="utf-8")
        closed.chmod(0o000)
        run = subprocess.run(
            [sys.executable, "-c", READ_AS_NOBODY, str(config)],
            env={**os.environ, "CREDENTIALS_DIRECTORY": str(closed)},
            capture_output=True,
            text=True,
        )
        closed.chmod(0o700)
    assert "cannot be read: Permission denied" in run.stdout, run.stderr
    assert "Traceback" not in run.stderr
