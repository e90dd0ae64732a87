"""Make the folders of a new shot with a command of the studio's own.

The command is a part of its own, so a shot whose folders are made is not made again when what comes
after it fails. A command that hangs is ended, with everything that it has started.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from string import Template

from sgevents_core import Context, Event, hookimpl, match

LONGEST_ERROR = 2_000
"""Characters of a command's output that an error shows."""


@dataclass(frozen=True)
class ShotFolders:
    """The settings of the plugin."""

    command: list[str]
    """The words of the command; `$project`, `$sequence` and `$shot` stand for their names."""
    seconds: float = 60.0
    """How long it may take."""
    status: str = ""
    """The status of the shot once its folders are made; empty to leave it."""

    def __post_init__(self) -> None:
        """Refuse an empty command."""
        if not self.command:
            raise ValueError("`command` needs at least the name of a program")


@hookimpl
def settings_model() -> type[ShotFolders]:
    """Return the model of the settings."""
    return ShotFolders


@hookimpl
@match(entity_type="Shot")
def on_new(event: Event, ctx: Context) -> None:
    """Make the folders of a new shot, and set its status.

    Raises:
        RuntimeError: The command failed; the message has the end of its output.
        subprocess.TimeoutExpired: It took too long. This counts as passing, so it is tried again.
    """
    settings: ShotFolders = ctx.settings
    shot = ctx.entity("code", "project", "sg_sequence")
    if shot is None or not shot["code"]:
        return
    words = {
        "project": shot["project"]["name"],
        "sequence": (shot["sg_sequence"] or {}).get("name", ""),
        "shot": shot["code"],
    }
    if ctx.dry_run:
        ctx.logger.info("would make the folders of %s", shot["code"])
        return
    with ctx.once("folders") as is_first:
        if is_first:
            run([Template(word).substitute(words) for word in settings.command], settings.seconds)
            ctx.logger.info("made the folders of %s", shot["code"])
    if settings.status:
        ctx.sg.update("Shot", shot["id"], {"sg_status_list": settings.status})


def run(command: list[str], seconds: float) -> None:
    """Run a command without a shell, so that no name on the site is ever part of a script.

    Args:
        command: Its words.
        seconds: How long it may take.

    Raises:
        RuntimeError: It failed.
        subprocess.TimeoutExpired: It took too long.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that it can be ended with all that it has started
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        end = output[-LONGEST_ERROR:]
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {end}")
