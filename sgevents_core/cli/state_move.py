"""`sgevents state move`: a whole state from this host's disk to the servers, and back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from sgevents_core.choices import MoveTarget
from sgevents_core.cli.printing import echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.cli.servers import connected_broker, refuse_servers
from sgevents_core.errors import MoveRefused
from sgevents_core.state.lock import StateLock
from sgevents_core.state.move_record import MoveRecord, read_move, write_move
from sgevents_core.state.opening import open_disk_state

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.nats.broker_logs import BrokerLogs

_COMMAND = "sgevents state move"


@click.command("move")
@click.argument("target", type=click.Choice(get_args(MoveTarget)))
@click.option("--replace", is_flag=True, help="To the servers: let it replace what is there.")
@config_option
def move(target: MoveTarget, replace: bool, config: Path) -> None:
    """Move the state to the servers of [state] url, or back.

    Back means from there to this host's disk.

    Stop the daemons of all hosts before. A move that was cut off is continued by the same command;
    until then no daemon starts. What the servers hold after a move to the disk stays there, and
    says that the state has moved.
    """
    settings = read_configuration(config, secrets_required=False, uses_state=False)
    folder = settings.state.path
    if target == "servers":
        refuse_servers(settings)
    with closing(StateLock(folder, "state move")), open_move_logs(settings) as logs:
        move_record = _check_record(folder, target)
        from sgevents_core.state.nats.moved_logs import refuse_hosts

        refuse_hosts(logs, str(folder))
        if target == "servers":
            move_to_servers(settings, logs, move_record, is_replacing=replace)
        else:
            _move_to_disk(settings, logs, move_record)


@contextmanager
def open_move_logs(settings: Settings) -> Iterator[BrokerLogs]:
    """Connect to the servers while the block lasts.

    Raises:
        NoBrokerError: The configuration names none.
        BrokerError: They do not answer.
    """
    with connected_broker(settings, _COMMAND):
        from sgevents_core.state.nats.broker_logs import BrokerLogs
    with closing(BrokerLogs(settings.state, settings.site.url, _COMMAND)) as logs:
        yield logs


def begin_move(folder: Path, target: MoveTarget) -> MoveRecord:
    """Return the record of a move that begins, or continues, wherever the state was before.

    Raises:
        MoveRefused: The state is on its way elsewhere.
    """
    move_record = read_move(folder)
    _refuse_other(folder, move_record, target)
    return _next_record(move_record, target)


def _refuse_other(folder: Path, move_record: MoveRecord | None, target: MoveTarget) -> None:
    if move_record is not None and not move_record.is_complete and move_record.target != target:
        reason_text = (
            "another move was cut off; complete it first with `sgevents state move"
            f" {move_record.target}`"
        )
        raise MoveRefused(path=str(folder), reason=reason_text)


def _check_record(folder: Path, target: MoveTarget) -> MoveRecord | None:
    """Return the folder's last move, if it allows this one.

    Raises:
        MoveRefused: The state is there already, or on its way elsewhere.
    """
    move_record = read_move(folder)
    _refuse_other(folder, move_record, target)
    if move_record is not None and move_record.is_complete and move_record.target == target:
        has_database = open_disk_state(folder).is_made()
        if target == "disk" or not has_database:
            raise MoveRefused(path=str(folder), reason=f"it was moved to the {target} before")
    return move_record


def _next_record(move_record: MoveRecord | None, target: MoveTarget) -> MoveRecord:
    """Return the record of a move that begins, or continues."""
    if move_record is not None and not move_record.is_complete:
        return move_record
    token = secrets.token_hex(8) if move_record is None else move_record.token
    return MoveRecord(target, token)


def move_to_servers(
    settings: Settings, logs: BrokerLogs, move_record: MoveRecord | None, *, is_replacing: bool
) -> None:
    """Move the state of a folder, whose lock this process holds, to the servers.

    Raises:
        MoveRefused: There is none, or there is another one on the servers.
    """
    from sgevents_core.state.nats.moved_logs import is_moved_in, refuse_used_logs
    from sgevents_core.state.nats.moving_in import move_in
    from sgevents_core.state.nats.nats_state import host_name_of

    folder = settings.state.path
    is_sent = is_moved_in(logs, move_record)
    if not is_sent:
        if not open_disk_state(folder).is_made():
            raise MoveRefused(path=str(folder), reason="there is no state in this folder")
        if not is_replacing:
            refuse_used_logs(logs, str(folder), move_record)
        _prepare_disk_state(settings)
    move_in(logs, folder, host_name_of(settings.state), _next_record(move_record, "servers"))
    echo_line(f"The state of {folder} is on {settings.state.url} now; what was here is kept there")


def _prepare_disk_state(settings: Settings) -> None:
    """Bring the state on the disk up to date, and make the streams of lanes that only it has."""
    from sgevents_core.crashes.recovering import fold_registers
    from sgevents_core.state.nats.stream_names import site_names
    from sgevents_core.state.nats.streams import create_streams, definitions

    folder = settings.state.path
    with closing(open_disk_state(folder).writer()) as writer:
        fold_registers(folder, writer)
        while writer.upgrade_records():
            pass
        lane_names = {record.lane for record in writer.plugins().values()} - {*settings.lanes}
    names = site_names(settings.site.url)
    wanted = definitions(
        names,
        settings.site.url,
        lane_names,
        replicas=settings.state.replicas,
        lease=settings.state.lease,
    )
    lane_streams = {names.lane(lane_name) for lane_name in lane_names}
    with connected_broker(settings, _COMMAND) as broker:
        create_streams(broker, [stream for stream in wanted if stream.name in lane_streams])


def _move_to_disk(settings: Settings, logs: BrokerLogs, move_record: MoveRecord | None) -> None:
    from sgevents_core.state.nats.moving_out import is_marked, move_out
    from sgevents_core.state.nats.nats_state import host_name_of

    folder = settings.state.path
    next_record = _next_record(move_record, "disk")
    if (move_record is None or move_record.is_complete) and open_disk_state(folder).is_made():
        reason_text = "there is a state in this folder already; move its sgevents.db elsewhere"
        raise MoveRefused(path=str(folder), reason=reason_text)
    if not is_marked(logs, next_record):
        _fold_shared_registers(settings)
    write_move(folder, next_record)
    move_out(logs, folder, host_name_of(settings.state), next_record)
    echo_line(f"The state of {settings.state.url} is in {folder} now; remove url from [state]")


def _fold_shared_registers(settings: Settings) -> None:
    """Bring the state on the servers up to date with what lanes have noted."""
    from sgevents_core.crashes.recovering import fold_registers
    from sgevents_core.state.nats.nats_state import state_on_servers

    with (
        closing(state_on_servers(settings.state, settings.site.url)) as state,
        closing(state.writer()) as writer,
    ):
        fold_registers(settings.state.path, writer)
