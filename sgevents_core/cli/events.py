"""`sgevents events`: search the journal for events, by type, record, person and time."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import cell, echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.errors import EventNotInJournal
from sgevents_core.printable import counted

if TYPE_CHECKING:
    from sgevents_core.reading.event_rows import ListedEvent
    from sgevents_core.reading.event_search import EventSearch
    from sgevents_core.state.entries import Entry
    from sgevents_core.state.event_choice import EventChoice

_SHOWN_BY_DEFAULT: Final = 50
_PAGE_SIZE: Final = 500


@click.command()
@click.argument("ids", required=False, metavar="[EVENT|FIRST-LAST]")
@click.option("--type", "event_type", metavar="TYPE", help="Of this type; * stands for anything.")
@click.option(
    "--entity",
    metavar="RECORD",
    help="About this record: its type, type and id (`Shot 1234`), id, or name.",
)
@click.option("--project", metavar="PROJECT", help="In this project, by id or name.")
@click.option("--user", metavar="USER", help="By this person or script, by id or name.")
@click.option("--script", metavar="NAME", help="By this script, also as another user.")
@click.option(
    "--since",
    metavar="TIME",
    help="Created since a date, a date and time, or so long ago: 2026-01-31, 2h.",
)
@click.option("--until", metavar="TIME", help="Created until then.")
@click.option("--late", is_flag=True, help="Only events that arrived late.")
@click.option("--failed", is_flag=True, help="Only events on which a callback failed.")
@click.option("--plugin", metavar="NAME", help="Only events on which this plugin failed.")
@click.option("--before", type=int, metavar="EVENT", help="Continue before this event.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=_SHOWN_BY_DEFAULT,
              show_default=True, help="So many at most.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def events(
    *,
    ids: str | None,
    event_type: str | None,
    entity: str | None,
    project: str | None,
    user: str | None,
    script: str | None,
    since: str | None,
    until: str | None,
    late: bool,
    failed: bool,
    plugin: str | None,
    before: int | None,
    limit: int,
    as_json: bool,
    config: Path,
) -> None:
    """Search the journal for events, newest first.

    All options together choose the events. Reads the journal only: older events are on the site.
    """
    from sgevents_core.reading.event_rows import list_events
    from sgevents_core.reading.event_search import EventSearch, read_choice

    settings = load_state_settings(config)
    choice = read_choice(
        {
            "ids": ids,
            "type": event_type,
            "entity": entity,
            "project": project,
            "user": user,
            "script": script,
            "since": since,
            "until": until,
            "late": late,
            "failed": failed,
            "plugin": plugin,
        },
        time.time(),
    )
    with closing(EventSearch(settings.state.path)) as search:
        entries, is_complete = _search(search, choice, before, limit)
    shown_events = list_events(settings.state.path, entries)
    if as_json:
        event_values = [_as_json(shown_event) for shown_event in shown_events]
        echo_json({"version": 1, "events": event_values, "complete": is_complete})
        return
    _print_events(shown_events, is_complete=is_complete)


def _search(
    search: EventSearch, choice: EventChoice, before: int | None, limit: int
) -> tuple[list[Entry], bool]:
    """Return the newest chosen events, and whether there are no more."""
    below = None
    if before is not None:
        below = search.place_of(before)
        if below is None:
            raise EventNotInJournal(event_id=before)
    entries: list[Entry] = []
    while True:
        page = search.page(choice, below, min(limit - len(entries), _PAGE_SIZE))
        entries += page.entries
        if page.is_complete or len(entries) >= limit:
            return entries, page.is_complete
        below = page.searched_to


def _print_events(shown_events: list[ListedEvent], *, is_complete: bool) -> None:
    if not shown_events:
        echo("There are no such events in the journal.")
        return
    titles = ("created", "event", "type", "field", "record", "project", "by", "notes")
    table = new_table(*titles, numbers=("event",), sentences="notes")
    for shown_event in shown_events:
        table.add_row(*(cell(value) for value in _cells(shown_event)))
    print_table(table)
    if not is_complete:
        last_id = shown_events[-1].entry.event_id
        echo(f"{counted(len(shown_events), 'event')} shown: --before {last_id} continues")


def _cells(shown_event: ListedEvent) -> tuple[object, ...]:
    values = shown_event.values()
    created_at = datetime.fromtimestamp(values["created"]).astimezone()
    record_text = " ".join(
        str(values[key]) for key in ("entity_type", "entity_id") if values[key] is not None
    )
    notes = ["late"] if values["late"] else []
    notes += [f"{plugin}: {outcome}" for plugin, outcome in values["failures"].items()]
    notes += [values["unreadable"]] if values["unreadable"] else []
    return (
        f"{created_at:%Y-%m-%d %H:%M:%S}",
        values["event_id"],
        values["event_type"],
        values["attribute"] or "",
        record_text,
        values["project_name"] or "",
        values["user_name"] or "",
        ", ".join(notes),
    )


def _as_json(shown_event: ListedEvent) -> dict[str, Any]:
    values = shown_event.values()
    return {
        "seq": values.pop("seq"),
        "event_id": values.pop("event_id"),
        "event_type": values.pop("event_type"),
        "created_at": iso(values.pop("created")),
        **values,
    }
