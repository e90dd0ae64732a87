"""`sgevents service`: writes the unit with which a machine runs the daemon as a service."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from sgevents_core.cli._systemd_unit import Service, unit_text
from sgevents_core.cli.printing import echo, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import UnitExistsError, UnitNotWrittenError
from sgevents_core.settings import SecretSource, Settings, secrets_in
from sgevents_core.settings.secret import SourceForm

UNIT_NAME: Final = "sgevents.service"
UNITS_FOLDER: Final = Path("/etc/systemd/system")


@click.group()
def service() -> None:
    """Run the daemon as a service of this machine."""


@service.command()
@config_option
@click.option("--user", metavar="NAME", help="The user that it runs as.  [default: you]")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the unit; to the terminal if left out.",
)
@click.option("--force", is_flag=True, help="Replace an existing unit.")
def systemd(*, config: Path, user: str | None, output: Path | None, force: bool) -> None:
    """Write a systemd unit that runs this sgevents.

    The unit restarts a daemon that fails or hangs (its working loops feed the watchdog), and stops
    it between two callbacks. The configuration is read, but not its secrets.
    """
    settings = read_configuration(config, secrets_required=False)
    name = UNIT_NAME if output is None or output.suffix != ".service" else output.name
    unit_content = unit_text(_describe_service(name, _service_user(user), settings))
    if output is None:
        echo(unit_content, nl=False)
        return
    _write_unit(output, unit_content, force=force)
    echo(f"Wrote {output}. Next:\n\n{_next_steps(output, name)}")


def _describe_service(name: str, user: str, settings: Settings) -> Service:
    secret_sources = set(_secret_sources(settings))
    return Service(
        name=name,
        site=settings.site.url,
        user=user,
        program=_program_command(),
        config=settings.path,
        state=Path(os.path.abspath(settings.state.path)),  # noqa: PTH100 - resolve() follows links
        log=settings.log.file and settings.log.file.absolute().parent,
        variables=_source_names(secret_sources, "env"),
        credentials=_source_names(secret_sources, "credential"),
    )


def _service_user(user_name: str | None) -> str:
    """Return the user that the service runs as: `user_name`, or the user of this command."""
    if user_name is None:
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*", user_name):
        raise click.BadParameter("that is not the name of a user", param_hint="--user")
    try:
        pwd.getpwnam(user_name)
    except KeyError:
        echo(f"There is no user {user_name} on this machine yet.", err=True)
    return user_name


def _program_command() -> list[str]:
    """Return the command line of this sgevents and this Python, with absolute paths."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if os.access(folder / "sgevents", os.X_OK):
            return [str(folder / "sgevents")]
    return [sys.executable, "-m", "sgevents_core"]


def _secret_sources(settings: Settings) -> Iterator[SecretSource]:
    """Yield where to find the keys of the site and of the plugins in use, and alerts' addresses."""
    plugins = [plugin for plugin in settings.plugins.values() if plugin.enabled]
    secret_holders: list[Any] = [settings.site.api_key]
    secret_holders += [holder for plugin in plugins for holder in (plugin.api_key, plugin.settings)]
    secret_holders += [holder for one in settings.alerts for holder in (one.urls, one.heartbeat)]
    return (secret.source for secret in secrets_in(secret_holders))


def _source_names(secret_sources: Iterable[SecretSource], source_form: SourceForm) -> list[str]:
    return sorted(source.name for source in secret_sources if source.form == source_form)


def _write_unit(unit_path: Path, unit_content: str, *, force: bool) -> None:
    try:
        with unit_path.open("w" if force else "x", encoding="utf-8") as opened_file:
            opened_file.write(unit_content)
    except FileExistsError:
        raise UnitExistsError(path=unit_path) from None
    except OSError as error:
        raise UnitNotWrittenError(path=unit_path, reason=error.strerror) from None


def _next_steps(unit_path: Path, name: str) -> str:
    commands = f"systemctl daemon-reload\n       systemctl enable --now {name}"
    next_steps = [f"load it into systemd, and start it now and at every boot:\n       {commands}"]
    if unit_path.absolute().parent != UNITS_FOLDER:
        next_steps.insert(
            0,
            f"install it, as root:\n       cp {shlex.quote(str(unit_path))} {UNITS_FOLDER}/{name}",
        )
    next_steps.append(
        f"see how it is doing:\n       systemctl status {name}\n       journalctl -u {name}"
    )
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(next_steps, 1))
