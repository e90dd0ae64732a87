"""Record plugins' writes while they are tested, with or without a site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, NamedTuple, TypeAlias

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.errors import NotAnsweredError
from sgevents_core.requests.dry_run import ReadOnlySite
from sgevents_core.testing.recorded_filters import field_reader, meets_filters

FIRST_MADE_UP_ID: Final = 9001
"""The id of the first record that a recorder creates."""


class Write(NamedTuple):
    """A write made through `ctx.sg`; equal to a plain tuple of the same values."""

    method: str
    """`create`, `update`, `delete`, `revive` or `upload`; of a `batch`, each of its requests."""
    entity_type: str
    entity_id: int
    """The record's id; for a created record, the id that it got."""
    data: dict[str, Any]
    """The fields that were set; for an upload `path` and `field_name`."""


RecordWrite: TypeAlias = Callable[[Write], None]
"""Receives a write that has been made."""


class RecordingClient(CountingShotgun):
    """The client that plugins get, connected to a sandbox; records the writes made through it."""

    record_write: RecordWrite

    def create(
        self, entity_type: str, data: dict[str, Any], return_fields: list[str] | None = None
    ) -> dict[str, Any]:
        """Create a record; record the write."""
        created = super().create(entity_type, data, return_fields)
        self.record_write(Write("create", entity_type, created["id"], deepcopy(data)))
        return created

    def update(
        self,
        entity_type: str,
        entity_id: int,
        data: dict[str, Any],
        multi_entity_update_modes: dict[str, Any] | None = None,
    ) -> Any:
        """Update a record; record the write."""
        updated = super().update(entity_type, entity_id, data, multi_entity_update_modes)
        self.record_write(Write("update", entity_type, entity_id, deepcopy(data)))
        return updated

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Retire a record; record the write."""
        changed = super().delete(entity_type, entity_id)
        self.record_write(Write("delete", entity_type, entity_id, {}))
        return changed

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Revive a record; record the write."""
        changed = super().revive(entity_type, entity_id)
        self.record_write(Write("revive", entity_type, entity_id, {}))
        return changed

    def batch(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make several writes at once; record each."""
        answers = super().batch(requests)
        for request, answer in zip(requests, answers, strict=True):
            self.record_write(_batch_write(request, answer))
        return answers

    def upload(self, entity_type: str, entity_id: int, path: str, *args: Any, **kwargs: Any) -> Any:
        """Upload a file, also as a thumbnail; record the write."""
        upload_id = super().upload(entity_type, entity_id, path, *args, **kwargs)
        field_name = args[0] if args else kwargs.get("field_name")
        data = {"path": str(path), "field_name": field_name}
        self.record_write(Write("upload", entity_type, entity_id, data))
        return upload_id


class DryRecordingClient(RecordingClient, ReadOnlySite):
    """A client that reads from the sandbox and records writes without making them."""

    print_line = staticmethod(lambda _line: None)


class Recorder:
    """The stand-in for the client without a site: it records writes and reads the given records.

    It answers `find` and `find_one` with every relation of filters, groups of filters, fields of
    linked records and retired records; writes change its records, so that reading back is
    consistent. Anything else raises NotAnsweredError: for real answers, use a sandbox.

    Args:
        records: The records that can be read: mappings with `type`, `id` and the fields.
        note: Called with each write.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], note: RecordWrite) -> None:
        self.writes = 0
        self._records = {(record["type"], record["id"]): dict(record) for record in records}
        self._retired: dict[tuple[str, int], dict[str, Any]] = {}
        self._record_write = note
        self._next_id = FIRST_MADE_UP_ID

    def __getattr__(self, attribute_name: str) -> Any:
        if attribute_name.startswith("__"):
            raise AttributeError(attribute_name)
        raise NotAnsweredError(asked=f"sg.{attribute_name}")

    def find(  # noqa: PLR0917 - as the client has it
        self,
        entity_type: str,
        filters: Any,
        fields: Iterable[str] | None = None,
        order: Any = None,
        filter_operator: str | None = None,
        limit: int = 0,
        retired_only: bool = False,
        page: int = 0,
        include_archived_projects: bool = True,
        additional_filter_presets: Any = None,
    ) -> list[dict[str, Any]]:
        """Return the matching records, each with its type, id and the requested fields."""
        if additional_filter_presets:
            raise NotAnsweredError(asked="sg.find with additional_filter_presets")
        known_records = self._retired if retired_only else self._records
        readers = [
            (record, field_reader(record, self._records))
            for (kind, _), record in known_records.items()
            if kind == entity_type
        ]
        operator = filter_operator or "all"
        matching = [
            (record, read_field)
            for record, read_field in readers
            if meets_filters(read_field, filters, operator)
        ]
        names = ["type", "id", *(fields or ())]
        results = [
            {name: deepcopy(read_field(name)) for name in names} for _, read_field in matching
        ]
        records = [record for record, _ in matching]
        page_start = limit * max(page - 1, 0)
        page_end = page_start + limit if limit else None
        return _in_order(results, records, order)[page_start:page_end]

    def find_one(  # noqa: PLR0917 - as the client has it
        self,
        entity_type: str,
        filters: Any,
        fields: Iterable[str] | None = None,
        order: Any = None,
        filter_operator: str | None = None,
        retired_only: bool = False,
        include_archived_projects: bool = True,
        additional_filter_presets: Any = None,
    ) -> dict[str, Any] | None:
        """Return the first matching record, or None."""
        results = self.find(
            entity_type,
            filters,
            fields,
            order,
            filter_operator,
            retired_only=retired_only,
            include_archived_projects=include_archived_projects,
            additional_filter_presets=additional_filter_presets,
        )
        return results[0] if results else None

    def create(
        self, entity_type: str, data: Mapping[str, Any], return_fields: object = None
    ) -> dict[str, Any]:
        """Record the creation of a record, which gets an id."""
        created = {"type": entity_type, "id": self._next_id, **deepcopy(dict(data))}
        self._next_id += 1
        self._records[entity_type, created["id"]] = created
        self._count_write(Write("create", entity_type, created["id"], deepcopy(dict(data))))
        return deepcopy(created)

    def update(
        self,
        entity_type: str,
        entity_id: int,
        data: Mapping[str, Any],
        multi_entity_update_modes: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Record the update of a record; a record that is not known is assumed to exist."""
        record = self._records.setdefault(
            (entity_type, entity_id), {"type": entity_type, "id": entity_id}
        )
        modes = multi_entity_update_modes or {}
        updated = {
            name: _merged_value(record.get(name), deepcopy(value), modes.get(name, "set"))
            for name, value in data.items()
        }
        record.update(updated)
        self._count_write(Write("update", entity_type, entity_id, deepcopy(dict(data))))
        return {"type": entity_type, "id": entity_id, **deepcopy(updated)}

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Record the retirement of a record."""
        removed = self._records.pop((entity_type, entity_id), None)
        self._retired[entity_type, entity_id] = removed or {"type": entity_type, "id": entity_id}
        self._count_write(Write("delete", entity_type, entity_id, {}))
        return True

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Record the revival of a record."""
        retired_record = self._retired.pop((entity_type, entity_id), None)
        self._records[entity_type, entity_id] = retired_record or {
            "type": entity_type,
            "id": entity_id,
        }
        self._count_write(Write("revive", entity_type, entity_id, {}))
        return True

    def batch(self, requests: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Make the writes one by one."""
        return [self._carry_out_request(request) for request in requests]

    def upload(  # noqa: PLR0917 - as the client has it
        self,
        entity_type: str,
        entity_id: int,
        path: str,
        field_name: str | None = None,
        display_name: str | None = None,
        tag_list: str | None = None,
        created_at: Any = None,
    ) -> int:
        """Record the upload of a file."""
        self._next_id += 1
        data = {"path": str(path), "field_name": field_name}
        self._count_write(Write("upload", entity_type, entity_id, data))
        return self._next_id - 1

    def upload_thumbnail(
        self, entity_type: str, entity_id: int, path: str, **options: object
    ) -> int:
        """Record the upload of a thumbnail."""
        return self.upload(entity_type, entity_id, path, "thumb_image")

    def close(self) -> None:
        """Do nothing: no connection is open."""

    def _count_write(self, write: Write) -> None:
        self.writes += 1
        self._record_write(write)

    def _carry_out_request(self, request: Mapping[str, Any]) -> Any:
        request_type, entity_type = request["request_type"], request["entity_type"]
        if request_type == "create":
            return self.create(entity_type, request["data"])
        if request_type == "update":
            modes = request.get("multi_entity_update_modes")
            return self.update(entity_type, request["entity_id"], request["data"], modes)
        return getattr(self, request_type)(entity_type, request["entity_id"])


def _merged_value(current: Any, given: Any, mode: str) -> Any:
    """Return a field's value after an update in this mode, as a site merges links."""
    if mode == "set":
        return given
    if mode not in ("add", "remove"):
        raise NotAnsweredError(asked=f"sg.update with the mode {mode!r}")
    given_links = {(link["type"], link["id"]): link for link in given}
    other_links = [link for link in current or () if (link["type"], link["id"]) not in given_links]
    if mode == "remove":
        return other_links
    current_links = {(link["type"], link["id"]): link for link in current or ()}
    return [*{**given_links, **current_links}.values()]


def _batch_write(request: Mapping[str, Any], answer: Any) -> Write:
    request_type, data = request["request_type"], deepcopy(request.get("data", {}))
    entity_id = answer["id"] if request_type == "create" else request["entity_id"]
    return Write(request_type, request["entity_type"], entity_id, data)


def _in_order(
    results: list[dict[str, Any]], records: list[dict[str, Any]], sort_rules: Any
) -> list[dict[str, Any]]:
    """Return `results` in the requested order; `records` are the same with all their fields."""
    positions = list(range(len(results)))
    for sort_rule in reversed(sort_rules or ()):
        field_name, descending = sort_rule["field_name"], sort_rule.get("direction") == "desc"

        def sort_key(position: int, field_name: str = field_name) -> tuple[bool, Any]:
            field_value = records[position].get(field_name)
            return field_value is not None, field_value

        positions.sort(key=sort_key, reverse=descending)
    return [results[position] for position in positions]
