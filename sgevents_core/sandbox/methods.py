"""The methods of the API, from `info` to `schema_field_read`, with the client's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sgevents_core.sandbox import attention, field_changes, search, site_facts, threads, workdays
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.counts import Counts
from sgevents_core.sandbox.demands import check_demands
from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.queries import projection, query, read
from sgevents_core.sandbox.records import Record
from sgevents_core.sandbox.refusal import RefusedCallError, listed, shown
from sgevents_core.sandbox.schemas import entity_types, field_types, schema
from sgevents_core.sandbox.site_database import EVENT_LOG, Rows, SiteDatabase
from sgevents_core.sandbox.summaries import summarize
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.values import kept_values
from sgevents_core.sandbox.writes import Transaction

VERSION: Final = (8, 80, 0)

Simple = Callable[[SiteDatabase, SignedIn, dict[str, Any]], Any]
"""A method that needs no transaction: its parameters -> its results."""

_SIMPLE: Final[dict[str, Simple]] = {
    **attention.METHODS,
    **field_changes.METHODS,
    **search.METHODS,
    **site_facts.METHODS,
    **threads.METHODS,
    **workdays.METHODS,
}


class Methods:
    """The methods that clients call.

    Args:
        database: The database that is read and written.
        transactions: Begins and ends transactions.
        counts: Counts the rows returned.
        faults: The faults in force, for those that strike writes.
        sessions: Begins a session and returns its token.
        page_size: The largest page, in rows.
        version: The site's version in `info`.
    """

    def __init__(
        self,
        database: SiteDatabase,
        transactions: Transactions,
        counts: Counts,
        faults: Faults,
        *,
        sessions: Callable[[SignedIn], str],
        page_size: int = 500,
        version: tuple[int, int, int] = VERSION,
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._counts = counts
        self._faults = faults
        self._sessions = sessions
        self._page_size = page_size
        self._version = version
        self._known: Mapping[str, Callable[..., Any]] = {
            **{name: self._simple(method) for name, method in _SIMPLE.items()},
            "read": self._read,
            "summarize": self._summarize,
            "create": self._write,
            "update": self._write,
            "delete": self._write,
            "revive": self._write,
            "batch": self._batch,
            "get_session_token": self._session_token,
            "schema_read": self._schema_read,
            "schema_entity_read": self._schema_entity_read,
            "schema_field_read": self._schema_field_read,
        }

    def info(self) -> dict[str, Any]:
        """Return what the site says about itself; needs no authentication."""
        return {
            "version": list(self._version),
            "full_version": [*self._version, 0],
            "api_max_entities_per_page": self._page_size,
            "user_authentication_method": "default",
            "s3_uploads_enabled": False,
            "s3_direct_uploads_enabled": False,
            "sandbox": True,
        }

    def call(
        self, method: str, caller: SignedIn, params: Any, replica: Fault | None = None
    ) -> dict[str, Any]:
        """Carry out a call.

        Args:
            method: The API method.
            caller: The caller.
            params: The client's parameters besides its authentication.
            replica: The fault that lets a lagging replica answer this call.

        Returns:
            The answer as JSON values.

        Raises:
            RefusedCallError: The call names something that does not exist or is not valid.
        """
        known = self._known.get(method)
        if known is None:
            raise RefusedCallError(f"API method '{method}' does not exist.")
        if method != "batch" and not isinstance(params, dict | None):
            raise RefusedCallError(f"API {method}() expects a hash of parameters: {shown(params)}")
        with self._database.lock:
            self._database.reader = caller.user
            return {"results": known(method, caller, params or {}, replica)}

    def _simple(self, method: Simple) -> Callable[..., Any]:
        def call(_name: str, caller: SignedIn, params: Any, _replica: Any) -> Any:
            return method(self._database, caller, params)

        return call

    def read_all(self, caller: SignedIn, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the entities of a `read` on one page, however many, without counting them.

        Raises:
            RefusedCallError: The call names something that does not exist or is not valid.
        """
        with self._database.lock:
            asked = query({**params, "paging": {"entities_per_page": 2**62}}, 2**62)
            self._database.schema.get("read", asked.entity_type)
            rows = self._rows(asked.entity_type, caller, None, retired=asked.retired)
            entities: list[dict[str, Any]] = read(self._database, asked, rows, caller.script)[
                "entities"
            ]
            return entities

    def _rows(
        self, entity_type: str, caller: SignedIn, replica: Fault | None, *, retired: bool = False
    ) -> Rows:
        rows = self._database.rows(entity_type, retired=retired, script=caller.script)
        behind = replica.options["rows"] if replica and entity_type == EVENT_LOG else 0
        return Rows(rows.ids[: max(0, len(rows.ids) - behind)], rows.get) if behind else rows

    def _read(self, method: str, caller: SignedIn, params: Any, replica: Fault | None) -> Any:
        asked = query(params, self._page_size)
        self._database.schema.get(method, asked.entity_type)
        rows = self._rows(asked.entity_type, caller, replica, retired=asked.retired)
        results = read(self._database, asked, rows, caller.script)
        self._counts.read(asked.entity_type, len(results["entities"]))
        return results

    def _summarize(self, method: str, caller: SignedIn, params: Any, replica: Fault | None) -> Any:
        entity_type = self._database.schema.get(method, params.get("type")).name
        rows = self._rows(entity_type, caller, replica)
        return summarize(self._database, params, rows, caller.script)

    def _write(self, method: str, caller: SignedIn, params: Any, _replica: Fault | None) -> Any:
        with self._transactions.written(caller, self._struck(method, caller, params)) as work:
            return self._one(work, method, params)

    def _batch(self, method: str, caller: SignedIn, params: Any, _replica: Fault | None) -> Any:
        if not isinstance(params, list):
            raise RefusedCallError(f"API batch() expects an array of requests: {shown(params)}")
        struck = self._struck(method, caller, {})
        results = []
        with self._transactions.written(caller, struck) as work:
            for index, request in enumerate(params):
                try:
                    results.append(self._one(work, _request_type(request), request))
                except RefusedCallError as refused:
                    raise RefusedCallError(
                        f"API batch() request with index {index} failed.  All requests rolled "
                        f"back.\n{refused.message}",
                        refused.code,
                    ) from refused
        return results

    def _struck(self, method: str, caller: SignedIn, params: dict[str, Any]) -> list[Fault]:
        return self._faults.striking(
            writes=True, method=method, entity_type=params.get("type"), script=caller.script
        )

    def _one(self, work: Transaction, method: Any, params: dict[str, Any]) -> Any:
        """Carry out one write within a transaction; return its part of the answer."""
        kind = self._database.schema.get(str(method), params.get("type"))
        entity_type = kind.name
        if method in ("create", "update") and work.caller.insists:
            self._demand(method, kind, _values(method, params))
        if method == "create":
            values = _values(method, params)
            created = work.create(entity_type, values)
            return self._answer(
                entity_type, created, [*values, *listed("create", params, "return_fields", str)]
            )
        entity_id = _id(str(method), params)
        if method == "update":
            values = _values(method, params)
            updated = work.update(entity_type, entity_id, values, _modes(params))
            return self._answer(entity_type, updated, list(values))
        if method == "delete":
            return work.delete(entity_type, entity_id)
        return work.revive(entity_type, entity_id)

    def _demand(self, method: str, kind: EntityType, values: dict[str, Any]) -> None:
        try:
            check_demands(method, kind, values)
        except RefusedCallError:
            kept_values(self._database, method, kind.name, values)  # refuse invalid values first
            raise

    def _answer(self, entity_type: str, row: Record | EventRow, fields: list[str]) -> Any:
        return projection(self._database, entity_type, fields)(row)

    def _session_token(self, _method: str, caller: SignedIn, *_ignored: Any) -> Any:
        return {"session_id": self._sessions(caller)}

    def _schema_read(self, _method: str, _caller: SignedIn, params: Any, _replica: Any) -> Any:
        return schema(self._database, _project_id(params))

    def _schema_entity_read(self, *_ignored: Any) -> Any:
        return entity_types(self._database.schema)

    def _schema_field_read(self, method: str, _caller: SignedIn, params: Any, _replica: Any) -> Any:
        return field_types(
            self._database,
            method,
            params.get("type"),
            params.get("field_name"),
            _project_id(params),
        )


def _values(method: str, params: dict[str, Any]) -> dict[str, Any]:
    fields = params.get("fields")
    if not isinstance(fields, list) or not all(map(_is_named, fields)):
        raise RefusedCallError(f"API {method}() invalid/missing array 'fields': {shown(fields)}")
    return {field["field_name"]: field.get("value") for field in fields}


def _is_named(field: Any) -> bool:
    return isinstance(field, dict) and isinstance(field.get("field_name"), str)


def _modes(params: dict[str, Any]) -> dict[str, str]:
    mode = "multi_entity_update_mode"
    return {field["field_name"]: field[mode] for field in params["fields"] if mode in field}


def _request_type(request: Any) -> str:
    method = request.get("request_type") if isinstance(request, dict) else None
    if method not in ("create", "update", "delete"):
        raise RefusedCallError(
            f"API batch() invalid/missing string 'request_type': {shown(method)}\n"
            'Valid request types: ["create", "update", "delete"]'
        )
    return str(method)


def _project_id(params: dict[str, Any]) -> int | None:
    project = params.get("project")
    return project.get("id") if isinstance(project, dict) else None


def _id(method: str, params: dict[str, Any]) -> int:
    entity_id = params.get("id")
    if not isinstance(entity_id, int) or isinstance(entity_id, bool):
        raise RefusedCallError(f"API {method}() invalid/missing integer 'id': {shown(entity_id)}")
    return entity_id
