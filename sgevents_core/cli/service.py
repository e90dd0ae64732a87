"""`sgevents service`: writes what a machine needs to run the daemon as a service."""

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

UNIT: Final = "sgevents.service"
UNITS: Final = Path("/etc/systemd/system")


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
@click.option("--force", is_flag=True, help="Replace a unit that is there.")
def systemd(*, config: Path, user: str | None, output: Path | None, force: bool) -> None:
    """Write a systemd unit that runs this sgevents.

    The unit restarts a daemon that fails or hangs (its working loops feed the watchdog), and stops
    it between two callbacks. The configuration is read, but not its secrets.
    """
    settings = read_configuration(config, secrets=False)
    name = UNIT if output is None or output.suffix != ".service" else output.name
    text = unit_text(_service(name, _user(user), settings))
    if output is None:
        echo(text, nl=False)
        return
    _write(output, text, force=force)
    echo(f"Wrote {output}. Next:\n\n{_next_steps(output, name)}")


def _service(name: str, user: str, settings: Settings) -> Service:
    sources = set(_sources(settings))
    return Service(
        name=name,
        site=settings.site.url,
        user=user,
        program=_program(),
        config=settings.path,
        state=Path(os.path.abspath(settings.state.path)),  # noqa: PTH100 - resolve() follows links
        log=settings.log.file and settings.log.file.absolute().parent,
        variables=_named(sources, "env"),
        credentials=_named(sources, "credential"),
    )


def _user(name: str | None) -> str:
    """Return the user that the service runs as: `name`, or the user of this command."""
    if name is None:
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*", name):
        raise click.BadParameter("that is not the name of a user", param_hint="--user")
    try:
        pwd.getpwnam(name)
    except KeyError:
        echo(f"There is no user {name} on this machine yet.", err=True)
    return name


def _program() -> list[str]:
    """Return the absolute command of this sgevents, run by this Python."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if os.access(folder / "sgevents", os.X_OK):
            return [str(folder / "sgevents")]
    return [sys.executable, "-m", "sgevents_core"]


def _sources(settings: Settings) -> Iterator[SecretSource]:
    """Yield where the keys of the site and of the plugins in use are."""
    plugins = [plugin for plugin in settings.plugins.values() if plugin.enabled]
    held: list[Any] = [settings.site.api_key]
    held += [value for plugin in plugins for value in (plugin.api_key, plugin.settings)]
    return (secret.source for secret in secrets_in(held))


def _named(sources: Iterable[SecretSource], form: SourceForm) -> list[str]:
    return sorted(source.name for source in sources if source.form == form)


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UnitExistsError(path=path) from None
    except OSError as error:
        raise UnitNotWrittenError(path=path, reason=error.strerror) from None


def _next_steps(path: Path, name: str) -> str:
    enable = f"systemctl daemon-reload\n       systemctl enable --now {name}"
    steps = [f"let systemd read it, and start it now and at every boot:\n       {enable}"]
    if path.absolute().parent != UNITS:
        steps.insert(0, f"install it, as root:\n       cp {shlex.quote(str(path))} {UNITS}/{name}")
    steps.append(f"see how it is:\n       systemctl status {name}\n       journalctl -u {name}")
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))
