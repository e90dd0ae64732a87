"""Comparing the filters of plugins with the site's schema: types, fields and values that it does
not have can never occur. The comparison is pure; reading the schema is one call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import SiteError
from sgevents_core.events import type_parts
from sgevents_core.printable import counted
from sgevents_core.settings import Settings
from sgevents_core.settings.spelling import nearest_name
from sgevents_core.site.client import EventLog

if TYPE_CHECKING:
    from sgevents_core.filters import Match
    from sgevents_core.plugins.callback import Callback

SiteSchema: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Entity type -> field -> its description from `schema_read`."""

_MAX_LISTED: Final = 20
_LIST_TYPES: Final = ("list", "status_list")
_LINK_TYPES: Final = ("entity", "multi_entity")
_READING_DOMAIN: Final = "Reading"
"""The word in place of an entity type in an event type that has none."""


def schema_findings(settings: Settings, callbacks: Sequence[Callback]) -> list[Finding]:
    """Read the site's schema and compare the filters of `callbacks` with it."""
    try:
        with closing(EventLog(settings.site)) as log:
            schema = log.schema()
    except SiteError as error:
        fix = "see the findings about the site; without its schema nothing can be compared"
        return [Finding("schema", "problem", f"it cannot be read: {error.reason}", fix)]
    findings = [finding for callback in callbacks for finding in mismatches(callback, schema)]
    if findings:
        return findings
    count = len(callbacks)
    filters_text = f"the filters of {counted(count, 'callback')}"
    return [Finding("schema", "ok", f"{filters_text} fit the site's schema")]


def mismatches(callback: Callback, schema: SiteSchema) -> Iterator[Finding]:
    """Yield the types, fields and values of a callback's filter that the site does not have."""
    match = callback.match
    for condition_name, pattern, known_names in _named_types(match, schema):
        if not _any_fits(pattern, known_names):
            yield _finding(
                callback,
                f"{condition_name}: the site has no such entity type",
                pattern,
                known_names,
            )
    types = _possible_types(match, schema)
    for pattern in match.attribute if types else ():
        known_names = sorted({field for entity_type in types for field in schema[entity_type]})
        if not _any_fits(pattern, known_names):
            types_text = " or ".join(types) if len(types) < len(schema) else "any type"
            mismatch_text = f"attribute={pattern!r}: there is no such field of {types_text}"
            yield _finding(callback, mismatch_text, pattern, known_names)
    yield from _wrong_values(callback, [schema[entity_type] for entity_type in types])


def _named_types(match: Match, schema: SiteSchema) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each entity type that a filter names: the key, the pattern, and the matching types."""
    known_names = sorted(schema)
    for pattern in match.entity_type:
        yield f"entity_type={pattern!r}", pattern, known_names
    for event_type in match.event_type:
        entity_type_name = type_parts(event_type).entity_type
        if entity_type_name is not None and entity_type_name != _READING_DOMAIN:
            yield f"event_type={event_type!r}", entity_type_name, known_names


def _possible_types(match: Match, schema: SiteSchema) -> list[str]:
    """Return the entity types that a filter can match; all of them if it names none."""
    types = [type_parts(event_type).entity_type for event_type in match.event_type]
    return [
        entity_type
        for entity_type in sorted(schema)
        if (not match.entity_type or _is_any(entity_type, match.entity_type))
        and (not types or None in types or _is_any(entity_type, filter(None, types)))
    ]


def _wrong_values(
    callback: Callback, fields_of_types: Sequence[Mapping[str, Mapping[str, Any]]]
) -> Iterator[Finding]:
    """Yield the filter's values that none of the fields can have."""
    match = callback.match
    named_fields = [
        named_fields[condition_name]
        for named_fields in fields_of_types
        for condition_name in match.attribute
        if condition_name in named_fields
    ]
    if not named_fields or any("*" in condition_name for condition_name in match.attribute):
        return
    for data_types, property_name, read_value in (
        (_LIST_TYPES, "valid_values", _text_value),
        (_LINK_TYPES, "valid_types", _link_type),
    ):
        lists = [_property_values(field, property_name) for field in named_fields]
        if any(_data_type(field) not in data_types for field in named_fields) or not all(lists):
            continue
        known_names = sorted({value for filter_values in lists for value in filter_values})
        for condition_name, filter_values in (
            ("old_value", match.old_value),
            ("new_value", match.new_value),
        ):
            yield from _impossible_values(
                callback, condition_name, filter(None, map(read_value, filter_values)), known_names
            )


def _impossible_values(
    callback: Callback, condition_name: str, filter_values: Iterable[str], known_names: list[str]
) -> Iterator[Finding]:
    for filter_value in filter_values:
        if filter_value not in known_names:
            field = " or ".join(callback.match.attribute)
            yield _finding(
                callback,
                f"{condition_name}: {field} is never {filter_value!r}",
                filter_value,
                known_names,
            )


def _finding(
    callback: Callback, mismatch_text: str, given_name: str, names: Sequence[str]
) -> Finding:
    likely_name = nearest_name(given_name, names)
    choices_text = (
        f"there are: {', '.join(names)}" if len(names) <= _MAX_LISTED else "look it up on the site"
    )
    fix = f"did you mean {likely_name}?" if likely_name else choices_text
    message = f"{callback.where}: {callback.name}: {mismatch_text}"
    return Finding("schema", "problem", message, fix, callback.plugin)


def _any_fits(pattern: str, names: Iterable[str]) -> bool:
    matches_pattern = _pattern_matcher(pattern)
    return any(map(matches_pattern, names))


def _is_any(condition_name: str, patterns: Iterable[str]) -> bool:
    return any(_pattern_matcher(pattern)(condition_name) for pattern in patterns)


def _pattern_matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch


def _data_type(field: Mapping[str, Any]) -> str:
    return str((field.get("data_type") or {}).get("value", ""))


def _property_values(field: Mapping[str, Any], property_name: str) -> list[str]:
    values = ((field.get("properties") or {}).get(property_name) or {}).get("value")
    return [item for item in values if isinstance(item, str)] if isinstance(values, list) else []


def _text_value(filter_value: object) -> str | None:
    return filter_value if isinstance(filter_value, str) else None


def _link_type(filter_value: object) -> str | None:
    entity_type_name = filter_value.get("type") if isinstance(filter_value, Mapping) else None
    return entity_type_name if isinstance(entity_type_name, str) else None
