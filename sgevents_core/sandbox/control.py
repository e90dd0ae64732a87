"""The control endpoint: another process controls a running sandbox with `POST /sandbox/...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sgevents_core.errors import SgEventsError
from sgevents_core.sandbox.refusal import RefusedCallError
from sgevents_core.sandbox.server import Response

if TYPE_CHECKING:
    from sgevents_core.sandbox.site import Sandbox

Order = dict[str, Any]


def _status(site: Sandbox, order: Order) -> Any:
    with site.database.lock:
        ids = site.log.view(order.get("script"))
        return {
            "url": site.url,
            "visible": len(ids),
            "highest_id": ids[-1] if ids else 0,
            "next_id": site.log.next_id,
            "rate": site.rate,
        }


def _visible(site: Sandbox, order: Order) -> Any:
    first, last = order.get("first", 0), order.get("last", 2**62)
    with site.database.lock:
        ids = site.log.view(order.get("script"))
        return {"ids": [some for some in ids if first <= some <= last]}


def _counts(site: Sandbox, order: Order) -> Any:
    counts = site.counts.as_dict()
    if order.get("reset"):
        site.counts.reset()
    return counts


def _faults(site: Sandbox, _order: Order) -> Any:
    injected = {fault: site.faults.injected(fault) for fault in site.faults.kinds()}
    return {"faults": site.faults.as_list(), "injected": injected}


def _add_fault(site: Sandbox, order: Order) -> Any:
    return site.faults.add(**order).as_dict()


def _remove_fault(site: Sandbox, order: Order) -> Any:
    site.faults.remove(int(order["id"]))
    return {}


def _clear_faults(site: Sandbox, _order: Order) -> Any:
    site.faults.clear()
    return {}


def _traffic(site: Sandbox, order: Order) -> Any:
    site.set_rate(float(order["rate"]))
    return {"rate": site.rate}


def _step(site: Sandbox, order: Order) -> Any:
    steps = [site.step(order.get("kind")) for _ in range(order.get("steps", 1))]
    return {"ids": [event_id for ids in steps for event_id in ids]}


def _event(site: Sandbox, order: Order) -> Any:
    return {"id": site.event(**order)}


def _fill(site: Sandbox, order: Order) -> Any:
    ids = site.fill(int(order["events"]))
    return {"first": ids.start, "last": ids.stop - 1}


def _burn(site: Sandbox, order: Order) -> Any:
    ids = site.burn(int(order["ids"]))
    return {"first": ids.start, "last": ids.stop - 1}


def _late(site: Sandbox, order: Order) -> Any:
    transaction = site.late(int(order.get("rows", 1)), seconds=order.get("seconds"))
    return {"transaction": site.keep(transaction), "ids": transaction.ids}


def _commit(site: Sandbox, order: Order) -> Any:
    return {"ids": site.kept(int(order["transaction"])).commit()}


def _roll_back(site: Sandbox, order: Order) -> Any:
    return {"ids": site.kept(int(order["transaction"])).roll_back()}


def _hide(site: Sandbox, order: Order) -> Any:
    site.hide(order["ids"], order.get("script"))
    return {}


def _show(site: Sandbox, order: Order) -> Any:
    site.show(order.get("ids"), order.get("script"))
    return {}


def _rewind(site: Sandbox, order: Order) -> Any:
    site.rewind(int(order["to_id"]))
    return {"next_id": site.log.next_id}


def _add_script(site: Sandbox, order: Order) -> Any:
    version, logs = str(order.get("version", "1.0")), bool(order.get("logs", True))
    site.add_script(str(order["name"]), str(order["key"]), version, logs=logs)
    return {}


def _revoke_script(site: Sandbox, order: Order) -> Any:
    site.revoke_script(str(order["name"]))
    return {}


def _outage(site: Sandbox, order: Order) -> Any:
    site.outage_for(float(order["seconds"]), begins=0.1)  # so that the answer gets through
    return {}


ORDERS: Final[dict[str, Callable[[Sandbox, Order], Any]]] = {
    "status": _status,
    "visible": _visible,
    "counts": _counts,
    "faults": _faults,
    "faults/add": _add_fault,
    "faults/remove": _remove_fault,
    "faults/clear": _clear_faults,
    "traffic": _traffic,
    "step": _step,
    "event": _event,
    "fill": _fill,
    "burn": _burn,
    "late": _late,
    "commit": _commit,
    "roll-back": _roll_back,
    "hide": _hide,
    "show": _show,
    "rewind": _rewind,
    "scripts/add": _add_script,
    "scripts/revoke": _revoke_script,
    "outage": _outage,
}
"""Address after `/sandbox/` -> the function that carries it out."""


def controlled(site: Sandbox, name: str, body: bytes) -> Response:
    """Carry out an order from another process.

    Args:
        site: The sandbox.
        name: The address after `/sandbox/`.
        body: A JSON object with the order's values; empty for none.

    Returns:
        200 with a JSON object, 404 for an unknown address, 400 with `{"error": ...}` otherwise.
    """
    order = ORDERS.get(name)
    if order is None:
        return _answer({"error": f"unknown; known are: {', '.join(ORDERS)}"}, 404)
    try:
        values = msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
        return _answer(order(site, values))
    except KeyError as missing:
        return _answer({"error": f"unknown or missing: {missing}"}, 400)
    except (SgEventsError, RefusedCallError, TypeError, ValueError) as error:
        return _answer({"error": str(error)}, 400)


def _answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status)
