"""The API method `summarize`: counts, sums and the like over matching rows, and by groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sgevents_core.sandbox.field_paths import FieldPath, resolve_path
from sgevents_core.sandbox.filter_conditions import FilterCompiler, FilterCondition, matching_rows
from sgevents_core.sandbox.grouping import NUMBER_TYPES, compile_grouping
from sgevents_core.sandbox.read_queries import count_matching, exclude_archived
from sgevents_core.sandbox.refused_calls import (
    array_parameter,
    refused_call,
    refused_value,
    ruby_text,
)
from sgevents_core.sandbox.site_database import SiteDatabase, SiteRow, VisibleRows

SummaryFunction = Callable[[list[Any], dict[str, Any]], Any]
"""Values of a field and the request for the summary -> the summary."""


def _percentage(matching_count: int, values: list[Any]) -> float:
    return 100.0 * matching_count / len(values) if values else 0.0


def _status_percentage(values: list[Any], request: dict[str, Any]) -> float:
    return _percentage(values.count(request.get("value")), values)


def _common_status(statuses: list[Any]) -> str | None:
    distinct = set(statuses)
    return next(iter(distinct), None) if len(distinct) < 2 else "ip"


def _of_present(summarize_values: Callable[[list[Any]], Any]) -> SummaryFunction:
    """Return a summary of the values that are neither unset nor empty."""

    def summary_function(values: list[Any], _request: dict[str, Any]) -> Any:
        return summarize_values([value for value in values if value is not None and value != []])

    return summary_function


def _of_all(summarize_values: Callable[[list[Any]], Any]) -> SummaryFunction:
    return lambda values, _request: summarize_values(values)


_HIGHEST: Final = _of_present(lambda values: max(values, default=None))
_LOWEST: Final = _of_present(lambda values: min(values, default=None))

SUMMARY_FUNCTIONS: Final[dict[str, SummaryFunction]] = {
    "record_count": _of_all(len),
    "count": _of_present(len),
    "sum": _of_present(sum),
    "maximum": _HIGHEST,
    "minimum": _LOWEST,
    "average": _of_present(lambda values: sum(values) / len(values) if values else 0.0),
    "earliest": _LOWEST,
    "latest": _HIGHEST,
    "percentage": _of_all(lambda values: round(_percentage(sum(map(bool, values)), values))),
    "status_percentage": lambda values, request: round(_status_percentage(values, request)),
    "status_percentage_as_float": lambda values, request: (
        _status_percentage(values, request) / 100.0
    ),
    "status_list": _of_present(_common_status),
    "checked": _of_all(lambda values: sum(value is True for value in values)),
    "unchecked": _of_all(lambda values: sum(value is not True for value in values)),
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
    """One requested summary."""

    def __init__(self, database: SiteDatabase, entity_type: str, request: Any) -> None:
        if not isinstance(request, dict) or not isinstance(request.get("field"), str):
            raise refused_value("summarize", "invalid/missing 'summaries'", request)
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
        summary_type = self.summary_parameters["type"]
        return summary_type == "record_count" or (
            summary_type == "count" and self.field_name == "id"
        )

    def summarize_rows(self, rows: Sequence[SiteRow]) -> Any:
        """Return the summary of rows."""
        read_value = self.field_path.read_value
        return self.summary_function(list(map(read_value, rows)), self.summary_parameters)


def summarize(
    database: SiteDatabase, parameters: dict[str, Any], rows: VisibleRows, script_name: str | None
) -> dict[str, Any]:
    """Return the results of a `summarize` call.

    Counting rows by conditions on ids reads none of them.

    Args:
        database: The database.
        parameters: The client's parameters.
        rows: The rows of its type that the caller can see.
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
        total = count_matching(rows, condition)
        return {"summaries": {summary.field_name: total for summary in summaries}, "groups": []}
    matching = list(matching_rows(rows, condition))
    levels = [(compile_grouping(database, entity_type, asked), asked) for asked in groupings]
    groups = _grouped_summaries(matching, summaries, levels)
    return {"summaries": _summarize_rows(matching, summaries), "groups": groups}


def _compile_filters(
    database: SiteDatabase, parameters: dict[str, Any], script_name: str | None
) -> FilterCondition:
    filter_group = parameters.get("filters") or {"logical_operator": "and", "conditions": []}
    compiler = FilterCompiler(database, "summarize", script_name)
    condition = compiler.compile_group(parameters["type"], filter_group)
    if parameters.get("include_archived_projects") is False:
        return exclude_archived(database, parameters["type"], condition)
    return condition


def _summarize_rows(rows: Sequence[SiteRow], summaries: list[_RequestedSummary]) -> dict[str, Any]:
    return {summary.field_name: summary.summarize_rows(rows) for summary in summaries}


def _grouped_summaries(
    rows: Sequence[SiteRow], summaries: list[_RequestedSummary], levels: list[Any]
) -> list[dict[str, Any]]:
    if not levels:
        return []
    (row_groups, grouping), *deeper = levels
    rows_by_key: dict[Any, list[SiteRow]] = {}
    groups_by_key = {}
    for row in rows:
        for group in row_groups(row):
            rows_by_key.setdefault(group.sort_key, []).append(row)
            groups_by_key[group.sort_key] = group
    ordered_keys = sorted(rows_by_key, reverse=grouping.get("direction") == "desc")
    return [
        _group_summary(groups_by_key[sort_key], rows_by_key[sort_key], summaries, deeper)
        for sort_key in ordered_keys
    ]


def _group_summary(
    group: Any, rows: Sequence[SiteRow], summaries: list[_RequestedSummary], deeper: list[Any]
) -> dict[str, Any]:
    summary = {"group_name": group.group_name, "group_value": group.group_value}
    if deeper:
        summary["groups"] = _grouped_summaries(rows, summaries, deeper)
    return {**summary, "summaries": _summarize_rows(rows, summaries)}
