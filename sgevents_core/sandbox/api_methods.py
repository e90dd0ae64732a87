"""The methods of the API, from `info` to `schema_field_read`, with the client's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sgevents_core.sandbox import (
    conversations,
    following,
    schema_changes,
    site_facts,
    text_search,
    workdays,
)
from sgevents_core.sandbox.call_counts import CallCounts
from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.read_queries import parse_query, read_entities, row_projection
from sgevents_core.sandbox.refused_calls import (
    RefusedCallError,
    array_parameter,
    refused_call,
    refused_value,
    ruby_text,
)
from sgevents_core.sandbox.required_values import check_required_values
from sgevents_core.sandbox.schema_answers import entity_types_answer, fields_answer, schema_answer
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase, VisibleRows
from sgevents_core.sandbox.summaries import summarize
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.writes import Transaction
from sgevents_core.sandbox.written_values import stored_values

SITE_VERSION: Final = (8, 80, 0)

PlainMethod = Callable[[SiteDatabase, ApiCaller, dict[str, Any]], Any]
"""A method that needs no transaction: its parameters -> its results."""

_PLAIN_METHODS: Final[dict[str, PlainMethod]] = {
    **following.API_METHODS,
    **schema_changes.API_METHODS,
    **text_search.API_METHODS,
    **site_facts.API_METHODS,
    **conversations.API_METHODS,
    **workdays.API_METHODS,
}


class ApiCall(NamedTuple):
    """A call of a method.

    Args:
        method: The API method.
        caller: The caller.
        parameters: The client's parameters besides its authentication.
        replica: The fault that lets a lagging replica answer this call.
    """

    method: str
    caller: ApiCaller
    parameters: Any
    replica: Fault | None = None


class ApiMethods:
    """The methods that clients call.

    Args:
        database: The database that is read and written.
        transactions: Begins and ends transactions.
        counts: Counts the returned rows.
        faults: The faults in force, for those that strike writes.
        begin_session: Begins a session and returns its token.
        page_size: The largest page, in rows.
        site_version: The site's version in `info`.
    """

    def __init__(
        self,
        database: SiteDatabase,
        transactions: Transactions,
        counts: CallCounts,
        faults: Faults,
        *,
        begin_session: Callable[[ApiCaller], str],
        page_size: int = 500,
        site_version: tuple[int, int, int] = SITE_VERSION,
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._counts = counts
        self._faults = faults
        self._begin_session = begin_session
        self._page_size = page_size
        self._site_version = site_version
        self._methods_by_name: Mapping[str, Callable[[ApiCall], Any]] = {
            **{name: self._without_transaction(plain) for name, plain in _PLAIN_METHODS.items()},
            "read": self._read_entities,
            "summarize": self._summarize,
            "create": self._carry_out_write,
            "update": self._carry_out_write,
            "delete": self._carry_out_write,
            "revive": self._carry_out_write,
            "batch": self._carry_out_batch,
            "get_session_token": self._get_session_token,
            "schema_read": self._schema_read,
            "schema_entity_read": self._schema_entity_read,
            "schema_field_read": self._schema_field_read,
        }

    def info(self) -> dict[str, Any]:
        """Return the site's description of itself; needs no authentication."""
        return {
            "version": list(self._site_version),
            "full_version": [*self._site_version, 0],
            "api_max_entities_per_page": self._page_size,
            "user_authentication_method": "default",
            "s3_uploads_enabled": False,
            "s3_direct_uploads_enabled": False,
            "sandbox": True,
        }

    def carry_out(self, call: ApiCall) -> dict[str, Any]:
        """Carry out a call, and return its answer as JSON values.

        Raises:
            RefusedCallError: The call names something that does not exist or is not valid.
        """
        carry_out = self._methods_by_name.get(call.method)
        if carry_out is None:
            raise RefusedCallError(f"API method '{call.method}' does not exist.")
        if call.method != "batch" and not isinstance(call.parameters, dict | None):
            reason = f"expects a hash of parameters: {ruby_text(call.parameters)}"
            raise refused_call(call.method, reason)
        with self._database.lock:
            self._database.reading_user = call.caller.user_ref
            return {"results": carry_out(call._replace(parameters=call.parameters or {}))}

    def _without_transaction(self, plain_method: PlainMethod) -> Callable[[ApiCall], Any]:
        return lambda call: plain_method(self._database, call.caller, call.parameters)

    def read_all(self, caller: ApiCaller, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the entities of a `read` on one page, however many, without counting them.

        Raises:
            RefusedCallError: The call names something that does not exist or is not valid.
        """
        with self._database.lock:
            query = parse_query({**parameters, "paging": {"entities_per_page": 2**62}}, 2**62)
            self._database.schema.required_type("read", query.entity_type)
            rows = self._visible_rows(query.entity_type, caller, None, retired=query.retired)
            results = read_entities(self._database, query, rows, caller.script_name)
            return list(results["entities"])

    def _visible_rows(
        self, entity_type: str, caller: ApiCaller, replica: Fault | None, *, retired: bool = False
    ) -> VisibleRows:
        rows = self._database.visible_rows(
            entity_type, retired_only=retired, script_name=caller.script_name
        )
        if replica is None or entity_type != EVENT_LOG:
            return rows
        replicated = max(0, len(rows.ids) - replica.options["rows"])
        return VisibleRows(rows.ids[:replicated], rows.read_row)

    def _read_entities(self, call: ApiCall) -> Any:
        query = parse_query(call.parameters, self._page_size)
        self._database.schema.required_type(call.method, query.entity_type)
        rows = self._visible_rows(
            query.entity_type, call.caller, call.replica, retired=query.retired
        )
        results = read_entities(self._database, query, rows, call.caller.script_name)
        self._counts.count_rows_read(query.entity_type, len(results["entities"]))
        return results

    def _summarize(self, call: ApiCall) -> Any:
        entity_type = call.parameters.get("type")
        self._database.schema.required_type(call.method, entity_type)
        rows = self._visible_rows(entity_type, call.caller, call.replica)
        return summarize(self._database, call.parameters, rows, call.caller.script_name)

    def _carry_out_write(self, call: ApiCall) -> Any:
        with self._transactions.write(call.caller, self._transaction_faults(call)) as transaction:
            return self._write_within(transaction, call.method, call.parameters)

    def _carry_out_batch(self, call: ApiCall) -> Any:
        requests = call.parameters
        if not isinstance(requests, list):
            raise refused_value("batch", "expects an array of requests", requests)
        faults = self._transaction_faults(call._replace(parameters={}))
        results = []
        with self._transactions.write(call.caller, faults) as transaction:
            for index, request in enumerate(requests):
                try:
                    results.append(self._write_within(transaction, _batch_method(request), request))
                except RefusedCallError as refusal:
                    failed = f"request with index {index} failed.  All requests rolled back."
                    reason = f"{failed}\n{refusal.message}"
                    raise refused_call("batch", reason, refusal.code) from refusal
        return results

    def _transaction_faults(self, call: ApiCall) -> list[Fault]:
        return self._faults.strike_call(
            is_transaction=True,
            method=call.method,
            entity_type=call.parameters.get("type"),
            script=call.caller.script_name,
        )

    def _write_within(
        self, transaction: Transaction, method: Any, parameters: dict[str, Any]
    ) -> Any:
        """Carry out one write within a transaction; return its part of the answer."""
        type_schema = self._database.schema.required_type(str(method), parameters.get("type"))
        entity_type = type_schema.name
        if method in ("create", "update") and transaction.caller.requires_project:
            self._check_required_values(method, type_schema, _given_values(method, parameters))
        if method == "create":
            given_values = _given_values(method, parameters)
            created_row = transaction.create(entity_type, given_values)
            returned_fields = array_parameter("create", parameters, "return_fields", str)
            field_names = [*given_values, *returned_fields]
            return row_projection(self._database, entity_type, field_names)(created_row)
        entity_id = _entity_id(str(method), parameters)
        if method == "update":
            given_values = _given_values(method, parameters)
            modes = _update_modes(parameters)
            updated_record = transaction.update(entity_type, entity_id, given_values, modes)
            return row_projection(self._database, entity_type, list(given_values))(updated_record)
        if method == "delete":
            return transaction.delete(entity_type, entity_id)
        return transaction.revive(entity_type, entity_id)

    def _check_required_values(
        self, method: str, type_schema: EntityType, given_values: dict[str, Any]
    ) -> None:
        try:
            check_required_values(method, type_schema, given_values)
        except RefusedCallError:
            # Refuse invalid values first.
            stored_values(self._database, method, type_schema.name, given_values)
            raise

    def _get_session_token(self, call: ApiCall) -> Any:
        return {"session_id": self._begin_session(call.caller)}

    def _schema_read(self, call: ApiCall) -> Any:
        return schema_answer(self._database, _project_id(call.parameters))

    def _schema_entity_read(self, _call: ApiCall) -> Any:
        return entity_types_answer(self._database.schema)

    def _schema_field_read(self, call: ApiCall) -> Any:
        entity_type, field_name = call.parameters.get("type"), call.parameters.get("field_name")
        project_id = _project_id(call.parameters)
        return fields_answer(self._database, call.method, entity_type, field_name, project_id)


def _given_values(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    entries = parameters.get("fields")
    if not isinstance(entries, list) or not all(map(_is_field_entry, entries)):
        raise refused_value(method, "invalid/missing array 'fields'", entries)
    return {entry["field_name"]: entry.get("value") for entry in entries}


def _is_field_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("field_name"), str)


def _update_modes(parameters: dict[str, Any]) -> dict[str, str]:
    mode_key = "multi_entity_update_mode"
    return {
        entry["field_name"]: entry[mode_key] for entry in parameters["fields"] if mode_key in entry
    }


def _batch_method(request: Any) -> str:
    method = request.get("request_type") if isinstance(request, dict) else None
    if method not in ("create", "update", "delete"):
        raise refused_call(
            "batch",
            f"invalid/missing string 'request_type': {ruby_text(method)}\n"
            'Valid request types: ["create", "update", "delete"]',
        )
    return str(method)


def _project_id(parameters: dict[str, Any]) -> int | None:
    project_link = parameters.get("project")
    return project_link.get("id") if isinstance(project_link, dict) else None


def _entity_id(method: str, parameters: dict[str, Any]) -> int:
    entity_id = parameters.get("id")
    if not isinstance(entity_id, int) or isinstance(entity_id, bool):
        raise refused_value(method, "invalid/missing integer 'id'", entity_id)
    return entity_id
