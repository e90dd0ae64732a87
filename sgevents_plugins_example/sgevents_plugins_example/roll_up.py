"""Keep the share of a shot's tasks that are done in a field of the shot.

Fifty tasks whose statuses change within a minute need one look at the site, not fifty: the callback
takes the events of a project in batches. The share is always made from all tasks that there are
now, so events that come late or twice make no difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sgevents_core import Context, Event, Registrar, hookimpl

TASKS = ("Shotgun_Task_New", "Shotgun_Task_Retirement", "Shotgun_Task_Revival")


@dataclass(frozen=True)
class RollUp:
    """The settings of the plugin."""

    field: str = "sg_tasks_done"
    """The field of Shot that takes the share, in percent; a number or a percentage."""
    done: tuple[str, ...] = ("fin", "omt")
    """The statuses of a task that is done."""
    pause: str = "2s"
    """For how long no task of a project changes before its shots are looked at."""
    at_most: str = "30s"
    """How long the first change waits at most."""

    def __post_init__(self) -> None:
        """Refuse settings by which no task is ever done."""
        if not self.done:
            raise ValueError("name at least one status in `done`")


@hookimpl
def settings_model() -> type[RollUp]:
    """Return the model of the settings."""
    return RollUp


@hookimpl
def register_callbacks(registrar: Registrar) -> None:
    """Register one callback for everything that can change the share, each with its batches."""
    settings: RollUp = registrar.settings
    batches: dict[str, Any] = {
        "batch": settings.pause,
        "by": "project",
        "at_most": settings.at_most,
        "size": 500,
    }
    registrar.register(roll_up, event_type=TASKS, name="tasks", **batches)
    registrar.register(
        roll_up,
        event_type="Shotgun_Task_Change",
        attribute=("sg_status_list", "entity"),
        name="changes",
        **batches,
    )


def roll_up(events: list[Event], ctx: Context) -> None:
    """Write the share of done tasks to each shot that the events are about."""
    settings: RollUp = ctx.settings
    shots = sorted(shots_of(events, ctx.sg))
    if not shots:
        return
    links = [{"type": "Shot", "id": shot_id} for shot_id in shots]
    tasks = ctx.sg.find("Task", [["entity", "in", links]], ["entity", "sg_status_list"])
    all_tasks = Counter(task["entity"]["id"] for task in tasks)
    done_tasks = Counter(
        task["entity"]["id"] for task in tasks if task["sg_status_list"] in settings.done
    )
    changes = []
    for shot in ctx.sg.find("Shot", [["id", "in", shots]], [settings.field]):
        share = round(100 * done_tasks[shot["id"]] / max(all_tasks[shot["id"]], 1))
        if shot[settings.field] != share:
            data = {settings.field: share}
            changes.append(
                {
                    "request_type": "update",
                    "entity_type": "Shot",
                    "entity_id": shot["id"],
                    "data": data,
                }
            )
    if changes:
        ctx.sg.batch(changes)
        ctx.logger.info("%d shots rolled up for %d events", len(changes), len(events))


def shots_of(events: list[Event], sg: Any) -> set[int]:
    """Return the ids of the shots whose tasks the events are about, with two queries.

    Args:
        events: The events.
        sg: The plugin's client.
    """
    task_ids = sorted({event.entity_id for event in events if event.entity_id is not None})
    links = [event.old_value for event in events if event.attribute == "entity"]
    for is_retired in (False, True):
        filters = [["id", "in", task_ids]]
        tasks = sg.find("Task", filters, ["entity"], retired_only=is_retired) if task_ids else []
        links += [task["entity"] for task in tasks]
    return {link["id"] for link in links if link and link["type"] == "Shot"}
