"""Searching the journal for the events that a person chose.

There is no index for it, since every index would make each append slower: SQLite passes over a
million entries in a fifth of a second, as long as no row has to be decoded. Conditions on the row
therefore come with one that is cheap and wrong only in one direction, such as its stored strand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.choices import OrderBy
from sgevents_core.scripts import API_USER
from sgevents_core.state.event_choice import EventChoice, NamedRecord, type_pattern
from sgevents_core.state.strands import STRAND_SHIFTS, STRANDS, project_key, record_key

_ALL_ERAS: Final = (
    "WITH RECURSIVE eras (era) AS (SELECT max(era) FROM journal UNION ALL"
    " SELECT (SELECT max(era) FROM journal WHERE era < eras.era) FROM eras WHERE era IS NOT NULL)"
    " SELECT era FROM eras WHERE era IS NOT NULL"
)
"""The eras of the journal, read from its index one by one."""
_IDS_TERM: Final = "event_id BETWEEN :first_id AND :last_id"
_VERBATIM_PART: Final = re.compile(r"[\w .:-]+", re.ASCII)
"""Characters that no writer of JSON escapes."""


def ids_condition() -> str:
    """Return a condition on the ids from `:first_id` to `:last_id`, which uses the index."""
    return f"era IN ({_ALL_ERAS}) AND {_IDS_TERM}"


def choice_condition(choice: EventChoice, strands_column: str) -> tuple[str, dict[str, Any]]:
    """Return an SQL condition that holds for every chosen entry, and its values.

    Args:
        choice: The choice.
        strands_column: The column with the packed strands; `NULL` in an older schema.
    """
    seq_column = "+seq" if choice.names_few_ids else "seq"  # with a sign it is not looked up
    sql_terms = [f"{seq_column} > :above", f"{seq_column} < :below"]
    sql_values: dict[str, Any] = {}
    for sql_term, term_values in (*_column_terms(choice), *_row_terms(choice, strands_column)):
        sql_terms.append(sql_term)
        sql_values |= term_values
    return " AND ".join(sql_terms), sql_values


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
        sql_term = ids_condition() if choice.names_few_ids else _IDS_TERM
        yield sql_term, {"first_id": choice.ids[0], "last_id": choice.ids[1]}
    if choice.late:
        yield "late > 0", {}
    if choice.failed or choice.failed_plugin is not None:
        yield _failed_term(), {"failed_plugin": choice.failed_plugin}


def _failed_term() -> str:
    failed_seqs = (
        "SELECT seq FROM failures WHERE dead = {} AND seq > :above AND seq < :below"
        " AND (:failed_plugin IS NULL OR plugin = :failed_plugin)"
    )
    return f"seq IN ({failed_seqs.format(0)} UNION {failed_seqs.format(1)})"


def _row_terms(choice: EventChoice, strands_column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield conditions that are cheap, hold for every chosen row, and for few others."""
    if choice.entity is not None:
        record = NamedRecord.parse(choice.entity)
        if record.entity_type and record.entity_id is not None:
            entity_key = record_key(record.entity_type, record.entity_id)
            yield _strand_term("entity", strands_column), {"entity": entity_key % STRANDS}
        else:
            entity_text = _verbatim_text(record)
            sql_term = "(instr(body, :entity_json) OR instr(event_type, :entity_text))"
            yield sql_term, {"entity_json": entity_text.encode(), "entity_text": entity_text}
    if choice.project is not None:
        record = NamedRecord.parse(choice.project)
        if record.entity_id is not None:
            project_strand = project_key(record.entity_id) % STRANDS
            yield _strand_term("project", strands_column), {"project": project_strand}
        else:
            yield "instr(body, :project_name)", {"project_name": _verbatim_text(record).encode()}
    if choice.user is not None:
        record = NamedRecord.parse(choice.user)
        yield "instr(body, :user_text)", {"user_text": _verbatim_text(record).encode()}
    if choice.script is not None:
        yield (
            "(instr(body, :script_type) OR instr(body, :sudo_key))",
            {"script_type": API_USER.encode(), "sudo_key": b"sudo_actual_user"},
        )


def _strand_term(order_by: OrderBy, strands_column: str) -> str:
    shift = STRAND_SHIFTS[order_by]
    return f"coalesce({strands_column} >> {shift} & {STRANDS - 1}, :{order_by}) = :{order_by}"


def _verbatim_text(record: NamedRecord) -> str:
    """Return the longest part of a name or id that JSON contains as it is, however encoded."""
    named_text = str(record.entity_id) if record.entity_id is not None else record.name
    return max(_VERBATIM_PART.findall(named_text), key=len, default="")
