"""The parameter `additional_filter_presets` of `read`: the latest record for each linked one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import refused_call, refused_value, ruby_text
from sgevents_core.sandbox.site_database import SiteDatabase, SiteRow

LATEST_KEYS: Final = ("ENTITIES_CREATED_AT", "PIPELINE_STEP_NUMBER_AND_ENTITIES_CREATED_AT")


def latest_preset(presets: Any) -> str | None:
    """Return the key that distinguishes the latest records, or None without a preset.

    Raises:
        RefusedCallError: The parameter is not a list of one known preset.
    """
    if presets is None:
        return None
    if not isinstance(presets, list) or not all(isinstance(preset, dict) for preset in presets):
        raise refused_value(
            "read", "'additional_filter_presets' expects an array of hashes", presets
        )
    for preset in presets:
        if preset.get("preset_name") != "LATEST" or preset.get("latest_by") not in LATEST_KEYS:
            raise refused_call(
                "read",
                f"invalid filter preset: {ruby_text(preset)}\nValid presets: LATEST by "
                f"{ruby_text(list(LATEST_KEYS))}",
            )
    if len(presets) > 1:
        raise refused_call("read", "only one LATEST filter preset may be given")
    return str(presets[0]["latest_by"]) if presets else None


def latest_rows(
    database: SiteDatabase, matching_rows: Iterable[SiteRow], latest_key: str
) -> list[SiteRow]:
    """Return, of rows in id order, the latest one for each record that they link to.

    Args:
        database: The database with the pipeline steps.
        matching_rows: The rows that match all filters.
        latest_key: One of `LATEST_KEYS`.
    """
    best_by_entity: dict[EntityRef | None, tuple[Any, SiteRow]] = {}
    for row in matching_rows:
        if not isinstance(row, Record):
            continue
        step_number = _pipeline_step_number(database, row) if latest_key != LATEST_KEYS[0] else 0
        row_rank = (step_number, str(row.values.get("created_at")), row.id)
        entity_ref = row.values.get("entity")
        if entity_ref not in best_by_entity or best_by_entity[entity_ref][0] < row_rank:
            best_by_entity[entity_ref] = (row_rank, row)
    return sorted((row for _rank, row in best_by_entity.values()), key=lambda row: row.id)


def _pipeline_step_number(database: SiteDatabase, row: Record) -> int:
    task = database.records.live(row.values.get("sg_task"))
    step = database.records.live(task.values.get("step")) if task else None
    return int(step.values.get("list_order") or 0) if step else 0
