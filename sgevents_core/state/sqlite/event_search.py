"""Searching the journal for the events that a person chose.

There is no index for it, since every index would make each append slower: SQLite passes over a
million entries in a fifth of a second, as long as no row has to be decoded. Conditions on the row
therefore come with one that is cheap and wrong only in one direction, such as its stored strand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sgevents_core.choices import OrderBy
from sgevents_core.scripts import API_USER
from sgevents_core.state.entries import Entry
from sgevents_core.state.event_choice import EventChoice, NamedRecord, type_pattern
from sgevents_core.state.sqlite.journal_pages import MOST_EVENTS
from sgevents_core.state.strands import (
    STRAND_SHIFTS,
    STRANDS,
    project_key,
    record_key,
    strand_in,
)

_ERAS: Final = (
    "WITH RECURSIVE eras (era) AS (SELECT max(era) FROM {0} UNION ALL"
    " SELECT (SELECT max(era) FROM {0} WHERE era < eras.era) FROM eras WHERE era IS NOT NULL)"
    " SELECT era FROM eras WHERE era IS NOT NULL"
)
_ALL_ERAS: Final = _ERAS.format("journal")
"""The eras of the journal's rows, read from an index one by one."""
_ERAS_OF_PAGES: Final = _ERAS.format("journal_pages")
ERAS_QUERY: Final = f"SELECT * FROM ({_ALL_ERAS}) UNION SELECT * FROM ({_ERAS_OF_PAGES})"  # noqa: S608 - our own
"""All eras of the journal."""
_IDS_TERM: Final = "event_id BETWEEN :first_id AND :last_id"
_INDEXED_IDS_TERM: Final = f"era IN ({_ALL_ERAS}) AND {_IDS_TERM}"
_VERBATIM_PART: Final = re.compile(r"[\w .:-]+", re.ASCII)
"""Characters that no writer of JSON escapes."""


class _RowTerm(NamedTuple):
    """A condition that is cheap, holds for every chosen row, and for few others.

    Args:
        sql_term: The condition on the columns of a row.
        sql_values: Its values.
        holds: The same condition on an entry.
    """

    sql_term: str
    sql_values: dict[str, Any]
    holds: Callable[[Entry], bool]


def choice_condition(choice: EventChoice, strands_column: str) -> tuple[str, dict[str, Any]]:
    """Return an SQL condition that holds for every chosen entry, and its values.

    Args:
        choice: The choice.
        strands_column: The column with the packed strands; `NULL` in an older schema.
    """
    seq_column = "+seq" if choice.names_few_ids else "seq"  # with a sign it is not looked up
    sql_terms = [f"{seq_column} > :above", f"{seq_column} < :below"]
    sql_values: dict[str, Any] = {}
    for sql_term, term_values in _column_terms(choice):
        sql_terms.append(sql_term)
        sql_values |= term_values
    for row_term in _row_terms(choice, strands_column):
        sql_terms.append(row_term.sql_term)
        sql_values |= row_term.sql_values
    return " AND ".join(sql_terms), sql_values


def entry_condition(choice: EventChoice) -> Callable[[Entry], bool]:
    """Return a condition that holds for every chosen entry, failures left out, and few others."""
    row_terms = [*_row_terms(choice, "NULL")]
    return lambda entry: (
        choice.matches_columns(entry) and all(row_term.holds(entry) for row_term in row_terms)
    )


def page_condition(choice: EventChoice) -> tuple[str, dict[str, Any]]:
    """Return an SQL condition that holds for every page with a chosen entry, and its values."""
    sql_terms = ["last_seq > :above AND last_seq < :below + :most_events"]
    sql_values: dict[str, Any] = {"most_events": MOST_EVENTS}
    for sql_term, term_values in _page_terms(choice):
        sql_terms.append(sql_term)
        sql_values |= term_values
    return " AND ".join(sql_terms), sql_values


def _page_terms(choice: EventChoice) -> Iterator[tuple[str, dict[str, Any]]]:
    if choice.ids is not None:
        sql_term = "last_id >= :first_id AND first_id <= :last_id"
        yield sql_term, {"first_id": choice.ids[0], "last_id": choice.ids[1]}
    if choice.created_since is not None:
        yield "latest_at >= :created_since", {"created_since": choice.created_since}
    if choice.late:
        yield "FALSE", {}  # they hold none
    if choice.event_type is not None:
        type_text = _longest_verbatim(choice.event_type)
        yield "instr(heads, :type_text)", {"type_text": type_text.encode()}
    records = {"entity": choice.entity, "project": choice.project, "user": choice.user}
    for name, record_text in records.items():
        if record_text is not None:
            record = NamedRecord.parse(record_text)
            is_type = name == "entity" and record.entity_id is None
            in_heads = f" OR instr(heads, :{name})" if is_type else ""
            yield f"(instr(bodies, :{name}){in_heads})", {name: _verbatim_text(record).encode()}


def _column_terms(choice: EventChoice) -> Iterator[tuple[str, dict[str, Any]]]:
    if choice.event_type is not None and "*" in choice.event_type:
        yield "event_type GLOB :event_type", {"event_type": type_pattern(choice.event_type)}
    elif choice.event_type is not None:
        yield "event_type = :event_type", {"event_type": choice.event_type}
    if choice.created_since is not None:
        yield "created_at >= :created_since", {"created_since": choice.created_since}
    if choice.created_until is not None:
        yield "created_at <= :created_until", {"created_until": choice.created_until}
    if choice.ids is not None:
        sql_term = _INDEXED_IDS_TERM if choice.names_few_ids else _IDS_TERM
        yield sql_term, {"first_id": choice.ids[0], "last_id": choice.ids[1]}
    if choice.late:
        yield "late > 0", {}
    if choice.failed or choice.failed_plugin is not None:
        yield f"seq IN ({failed_query()})", {"failed_plugin": choice.failed_plugin}


def failed_query() -> str:
    """Return the query for the places on which a callback failed, between two others."""
    failed_seqs = (
        "SELECT seq FROM failures WHERE dead = {} AND seq > :above AND seq < :below"
        " AND (:failed_plugin IS NULL OR plugin = :failed_plugin)"
    )
    return f"{failed_seqs.format(0)} UNION {failed_seqs.format(1)}"


def _row_terms(choice: EventChoice, strands_column: str) -> Iterator[_RowTerm]:
    if choice.entity is not None:
        record = NamedRecord.parse(choice.entity)
        if record.entity_type and record.entity_id is not None:
            entity_key = record_key(record.entity_type, record.entity_id)
            yield _strand_term("entity", strands_column, entity_key % STRANDS)
        else:
            yield _entity_term(_verbatim_text(record))
    if choice.project is not None:
        record = NamedRecord.parse(choice.project)
        if record.entity_id is not None:
            yield _strand_term("project", strands_column, project_key(record.entity_id) % STRANDS)
        else:
            yield _body_term("project_name", _verbatim_text(record).encode())
    if choice.user is not None:
        user_text = _verbatim_text(NamedRecord.parse(choice.user))
        yield _body_term("user_text", user_text.encode())
    if choice.script is not None:
        script_type, sudo_key = API_USER.encode(), b"sudo_actual_user"
        yield _RowTerm(
            "(instr(body, :script_type) OR instr(body, :sudo_key))",
            {"script_type": script_type, "sudo_key": sudo_key},
            lambda entry: script_type in entry.body or sudo_key in entry.body,
        )


def _entity_term(entity_text: str) -> _RowTerm:
    entity_json = entity_text.encode()
    return _RowTerm(
        "(instr(body, :entity_json) OR instr(event_type, :entity_text))",
        {"entity_json": entity_json, "entity_text": entity_text},
        lambda entry: entity_json in entry.body or entity_text in entry.event_type,
    )


def _body_term(value_name: str, text: bytes) -> _RowTerm:
    return _RowTerm(
        f"instr(body, :{value_name})", {value_name: text}, lambda entry: text in entry.body
    )


def _strand_term(order_by: OrderBy, strands_column: str, strand_number: int) -> _RowTerm:
    shift = STRAND_SHIFTS[order_by]
    return _RowTerm(
        f"coalesce({strands_column} >> {shift} & {STRANDS - 1}, :{order_by}) = :{order_by}",
        {order_by: strand_number},
        lambda entry: entry.strands is None or strand_in(entry.strands, order_by) == strand_number,
    )


def _verbatim_text(record: NamedRecord) -> str:
    """Return the longest part of a name or id that JSON contains as it is, however encoded."""
    named_text = str(record.entity_id) if record.entity_id is not None else record.name
    return _longest_verbatim(named_text)


def _longest_verbatim(text: str) -> str:
    return max(_VERBATIM_PART.findall(text), key=len, default="")
