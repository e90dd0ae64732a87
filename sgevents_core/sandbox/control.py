"""The control endpoint: another process controls a running sandbox with `POST /sandbox/...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sgevents_core.errors import SgEventsError
from sgevents_core.sandbox.http_server import Response
from sgevents_core.sandbox.refused_calls import RefusedCallError

if TYPE_CHECKING:
    from sgevents_core.sandbox.site import Sandbox

Order = dict[str, Any]


def _read_status(sandbox: Sandbox, order: Order) -> Any:
    with sandbox.database.lock:
        visible_ids = sandbox.log.visible_id_list(order.get("script"))
        return {
            "url": sandbox.url,
            "visible": len(visible_ids),
            "highest_id": visible_ids[-1] if visible_ids else 0,
            "next_id": sandbox.log.next_id,
            "rate": sandbox.rate,
        }


def _read_visible_ids(sandbox: Sandbox, order: Order) -> Any:
    first_id, last_id = order.get("first", 0), order.get("last", 2**62)
    with sandbox.database.lock:
        visible_ids = sandbox.log.visible_id_list(order.get("script"))
        return {"ids": [event_id for event_id in visible_ids if first_id <= event_id <= last_id]}


def _read_counts(sandbox: Sandbox, order: Order) -> Any:
    call_counts = sandbox.counts.as_dict()
    if order.get("reset"):
        sandbox.counts.reset()
    return call_counts


def _list_faults(sandbox: Sandbox, _order: Order) -> Any:
    injected_counts = {
        fault_kind: sandbox.faults.injected(fault_kind) for fault_kind in sandbox.faults.kinds()
    }
    return {"faults": sandbox.faults.as_list(), "injected": injected_counts}


def _add_fault(sandbox: Sandbox, order: Order) -> Any:
    return sandbox.faults.add(**order).as_dict()


def _remove_fault(sandbox: Sandbox, order: Order) -> Any:
    sandbox.faults.remove(int(order["id"]))
    return {}


def _clear_faults(sandbox: Sandbox, _order: Order) -> Any:
    sandbox.faults.clear()
    return {}


def _set_traffic_rate(sandbox: Sandbox, order: Order) -> Any:
    sandbox.set_rate(float(order["rate"]))
    return {"rate": sandbox.rate}


def _take_traffic_steps(sandbox: Sandbox, order: Order) -> Any:
    ids_by_step = [sandbox.step(order.get("kind")) for _ in range(order.get("steps", 1))]
    return {"ids": [event_id for step_ids in ids_by_step for event_id in step_ids]}


def _write_event(sandbox: Sandbox, order: Order) -> Any:
    return {"id": sandbox.event(**order)}


def _fill_event_log(sandbox: Sandbox, order: Order) -> Any:
    filled_ids = sandbox.fill(int(order["events"]))
    return {"first": filled_ids.start, "last": filled_ids.stop - 1}


def _burn_ids(sandbox: Sandbox, order: Order) -> Any:
    burned_ids = sandbox.burn(int(order["ids"]))
    return {"first": burned_ids.start, "last": burned_ids.stop - 1}


def _begin_late_rows(sandbox: Sandbox, order: Order) -> Any:
    transaction = sandbox.late(int(order.get("rows", 1)), seconds=order.get("seconds"))
    return {"transaction": sandbox.keep(transaction), "ids": transaction.ids}


def _commit_transaction(sandbox: Sandbox, order: Order) -> Any:
    return {"ids": sandbox.kept(int(order["transaction"])).commit()}


def _roll_back_transaction(sandbox: Sandbox, order: Order) -> Any:
    return {"ids": sandbox.kept(int(order["transaction"])).roll_back()}


def _hide_rows(sandbox: Sandbox, order: Order) -> Any:
    sandbox.hide(order["ids"], order.get("script"))
    return {}


def _show_rows(sandbox: Sandbox, order: Order) -> Any:
    sandbox.show(order.get("ids"), order.get("script"))
    return {}


def _rewind_event_log(sandbox: Sandbox, order: Order) -> Any:
    sandbox.rewind(int(order["to_id"]))
    return {"next_id": sandbox.log.next_id}


def _add_script(sandbox: Sandbox, order: Order) -> Any:
    script_version, logs_events = (
        str(order.get("version", "1.0")),
        bool(order.get("logs", True)),
    )
    sandbox.add_script(str(order["name"]), str(order["key"]), script_version, logs=logs_events)
    return {}


def _revoke_script(sandbox: Sandbox, order: Order) -> Any:
    sandbox.revoke_script(str(order["name"]))
    return {}


def _begin_outage(sandbox: Sandbox, order: Order) -> Any:
    sandbox.outage_for(float(order["seconds"]), begins=0.1)  # so that the answer gets through
    return {}


CONTROL_ORDERS: Final[dict[str, Callable[[Sandbox, Order], Any]]] = {
    "status": _read_status,
    "visible": _read_visible_ids,
    "counts": _read_counts,
    "faults": _list_faults,
    "faults/add": _add_fault,
    "faults/remove": _remove_fault,
    "faults/clear": _clear_faults,
    "traffic": _set_traffic_rate,
    "step": _take_traffic_steps,
    "event": _write_event,
    "fill": _fill_event_log,
    "burn": _burn_ids,
    "late": _begin_late_rows,
    "commit": _commit_transaction,
    "roll-back": _roll_back_transaction,
    "hide": _hide_rows,
    "show": _show_rows,
    "rewind": _rewind_event_log,
    "scripts/add": _add_script,
    "scripts/revoke": _revoke_script,
    "outage": _begin_outage,
}
"""Address after `/sandbox/` -> the function that carries it out."""


def answer_control_order(sandbox: Sandbox, order_name: str, body: bytes) -> Response:
    """Carry out an order from another process.

    Args:
        sandbox: The sandbox.
        order_name: The address after `/sandbox/`.
        body: A JSON object with the order's values; empty for none.

    Returns:
        200 with a JSON object, 404 for an unknown address, 400 with `{"error": ...}` otherwise.
    """
    carry_out_order = CONTROL_ORDERS.get(order_name)
    if carry_out_order is None:
        return _json_answer({"error": f"unknown; known are: {', '.join(CONTROL_ORDERS)}"}, 404)
    try:
        order = msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
        return _json_answer(carry_out_order(sandbox, order))
    except KeyError as missing_key:
        return _json_answer({"error": f"unknown or missing: {missing_key}"}, 400)
    except (SgEventsError, RefusedCallError, TypeError, ValueError) as error:
        return _json_answer({"error": str(error)}, 400)


def _json_answer(answer_value: Any, http_status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer_value), http_status)
