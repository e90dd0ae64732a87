"""The event log of the sandbox site: ids handed out, rows visible, rows hidden."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sgevents_core.sandbox.records import Ref


class EventRow(msgspec.Struct, gc=False, kw_only=True):
    """One row of the event log; links are `Ref`, `created_at` is in the API's form."""

    id: int
    event_type: str | None
    created_at: str
    attribute_name: str | None = None
    meta: dict[str, Any] | str | None = None
    entity: Ref | None = None
    user: Ref | None = None
    project: Ref | None = None
    session_uuid: str | None = None
    description: str | None = None


class Visible:
    """Ids in ascending order, to which late ones can be added."""

    __slots__ = ("ids",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self.ids = list(ids)

    def add(self, ids: Sequence[int]) -> None:
        """Add ascending ids, wherever they belong."""
        if ids and (not self.ids or ids[0] > self.ids[-1]):
            self.ids.extend(ids)
        elif len(ids) < 16:
            for some in ids:
                insort(self.ids, some)
        else:  # sorting two sorted runs is a single merge
            self.ids.extend(ids)
            self.ids.sort()

    def remove(self, ids: set[int]) -> None:
        """Remove ids."""
        self.ids = [some for some in self.ids if some not in ids]


class SandboxEventLog:
    """The rows by id, and which of them are visible to whom.

    Ids are handed out at once and rows become visible when they are committed, as on a site. Rows
    that the site creates itself have timestamps that ascend with their ids.
    """

    def __init__(self) -> None:
        self.era = 0
        self._rows: dict[int, EventRow] = {}
        self._next = 1
        self._stamp = ""
        self._views: dict[str | None, Visible] = {None: Visible()}
        self._hidden: dict[str | None, set[int]] = {None: set()}

    @property
    def next_id(self) -> int:
        """The id of the next row."""
        return self._next

    @property
    def highest_id(self) -> int:
        """The highest id visible to a script from which nothing is hidden; 0 for none."""
        ids = self._views[None].ids
        return ids[-1] if ids else 0

    def visible_ids(self, script: str | None = None) -> list[int]:
        """Return the visible ids, ascending: to everybody, or to one script."""
        return list(self.view(script))

    def view(self, script: str | None = None) -> list[int]:
        """Return the ids visible to a script: the log's own list, not to be changed."""
        return self._views.get(script, self._views[None]).ids

    def row(self, event_id: int) -> EventRow:
        """Return a committed row, hidden or not.

        Raises:
            KeyError: The row was not committed.
        """
        return self._rows[event_id]

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._rows

    def hand_out(self, stamp: str) -> tuple[int, str]:
        """Return the next id and the timestamp of its row.

        Args:
            stamp: The time as the API writes it; if it is earlier than that of the last id, the
                last id's is used.
        """
        self._stamp = max(stamp, self._stamp)
        self._next += 1
        return self._next - 1, self._stamp

    def burn(self, count: int) -> range:
        """Use up `count` ids whose rows never arrive, as a failed transaction does."""
        first = self._next
        self._next += count
        return range(first, self._next)

    def commit(self, rows: Sequence[EventRow]) -> None:
        """Commit rows whose ids were handed out before, so that they become visible."""
        self._rows.update((row.id, row) for row in rows)
        self._show_new(sorted(row.id for row in rows))

    def _show_new(self, ids: Sequence[int]) -> None:
        everywhere = self._hidden[None]
        for script, view in self._views.items():
            hidden = everywhere | self._hidden[script] if self._hidden[script] else everywhere
            view.add([some for some in ids if some not in hidden] if hidden else ids)

    def extend(self, rows: Sequence[EventRow]) -> None:
        """Append many rows at once, with ids from `next_id` and ascending timestamps."""
        ids = range(self._next, self._next + len(rows))
        self._rows.update(zip(ids, rows, strict=True))
        self._show_new(ids)
        self._next = ids.stop
        self._stamp = rows[-1].created_at

    def hide(self, ids: Iterable[int], script: str | None = None) -> None:
        """Hide rows, as if rights had been withdrawn: from one script, or from everybody.

        Rows that are not committed yet are hidden once they are.
        """
        wanted = set(ids)
        self._hidden.setdefault(script, set()).update(wanted)
        if script is None:
            for view in self._views.values():
                view.remove(wanted)
            return
        if script not in self._views:
            self._views[script] = Visible(self._views[None].ids)
        self._views[script].remove(wanted)

    def show(self, ids: Iterable[int] | None = None, script: str | None = None) -> None:
        """Show hidden rows again: those named, or all that were hidden from that script."""
        hidden = self._hidden.setdefault(script, set())
        wanted = set(hidden) if ids is None else hidden.intersection(ids)
        hidden -= wanted
        back = sorted(some for some in wanted if some in self._rows)
        for name in [script] if script is not None else list(self._views):
            others = self._hidden.get(name, set()) | self._hidden[None]
            if name in self._views:
                self._views[name].add([some for some in back if some not in others])

    def rewind(self, to_id: int) -> None:
        """Forget all rows above an id; the ids above it are handed out again."""
        for event_id in range(to_id + 1, self._next):
            self._rows.pop(event_id, None)
        for view in self._views.values():
            del view.ids[bisect_right(view.ids, to_id) :]
        for hidden in self._hidden.values():
            hidden.difference_update([some for some in hidden if some > to_id])
        self._next = to_id + 1
        self.era += 1

    def first_at(self, stamp: str, ids: Sequence[int], *, after: bool = False) -> int:
        """Return the index in `ids` of the first row at `stamp` or later, or after it."""
        search = bisect_right if after else bisect_left
        return search(ids, stamp, key=lambda event_id: self._rows[event_id].created_at)
