"""The API method `summarize`: counts, sums and the like over matching rows, and by groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sgevents_core.sandbox.conditions import Compiler, Condition, matching
from sgevents_core.sandbox.grouping import NUMBERS, group_of
from sgevents_core.sandbox.paths import Path, resolve
from sgevents_core.sandbox.queries import how_many, without_archived
from sgevents_core.sandbox.refusal import RefusedCallError, listed, shown
from sgevents_core.sandbox.site_database import Row, Rows, SiteDatabase

Summary = Callable[[list[Any], dict[str, Any]], Any]


def _filled(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None and value != []]


def _share(part: int, values: list[Any]) -> float:
    return 100.0 * part / len(values) if values else 0.0


def _average(values: list[Any]) -> float:
    filled = _filled(values)
    return sum(filled) / len(filled) if filled else 0.0


def _status(values: list[Any], _asked: dict[str, Any]) -> str | None:
    different = set(_filled(values))
    return next(iter(different), None) if len(different) < 2 else "ip"


def _with_status(values: list[Any], asked: dict[str, Any]) -> float:
    return _share(values.count(asked.get("value")), values)


SUMMARIES: Final[dict[str, Summary]] = {
    "record_count": lambda values, _: len(values),
    "count": lambda values, _: len(_filled(values)),
    "sum": lambda values, _: sum(_filled(values)),
    "maximum": lambda values, _: max(_filled(values), default=None),
    "minimum": lambda values, _: min(_filled(values), default=None),
    "average": lambda values, _: _average(values),
    "earliest": lambda values, _: min(_filled(values), default=None),
    "latest": lambda values, _: max(_filled(values), default=None),
    "percentage": lambda values, _: round(_share(sum(map(bool, values)), values)),
    "status_percentage": lambda values, asked: round(_with_status(values, asked)),
    "status_percentage_as_float": lambda values, asked: _with_status(values, asked) / 100.0,
    "status_list": _status,
    "checked": lambda values, _: sum(value is True for value in values),
    "unchecked": lambda values, _: sum(value is not True for value in values),
}
"""Summary type -> the function that computes it from a field's values."""

_TAKEN: Final[dict[str, tuple[str, ...]]] = {
    "sum": NUMBERS,
    "average": NUMBERS,
    "maximum": NUMBERS,
    "minimum": NUMBERS,
    "earliest": ("date", "date_time"),
    "latest": ("date", "date_time"),
    "percentage": ("checkbox",),
    "checked": ("checkbox",),
    "unchecked": ("checkbox",),
    "status_list": ("status_list",),
    "status_percentage": ("status_list",),
    "status_percentage_as_float": ("status_list",),
}


class _Wanted:
    """One summary that was asked for."""

    def __init__(self, database: SiteDatabase, entity_type: str, asked: Any) -> None:
        if not isinstance(asked, dict) or not isinstance(asked.get("field"), str):
            raise RefusedCallError(f"API summarize() invalid/missing 'summaries': {shown(asked)}")
        self.asked = asked
        self.name: str = asked["field"]
        self.path = resolve(database, "summarize", entity_type, self.name)
        summary = SUMMARIES.get(asked.get("type", ""))
        if summary is None or not self._fits(self.path, asked["type"]):
            raise RefusedCallError(
                f"API summarize() {entity_type}.{self.name}'s '{self.path.field.data_type}' data "
                f"type doesn't support the summary {shown(asked.get('type'))}\n"
                f"Known summaries: {shown(list(SUMMARIES))}"
            )
        self.summary = summary

    @staticmethod
    def _fits(path: Path, kind: str) -> bool:
        taken = _TAKEN.get(kind)
        return taken is None or path.field.data_type in taken

    @property
    def counts_rows(self) -> bool:
        """Whether it is the number of rows, regardless of their content."""
        return self.asked["type"] == "record_count" or (
            self.asked["type"] == "count" and self.name == "id"
        )

    def over(self, rows: Sequence[Row]) -> Any:
        """Return the summary of rows."""
        get = self.path.get
        return self.summary([get(row) for row in rows], self.asked)


def summarize(
    database: SiteDatabase, params: dict[str, Any], rows: Rows, script: str | None
) -> dict[str, Any]:
    """Return the results of a `summarize` call.

    Counting rows by conditions on ids reads none of them.

    Args:
        database: The database.
        params: The client's parameters.
        rows: The rows of its type that the caller can see.
        script: The caller's script, for conditions that look at other rows.

    Raises:
        RefusedCallError: A field, a summary or a grouping does not exist or is not valid.
    """
    entity_type = params["type"]
    condition = _condition(database, params, script)
    summaries = listed("summarize", params, "summaries", dict)
    wanted = [_Wanted(database, entity_type, asked) for asked in summaries]
    grouping = listed("summarize", params, "grouping", dict)
    if not grouping and all(one.counts_rows for one in wanted):
        number = how_many(rows, condition)
        return {"summaries": {one.name: number for one in wanted}, "groups": []}
    found = list(matching(rows, condition))
    levels = [(group_of(database, entity_type, asked), asked) for asked in grouping]
    return {"summaries": _over(found, wanted), "groups": _groups(found, wanted, levels)}


def _condition(database: SiteDatabase, params: dict[str, Any], script: str | None) -> Condition:
    filters = params.get("filters") or {"logical_operator": "and", "conditions": []}
    condition = Compiler(database, "summarize", script).group(params["type"], filters)
    if params.get("include_archived_projects") is False:
        return without_archived(database, params["type"], condition)
    return condition


def _over(rows: Sequence[Row], wanted: list[_Wanted]) -> dict[str, Any]:
    return {one.name: one.over(rows) for one in wanted}


def _groups(rows: Sequence[Row], wanted: list[_Wanted], levels: list[Any]) -> list[dict[str, Any]]:
    if not levels:
        return []
    (group, asked), *deeper = levels
    members: dict[Any, list[Row]] = {}
    about = {}
    for row in rows:
        for some in group(row):
            members.setdefault(some.key, []).append(row)
            about[some.key] = some
    order = sorted(members, reverse=asked.get("direction") == "desc")
    return [_group(about[key], members[key], wanted, deeper) for key in order]


def _group(
    some: Any, rows: Sequence[Row], wanted: list[_Wanted], deeper: list[Any]
) -> dict[str, Any]:
    shown_group = {"group_name": some.name, "group_value": some.value}
    if deeper:
        shown_group["groups"] = _groups(rows, wanted, deeper)
    return {**shown_group, "summaries": _over(rows, wanted)}
