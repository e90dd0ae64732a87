"""Calling a classic callback: `(sg, logger, event, args)`, by position."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sgevents_core.events import Event, stock_row_of
from sgevents_core.protocols import Context


def classic_call(
    callback: Callable[..., object], logger: logging.Logger, args: object
) -> Callable[[Event, Context], object]:
    """Return a function of `(event, ctx)` that calls a classic callback.

    Args:
        callback: The classic callback.
        logger: The logger passed to it.
        args: The object passed to it as `args`, the same at every call.
    """

    def call(event: Event, ctx: Context) -> object:
        return callback(ctx.sg, logger, stock_row_of(event), args)

    return call
