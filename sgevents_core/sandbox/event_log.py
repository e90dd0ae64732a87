"""The event log of the sandbox site: ids handed out, rows visible, rows hidden."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sgevents_core.sandbox.records import EntityRef


class EventRow(msgspec.Struct, gc=False, kw_only=True):
    """One row of the event log; links are `EntityRef`, `created_at` is in the API's form."""

    id: int
    event_type: str | None
    created_at: str
    attribute_name: str | None = None
    meta: dict[str, Any] | str | None = None
    entity: EntityRef | None = None
    user: EntityRef | None = None
    project: EntityRef | None = None
    session_uuid: str | None = None
    description: str | None = None


class VisibleIds:
    """Ids in ascending order, to which late ones can be added."""

    __slots__ = ("ids",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self.ids = list(ids)

    def add_ids(self, ids: Sequence[int]) -> None:
        """Add ascending ids, wherever they belong."""
        if ids and (not self.ids or ids[0] > self.ids[-1]):
            self.ids.extend(ids)
        elif len(ids) < 16:
            for event_id in ids:
                insort(self.ids, event_id)
        else:  # sorting two sorted runs is a single merge
            self.ids.extend(ids)
            self.ids.sort()

    def remove_ids(self, ids: set[int]) -> None:
        """Remove ids."""
        self.ids = [event_id for event_id in self.ids if event_id not in ids]


class SandboxEventLog:
    """The rows by id, and which of them each script can see.

    Ids are handed out at once and rows become visible when they are committed, as on a site. Rows
    that the site creates itself have timestamps that ascend with their ids.
    """

    def __init__(self) -> None:
        self.rewind_count = 0
        self._rows_by_id: dict[int, EventRow] = {}
        self._next_id = 1
        self._newest_timestamp = ""
        self._visible_by_script: dict[str | None, VisibleIds] = {None: VisibleIds()}
        self._hidden_by_script: dict[str | None, set[int]] = {None: set()}

    @property
    def next_id(self) -> int:
        """The id of the next row."""
        return self._next_id

    @property
    def highest_id(self) -> int:
        """The highest id visible to a script from which nothing is hidden; 0 for none."""
        ids = self._visible_by_script[None].ids
        return ids[-1] if ids else 0

    def visible_ids(self, script: str | None = None) -> list[int]:
        """Return the visible ids, ascending: to everybody, or to one script."""
        return list(self.visible_id_list(script))

    def visible_id_list(self, script: str | None = None) -> list[int]:
        """Return the ids visible to a script: the log's own list, not to be changed."""
        return self._visible_by_script.get(script, self._visible_by_script[None]).ids

    def row(self, event_id: int) -> EventRow:
        """Return a committed row, hidden or not.

        Raises:
            KeyError: The row was not committed.
        """
        return self._rows_by_id[event_id]

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._rows_by_id

    def hand_out_id(self, timestamp: str) -> tuple[int, str]:
        """Return the next id and the timestamp of its row.

        Args:
            timestamp: The time as the API writes it; if it is earlier than that of the last id, the
                last id's is used.
        """
        self._newest_timestamp = max(timestamp, self._newest_timestamp)
        self._next_id += 1
        return self._next_id - 1, self._newest_timestamp

    def burn(self, count: int) -> range:
        """Use up `count` ids whose rows never arrive, as a failed transaction does."""
        first_id = self._next_id
        self._next_id += count
        return range(first_id, self._next_id)

    def commit(self, rows: Sequence[EventRow]) -> None:
        """Commit rows whose ids were handed out before, so that they become visible."""
        self._rows_by_id.update((row.id, row) for row in rows)
        self._show_committed(sorted(row.id for row in rows))

    def _show_committed(self, committed_ids: Sequence[int]) -> None:
        hidden_everywhere = self._hidden_by_script[None]
        for script, visible_ids in self._visible_by_script.items():
            hidden_ids = (
                hidden_everywhere | self._hidden_by_script[script]
                if self._hidden_by_script[script]
                else hidden_everywhere
            )
            visible_ids.add_ids(
                [event_id for event_id in committed_ids if event_id not in hidden_ids]
                if hidden_ids
                else committed_ids
            )

    def append_rows(self, rows: Sequence[EventRow]) -> None:
        """Append many rows at once, with ids from `next_id` and ascending timestamps."""
        appended_ids = range(self._next_id, self._next_id + len(rows))
        self._rows_by_id.update(zip(appended_ids, rows, strict=True))
        self._show_committed(appended_ids)
        self._next_id = appended_ids.stop
        self._newest_timestamp = rows[-1].created_at

    def hide(self, ids: Iterable[int], script: str | None = None) -> None:
        """Hide rows, as if rights had been withdrawn: from one script, or from everybody.

        Rows that are not committed yet are hidden once they are.
        """
        chosen = set(ids)
        self._hidden_by_script.setdefault(script, set()).update(chosen)
        if script is None:
            for visible_ids in self._visible_by_script.values():
                visible_ids.remove_ids(chosen)
            return
        if script not in self._visible_by_script:
            self._visible_by_script[script] = VisibleIds(self._visible_by_script[None].ids)
        self._visible_by_script[script].remove_ids(chosen)

    def show(self, ids: Iterable[int] | None = None, script: str | None = None) -> None:
        """Show hidden rows again: those with the given ids, or all hidden from that script."""
        hidden_ids = self._hidden_by_script.setdefault(script, set())
        chosen = set(hidden_ids) if ids is None else hidden_ids.intersection(ids)
        hidden_ids -= chosen
        shown_ids = sorted(event_id for event_id in chosen if event_id in self._rows_by_id)
        for script_name in [script] if script is not None else list(self._visible_by_script):
            hidden_from_script = self._hidden_by_script.get(script_name, set())
            still_hidden = hidden_from_script | self._hidden_by_script[None]
            if script_name in self._visible_by_script:
                self._visible_by_script[script_name].add_ids(
                    [event_id for event_id in shown_ids if event_id not in still_hidden]
                )

    def rewind(self, to_id: int) -> None:
        """Forget all rows above an id; their ids are handed out again."""
        for event_id in range(to_id + 1, self._next_id):
            self._rows_by_id.pop(event_id, None)
        for visible_ids in self._visible_by_script.values():
            del visible_ids.ids[bisect_right(visible_ids.ids, to_id) :]
        for hidden_ids in self._hidden_by_script.values():
            hidden_ids.difference_update([event_id for event_id in hidden_ids if event_id > to_id])
        self._next_id = to_id + 1
        self.rewind_count += 1

    def first_index_at(self, timestamp: str, ids: Sequence[int], *, after: bool = False) -> int:
        """Return the index in `ids` of the first row at `timestamp` or later, or after it."""
        bisect = bisect_right if after else bisect_left
        return bisect(ids, timestamp, key=lambda event_id: self._rows_by_id[event_id].created_at)
