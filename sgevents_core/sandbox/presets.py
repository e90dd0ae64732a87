"""The parameter `additional_filter_presets` of `read`: the latest record for each linked one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.site_database import Row, SiteDatabase

LATEST_BY: Final = ("ENTITIES_CREATED_AT", "PIPELINE_STEP_NUMBER_AND_ENTITIES_CREATED_AT")


def preset(asked: Any) -> str | None:
    """Return the key that distinguishes the latest records, or None without a preset.

    Raises:
        RefusedCallError: The parameter is not a list of one known preset.
    """
    if asked is None:
        return None
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise RefusedCallError(
            f"API read() 'additional_filter_presets' expects an array of hashes: {shown(asked)}"
        )
    for one in asked:
        if one.get("preset_name") != "LATEST" or one.get("latest_by") not in LATEST_BY:
            raise RefusedCallError(
                f"API read() invalid filter preset: {shown(one)}\nValid presets: LATEST by "
                f"{shown(list(LATEST_BY))}"
            )
    if len(asked) > 1:
        raise RefusedCallError("API read() only one LATEST filter preset may be given")
    return str(asked[0]["latest_by"]) if asked else None


def latest(database: SiteDatabase, rows: Iterable[Row], by: str) -> list[Row]:
    """Return, of rows in id order, the latest one for each record that they link to.

    Args:
        database: The database with the pipeline steps.
        rows: The rows that match all filters.
        by: One of `LATEST_BY`.
    """
    best: dict[Ref | None, tuple[Any, Row]] = {}
    for row in rows:
        if not isinstance(row, Record):
            continue
        step = _step_number(database, row) if by != LATEST_BY[0] else 0
        rank = (step, str(row.values.get("created_at")), row.id)
        entity = row.values.get("entity")
        if entity not in best or best[entity][0] < rank:
            best[entity] = (rank, row)
    return sorted((row for _rank, row in best.values()), key=lambda row: row.id)


def _step_number(database: SiteDatabase, row: Record) -> int:
    task = database.records.live(row.values.get("sg_task"))
    step = database.records.live(task.values.get("step")) if task else None
    return int(step.values.get("list_order") or 0) if step else 0
