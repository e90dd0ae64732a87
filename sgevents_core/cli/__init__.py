"""The command `sgevents`: one module per command, each imported only when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the entry point of the command `sgevents`."""
    if sys.argv[1:] == ["--version"]:  # before the slow import of click
        from sgevents_core import __version__

        sys.stdout.write(f"sgevents {__version__}\n")
        return
    if sys.argv[1:2] == ["run"]:  # so that an early signal stops the daemon in order or not at all
        from sgevents_core.observe.signal_mask import hold_signals

        hold_signals()
    from sgevents_core.cli.process_end import run_and_end
    from sgevents_core.cli.root import sgevents

    run_and_end(lambda: sgevents.main(prog_name="sgevents"))
