"""`sgevents support-bundle`: all that a helper asks for, listed first, and no secret."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from commanding import Commands, installed_here
from running_daemon import RunningDaemon

from sgevents_core.cli import support_bundle
from sgevents_core.cli.root import sgevents as root_command
from sgevents_core.sandbox import Sandbox

SECRET = "hidden-words"
PLUGIN = f"""
    from sgevents_core import hookimpl

    @hookimpl
    def on_other(event, ctx):
        ctx.logger.error("it said {SECRET}")
        raise ValueError("{SECRET}")
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon that has run, with a failure and a log that a secret was written to."""
    with Sandbox() as site, pytest.MonkeyPatch.context() as patch:
        daemon = RunningDaemon(tmp_path_factory.mktemp("bundle"), site)
        keys = 'max_attempts = 1\nsettings.token = { env = "BUNDLE_TOKEN" }'
        daemon.install("chat", PLUGIN, keys=keys)
        daemon.log = '[log]\nfile = "daemon.log"\n'
        daemon.write_config()
        site.event("Studio_Bad")
        patch.setenv("BUNDLE_TOKEN", SECRET)
        patch.setenv("PYTHONPATH", str(daemon.packages.folder))
        with installed_here(daemon) as commands:
            assert commands("run", "--drain").code == 0
            yield daemon


def files_in(bundle: Path) -> dict[str, str]:
    """Return the texts in a bundle by their names."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_bundle_has_the_output_of_every_command_and_no_secret(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    """Each file but the log is JSON, each is listed, and only its owner may read the bundle."""
    bundle = tmp_path / "bundle.zip"
    written = Commands(daemon)("support-bundle", "--yes", "--output", bundle)
    assert written.code == 0, written.text
    files = files_in(bundle)
    assert len(files) == len(support_bundle.COMMANDS) + 2
    for name, text in files.items():
        assert f"{name}: " in written.stdout
        assert SECRET not in text
        assert daemon.site.api_key not in text
        assert name == "log.txt" or json.loads(text), name
    assert "it said ***" in files["log.txt"]
    assert json.loads(files["plugins-list.json"])["plugins"][0]["name"] == "chat"
    assert bundle.stat().st_mode & 0o077 == 0


def test_nothing_is_written_without_consent(daemon: RunningDaemon, tmp_path: Path) -> None:
    """A person who reads the list may decide otherwise."""
    bundle = tmp_path / "bundle.zip"
    words = ["support-bundle", "-o", str(bundle), "-c", str(daemon.config)]
    result = CliRunner().invoke(root_command, words, input="n\n")
    assert result.exit_code == 1
    assert "status.json: " in result.output
    assert not bundle.exists()


def test_existing_file_is_kept(daemon: RunningDaemon, tmp_path: Path) -> None:
    """It is replaced only where that is asked for, and refused before anything is gathered."""
    bundle = tmp_path / "bundle.zip"
    bundle.write_text("mine")
    refused = Commands(daemon)("support-bundle", "--yes", "-o", bundle)
    assert refused.code == 2
    assert "already exists" in refused.stderr
    assert bundle.read_text() == "mine"


def test_failing_command_leaves_its_error(
    daemon: RunningDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read is what the helper must know; a log that is gone is said to be."""
    broken = support_bundle.BundledCommand(("nonsense",), "fails")
    monkeypatch.setattr(support_bundle, "COMMANDS", (broken,))
    log = daemon.folder / "daemon.log"
    log.rename(tmp_path / "away")
    bundle = tmp_path / "bundle.zip"
    assert Commands(daemon)("support-bundle", "--yes", "-o", bundle).code == 0
    (tmp_path / "away").rename(log)
    files = files_in(bundle)
    assert "No such command" in files["nonsense.json"]
    assert "cannot be read: No such file" in files["log.txt"]
