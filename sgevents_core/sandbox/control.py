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


def _read_status(site: Sandbox, order: Order) -> Any:
    with site.database.lock:
        visible_ids = site.log.visible_id_list(order.get("script"))
        return {
            "url": site.url,
            "visible": len(visible_ids),
            "highest_id": visible_ids[-1] if visible_ids else 0,
            "next_id": site.log.next_id,
            "rate": site.rate,
        }


def _read_visible_ids(site: Sandbox, order: Order) -> Any:
    first_id, last_id = order.get("first", 0), order.get("last", 2**62)
    with site.database.lock:
        visible_ids = site.log.visible_id_list(order.get("script"))
        return {"ids": [event_id for event_id in visible_ids if first_id <= event_id <= last_id]}


def _read_counts(site: Sandbox, order: Order) -> Any:
    call_counts = site.counts.as_dict()
    if order.get("reset"):
        site.counts.reset()
    return call_counts


def _list_faults(site: Sandbox, _order: Order) -> Any:
    injected_counts = {
        fault_kind: site.faults.injected(fault_kind) for fault_kind in site.faults.kinds()
    }
    return {"faults": site.faults.as_list(), "injected": injected_counts}


def _add_fault(site: Sandbox, order: Order) -> Any:
    return site.faults.add(**order).as_dict()


def _remove_fault(site: Sandbox, order: Order) -> Any:
    site.faults.remove(int(order["id"]))
    return {}


def _clear_faults(site: Sandbox, _order: Order) -> Any:
    site.faults.clear()
    return {}


def _set_traffic_rate(site: Sandbox, order: Order) -> Any:
    site.set_rate(float(order["rate"]))
    return {"rate": site.rate}


def _take_traffic_steps(site: Sandbox, order: Order) -> Any:
    ids_by_step = [site.step(order.get("kind")) for _ in range(order.get("steps", 1))]
    return {"ids": [event_id for step_ids in ids_by_step for event_id in step_ids]}


def _write_event(site: Sandbox, order: Order) -> Any:
    return {"id": site.event(**order)}


def _fill_event_log(site: Sandbox, order: Order) -> Any:
    filled_ids = site.fill(int(order["events"]))
    return {"first": filled_ids.start, "last": filled_ids.stop - 1}


def _burn_ids(site: Sandbox, order: Order) -> Any:
    burned_ids = site.burn(int(order["ids"]))
    return {"first": burned_ids.start, "last": burned_ids.stop - 1}


def _begin_late_rows(site: Sandbox, order: Order) -> Any:
    transaction = site.late(int(order.get("rows", 1)), seconds=order.get("seconds"))
    return {"transaction": site.keep(transaction), "ids": transaction.ids}


def _commit_transaction(site: Sandbox, order: Order) -> Any:
    return {"ids": site.kept(int(order["transaction"])).commit()}


def _roll_back_transaction(site: Sandbox, order: Order) -> Any:
    return {"ids": site.kept(int(order["transaction"])).roll_back()}


def _hide_rows(site: Sandbox, order: Order) -> Any:
    site.hide(order["ids"], order.get("script"))
    return {}


def _show_rows(site: Sandbox, order: Order) -> Any:
    site.show(order.get("ids"), order.get("script"))
    return {}


def _rewind_event_log(site: Sandbox, order: Order) -> Any:
    site.rewind(int(order["to_id"]))
    return {"next_id": site.log.next_id}


def _add_script(site: Sandbox, order: Order) -> Any:
    version, logs = str(order.get("version", "1.0")), bool(order.get("logs", True))
    site.add_script(str(order["name"]), str(order["key"]), version, logs=logs)
    return {}


def _revoke_script(site: Sandbox, order: Order) -> Any:
    site.revoke_script(str(order["name"]))
    return {}


def _begin_outage(site: Sandbox, order: Order) -> Any:
    site.outage_for(float(order["seconds"]), begins=0.1)  # so that the answer gets through
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


def answer_control_order(site: Sandbox, order_name: str, body: bytes) -> Response:
    """Carry out an order from another process.

    Args:
        site: The sandbox.
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
        return _json_answer(carry_out_order(site, order))
    except KeyError as missing_key:
        return _json_answer({"error": f"unknown or missing: {missing_key}"}, 400)
    except (SgEventsError, RefusedCallError, TypeError, ValueError) as error:
        return _json_answer({"error": str(error)}, 400)


def _json_answer(answer_value: Any, http_status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer_value), http_status)
