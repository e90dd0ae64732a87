"""`sgevents state`: checking the state, and copying it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import echo_line
from sgevents_core.cli.root import config_option
from sgevents_core.cli.state_move import move
from sgevents_core.errors import FileInTheWay
from sgevents_core.state.opening import is_shared, open_state, open_storage


@click.group()
def state() -> None:
    """Check, back up or move the journal and the ledger."""


state.add_command(move)


@state.command("check")
@click.option("--quick", is_flag=True, help="Leave out what takes long on a large state.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object, for scripts.")
@config_option
def check(quick: bool, as_json: bool, config: Path) -> None:
    """Check that the state is sound, and say what to do if not.

    Checks every page of the database, its schema, the registers, the lock and the disk. Changes
    nothing, and may run beside the daemon. Exits with 1 if something is wrong.
    """
    from sgevents_core.cli.check_aside import aside_findings
    from sgevents_core.cli.check_database import database_findings
    from sgevents_core.cli.check_state import state_findings
    from sgevents_core.cli.findings import worst_status, write_json, write_table

    settings = load_state_settings(config)
    findings = state_findings(settings.state.path)
    findings += database_findings(settings.state.path, quick=quick)
    findings += aside_findings(settings.state.path)
    if as_json:
        write_json(findings, config, sys.stdout)
    else:
        write_table(findings, sys.stdout)
    sys.exit(1 if worst_status(findings) == "problem" else 0)


@state.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@config_option
def backup(file: Path, force: bool, config: Path) -> None:
    """Write a copy of the journal and the ledger to FILE.

    Also works while the daemon runs, and on any of several hosts. To restore it: stop the daemon,
    empty the state's folder, put FILE there as sgevents.db, and start the daemon; on several hosts,
    stop all, and put it on the servers with `sgevents state move servers --replace`. Events that
    were handled after the copy was made are handled again.
    """
    settings = load_state_settings(config)
    if os.path.lexists(file) and not force:
        raise FileInTheWay(path=file)
    if is_shared(settings.state.path):
        open_state(settings.state.path).reader().close()  # the copy has what the servers have now
    backup_size = open_storage(settings.state.path).back_up(file.absolute())
    echo_line(f"{file}: {backup_size / 1_000_000:,.1f} MB written")
