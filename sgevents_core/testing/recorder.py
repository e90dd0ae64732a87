"""What plugins write to the site while they are tested, with or without a site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, NamedTuple, TypeAlias

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.errors import NotAnsweredError
from sgevents_core.requests.dry_run import ReadOnlySite

MADE_UP: Final = 9001
"""The id of the first record that a recorder creates."""


class Write(NamedTuple):
    """A write made through `ctx.sg`; equal to a plain tuple of the same values."""

    method: str
    """`create`, `update`, `delete`, `revive` or `upload`; of a `batch`, each of its requests."""
    entity_type: str
    entity_id: int
    """The record's id; for a created record, the id it was given."""
    data: dict[str, Any]
    """The fields that were set; for an upload `path` and `field_name`."""


Note: TypeAlias = Callable[[Write], None]
"""Receives a write that has been made."""


class NotingClient(CountingShotgun):
    """The client that plugins get, connected to a sandbox; records what is written through it."""

    note: Note

    def create(
        self, entity_type: str, data: dict[str, Any], return_fields: list[str] | None = None
    ) -> dict[str, Any]:
        """Create a record, and note the write."""
        made = super().create(entity_type, data, return_fields)
        self.note(Write("create", entity_type, made["id"], deepcopy(data)))
        return made

    def update(
        self,
        entity_type: str,
        entity_id: int,
        data: dict[str, Any],
        multi_entity_update_modes: dict[str, Any] | None = None,
    ) -> Any:
        """Update a record, and note the write."""
        updated = super().update(entity_type, entity_id, data, multi_entity_update_modes)
        self.note(Write("update", entity_type, entity_id, deepcopy(data)))
        return updated

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Retire a record, and note the write."""
        done = super().delete(entity_type, entity_id)
        self.note(Write("delete", entity_type, entity_id, {}))
        return done

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Revive a record, and note the write."""
        done = super().revive(entity_type, entity_id)
        self.note(Write("revive", entity_type, entity_id, {}))
        return done

    def batch(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make several writes at once, and note each."""
        answers = super().batch(requests)
        for request, answer in zip(requests, answers, strict=True):
            self.note(_requested(request, answer))
        return answers

    def upload(self, entity_type: str, entity_id: int, path: str, *args: Any, **kwargs: Any) -> Any:
        """Upload a file, also as a thumbnail, and note the write."""
        number = super().upload(entity_type, entity_id, path, *args, **kwargs)
        field_name = args[0] if args else kwargs.get("field_name")
        data = {"path": str(path), "field_name": field_name}
        self.note(Write("upload", entity_type, entity_id, data))
        return number


class DryNotingClient(NotingClient, ReadOnlySite):
    """A client that reads from the sandbox, and only notes what would be written."""

    tell = staticmethod(lambda _line: None)


class Recorder:
    """The stand-in for the client without a site: notes writes, and reads the given records.

    It answers `find` and `find_one` with the conditions `is`, `is_not`, `in` and `not_in`; writes
    change its records, so that reading back is consistent. Anything else raises NotAnsweredError:
    for real answers use a sandbox.

    Args:
        records: The records that can be read: mappings with `type`, `id` and the fields.
        note: Called with each write.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], note: Note) -> None:
        self.writes = 0
        self._records = {(one["type"], one["id"]): dict(one) for one in records}
        self._retired: dict[tuple[str, int], dict[str, Any]] = {}
        self._take = note
        self._next_id = MADE_UP

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotAnsweredError(asked=f"sg.{name}")

    def find(
        self, entity_type: str, filters: Any, fields: Iterable[str] | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        """Return the matching records, each with its type, id and the fields asked for."""
        if more.keys() - {"order", "limit"}:
            raise NotAnsweredError(asked=f"sg.find with {', '.join(sorted(more))}")
        passed = [
            record
            for (kind, _), record in self._records.items()
            if kind == entity_type and all(_passes(record, one) for one in filters)
        ]
        named = ["type", "id", *(fields or ())]
        found = [{key: deepcopy(record.get(key)) for key in named} for record in passed]
        return _ordered(found, passed, more.get("order"))[: more.get("limit") or None]

    def find_one(self, *args: Any, **more: Any) -> dict[str, Any] | None:
        """Return the first matching record, or None."""
        found = self.find(*args, **more)
        return found[0] if found else None

    def create(
        self, entity_type: str, data: Mapping[str, Any], return_fields: object = None
    ) -> dict[str, Any]:
        """Note the creation of a record, with an id of its own."""
        made = {"type": entity_type, "id": self._next_id, **deepcopy(dict(data))}
        self._next_id += 1
        self._records[entity_type, made["id"]] = made
        self._note(Write("create", entity_type, made["id"], deepcopy(dict(data))))
        return deepcopy(made)

    def update(
        self,
        entity_type: str,
        entity_id: int,
        data: Mapping[str, Any],
        multi_entity_update_modes: object = None,
    ) -> dict[str, Any]:
        """Note the update of a record; a record that was not given is assumed to exist."""
        record = self._records.setdefault(
            (entity_type, entity_id), {"type": entity_type, "id": entity_id}
        )
        record.update(deepcopy(dict(data)))
        self._note(Write("update", entity_type, entity_id, deepcopy(dict(data))))
        return {"type": entity_type, "id": entity_id, **deepcopy(dict(data))}

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Note the retirement of a record."""
        gone = self._records.pop((entity_type, entity_id), None)
        self._retired[entity_type, entity_id] = gone or {"type": entity_type, "id": entity_id}
        self._note(Write("delete", entity_type, entity_id, {}))
        return True

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Note the revival of a record."""
        found = self._retired.pop((entity_type, entity_id), None)
        self._records[entity_type, entity_id] = found or {"type": entity_type, "id": entity_id}
        self._note(Write("revive", entity_type, entity_id, {}))
        return True

    def batch(self, requests: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Make the writes one by one."""
        return [self._carry_out(request) for request in requests]

    def upload(
        self,
        entity_type: str,
        entity_id: int,
        path: str,
        field_name: str | None = None,
        **more: object,
    ) -> int:
        """Note the upload of a file."""
        self._next_id += 1
        data = {"path": str(path), "field_name": field_name}
        self._note(Write("upload", entity_type, entity_id, data))
        return self._next_id - 1

    def upload_thumbnail(self, entity_type: str, entity_id: int, path: str, **more: object) -> int:
        """Note the upload of a thumbnail."""
        return self.upload(entity_type, entity_id, path, "thumb_image")

    def close(self) -> None:
        """Do nothing: no connection is open."""

    def _note(self, write: Write) -> None:
        self.writes += 1
        self._take(write)

    def _carry_out(self, request: Mapping[str, Any]) -> Any:
        kind, entity_type = request["request_type"], request["entity_type"]
        if kind == "create":
            return self.create(entity_type, request["data"])
        if kind == "update":
            return self.update(entity_type, request["entity_id"], request["data"])
        return getattr(self, kind)(entity_type, request["entity_id"])


def _requested(request: Mapping[str, Any], answer: Any) -> Write:
    kind, data = request["request_type"], deepcopy(request.get("data", {}))
    entity_id = answer["id"] if kind == "create" else request["entity_id"]
    return Write(kind, request["entity_type"], entity_id, data)


def _passes(record: Mapping[str, Any], condition: Any) -> bool:
    """Return whether a record meets one condition, `[field, relation, value, ...]`.

    Raises:
        NotAnsweredError: The condition is of another kind.
    """
    if not isinstance(condition, list | tuple) or len(condition) < 3:
        raise NotAnsweredError(asked=f"the filter {condition!r}")
    name, relation, *values = condition
    if relation not in {"is", "is_not", "in", "not_in"}:
        raise NotAnsweredError(asked=f"the relation {relation!r} of {name!r}")
    if len(values) == 1 and isinstance(values[0], list | tuple):
        values = list(values[0])
    is_among = any(_same(record.get(name), value) for value in values)
    return is_among is (relation in {"is", "in"})


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; links are, if they lead to the same record."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return (one.get("type"), one.get("id")) == (other.get("type"), other.get("id"))
    return bool(one == other)


def _ordered(
    found: list[dict[str, Any]], records: list[dict[str, Any]], order: Any
) -> list[dict[str, Any]]:
    """Return `found` in the order asked for; `records` are the same with all their fields."""
    places = list(range(len(found)))
    for rule in reversed(order or ()):
        name, descending = rule["field_name"], rule.get("direction") == "desc"

        def key(place: int, name: str = name) -> tuple[bool, Any]:
            value = records[place].get(name)
            return value is not None, value

        places.sort(key=key, reverse=descending)
    return [found[place] for place in places]
