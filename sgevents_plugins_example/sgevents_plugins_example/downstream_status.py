"""Make a task ready as soon as all tasks that it waits for are done.

What is ready already is not written again, so a repeated call does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgevents_core import Context, Event, hookimpl, match


@dataclass(frozen=True)
class DownstreamStatus:
    """The settings of the plugin."""

    done: tuple[str, ...] = ("fin", "omt")
    """The statuses of a task that others need not wait for."""
    waiting: str = "wtg"
    """The status of a task that waits; a task with any other is left alone."""
    ready: str = "rdy"
    """The status of a task that can begin."""

    def __post_init__(self) -> None:
        """Refuse settings that could never make a task ready, or would do so for ever."""
        if not self.done:
            raise ValueError("name at least one status in `done`")
        if self.waiting == self.ready or self.waiting in self.done:
            raise ValueError("`waiting` has to differ from `ready` and from every status of `done`")


@hookimpl
def settings_model() -> type[DownstreamStatus]:
    """Return the model of the settings."""
    return DownstreamStatus


@hookimpl
@match(entity_type="Task", attribute="sg_status_list")
def on_change(event: Event, ctx: Context) -> None:
    """Look at the tasks that wait for the one whose status has changed."""
    settings: DownstreamStatus = ctx.settings
    if event.new_value not in settings.done or event.entity_id is None:
        return
    waiting_tasks = ctx.sg.find(
        "Task",
        [
            ["upstream_tasks", "is", {"type": "Task", "id": event.entity_id}],
            ["sg_status_list", "is", settings.waiting],
        ],
        ["content", "upstream_tasks"],
    )
    for task in waiting_tasks:
        if are_done(task["upstream_tasks"], ctx.sg, settings):
            ctx.sg.update("Task", task["id"], {"sg_status_list": settings.ready})
            ctx.logger.info("%s is %s now", task["content"], settings.ready)


def are_done(tasks: list[dict[str, Any]], sg: Any, settings: DownstreamStatus) -> bool:
    """Return whether all tasks are done.

    Args:
        tasks: Links to them.
        sg: The plugin's client.
        settings: What counts as done.
    """
    ids = [task["id"] for task in tasks]
    found = sg.find("Task", [["id", "in", ids]], ["sg_status_list"])
    return all(task["sg_status_list"] in settings.done for task in found)
