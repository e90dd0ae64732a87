"""Keep the time logged on each task in a field of the task, and warn when it exceeds the bid.

The sum is always made from all time logs that there are now, so events that come late or twice make
no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgevents_core import Context, Event, Registrar, hookimpl

MINUTES_PER_HOUR = 60


@dataclass(frozen=True)
class TimeLogs:
    """The settings of the plugin."""

    field: str = "sg_time_logged"
    """The field of Task that takes the sum, in minutes; a duration or a number."""
    bid: str = "est_in_mins"
    """The field of Task with the bid, in minutes."""


@hookimpl
def settings_model() -> type[TimeLogs]:
    """Return the model of the settings."""
    return TimeLogs


@hookimpl
def register_callbacks(registrar: Registrar) -> None:
    """Register one callback for everything that can change the sum."""
    for action in ("New", "Retirement", "Revival"):
        registrar.register(add_up, event_type=f"Shotgun_TimeLog_{action}", name=action.lower())
    registrar.register(
        add_up, event_type="Shotgun_TimeLog_Change", attribute="duration", name="duration"
    )
    registrar.register(move, event_type="Shotgun_TimeLog_Change", attribute="entity", name="moved")


def add_up(event: Event, ctx: Context) -> None:
    """Add up the time logged on the task of the event's time log."""
    filters = [["id", "is", event.entity_id]]
    for is_retired in (False, True):
        found = ctx.sg.find_one("TimeLog", filters, ["entity"], retired_only=is_retired)
        if found:
            write_sum(found["entity"], ctx)
            return


def move(event: Event, ctx: Context) -> None:
    """Add up the time logged on both tasks when a time log moves from one to the other."""
    for task in (event.old_value, event.new_value):
        write_sum(task, ctx)


def write_sum(task: Any, ctx: Context) -> None:
    """Write the time logged on a task to the task, and warn once when it exceeds the bid.

    Args:
        task: A link to what the time was logged on; anything but a task is left alone.
        ctx: The context.
    """
    settings: TimeLogs = ctx.settings
    if not task or task["type"] != "Task":
        return
    logs = ctx.sg.find("TimeLog", [["entity", "is", task]], ["duration"])
    logged = sum(log["duration"] or 0 for log in logs)
    fields = [settings.field, settings.bid, "content"]
    found = ctx.sg.find_one("Task", [["id", "is", task["id"]]], fields)
    if found is None or found[settings.field] == logged:
        return
    ctx.sg.update("Task", task["id"], {settings.field: logged})
    bid = found[settings.bid]
    if bid and logged > bid >= (found[settings.field] or 0):
        hours = (logged - bid) / MINUTES_PER_HOUR
        ctx.logger.warning("%s is %.1f hours above its bid", found["content"], hours)
