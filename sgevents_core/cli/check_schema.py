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

Schema: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Entity type -> field -> its description from `schema_read`."""

_FEW: Final = 20
_LISTS: Final = ("list", "status_list")
_LINKS: Final = ("entity", "multi_entity")
_READING: Final = "Reading"
"""Used in event types that have no entity type."""


def schema_findings(settings: Settings, callbacks: Sequence[Callback]) -> list[Finding]:
    """Read the site's schema and compare the filters of `callbacks` with it."""
    try:
        with closing(EventLog(settings.site)) as log:
            schema = log.schema()
    except SiteError as error:
        fix = "look at what check says of the site; without its schema nothing can be compared"
        return [Finding("schema", "problem", f"it cannot be read: {error.reason}", fix)]
    found = [one for callback in callbacks for one in mismatches(callback, schema)]
    if found:
        return found
    count = len(callbacks)
    filters = f"the filters of {counted(count, 'callback')}"
    return [Finding("schema", "ok", f"{filters} fit the site's schema")]


def mismatches(callback: Callback, schema: Schema) -> Iterator[Finding]:
    """Yield what a callback's filter uses that the site does not have."""
    match = callback.match
    for name, pattern, known in _named_types(match, schema):
        if not _fitting(pattern, known):
            yield _finding(callback, f"{name}: the site has no such entity type", pattern, known)
    types = _types(match, schema)
    for pattern in match.attribute if types else ():
        known = sorted({field for kind in types for field in schema[kind]})
        if not _fitting(pattern, known):
            where = " or ".join(types) if len(types) < len(schema) else "any type"
            text = f"attribute={pattern!r}: there is no such field of {where}"
            yield _finding(callback, text, pattern, known)
    yield from _wrong_values(callback, [schema[kind] for kind in types])


def _named_types(match: Match, schema: Schema) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each entity type that a filter names: the key, the pattern, and the matching types."""
    known = sorted(schema)
    for pattern in match.entity_type:
        yield f"entity_type={pattern!r}", pattern, known
    for event_type in match.event_type:
        named = type_parts(event_type).entity_type
        if named is not None and named != _READING:
            yield f"event_type={event_type!r}", named, known


def _types(match: Match, schema: Schema) -> list[str]:
    """Return the entity types that a filter can match; all of them if it names none."""
    by_event = [type_parts(one).entity_type for one in match.event_type]
    return [
        kind
        for kind in sorted(schema)
        if (not match.entity_type or _is_any(kind, match.entity_type))
        and (not by_event or None in by_event or _is_any(kind, filter(None, by_event)))
    ]


def _wrong_values(
    callback: Callback, fields_of_types: Sequence[Mapping[str, Mapping[str, Any]]]
) -> Iterator[Finding]:
    """Yield the filter's values that none of the fields can have."""
    match = callback.match
    fields = [
        fields[name] for fields in fields_of_types for name in match.attribute if name in fields
    ]
    if not fields or any("*" in name for name in match.attribute):
        return
    for kinds, listed, read in (
        (_LISTS, "valid_values", _text),
        (_LINKS, "valid_types", _type_of),
    ):
        lists = [_property(field, listed) for field in fields]
        if any(_data_type(field) not in kinds for field in fields) or not all(lists):
            continue
        known = sorted({value for values in lists for value in values})
        for name, values in (("old_value", match.old_value), ("new_value", match.new_value)):
            yield from _not_among(callback, name, filter(None, map(read, values)), known)


def _not_among(
    callback: Callback, name: str, values: Iterable[str], known: list[str]
) -> Iterator[Finding]:
    for value in values:
        if value not in known:
            field = " or ".join(callback.match.attribute)
            yield _finding(callback, f"{name}: {field} is never {value!r}", value, known)


def _finding(callback: Callback, text: str, name: str, known: Sequence[str]) -> Finding:
    meant = nearest_name(name, known)
    few = f"there are: {', '.join(known)}" if len(known) <= _FEW else "look it up on the site"
    fix = f"did you mean {meant}?" if meant else few
    message = f"{callback.where}: {callback.name}: {text}"
    return Finding("schema", "problem", message, fix, callback.plugin)


def _fitting(pattern: str, names: Iterable[str]) -> bool:
    fits = _fits(pattern)
    return any(map(fits, names))


def _is_any(name: str, patterns: Iterable[str]) -> bool:
    return any(_fits(pattern)(name) for pattern in patterns)


def _fits(pattern: str) -> Callable[[str], object]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch


def _data_type(field: Mapping[str, Any]) -> str:
    return str((field.get("data_type") or {}).get("value", ""))


def _property(field: Mapping[str, Any], name: str) -> list[str]:
    found = ((field.get("properties") or {}).get(name) or {}).get("value")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _type_of(value: object) -> str | None:
    named = value.get("type") if isinstance(value, Mapping) else None
    return named if isinstance(named, str) else None
