"""The site's log as the feed knows it: the last day's ids as a picture, gaps, and parked rows."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from sgevents_core.console.page import (
    Action,
    Form,
    NewRequest,
    NoQuery,
    Page,
    View,
    Visit,
    utc_time,
)
from sgevents_core.console.problems import PageMissing
from sgevents_core.reading.log_picture import IdRange, LogPicture, PictureCell, read_log_picture
from sgevents_core.state.opening import open_state

_PICTURE_OF: Final = 86400.0
"""Seconds that the picture covers."""
_COLUMNS: Final = 60
_MOST_RANGES: Final = 200
_WORST_FIRST: Final = ("parked", "waited for", "looked for", "given up", "dropped", "gone")
"""What a cell is shown as, if it has several kinds of ids."""


class CellLine(View, frozen=True, kw_only=True):
    """Some neighbouring ids: a cell of the picture."""

    first: int
    last: int
    taken: int
    late: int
    missing: dict[str, int]
    """The ids that are not in the journal, by what is known of them."""
    standing: str
    """What the cell is shown as: the worst kind of ids in it, or `taken`."""
    column: int
    row: int


class RangeLine(View, frozen=True, kw_only=True):
    """A range of ids that are not in the journal."""

    first: int
    last: int
    ids: int
    standing: str
    waits_s: float | None
    """Seconds for which the feed waits for them, while it runs and the site answers."""
    parked_at: datetime | None


class AsideLine(View, frozen=True, kw_only=True):
    """An event that cannot be taken or read."""

    event: str
    reason: str
    where: str
    at: datetime | None


class LogView(View, frozen=True, kw_only=True):
    """The log as the feed knows it."""

    first_id: int | None
    last_id: int | None
    era: int | None
    ids_per_cell: int
    columns: int
    rows: int
    cells: list[CellLine]
    late: int
    totals: dict[str, int]
    """The ids that are not in the journal, by what is known of them."""
    ranges: list[RangeLine]
    """Those ranges, the newest first."""
    ranges_left: int
    parked: int
    """The rows that wait for a person's decision."""
    set_aside: list[AsideLine]
    rewound: str
    """Why the feed has stopped; empty if it has not."""


def read_log(visit: Visit, query: NoQuery) -> LogView:
    """Read the log as the feed knows it."""
    picture = None
    if open_state(visit.site.state_folder).is_made():
        timeout = visit.site.settings.feed.backlog_timeout
        picture = read_log_picture(visit.site.state_folder, visit.now - _PICTURE_OF, timeout)
    if picture is None:
        picture = LogPicture(0, -1, 0, (), (), 0, (), "")
    totals: dict[str, int] = {}
    for id_range in picture.ranges:
        totals[id_range.standing] = totals.get(id_range.standing, 0) + id_range.ids
    cells = picture.cells
    return LogView(
        first_id=picture.first if cells else None,
        last_id=picture.last if cells else None,
        era=picture.era or None,
        ids_per_cell=cells[0].last - cells[0].first + 1 if cells else 0,
        columns=_COLUMNS,
        rows=-(-len(cells) // _COLUMNS),
        cells=[_cell_line(number, cell) for number, cell in enumerate(cells)],
        late=picture.late,
        totals=totals,
        ranges=[_range_line(id_range) for id_range in reversed(picture.ranges[-_MOST_RANGES:])],
        ranges_left=max(len(picture.ranges) - _MOST_RANGES, 0),
        parked=totals.get("parked", 0),
        set_aside=[
            AsideLine(
                event=aside.event, reason=aside.reason, where=aside.where, at=utc_time(aside.at)
            )
            for aside in picture.set_aside[:_MOST_RANGES]
        ],
        rewound=picture.rewound,
    )


def _cell_line(cell_number: int, cell: PictureCell) -> CellLine:
    counts = {str(standing): id_count for standing, id_count in cell.counts.items()}
    worst = next((standing for standing in _WORST_FIRST if standing in counts), None)
    return CellLine(
        first=cell.first,
        last=cell.last,
        taken=cell.taken,
        late=cell.late,
        missing=counts,
        standing=worst or ("late" if cell.late else "taken"),
        column=cell_number % _COLUMNS,
        row=cell_number // _COLUMNS,
    )


def _range_line(id_range: IdRange) -> RangeLine:
    return RangeLine(
        first=id_range.first,
        last=id_range.last,
        ids=id_range.ids,
        standing=id_range.standing,
        waits_s=id_range.until,
        parked_at=utc_time(id_range.since),
    )


class ParkedForm(Form, frozen=True, kw_only=True):
    """What is to be done with the parked rows."""

    decision: Literal["handle", "drop"]


def plan_decision(visit: Visit, form: ParkedForm) -> list[NewRequest]:
    """Ask for the parked rows to be handled or dropped."""
    state = open_state(visit.site.state_folder)
    record = None
    if state.is_made():
        reader = state.reader()
        try:
            record = reader.load_feed()
        finally:
            reader.close()
    if record is None or not record.parked:
        raise PageMissing("Nothing is parked.")
    numbers = sorted({parked.number for parked in record.parked})
    detail = {"decision": form.decision, "era": record.state.era, "numbers": numbers}
    return [NewRequest(kind="parked", detail=detail)]


PAGES: Final = (
    Page(
        path="log",
        title="Log",
        summary="Show the ids of the last day: taken, late, missing, given up, parked and gone.",
        template="log.html",
        view_type=LogView,
        read=read_log,
        shared_for=2.0,
    ),
)
ACTIONS: Final = (
    Action(
        path="log/parked",
        summary="Have the rows that are parked handled, or dropped for good.",
        form_type=ParkedForm,
        plan=plan_decision,
    ),
)
