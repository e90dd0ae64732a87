"""Calling a classic callback: `(sg, logger, event, args)`, by position."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sgevents_core.events import CLASSIC_KEYS, Event
from sgevents_core.protocols import Context
from sgevents_core.stock_values import stock_field


def classic_call(
    callback: Callable[..., object], logger: logging.Logger, args: object
) -> Callable[[Event, Context], object]:
    """Return a function of `(event, ctx)` that calls a classic callback.

    Args:
        callback: The classic callback.
        logger: The logger that it is given.
        args: What it is given as `args`, the same object at every call.
    """

    def call(event: Event, ctx: Context) -> object:
        return callback(ctx.sg, logger, classic_event(event), args)

    return call


def classic_event(event: Event) -> dict[str, Any]:
    """Return an event as the stock client returns it: a new dict that the callback may change.

    Unlike in `Event`, `meta` is as the site sent it, and may be None.
    """
    row = event.row
    values = {key: stock_field(value) for key, value in row.items()}
    values["created_at"] = event["created_at"]
    values.setdefault("type", "EventLogEntry")
    return {**{key: values.get(key) for key in CLASSIC_KEYS}, **values}
