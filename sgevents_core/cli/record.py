"""`sgevents record`: writes events to a file, for tests to run plugins on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import RecordingExistsError, RecordingNotWrittenError

_OPEN_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_FILE_MODE: Final = 0o640
"""The file's mode, like the state's: events reveal productions to users who must not see them."""

if TYPE_CHECKING:
    from sgevents_core.settings import Settings


@click.command()
@config_option
@click.argument("events", nargs=-1, type=click.IntRange(min=1), metavar="[EVENT]...")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The last N events.")
@click.option("--since", metavar="WHEN", help="Events since a date, or so long ago: 2h, 7d.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write: one event a line, as JSON.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--from-site", is_flag=True, help="Read from the site, not from the journal.")
@click.option("--anonymise", is_flag=True, help="Replace people's names, logins and addresses.")
def record(
    *,
    config: Path,
    events: Sequence[int],
    last: int | None,
    since: str | None,
    out: Path,
    force: bool,
    from_site: bool,
    anonymise: bool,
) -> None:
    """Write events to a file, for tests to run plugins on.

    EVENT is the id of an event; or give --last or --since. Events are read from the journal, or
    from the site if there is no journal yet or it does not have an EVENT. The configuration's
    secrets and the signatures in links to files are left out.
    """
    if sum((bool(events), last is not None, since is not None)) != 1:
        raise click.UsageError("Say which events: their ids, or --last N, or --since WHEN.")
    if os.path.lexists(out) and not force:
        raise RecordingExistsError(path=out)

    settings = read_configuration(config, secrets_required=False)
    row_bodies = _read_bodies(settings, events, last, since, from_site=from_site)
    _write_recording(out, _recording_text(settings, row_bodies, anonymise=anonymise))
    echo_line(f"{out}: {len(row_bodies)} {'event' if len(row_bodies) == 1 else 'events'}")


def _read_bodies(
    settings: Settings,
    events: Sequence[int],
    last: int | None,
    since: str | None,
    *,
    from_site: bool,
) -> Sequence[bytes]:
    """Return the requested rows."""
    from sgevents_core.cli._record_rows import (
        JournalRows,
        SiteRows,
        has_journal,
        rows_with_ids,
    )

    if not from_site and not has_journal(settings):
        echo("There is no journal yet: reading from the site.", err=True)
        from_site = True
    source = SiteRows(settings) if from_site else JournalRows(settings)
    if events:
        return rows_with_ids(source, events)
    with closing(source):
        return source.rows_since(since) if since is not None else source.last_rows(last or 0)


def _recording_text(settings: Settings, row_bodies: Sequence[bytes], *, anonymise: bool) -> str:
    """Return the content of the file."""
    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.site.bodies import decoded_row
    from sgevents_core.testing.anonymising import Anonymiser, without_signatures
    from sgevents_core.testing.recorded import recorded_text

    decoded_rows: list[Any] = [without_signatures(decoded_row(body)) for body in row_bodies]
    if anonymise:
        decoded_rows = [*map(Anonymiser(decoded_rows), decoded_rows)]
    return recorded_text(map(Redactor.of(settings).in_value, decoded_rows))


def _write_recording(out: Path, recording_text: str) -> None:
    try:
        with os.fdopen(os.open(out, _OPEN_FLAGS, _FILE_MODE), "w", encoding="utf-8") as opened_file:
            opened_file.write(recording_text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordingNotWrittenError(path=out, reason=reason) from None
