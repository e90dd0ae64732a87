"""`sgevents cluster restore`: the state on the servers anew, from a host's copy."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sgevents_core.cli.printing import echo_line, read_configuration
from sgevents_core.cli.servers import refuse_servers
from sgevents_core.cli.state_move import begin_move, move_to_servers, open_move_logs
from sgevents_core.printable import counted
from sgevents_core.state.lock import StateLock


def restore_servers(config: Path, *, is_forced: bool) -> None:
    """Write the state on the servers anew; see `sgevents cluster restore`."""
    from sgevents_core.crashes.recovering import fold_registers

    settings = read_configuration(config, secrets_required=False, uses_state=False)
    folder = settings.state.path
    refuse_servers(settings)
    with closing(StateLock(folder, "cluster restore")), open_move_logs(settings) as logs:
        from sgevents_core.state.nats.moved_logs import is_moved_in, refuse_hosts
        from sgevents_core.state.nats.nats_state import host_name_of
        from sgevents_core.state.nats.restoring import (
            complete_copy,
            has_restored,
            open_restored,
            restore_database,
        )

        move_record = begin_move(folder, "servers")
        refuse_hosts(logs, str(folder))
        if not is_moved_in(logs, move_record):
            if not has_restored(folder, move_record):
                host_name = host_name_of(settings.state)
                count = complete_copy(folder, host_name, logs, is_forced=is_forced)
                if count:
                    lacked = counted(count, "message")
                    echo_line(f"The copy has taken {lacked} more from streams that were not lost")
                restore_database(folder, move_record)
            with closing(open_restored(folder)) as writer:
                fold_registers(folder, writer)
                writer.forget_registers()
        move_to_servers(settings, logs, move_record, is_replacing=True)
    echo_line("Remove the folder `copy` of the state on all other hosts, then start the daemons")
