"""Write a line to the log for every event: the smallest plugin there is."""

from __future__ import annotations

from sgevents_core import Context, Event, hookimpl


@hookimpl
def on_event(event: Event, ctx: Context) -> None:
    """Log the event's id and type, what it happened to and who did it."""
    author = event.user["name"] if event.user else "the site"
    ctx.logger.info("%s, by %s", event, author)
