"""Reading and writing a sandbox from Python: like the API, but without HTTP, faults and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sgevents_core.sandbox.callers import Callers, SignedIn
from sgevents_core.sandbox.client_values import fields_list, filters_group
from sgevents_core.sandbox.methods import Methods
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase


class Direct:
    """The part of a sandbox that reads and writes its records and its log directly."""

    script_name: str
    database: SiteDatabase
    _callers: Callers
    _methods: Methods

    def _caller(self, user: str | None = None, session_uuid: str | None = None) -> SignedIn:
        person = None if user is None else self._callers.person(user)
        if person is not None:
            return SignedIn(person, None, session_uuid, insists=False)
        script = self._callers.script(self.script_name if user is None else user)
        return SignedIn(script.user, script.script, session_uuid, insists=False)

    def call(self, method: str, params: Any, user: str | None = None) -> Any:
        """Carry out a call of the API, with parameters and results as on the wire.

        Raises:
            RefusedCallError: The call is refused; the client would raise `Fault`.
        """
        return self._methods.call(method, self._caller(user), params)["results"]

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
        params = {
            "type": entity_type,
            "filters": filters_group(filters),
            "return_fields": list(fields),
            "return_only": "retired" if retired else "active",
            "return_paging_info": False,
        }
        return self._methods.read_all(self._caller(), params)

    def event_rows(self, *ids: int) -> list[dict[str, Any]]:
        """Return rows of the log with all their fields: those named, or all that are visible."""
        fields = list(self.database.schema.get("read", EVENT_LOG).fields)
        return self.find(EVENT_LOG, [["id", "in", list(ids)]] if ids else (), fields)

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
        params = {"type": entity_type, "fields": fields_list(values)}
        created: dict[str, Any] = self.call("create", params, user)
        return created

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
        fields = fields_list(values, modes)
        params = {"type": entity_type, "id": entity_id, "fields": fields}
        updated: dict[str, Any] = self.call("update", params, user)
        return updated

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
