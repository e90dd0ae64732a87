"""Count what each user does, and log the counts when they log out.

Three callbacks share one object: the registrar passes the object given as `args` to each call. The
counts live as long as the daemon; anything that has to outlive it belongs in `ctx.store`.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from sgevents_core import Context, Event, Registrar, hookimpl

Activity = defaultdict[str, Counter[str]]
"""Name of a user -> what they did -> how often."""


@hookimpl
def register_callbacks(registrar: Registrar) -> None:
    """Register the three callbacks in call order, with one shared object."""
    activity: Activity = defaultdict(Counter)
    registrar.register(count_change, event_type="Shotgun_*_Change", args=activity)
    registrar.register(count_new, event_type="Shotgun_*_New", args=activity)
    registrar.register(report, event_type="Shotgun_User_Logout", args=activity)


def count_change(event: Event, ctx: Context, args: Activity) -> None:
    """Count a change somebody made; values set while a record is created are not counted."""
    if event.user and not event.in_create:
        args[event.user["name"]]["changed"] += 1


def count_new(event: Event, ctx: Context, args: Activity) -> None:
    """Count a record somebody created."""
    if event.user:
        args[event.user["name"]]["created"] += 1


def report(event: Event, ctx: Context, args: Activity) -> None:
    """Log what the user has done since the last report, and reset the count."""
    if event.user:
        done = args.pop(event.user["name"], Counter())
        total = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
        ctx.logger.info("%s logged out: %s", event.user["name"], total or "nothing done")
