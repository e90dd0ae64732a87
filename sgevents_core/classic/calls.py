"""Calling a classic callback: `(sg, logger, event, args)`, by position."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sgevents_core.events import Event, stock_row_of
from sgevents_core.protocols import Context


def classic_call(
    classic_callback: Callable[..., object], callback_logger: logging.Logger, callback_args: object
) -> Callable[[Event, Context], object]:
    """Return a function of `(event, ctx)` that calls a classic callback.

    Args:
        classic_callback: The classic callback.
        callback_logger: The logger passed to it.
        callback_args: The object passed to it as `args`, the same at every call.
    """

    def call(event: Event, ctx: Context) -> object:
        return classic_callback(ctx.sg, callback_logger, stock_row_of(event), callback_args)

    return call
