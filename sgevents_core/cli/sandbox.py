"""The command `sgevents sandbox`: serves a stand-in site until it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from sgevents_core.cli.config_text import SANDBOX_PORT
from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.errors import SchemaNotReadError, SiteError, TypesNotWrittenError
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.faults import FAULT_KINDS, parse_fault
from sgevents_core.sandbox.site_schema import schema_tables, types_file_text
from sgevents_core.sandbox.types_file import Tables
from sgevents_core.site.client import EventLog

_FAULT_KIND_LINES = "\n".join(
    f"  {kind}  {', '.join(f'{name}={value}' for name, value in sandbox_options.items())}".rstrip()
    for kind, sandbox_options in FAULT_KINDS.items()
)

_SLOW_ROW_COUNT = 200_000
"""The number of rows that take more than a second to create."""


@click.command(
    epilog=(
        "\b\nKinds of faults and their own options:\n" + _FAULT_KIND_LINES + "\n\n"
        "All take calls=N (only the next N calls), probability=P (0 to 1), method=NAME,"
        " entity_type=NAME, script=NAME."
    )
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=SANDBOX_PORT,
    show_default=True,
    help="Where to listen; 0 for any free port.",
)
@click.option("--seed", default=1, show_default=True, help="The seed of all randomness.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="EVENTS_PER_S",
    help="Traffic: how many events people cause in a second.",
)
@click.option(
    "--events",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Fill the log with N rows more.",
)
@click.option(
    "--types",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Entity types and fields of your own, from a TOML file. Repeatable.",
)
@click.option(
    "--schema-of",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="Take over the schema of the site that a sgevents.toml names.",
)
@click.option(
    "--write-types",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --schema-of: write that schema to a file for --types, and end.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:NAME=VALUE,...]",
    help="Misbehave, e.g. latency:seconds=0.3 or status:status=502,probability=0.1. Repeatable.",
)
@click.option(
    "--script-name", default="sgevents", show_default=True, help="The script that is accepted."
)
@click.option("--api-key", default="demo-key", show_default=True, help="The script's key.")
@click.option("--project/--no-project", default=True, help="With the small project, or empty.")
def sandbox(
    *,
    port: int,
    seed: int,
    rate: float,
    events: int,
    types: Sequence[Path],
    schema_of: Path | None,
    write_types: Path | None,
    faults: Sequence[str],
    script_name: str,
    api_key: str,
    project: bool,
) -> None:
    """Serve a stand-in site on this machine, to try things on.

    It offers the API of a Flow Production Tracking site to the unmodified client and holds a small
    project. Nothing is kept when it ends. Ctrl-C or SIGTERM ends it.
    """
    sandbox_options: dict[str, Any] = {"script_name": script_name, "api_key": api_key, "seed": seed}
    if write_types is not None:
        if schema_of is None:
            raise click.UsageError("--write-types needs --schema-of, which names the site")
        _write_types(write_types, _read_site_tables(schema_of))
        return
    sandbox_options["types"] = [*([_read_site_tables(schema_of)] if schema_of else ()), *types]
    sandbox_options["faults"] = [parse_fault(text) for text in faults]
    if events >= _SLOW_ROW_COUNT:
        echo(f"Filling the log with {events:,} rows ...", err=True)
    with (
        _stop_signals() as stop_event,
        Sandbox(port, project=project, events=events, **sandbox_options) as site,
    ):
        site.set_rate(rate)
        echo(_greeting(site))
        stop_event.wait()


def _read_site_tables(config: Path) -> Tables:
    """Return the entity types and fields of the site that a configuration names."""
    settings = read_configuration(config)
    try:
        with closing(EventLog(settings.site)) as log:
            return schema_tables(log.schema())
    except SiteError as error:
        raise SchemaNotReadError(url=settings.site.url, reason=error.reason) from None


def _write_types(path: Path, tables: Tables) -> None:
    try:
        with path.open("x", encoding="utf-8") as opened_file:
            opened_file.write(types_file_text(tables))
    except OSError as error:
        reason = error.strerror or str(error)
        raise TypesNotWrittenError(path=path, reason=reason) from None
    echo_line(f"{path}: {len(tables)} entity types")


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set the event on Ctrl-C and SIGTERM while the block lasts."""
    stop_event = threading.Event()
    signal_numbers = (signal.SIGINT, signal.SIGTERM)
    previous_handlers = {
        number: signal.signal(number, lambda *_about: stop_event.set()) for number in signal_numbers
    }
    try:
        yield stop_event
    finally:
        for signal_number, handler in previous_handlers.items():
            signal.signal(signal_number, handler)


def _greeting(site: Sandbox) -> str:
    return f"""\
The sandbox listens on {site.url}; {site.log.highest_id} events so far. Ctrl-C ends it.

Put this into sgevents.toml to use it:

[site]
url = "{site.url}"
script_name = "{site.script_name}"
api_key = "{site.api_key}"
"""
