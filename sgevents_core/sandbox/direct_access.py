"""Reading and writing a sandbox from Python: like the API, but without HTTP, faults and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sgevents_core.sandbox.api_methods import ApiCall, ApiMethods
from sgevents_core.sandbox.callers import ApiCaller, KnownCallers
from sgevents_core.sandbox.client_values import wire_fields, wire_filters
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase


class DirectAccess:
    """The part of a sandbox that reads and writes its records and its log directly."""

    script_name: str
    database: SiteDatabase
    _callers: KnownCallers
    _methods: ApiMethods

    def _direct_caller(
        self, user_name: str | None = None, session_uuid: str | None = None
    ) -> ApiCaller:
        person_ref = None if user_name is None else self._callers.find_person(user_name)
        if person_ref is not None:
            return ApiCaller(person_ref, None, session_uuid, requires_project=False)
        script_caller = self._callers.script_caller(
            self.script_name if user_name is None else user_name
        )
        return ApiCaller(
            script_caller.user_ref, script_caller.script_name, session_uuid, requires_project=False
        )

    def call(self, method: str, params: Any, user: str | None = None) -> Any:
        """Carry out a call of the API, with parameters and results as on the wire.

        Raises:
            RefusedCallError: The call is refused; the client would raise `Fault`.
        """
        return self._methods.carry_out(ApiCall(method, self._direct_caller(user), params))[
            "results"
        ]

    def find(
        self,
        entity_type: str,
        filters: Sequence[Any] = (),
        fields: Sequence[str] = (),
        *,
        retired: bool = False,
    ) -> list[dict[str, Any]]:
        """Return all records that match filters in the client's form, in id order.

        Datetimes are in the API's form, "2026-01-31T12:00:00Z".
        """
        read_parameters = {
            "type": entity_type,
            "filters": wire_filters(filters),
            "return_fields": list(fields),
            "return_only": "retired" if retired else "active",
            "return_paging_info": False,
        }
        return self._methods.read_all(self._direct_caller(), read_parameters)

    def event_rows(self, *ids: int) -> list[dict[str, Any]]:
        """Return rows of the log with all their fields: those named, or all that are visible."""
        field_names = list(self.database.schema.required_type("read", EVENT_LOG).fields)
        return self.find(EVENT_LOG, [["id", "in", list(ids)]] if ids else (), field_names)

    def create(
        self, entity_type: str, values: Mapping[str, Any], user: str | None = None
    ) -> dict[str, Any]:
        """Create a record as the API does; return its type, id and the values set.

        A site requires a `project` for most types; here it may be left out.

        Args:
            entity_type: Its type; "EventLogEntry" for a row of the log.
            values: Its values as for the client.
            user: The login of the person who does it; the site's script if left out.
        """
        create_parameters = {"type": entity_type, "fields": wire_fields(values)}
        created_values: dict[str, Any] = self.call("create", create_parameters, user)
        return created_values

    def update(
        self,
        entity_type: str,
        entity_id: int,
        values: Mapping[str, Any],
        modes: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> dict[str, Any]:
        """Update a record as the API does; return its type, id and the values set.

        Args:
            entity_type: Its type.
            entity_id: Its id.
            values: The values as for the client.
            modes: Multi-entity field -> "set", "add" or "remove".
            user: The login of the person who does it; the site's script if left out.
        """
        field_entries = wire_fields(values, modes)
        update_parameters = {"type": entity_type, "id": entity_id, "fields": field_entries}
        updated_values: dict[str, Any] = self.call("update", update_parameters, user)
        return updated_values

    def delete(self, entity_type: str, entity_id: int, user: str | None = None) -> bool:
        """Retire a record; return whether it was not retired before."""
        return bool(self.call("delete", {"type": entity_type, "id": entity_id}, user))

    def revive(self, entity_type: str, entity_id: int, user: str | None = None) -> bool:
        """Revive a retired record; return whether it was retired."""
        return bool(self.call("revive", {"type": entity_type, "id": entity_id}, user))

    def event(self, event_type: str | None, **values: Any) -> int:
        """Write one row of any type to the log; return its id.

        Args:
            event_type: Its type, such as "Shotgun_User_Login" or a studio's own.
            values: `attribute_name`, `meta`, `entity`, `project`, `user`, `session_uuid`,
                `description`; links as `{"type": ..., "id": ...}`.
        """
        return int(self.create(EVENT_LOG, {"event_type": event_type, **values})["id"])
