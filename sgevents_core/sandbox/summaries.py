"""The API method `summarize`: counts, sums and the like over matching rows, and by groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sgevents_core.sandbox.field_paths import FieldPath, resolve_path
from sgevents_core.sandbox.filter_conditions import FilterCompiler, FilterCondition, matching_rows
from sgevents_core.sandbox.grouping import NUMBER_TYPES, compile_grouping
from sgevents_core.sandbox.read_queries import count_matching, exclude_archived
from sgevents_core.sandbox.refused_calls import array_parameter, refused_call, ruby_text
from sgevents_core.sandbox.site_database import SiteDatabase, SiteRow, VisibleRows

SummaryFunction = Callable[[list[Any], dict[str, Any]], Any]


def _present_values(field_values: list[Any]) -> list[Any]:
    return [
        field_value for field_value in field_values if field_value is not None and field_value != []
    ]


def _percentage(matching_count: int, field_values: list[Any]) -> float:
    return 100.0 * matching_count / len(field_values) if field_values else 0.0


def _mean_value(field_values: list[Any]) -> float:
    present_values = _present_values(field_values)
    return sum(present_values) / len(present_values) if present_values else 0.0


def _common_status(field_values: list[Any], _summary_parameters: dict[str, Any]) -> str | None:
    distinct_values = set(_present_values(field_values))
    return next(iter(distinct_values), None) if len(distinct_values) < 2 else "ip"


def _status_percentage(field_values: list[Any], request: dict[str, Any]) -> float:
    return _percentage(field_values.count(request.get("value")), field_values)


SUMMARY_FUNCTIONS: Final[dict[str, SummaryFunction]] = {
    "record_count": lambda field_values, _: len(field_values),
    "count": lambda field_values, _: len(_present_values(field_values)),
    "sum": lambda field_values, _: sum(_present_values(field_values)),
    "maximum": lambda field_values, _: max(_present_values(field_values), default=None),
    "minimum": lambda field_values, _: min(_present_values(field_values), default=None),
    "average": lambda field_values, _: _mean_value(field_values),
    "earliest": lambda field_values, _: min(_present_values(field_values), default=None),
    "latest": lambda field_values, _: max(_present_values(field_values), default=None),
    "percentage": lambda field_values, _: round(
        _percentage(sum(map(bool, field_values)), field_values)
    ),
    "status_percentage": lambda field_values, request: round(
        _status_percentage(field_values, request)
    ),
    "status_percentage_as_float": lambda field_values, request: (
        _status_percentage(field_values, request) / 100.0
    ),
    "status_list": _common_status,
    "checked": lambda field_values, _: sum(field_value is True for field_value in field_values),
    "unchecked": lambda field_values, _: sum(
        field_value is not True for field_value in field_values
    ),
}
"""Summary type -> the function that computes it from a field's values."""

_ACCEPTED_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "sum": NUMBER_TYPES,
    "average": NUMBER_TYPES,
    "maximum": NUMBER_TYPES,
    "minimum": NUMBER_TYPES,
    "earliest": ("date", "date_time"),
    "latest": ("date", "date_time"),
    "percentage": ("checkbox",),
    "checked": ("checkbox",),
    "unchecked": ("checkbox",),
    "status_list": ("status_list",),
    "status_percentage": ("status_list",),
    "status_percentage_as_float": ("status_list",),
}


class _RequestedSummary:
    """One summary that was asked for."""

    def __init__(self, database: SiteDatabase, entity_type: str, request: Any) -> None:
        if not isinstance(request, dict) or not isinstance(request.get("field"), str):
            raise refused_call("summarize", f"invalid/missing 'summaries': {ruby_text(request)}")
        self.summary_parameters = request
        self.field_name: str = request["field"]
        self.field_path = resolve_path(database, "summarize", entity_type, self.field_name)
        summary_function = SUMMARY_FUNCTIONS.get(request.get("type", ""))
        if summary_function is None or not self._accepts_field(self.field_path, request["type"]):
            raise refused_call(
                "summarize",
                f"{entity_type}.{self.field_name}'s '{self.field_path.field.data_type}' data "
                f"type doesn't support the summary {ruby_text(request.get('type'))}\n"
                f"Known summaries: {ruby_text(list(SUMMARY_FUNCTIONS))}",
            )
        self.summary_function = summary_function

    @staticmethod
    def _accepts_field(field_path: FieldPath, summary_type: str) -> bool:
        accepted_types = _ACCEPTED_TYPES.get(summary_type)
        return accepted_types is None or field_path.field.data_type in accepted_types

    @property
    def counts_rows(self) -> bool:
        """Whether it is the number of rows, regardless of their content."""
        return self.summary_parameters["type"] == "record_count" or (
            self.summary_parameters["type"] == "count" and self.field_name == "id"
        )

    def summarize_rows(self, summed_rows: Sequence[SiteRow]) -> Any:
        """Return the summary of rows."""
        read_value = self.field_path.read_value
        return self.summary_function(
            [read_value(row) for row in summed_rows], self.summary_parameters
        )


def summarize(
    database: SiteDatabase,
    parameters: dict[str, Any],
    visible_rows: VisibleRows,
    script_name: str | None,
) -> dict[str, Any]:
    """Return the results of a `summarize` call.

    Counting rows by conditions on ids reads none of them.

    Args:
        database: The database.
        parameters: The client's parameters.
        visible_rows: The rows of its type that the caller can see.
        script_name: The caller's script, for conditions that look at other rows.

    Raises:
        RefusedCallError: A field, a summary or a grouping does not exist or is not valid.
    """
    entity_type = parameters["type"]
    condition = _compile_filters(database, parameters, script_name)
    requests = array_parameter("summarize", parameters, "summaries", dict)
    summaries = [_RequestedSummary(database, entity_type, request) for request in requests]
    groupings = array_parameter("summarize", parameters, "grouping", dict)
    if not groupings and all(summary.counts_rows for summary in summaries):
        total = count_matching(visible_rows, condition)
        return {"summaries": {summary.field_name: total for summary in summaries}, "groups": []}
    rows = list(matching_rows(visible_rows, condition))
    levels = [(compile_grouping(database, entity_type, asked), asked) for asked in groupings]
    groups = _grouped_summaries(rows, summaries, levels)
    return {"summaries": _summarize_rows(rows, summaries), "groups": groups}


def _compile_filters(
    database: SiteDatabase, parameters: dict[str, Any], script_name: str | None
) -> FilterCondition:
    filter_group = parameters.get("filters") or {"logical_operator": "and", "conditions": []}
    condition = FilterCompiler(database, "summarize", script_name).compile_group(
        parameters["type"], filter_group
    )
    if parameters.get("include_archived_projects") is False:
        return exclude_archived(database, parameters["type"], condition)
    return condition


def _summarize_rows(
    summed_rows: Sequence[SiteRow], summaries: list[_RequestedSummary]
) -> dict[str, Any]:
    return {summary.field_name: summary.summarize_rows(summed_rows) for summary in summaries}


def _grouped_summaries(
    group_rows: Sequence[SiteRow],
    summaries: list[_RequestedSummary],
    grouping_levels: list[Any],
) -> list[dict[str, Any]]:
    if not grouping_levels:
        return []
    (row_groups, grouping), *deeper_levels = grouping_levels
    rows_by_key: dict[Any, list[SiteRow]] = {}
    groups_by_key = {}
    for row in group_rows:
        for row_group in row_groups(row):
            rows_by_key.setdefault(row_group.sort_key, []).append(row)
            groups_by_key[row_group.sort_key] = row_group
    ordered_keys = sorted(rows_by_key, reverse=grouping.get("direction") == "desc")
    return [
        _group_summary(groups_by_key[sort_key], rows_by_key[sort_key], summaries, deeper_levels)
        for sort_key in ordered_keys
    ]


def _group_summary(
    row_group: Any,
    group_rows: Sequence[SiteRow],
    summaries: list[_RequestedSummary],
    deeper_levels: list[Any],
) -> dict[str, Any]:
    group_values = {"group_name": row_group.group_name, "group_value": row_group.group_value}
    if deeper_levels:
        group_values["groups"] = _grouped_summaries(group_rows, summaries, deeper_levels)
    return {**group_values, "summaries": _summarize_rows(group_rows, summaries)}
