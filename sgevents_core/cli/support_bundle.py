"""`sgevents support-bundle`: a file for whoever helps, with nothing secret in it."""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from sgevents_core import __version__
from sgevents_core.cli.printing import echo, echo_line, read_without_secrets, redacted
from sgevents_core.cli.root import config_option
from sgevents_core.errors import BundleNotWrittenError, FileInTheWay

if TYPE_CHECKING:
    from sgevents_core.settings import Settings

_FILE_MODE: Final = 0o600
_COMMAND_TIMEOUT: Final = 120.0
"""Seconds after which a command is given up, as when a disk does not answer."""
_LONGEST_OUTPUT: Final = 10_000_000
"""Characters kept of the output of a command."""
_LOG_BYTES: Final = 1_000_000
"""Bytes kept of the end of the log."""


class BundledCommand(NamedTuple):
    """A command whose output is put into the bundle."""

    words: tuple[str, ...]
    purpose: str

    @property
    def file_name(self) -> str:
        """Its file in the bundle, named as the command."""
        plain_words = itertools.takewhile(lambda word: not word.startswith("-"), self.words)
        return f"{'-'.join(plain_words)}.json"


class BundleFile(NamedTuple):
    """One file of the bundle."""

    name: str
    purpose: str
    text: str


COMMANDS: Final = (
    BundledCommand(
        ("status",), "the progress of the feed and the plugins, and what needs a person"
    ),
    BundledCommand(("config", "show"), "the configuration in effect, secrets hidden"),
    BundledCommand(("plugins", "list"), "the plugins, their versions, and why some do not run"),
    BundledCommand(("plan",), "which callbacks each event type calls"),
    BundledCommand(("requests", "-n", "200"), "the last 200 requests of people"),
    BundledCommand(("dead-letters", "list", "--groups"), "the dead letters, counted by error"),
    BundledCommand(("feed", "parked"), "rows that await a decision"),
    BundledCommand(("feed", "aside"), "events that are set aside"),
    BundledCommand(("state", "check", "--quick"), "whether the state is sound"),
)
"""The commands that describe a daemon; each writes JSON, and hides secrets."""


@click.command("support-bundle")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: sgevents-support-DATE.zip]",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Write it without asking.")
@config_option
def support_bundle(*, output: Path | None, force: bool, is_confirmed: bool, config: Path) -> None:
    """Write a file for whoever helps you.

    It says what runs, how it is set, and what went wrong. Lists what is in it before it is
    written. It has no secrets, no bodies of events and nothing of what plugins store; it has
    names of plugins, errors and the end of the log, which may name entities and people.
    """
    settings = read_without_secrets(config)
    target_path = output or Path(f"sgevents-support-{datetime.now():%Y%m%d-%H%M%S}.zip")
    if os.path.lexists(target_path) and not force:
        raise FileInTheWay(path=target_path)
    bundle_files = []
    for bundle_file in _gather_files(settings, config):
        size_text = f"{len(bundle_file.text.encode()) / 1000:,.1f} kB"
        echo_line(f"{bundle_file.name}: {bundle_file.purpose} ({size_text})")
        bundle_files.append(bundle_file)
    echo()
    if not is_confirmed:
        click.confirm(f"Write these {len(bundle_files)} files to {target_path}?", abort=True)
    _write_bundle(target_path, bundle_files)
    echo_line(f"{target_path} is written. Read it before you send it.")


def _gather_files(settings: Settings, config: Path) -> Iterator[BundleFile]:
    yield _versions_file()
    for command in COMMANDS:
        yield _command_file(command, config)
    if settings.log.file is not None:
        yield _log_file(settings.log.file)


def _versions_file() -> BundleFile:
    """Return the versions of everything installed, and the kind of machine."""
    distributions = {
        distribution.metadata["Name"]: distribution.version
        for distribution in metadata.distributions()
    }
    versions = {
        "sgevents": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "distributions": dict(sorted(distributions.items())),
    }
    text = json.dumps(versions, indent=2)
    return BundleFile("versions.json", "versions of everything installed", text)


def _command_file(command: BundledCommand, config: Path) -> BundleFile:
    """Run a command as a person would; an output that is no JSON is kept as it is."""
    words = [sys.executable, "-m", "sgevents_core", *command.words, "--json"]
    try:
        completed = subprocess.run(
            [*words, "--config", str(config)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND_TIMEOUT,
            check=False,
        )
        output_text = _decoded(completed.stdout) + _decoded(completed.stderr)
    except subprocess.TimeoutExpired:
        output_text = f"The command did not end within {_COMMAND_TIMEOUT:.0f} seconds.\n"
    return BundleFile(command.file_name, command.purpose, redacted(output_text)[:_LONGEST_OUTPUT])


def _log_file(log_path: Path) -> BundleFile:
    """Return the end of the log, from the beginning of a line."""
    purpose = f"the end of {log_path.name}"
    try:
        with log_path.open("rb") as opened_log:
            log_size = opened_log.seek(0, os.SEEK_END)
            opened_log.seek(max(log_size - _LOG_BYTES, 0))
            log_text = _decoded(opened_log.read())
    except OSError as error:
        return BundleFile("log.txt", purpose, f"It cannot be read: {error.strerror}\n")
    if log_size > _LOG_BYTES:
        log_text = log_text.partition("\n")[2]
    return BundleFile("log.txt", purpose, redacted(log_text))


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _write_bundle(target_path: Path, bundle_files: list[BundleFile]) -> None:
    try:
        descriptor = os.open(target_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        with (
            os.fdopen(descriptor, "wb") as opened_file,
            zipfile.ZipFile(opened_file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for bundle_file in bundle_files:
                archive.writestr(bundle_file.name, bundle_file.text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleNotWrittenError(path=target_path, reason=reason) from None
