"""Roll the statuses of a shot's tasks up to the shot.

The shot takes the status of its least advanced task, and "in progress" as soon as work has begun on
any of them. Writing the same status twice changes nothing, so a repeated call does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sgevents_core import Context, Event, hookimpl, match

ORDER = ("wtg", "rdy", "ip", "fin")
"""The statuses from least to most advanced; replaced by the setting `order`."""


@hookimpl
@match(entity_type="Task", attribute="sg_status_list")
def on_change(event: Event, ctx: Context) -> None:
    """Set the status of the changed task's shot from all of its tasks.

    Raises:
        ValueError: A task has a status that the setting `order` does not name. The event becomes a
            dead letter; once the setting is corrected, it can be retried.
    """
    fields = ["entity", "entity.Shot.code", "entity.Shot.sg_status_list"]
    task = ctx.sg.find_one("Task", [["id", "is", event.entity_id]], fields)
    shot = task["entity"] if task else None
    if task is None or not shot or shot["type"] != "Shot":
        return
    tasks = ctx.sg.find("Task", [["entity", "is", shot]], ["sg_status_list"])
    order = ctx.settings.get("order", ORDER)
    status = roll_up((task["sg_status_list"] or order[0] for task in tasks), order)
    if status != task["entity.Shot.sg_status_list"] and not ctx.dry_run:
        ctx.sg.update("Shot", shot["id"], {"sg_status_list": status})
        ctx.logger.info("%s is now %s", task["entity.Shot.code"], status)


def roll_up(statuses: Iterable[str], order: Sequence[str] = ORDER) -> str:
    """Return the status of a shot whose tasks have `statuses`.

    Args:
        statuses: One per task; at least one.
        order: All known statuses, from least to most advanced; work has begun from the third one
            on.

    Raises:
        ValueError: `order` does not name one of them.
    """
    found = set(statuses)
    unknown = sorted(found.difference(order))
    if unknown:
        raise ValueError(f"no place for status {unknown[0]!r}: add it to the setting `order`")
    ranks = sorted(order.index(status) for status in found)
    begun = ranks[-1] >= 2
    return order[max(ranks[0], 2)] if begun else order[ranks[0]]
