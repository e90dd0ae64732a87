"""`sgevents migrate`: moves over from the classic daemon, and back."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.migrate_plugin import migrate_plugin
from sgevents_core.cli.printing import echo, echo_line, read_without_secrets
from sgevents_core.cli.root import config_option
from sgevents_core.errors import MigratedAlreadyError, SgEventsError

if TYPE_CHECKING:
    from sgevents_core.migrating.moving import Move
    from sgevents_core.migrating.positions import Positions

CLASSIC_CONFIG: Final = "shotgunEventDaemon.conf"
_EVENT_ID_FILE: Final = "shotgunEventDaemon.id"
_BESIDE_CONF: Final = ""
"""The value of --export-id without one: the file that the classic daemon's configuration names."""


class _CommandWithOthers(click.Group):
    """A command that also has subcommands, which it tells from its own argument by their names."""

    allow_extra_args = False
    allow_interspersed_args = True

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        command = self.commands.get(args[0]) if args else None
        if command is not None:
            name = f"{info_name} {args[0]}"
            return command.make_context(name, args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)


@click.group(cls=_CommandWithOthers, no_args_is_help=False)
@click.argument(
    "classic", metavar="[CONF]", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
@config_option
@click.option("--check", is_flag=True, help="Write nothing and run no plugin; only report.")
@click.option("--load", "loads", is_flag=True, help="Also load the plugins, in another process.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The folder for sgevents.toml; by default, the current folder.",
)
@click.option("--without-id", is_flag=True, help="Leave the positions of the plugins behind.")
@click.option("--import-id", is_flag=True, help="Only import the positions once more.")
@click.option(
    "--export-id",
    metavar="FILE",
    is_flag=False,
    flag_value=_BESIDE_CONF,
    help="Write the positions to a file that the classic daemon reads.",
)
def migrate(
    *,
    classic: Path | None,
    config: Path,
    check: bool,
    loads: bool,
    output: Path | None,
    without_id: bool,
    import_id: bool,
    export_id: str | None,
) -> None:
    """Move over from the classic daemon, whose configuration is CONF.

    Writes sgevents.toml, imports the positions of the plugins, and reports on every plugin file. No
    file is written over. CONF is shotgunEventDaemon.conf unless given. To go back at any time, stop
    sgevents and use --export-id.

    `sgevents migrate plugin FILE` drafts a package from one plugin file.
    """
    if sum((check, import_id, export_id is not None)) > 1:
        raise click.UsageError("give one of --check, --import-id and --export-id")
    if export_id is not None:
        _export(classic, config, export_id)
        return
    conf = _classic_config(classic)
    target = _target(output, config)
    if import_id:
        _import_again(conf, target)
        return
    if not check and os.path.lexists(target):
        raise MigratedAlreadyError(path=target)
    _move(conf, target, check=check, loads=loads, without_id=without_id)


migrate.add_command(migrate_plugin, "plugin")


def _classic_config(classic: Path | None) -> Path:
    """Return the classic daemon's configuration: the one named, else that of the current folder."""
    if classic is not None:
        return classic
    for folder in (Path(), Path("/etc")):
        if (folder / CLASSIC_CONFIG).is_file():
            return folder / CLASSIC_CONFIG
    raise click.UsageError(f"name the configuration of the classic daemon: {CLASSIC_CONFIG}")


def _target(output: Path | None, config: Path) -> Path:
    """Return the file to write: in --output if given, else as --config says."""
    if output is None:
        return config
    return output if output.suffix == ".toml" and not output.is_dir() else output / "sgevents.toml"


def _move(conf: Path, target: Path, *, check: bool, loads: bool, without_id: bool) -> None:
    from sgevents_core.cli import _migrate_report as report
    from sgevents_core.migrating.moving import import_positions, look_at

    move = look_at(conf)
    positions = None if without_id else _positions(move)
    report.print_configuration(move)
    report.print_plugins(move)
    if loads:
        report.print_loaded(move, target)
    if positions is not None:
        report.print_positions(positions)
    if check:
        echo()
        echo_line("Nothing was written.")
        return
    _write(target, move.draft.text)
    if positions is not None and move.draft.id_file is not None:
        state = target.absolute().parent / "state"
        try:
            import_positions(state, positions, move.draft.id_file, time.time())
        except SgEventsError:
            echo_line(f"{target} is written; the positions are not imported.", err=True)
            raise
    report.print_next_steps(move, target, positions)


def _positions(move: Move) -> Positions | None:
    """Return the plugins' positions; None if their file is missing or empty."""
    id_file = move.draft.id_file
    if id_file is None or not os.path.lexists(id_file):
        where = "its configuration names none" if id_file is None else f"{id_file} does not exist"
        echo_line(f"The classic daemon left no positions ({where}): plugins begin with new events.")
        return None
    positions = move.positions(id_file)
    if positions.is_empty:
        echo_line(f"{id_file} has no position of these plugins: they begin with new events.")
        return None
    return positions


def _write(target: Path, text: str) -> None:
    from sgevents_core.cli.init import write_config

    write_config(target, text, is_private=False)


def _import_again(conf: Path, config: Path) -> None:
    from sgevents_core.cli import _migrate_report as report
    from sgevents_core.errors import IdFileError
    from sgevents_core.migrating.moving import import_positions, look_at

    settings = read_without_secrets(config)
    move = look_at(conf)
    id_file = move.draft.id_file
    if id_file is None:
        problem = "it names no eventIdFile"
        raise IdFileError(path=conf, problem=problem, advice="Add it to [daemon].")
    positions = move.positions(id_file, settings)
    import_positions(settings.state.path, positions, id_file, time.time())
    report.print_positions(positions)
    report.warn_if_running(move)
    echo_line(f"The positions are imported into {settings.state.path}.")


def _export(classic: Path | None, config: Path, export_id: str) -> None:
    from sgevents_core.cli import _migrate_report as report
    from sgevents_core.migrating.ini_file import read_ini_file
    from sgevents_core.migrating.moving import export_positions, look_at

    settings = read_without_secrets(config)
    ini = None if classic is None else read_ini_file(classic)
    target = Path(export_id or _EVENT_ID_FILE)
    if not export_id and classic is not None:
        target = look_at(classic).draft.id_file or target
    left = export_positions(settings, target, ini, datetime.now())
    report.print_left(left, target)
